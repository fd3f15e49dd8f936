"""Dispatches verbs and turns errors that carry an exit code into one message without traceback."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from functools import partial

from lit_experiments.errors import EXIT_DONE, EXIT_FAILED, EXIT_STOPPED, EXIT_USER, UserError
from lit_experiments.launch import current, report_end
from lit_experiments.signals import StopNow, StopSignal, stop_signal

_FOLLOWS = 0.5  # seconds in which a worker learns that another one has ended first


def console(argv: list[str] | None = None) -> None:
    """Entry point of the scripts: runs one command and ends the process. argv: its words; default: the process's."""
    with stop_signal() as stop:
        try:
            code = main(sys.argv[1:] if argv is None else argv, console)
        except StopNow:  # while an error was being worded
            code = EXIT_STOPPED
        stop.settle()
    if code == EXIT_STOPPED:  # promptly: libraries that were interrupted anywhere may never finish their clean-up
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def main(argv: list[str], again: Callable[[list[str]], None] | None = None) -> int:
    """Runs one command.

    Args:
        argv: its words.
        again: what forked children of this process run their commands with; None where it must not be forked.

    Returns:
        The exit code: 0 done, 1 failed, 2 the user's mistake, 75 stopped by a signal and resumable.
    """
    with stop_signal() as stop:  # before anything else is imported: a start takes seconds
        try:
            stop.raise_at_once()
            stop.check()
            _find_studies_here()
            return _dispatch(argv, again)
        except StopNow:
            return _end(EXIT_STOPPED, stop.words)
        except BrokenPipeError:
            sys.stderr.close()
            return EXIT_DONE
        except Exception as error:
            code = _answered(error, stop)
            if code is None:
                raise
            return code


def _answered(error: Exception, stop: StopSignal) -> int | None:
    """The exit code of an exception that carries one, or that only follows from a signal; None for any other."""
    code = getattr(error, "exit_code", None)
    if code is None and stop.name is not None:
        return _end(EXIT_STOPPED, stop.words)
    if code is not None:
        return _end(int(code), str(error))
    return _followed(error, stop)


def _followed(error: Exception, stop: StopSignal) -> int | None:
    """75 in a worker that failed because another has; its parent, which sees that, is about to stop it."""
    if report_end(EXIT_FAILED, f"{type(error).__name__}: {error}"):
        try:
            time.sleep(_FOLLOWS)
        except StopNow:
            return EXIT_STOPPED
    return None


def _end(code: int, message: str) -> int:
    """Says why the command ends: to the user, or to the parent of a worker, which says it for all."""
    if report_end(code, message) or not message:
        return code
    launch = current()
    rank = f"rank {launch.rank} of {launch.world_size}: " if launch.is_external and launch.rank else ""
    _say(f"{rank}{'error' if code == EXIT_USER else 'stopped' if code == EXIT_STOPPED else 'failed'}: {message}")
    return code


def _find_studies_here() -> None:
    """A study of the user's own may lie next to their configs/."""
    from pathlib import Path

    try:
        here = str(Path.cwd())
    except FileNotFoundError as error:
        raise UserError("The folder that this command runs in is gone. Next: cd to one that exists.") from error
    if here not in sys.path:
        sys.path.append(here)


def _dispatch(argv: list[str], again: Callable[[list[str]], None] | None) -> int:
    from lit_experiments.cli import configs
    from lit_experiments.cli.help import VERB_HELP, overview

    if not argv or argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(overview())
        return EXIT_DONE
    if argv[0] in ("--version", "-V"):
        sys.stdout.write(f"lit-experiments {_version()}\n")
        return EXIT_DONE
    verb, rest = argv[0], argv[1:]
    if verb not in VERB_HELP:
        verbs, near = ", ".join(VERB_HELP), configs.nearest(verb, list(VERB_HELP))
        raise UserError(f'Unknown verb "{verb}".{near} Verbs: {verbs}.\nNext: lit-experiments --help')
    return _experiment_verb(verb, rest) if verb in configs.VERBS else _other_verb(verb, again)(rest)


def _experiment_verb(verb: str, rest: list[str]) -> int:
    from lit_experiments.cli.help import verb_help
    from lit_experiments.cli.parser import resolve, select

    selection = select(verb, rest)
    if selection.help:
        sys.stdout.write(verb_help(verb, selection))
        return EXIT_DONE
    resolved = resolve(verb, selection)
    if selection.print_config:
        sys.stdout.write(resolved.to_yaml())
        return EXIT_DONE
    from lit_experiments.cli import learning, verbs

    run = {"collect": verbs.collect, "train": learning.train, "analyze": learning.analyze}[verb]
    return run(resolved, rest)


def _other_verb(verb: str, again: Callable[[list[str]], None] | None) -> Callable[[list[str]], int]:
    if verb in ("list", "run"):
        from lit_experiments.cli import pipelines

        return pipelines.list_experiments if verb == "list" else partial(pipelines.run_pipeline, again=again)
    if verb == "score":
        from lit_experiments.cli import score_verb

        return score_verb.score
    if verb == "report":
        from lit_experiments.cli import report_verb

        return report_verb.report
    if verb == "serve":
        from lit_experiments.cli import serve_verb

        return serve_verb.serve
    if verb == "audit":
        from lit_experiments.cli import audit_verb

        return audit_verb.audit
    if verb == "selftest":
        from lit_experiments.cli import selftest_verb

        return selftest_verb.selftest
    return partial(_store_verb, verb)


def _store_verb(verb: str, rest: list[str]) -> int:
    from lit_experiments.cli.store_parsers import PARSERS

    args = PARSERS[verb](rest)
    if verb in ("verify", "certificate"):
        from lit_experiments.cli import trust_verbs

        return (trust_verbs.verify if verb == "verify" else trust_verbs.certificate)(args)
    if verb == "watch":
        from lit_experiments.cli import watch_verb

        return watch_verb.watch(args)
    if verb == "merge":
        from lit_experiments.cli import merge_verb

        return merge_verb.merge(args)
    if verb in ("push", "pull"):
        from lit_experiments.cli import hub_verbs

        return (hub_verbs.push if verb == "push" else hub_verbs.pull)(args)
    from lit_experiments.cli import store_verbs

    return (store_verbs.inspect if verb == "inspect" else store_verbs.export)(args)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("lit-experiments")
    except PackageNotFoundError:
        return "(not installed: run from a checkout)"


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
