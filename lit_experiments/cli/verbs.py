"""The three verbs that run an experiment: collect, train, analyze."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lit_experiments.cli.class_values import import_class
from lit_experiments.cli.devices import trainer_arguments
from lit_experiments.cli.parser import Resolved
from lit_experiments.cli.places import local_folder, local_path
from lit_experiments.cli.trainer_flags import build_flags
from lit_experiments.errors import EXIT_DONE, EXIT_USER, UserError
from lit_experiments.launch import is_idle_slurm_allocation, is_main, is_rank_zero, is_worker
from lit_experiments.plain import write_json

RESULTS = "results.json"  # written last: its presence says that the folder is complete
_PATIENCE = 600.0  # seconds that a process waits for the one beside it to make the store
_DEMONSTRATION = "the embedded model: a demonstration subject, never a scientific result"


def collect(resolved: Resolved, argv: list[str]) -> int:
    """Runs a collection; the same command resumes it."""
    from lit_experiments.collecting.crew import worker_command
    from lit_experiments.collecting.dry_run import dry_run, hand_over
    from lit_experiments.collecting.run import collect as run_collection

    settings = run_settings(resolved)
    collector = _collector(resolved)
    provenance = {**settings.provenance, "started": collector.info.tokens.clock.moment}
    settings = replace(settings, provenance=provenance)
    if is_main():
        _announce(resolved, collector)
    if resolved.options["dry_run"]:
        if not is_main():
            return EXIT_DONE
        nothing = None if collector.samples() else collector.nothing_found()
        if nothing is not None:
            say(f"{nothing} Nothing would run.")
            return EXIT_DONE
        forecast = dry_run(collector, settings)
        hand_over(forecast)
        say(str(forecast))
        return EXIT_DONE
    rows = run_collection(collector, settings, worker_command(["collect", *_without_restart(argv)]))
    if is_main():
        for line in (*_findings(collector, settings.store, rows), *_unasked(settings.store, rows)):
            say(line)
        say(f"{rows:,} rows in {settings.store}. Next: lit-experiments inspect {settings.run}")
    return EXIT_DONE


def check_options(resolved: Resolved) -> None:
    """Raises UserError for options that the verb will refuse whatever it reads: a bad folder, device or batch size."""
    if resolved.verb == "collect":
        run_settings(resolved)
        return
    local_folder("--run", resolved.options["run"] or "runs")
    if resolved.verb == "train":
        _trainer(resolved, Path(), own_precision=True)


def run_settings(resolved: Resolved) -> Any:
    """The RunSettings of a collection. Raises UserError for options that no run can have."""
    from lit_experiments.collecting.run import RunSettings
    from lit_experiments.ranges import above

    options, run = resolved.options, run_folder(resolved)
    above(0, flush_mb=options["flush_mb"])
    return RunSettings(
        run=run,
        backend=options["backend"],
        batch_tokens=options["batch_tokens"],
        batch_size=options["batch_size"],
        flush_bytes=max(1, int(options["flush_mb"] * 1e6)),
        flush_seconds=options["flush_seconds"],
        limit=options["limit"],
        trainer=_trainer(resolved, run),
        provenance=_provenance(resolved),
        restart=options["restart"],
        config=resolved.to_yaml(),
    )


def _trainer(resolved: Resolved, root: Path, own_precision: bool = False) -> dict[str, Any]:
    """The Trainer's arguments. root: where its loggers and profilers write, if they are not told otherwise."""
    flags = trainer_arguments(resolved.options, own_precision)
    return {**flags, **build_flags(resolved.options["trainer"], root)}


def _findings(collector: Any, store: Path, rows: int) -> list[str]:
    """What the study has to say after a collection."""
    import stores

    return collector.summary(stores.open_store(store)) if rows else [collector.nothing_found()]


def _unasked(store: Path, rows: int) -> list[str]:
    """That a store holds more than this command asks for, where it does."""
    import stores

    more = len(stores.open_store(store)) - rows
    return [f"The store holds {more:,} more rows, of samples that this command does not ask for; they stay."][:more]


def train(resolved: Resolved, argv: list[str]) -> int:
    """Trains from a store, in worker processes where there are several devices; results that are up to date are shown,
    not made again.
    """
    return _learn(resolved, argv, has_trainer=True)


def analyze(resolved: Resolved, argv: list[str]) -> int:
    """Computes statistics, figures and a report from stores and probes, in one process; shown again when up to date."""
    return _learn(resolved, argv, has_trainer=False) if is_main() else EXIT_DONE


def _learn(resolved: Resolved, argv: list[str], has_trainer: bool) -> int:
    from lit_experiments.collecting.aside import set_aside

    task = import_class(resolved.class_path)(**resolved.init_args)
    run = _run_to_read(resolved, task)
    out, restart = run / resolved.exp, resolved.options["restart"]
    trainer = _checked_trainer(resolved, out) if has_trainer else {}
    identity = json.loads(json.dumps(task.identity(run)))
    kept = _kept(out / RESULTS)
    checkpoint = _checkpoint(resolved.options.get("ckpt_path"), out, restart)
    if kept is not None and kept["identity"] == identity and not restart:
        if is_main():
            _remove_checkpoints(out)  # of a run that was stopped right after its results were written
            say(f"{out} is up to date (--restart makes it again).\n\n{kept['summary']}")
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
    if is_main():
        _remove_checkpoints(out)
        say(json.loads((out / RESULTS).read_text(encoding="utf-8"))["summary"])
    return EXIT_DONE


