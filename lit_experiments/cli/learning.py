"""The verbs that learn from a store: train, analyze. Owns when results are up to date, and where older ones go."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from lit_experiments.cli.class_values import import_class
from lit_experiments.cli.log_to import result_loggers
from lit_experiments.cli.parser import Resolved
from lit_experiments.cli.places import local_path
from lit_experiments.cli.verbs import collect, say, trainer_of, without_restart
from lit_experiments.cli.working_copy import run_place, working_copy
from lit_experiments.errors import EXIT_DONE, EXIT_USER, UserError
from lit_experiments.launch import current, is_main, is_rank_zero, is_worker
from lit_experiments.plain import write_json

RESULTS = "results.json"  # written last: its presence says that the folder is complete


def train(resolved: Resolved, argv: list[str]) -> int:
    """Trains from a store, in worker processes where there are several devices; results that are up to date are shown,
    not made again.
    """
    return _learn(resolved, argv, has_trainer=True)


def analyze(resolved: Resolved, argv: list[str]) -> int:
    """Computes statistics, figures and a report from stores and probes, in one process; shown again when up to date."""
    return _learn(resolved, argv, has_trainer=False) if is_main() else EXIT_DONE


def _learn(resolved: Resolved, argv: list[str], has_trainer: bool) -> int:
    task = import_class(resolved.class_path)(**resolved.init_args)
    with working_copy(_folder_of(resolved, task), resolved.options["run"]):
        return _learn_here(resolved, argv, has_trainer, task)


def _learn_here(resolved: Resolved, argv: list[str], has_trainer: bool, task: Any) -> int:
    from lit_experiments.collecting.aside import set_aside

    run = _folder_of(resolved, task) if _collection(task) is not None else _run_to_read(resolved, task)
    out, restart = run / resolved.exp, resolved.options["restart"]
    trainer = _checked_trainer(resolved, out) if has_trainer else {}
    checkpoint = _checkpoint(resolved.options.get("ckpt_path"), out, restart)
    kept = _kept(out / RESULTS)
    if resolved.options["dry_run"]:
        return _forecast(task, _run_to_read(resolved, task), out, kept)
    if _collection(task) is not None and (current().is_external or not is_worker()):
        _collect_first(resolved, task)
        _run_to_read(resolved, task)
    loggers = result_loggers(resolved.options["log_to"], trainer, out)
    identity = _identity(task, run)
    if kept is not None and kept["identity"] == identity and not restart:
        if is_main():
            _remove_checkpoints(out)  # of a run that was stopped right after its results were written
            say(f"{out} is up to date (--restart makes it again).\n\n{_here(kept['summary'], out)}")
            _send(out, loggers)
        return EXIT_DONE
    if checkpoint is not None and kept is not None:
        raise UserError(
            f"--ckpt_path {checkpoint}: {out} is finished, with other settings; there is nothing to resume."
        )
    aside = set_aside(out) if is_main() and (kept is not None or restart) else None
    with _undone_if_refused(out, aside) if is_main() else nullcontext():
        if is_main():
            _save(out / "config.yaml", resolved.to_yaml())
        if trainer.get("devices", 1) > 1 and not is_worker():
            _learn_in_workers(resolved.verb, trainer, argv)
        else:
            summary = task.run(run, out, trainer, checkpoint)
            if is_rank_zero():
                write_json(out / RESULTS, {"identity": identity, "summary": summary})
                _send(out, loggers)
    if is_main():
        _remove_checkpoints(out)
        say(json.loads((out / RESULTS).read_text(encoding="utf-8"))["summary"])
    return EXIT_DONE


def _identity(task: Any, run: Path) -> Any:
    return json.loads(json.dumps(task.identity(run)))


def _forecast(task: Any, run: Path, out: Path, kept: dict[str, Any] | None) -> int:
    """--dry_run: all is checked as if it were to run. Raises UserError for what could not."""
    identity = _identity(task, run)
    up_to_date = kept is not None and kept["identity"] == identity
    if is_main():
        say(f"{out} is up to date: nothing would be computed." if up_to_date else task.forecast(run, out))
    return EXIT_DONE


def _send(out: Path, loggers: list[Any]) -> None:
    """Results to loggers, once they are whole on the disk."""
    if loggers:
        from lit_experiments.reports.to_loggers import send_results

        for line in send_results(out, loggers):
            say(line)


def _collect_first(resolved: Resolved, task: Any) -> None:
    """Makes, or completes, the store that is read, with this command's folder and devices."""
    from lit_experiments.cli.parser import resolve, select

    experiment = task.reads.experiment
    shared = {name: resolved.options[name] for name in ("devices", "accelerator", "num_nodes", "strategy")}
    values = {**shared, **(_collection(task) or {}), "run": str(_folder_of(resolved, task))}
    words = [f"--{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items()]
    try:
        collection = resolve("collect", select("collect", ["--exp", experiment, *words]))
    except UserError as error:
        raise UserError(f"--live: {error}") from error
    collect(collection, ["--exp", experiment, *words])


def _here(summary: str, out: Path) -> str:
    """What was shown when the results were made, with the place of its page now: the folder may have been moved."""
    lead, place, page = summary.rpartition("\nReport:  ")
    return f"{lead}{place}{out / Path(page).name}" if place else summary


def _learn_in_workers(verb: str, trainer: dict[str, Any], argv: list[str]) -> None:
    from lit_experiments.collecting.crew import worker_command
    from lit_experiments.collecting.processes import supervise

    supervise(worker_command([verb, *without_restart(argv)]), trainer, (), None)


def _remove_checkpoints(out: Path) -> None:
    """Training is done: what it could have been resumed from is of no more use, and may be larger than the results."""
    for folder in filter(Path.is_dir, out.glob("checkpoints*")):
        shutil.rmtree(folder)


def _run_to_read(resolved: Resolved, task: Any) -> Path:
    from stores import is_store

    experiment, run = getattr(task.reads, "experiment", task.reads), _folder_of(resolved, task)
    if not is_store(run / "store"):
        raise UserError(
            f"{run.absolute()} holds no store to learn from.\n"
            f"Next: python collect.py --exp {experiment}, or point --run at the folder of a collection."
        )
    return run


def _collection(task: Any) -> dict[str, Any] | None:
    """See `Task.collects`; a class of the user's own may lack it."""
    return getattr(task, "collects", None)


def _folder_of(resolved: Resolved, task: Any) -> Path:
    """--run, or the folder of the experiment that is read; of what is collected without states, one of its own."""
    experiment = getattr(task.reads, "experiment", task.reads)
    default = f"runs/{experiment}" if _collection(task) is None else f"runs/{experiment}-live"
    return run_place("--run", default if resolved.options["run"] is None else resolved.options["run"])


def _checked_trainer(resolved: Resolved, out: Path) -> dict[str, Any]:
    """The Trainer's arguments, of which the Trainer has been made once to see that it takes them."""
    from lit_experiments.trainer import make_trainer, unlogged

    flags = trainer_of(resolved, out, own_precision=True)
    make_trainer({"logger": False}, unlogged(flags), [])
    return flags


def _kept(path: Path) -> dict[str, Any] | None:
    """The results that are there. Raises UserError where they cannot be read."""
    if not path.exists():
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return {"identity": kept["identity"], "summary": kept["summary"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}). Next: move it away, and run the same command again.") from error


def _checkpoint(ckpt_path: str | None, out: Path, restart: bool) -> str | None:
    """--ckpt_path, when there is something behind it.

    Raises:
        UserError: nothing to resume, no such file, a file of something else, or --restart next to it.
    """
    if ckpt_path is None:
        return None
    if restart:
        raise UserError("--restart begins anew and --ckpt_path goes on from a checkpoint: give one of them.")
    there = sorted(str(path) for path in out.rglob("*.ckpt"))
    listed = f"Checkpoints there: {', '.join(there)}." if there else "It holds no checkpoint: leave --ckpt_path out."
    if ckpt_path == "last":
        if not there:
            raise UserError(f"--ckpt_path last: no interrupted training in {out.absolute()} to resume.\n{listed}")
        return ckpt_path
    path = local_path("--ckpt_path", ckpt_path)
    if not path.is_file():
        raise UserError(f"--ckpt_path {ckpt_path}: there is no such file.\nThis training writes into {out}. {listed}")
    if out.resolve() not in path.resolve().parents:
        raise UserError(
            f"--ckpt_path {ckpt_path} is no checkpoint of this training, which writes into {out}.\n{listed}"
        )
    return str(path)


@contextmanager
def _undone_if_refused(out: Path, aside: Path | None) -> Iterator[None]:
    """A mistake that only shows inside leaves things as they were, unless something has been made by then."""
    try:
        yield
    except Exception as error:
        made = [path for path in out.iterdir() if path.name != "config.yaml"] if out.exists() else []
        if getattr(error, "exit_code", None) == EXIT_USER and not made:
            (out / "config.yaml").unlink(missing_ok=True)
            out.rmdir()
            if aside is not None:
                aside.rename(out)
                say(f"Put back: {out}")
        raise


def _save(path: Path, text: str) -> None:
    """Writes a file whole or not at all. Raises UserError where that is not possible."""
    draft = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise UserError(f"Cannot write {path.absolute()}: {error.strerror}.") from error
