"""Dispatches verbs and turns errors that carry an exit code into one message without traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from lit_experiments.cli import configs
from lit_experiments.cli.help import VERB_HELP, overview, verb_help
from lit_experiments.errors import EXIT_DONE, EXIT_STOPPED, EXIT_USER, UserError


def console() -> None:
    """Entry point of the `lit-experiments` script."""
    sys.exit(main(sys.argv[1:]))


def main(argv: list[str]) -> int:
    """Runs one command.

    Returns:
        The exit code: 0 done, 1 failed, 2 the user's mistake, 75 stopped by a signal and resumable.
    """
    try:
        _find_studies_here()
        return _dispatch(argv)
    except KeyboardInterrupt:
        _say("Stopped before anything ran; the same command starts it again.")
        return EXIT_STOPPED
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_DONE
    except Exception as error:
        code = getattr(error, "exit_code", None)
        if code is None:
            raise
        _say(f"{'error' if code == EXIT_USER else 'stopped' if code == EXIT_STOPPED else 'failed'}: {error}")
        return int(code)


def _find_studies_here() -> None:
    """A study of the user's own may lie beside their configs/."""
    try:
        here = str(Path.cwd())
    except FileNotFoundError as error:
        raise UserError("The folder that this command runs in is gone. Next: cd to one that exists.") from error
    if here not in sys.path:
        sys.path.append(here)


def _dispatch(argv: list[str]) -> int:
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
    return _experiment_verb(verb, rest) if verb in configs.VERBS else _other_verb(verb)(rest)


def _experiment_verb(verb: str, rest: list[str]) -> int:
    from lit_experiments.cli.parser import resolve, select

    selection = select(verb, rest)
    if selection.help:
        sys.stdout.write(verb_help(verb, selection))
        return EXIT_DONE
    resolved = resolve(verb, selection)
    if selection.print_config:
        sys.stdout.write(resolved.to_yaml())
        return EXIT_DONE
    from lit_experiments.cli import verbs

    return int(getattr(verbs, verb)(resolved, rest))


def _other_verb(verb: str) -> Callable[[list[str]], int]:
    if verb in ("list", "run"):
        from lit_experiments.cli import pipelines

        return pipelines.list_experiments if verb == "list" else pipelines.run_pipeline
    from lit_experiments.cli import store_verbs

    return {"inspect": store_verbs.inspect, "verify": store_verbs.verify, "export": store_verbs.export}[verb]


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("lit-experiments")
    except PackageNotFoundError:
        return "(not installed: run from a checkout)"


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