def _learn_in_workers(verb: str, trainer: dict[str, Any], argv: list[str]) -> None:
    from lit_experiments.collecting.crew import worker_command
    from lit_experiments.collecting.processes import supervise

    supervise(worker_command([verb, *_without_restart(argv)]), trainer, (), None)


def _remove_checkpoints(out: Path) -> None:
    """Training is done: what it could have been resumed from is of no more use, and may be larger than the results."""
    for folder in filter(Path.is_dir, out.glob("checkpoints*")):
        shutil.rmtree(folder)


def _run_to_read(resolved: Resolved, task: Any) -> Path:
    run = local_folder("--run", f"runs/{task.reads}" if resolved.options["run"] is None else resolved.options["run"])
    if not (run / "store" / "store.json").exists():
        raise UserError(
            f"{run.absolute()} holds no store to learn from.\n"
            f"Next: python collect.py --exp {task.reads}, or point --run at the folder of a collection."
        )
    return run


def _checked_trainer(resolved: Resolved, out: Path) -> dict[str, Any]:
    """The Trainer's arguments, of which the Trainer has been made once to see that it takes them."""
    from lit_experiments.trainer import make_trainer, unlogged

    flags = _trainer(resolved, out, own_precision=True)
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


def _checkpoint(wanted: str | None, out: Path, restart: bool) -> str | None:
    """--ckpt_path, when there is something behind it.

    Raises:
        UserError: nothing to resume, no such file, a file of something else, or --restart beside it.
    """
    if wanted is None:
        return None
    if restart:
        raise UserError("--restart begins anew and --ckpt_path goes on from a checkpoint: give one of them.")
    there = sorted(str(path) for path in out.rglob("*.ckpt"))
    listed = f"Checkpoints there: {', '.join(there)}." if there else "It holds no checkpoint: leave --ckpt_path out."
    if wanted == "last":
        if not there:
            raise UserError(f"--ckpt_path last: no interrupted training in {out.absolute()} to resume.\n{listed}")
        return wanted
    path = local_path("--ckpt_path", wanted)
    if not path.is_file():
        raise UserError(f"--ckpt_path {wanted}: there is no such file.\nThis training writes into {out}. {listed}")
    if out.resolve() not in path.resolve().parents:
        raise UserError(f"--ckpt_path {wanted} is no checkpoint of this training, which writes into {out}.\n{listed}")
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


def run_folder(resolved: Resolved) -> Path:
    """--run, or runs/<exp>, or runs/<exp>-<preset>.

    Raises:
        UserError: it can be no folder.
    """
    name = resolved.exp if resolved.preset is None else f"{resolved.exp}-{resolved.preset}"
    run = resolved.options["run"]
    return local_folder("--run", f"runs/{name}" if run is None else run)


def say(text: str) -> None:
    """Prints a result to standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _collector(resolved: Resolved) -> Any:
    from lit_experiments.cli.options import PRECISIONS
    from lit_experiments.lm.spec import ModelSpec

    options = resolved.options
    run = run_folder(resolved)
    spec = ModelSpec(
        model=options["model"],
        adapter=options["adapter"],
        revision=options["revision"],
        dtype=PRECISIONS[options["precision"]],
        attn=options["attn"],
        started=None if options["restart"] else _started(run),
    )
    collector = import_class(resolved.class_path)(spec, **resolved.init_args)
    if spec.started is None and collector.info.tokens.clock.asked and not is_main():
        # A chat template asks for the time: the store that the first process makes says which one it is.
        collector = import_class(resolved.class_path)(replace(spec, started=_await_start(run)), **resolved.init_args)
    return collector


def _started(run: Path) -> str | None:
    """When the run was first started, by its store; None for a new one."""
    import stores

    if not (run / "store" / "store.json").exists():
        return None
    return stores.open_store(run / "store").provenance.get("started")


def _await_start(run: Path) -> str:
    """The same, in a process that was started beside the one that makes the store."""
    deadline = time.monotonic() + _PATIENCE
    while (started := _started(run)) is None:
        if time.monotonic() > deadline:
            raise UserError(f"No store appeared in {run.absolute()} within {_PATIENCE / 60:.0f} minutes.")
        time.sleep(0.2)
    return started


def _announce(resolved: Resolved, collector: Any) -> None:
    options = resolved.options
    model = _DEMONSTRATION if options["model"] == "embedded" else options["model"]
    adapter = f" + adapter {options['adapter']}" if options["adapter"] else ""
    say(f"{resolved.exp}: {model}{adapter}, {options['precision']}")
    if is_idle_slurm_allocation():
        say(
            "  SLURM gave several tasks, but srun did not start this command: it runs here, and starts --devices itself"
        )
    for line in (*collector.info.notes, *collector.notes()):
        say(f"  {line}")


def _provenance(resolved: Resolved) -> dict[str, Any]:
    from importlib.metadata import version

    packages = {name: version(name) for name in ("torch", "transformers", "lightning", "zarr", "h5py")}
    return {"config": {**asdict(resolved), "options": {**resolved.options}}, "packages": packages}


def _without_restart(argv: list[str]) -> list[str]:
    return [word for word in argv if word != "--restart"]
