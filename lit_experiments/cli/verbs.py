"""The three verbs that run an experiment: collect, train, analyze."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lit_experiments.cli.devices import trainer_arguments
from lit_experiments.cli.parser import Resolved, import_class
from lit_experiments.errors import EXIT_DONE, UserError
from lit_experiments.launch import is_idle_slurm_allocation, is_main, is_rank_zero, is_worker
from lit_experiments.plain import write_json

RESULTS = "results.json"  # written last: its presence says that the folder is complete
_PATIENCE = 600.0  # seconds that a process waits for the one beside it to make the store
_DEMONSTRATION = "the embedded model: a demonstration subject, never a scientific result"


def collect(resolved: Resolved, argv: list[str]) -> int:
    """Runs a collection; the same command resumes it."""
    from lit_experiments.collecting.crew import worker_command
    from lit_experiments.collecting.dry_run import dry_run, hand_over
    from lit_experiments.collecting.run import RunSettings
    from lit_experiments.collecting.run import collect as run_collection

    options = resolved.options
    run = run_folder(resolved)
    collector = _collector(resolved)
    settings = RunSettings(
        run=run,
        backend=options["backend"],
        batch_tokens=options["batch_tokens"],
        batch_size=options["batch_size"],
        flush_bytes=int(options["flush_mb"] * 1e6),
        flush_seconds=options["flush_seconds"],
        limit=options["limit"],
        trainer=trainer_arguments(options),
        provenance={**_provenance(resolved), "started": collector.info.tokens.clock.moment},
    )
    if is_main():
        _announce(resolved, collector)
    if options["dry_run"]:
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
    if is_main():
        if options["restart"]:
            set_aside(settings.store)
        _save_config(run, resolved)
    rows = run_collection(collector, settings, worker_command(["collect", *_without_restart(argv)]))
    if is_main():
        for line in _findings(collector, settings.store, rows):
            say(line)
        for line in _unasked(settings.store, rows):
            say(line)
        say(f"{rows:,} rows in {settings.store}. Next: lit-experiments inspect {run}")
    return EXIT_DONE


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
    trainer = trainer_arguments(resolved.options, own_precision=True)
    return _learn(resolved, trainer, argv)


def analyze(resolved: Resolved, argv: list[str]) -> int:
    """Computes statistics, figures and a report from stores and probes, in one process; shown again when up to date."""
    return _learn(resolved, {}, argv) if is_main() else EXIT_DONE


def _learn(resolved: Resolved, trainer: dict[str, Any], argv: list[str]) -> int:
    task = import_class(resolved.class_path)(**resolved.init_args)
    run = Path(resolved.options["run"] or Path("runs") / task.reads)
    if not (run / "store" / "store.json").exists():
        raise UserError(
            f"{run.absolute()} holds no store to learn from.\n"
            f"Next: python collect.py --exp {task.reads}, or point --run at the folder of a collection."
        )
    out = run / resolved.exp
    identity = json.loads(json.dumps(task.identity(run)))
    kept = _results(out)
    if kept is not None and kept["identity"] == identity and not resolved.options["restart"]:
        if is_main():
            _remove_checkpoints(out)  # of a run that was stopped right after its results were written
            say(f"{out} is up to date (--restart makes it again).\n\n{kept['summary']}")
        return EXIT_DONE
    if is_main():
        if kept is not None or resolved.options["restart"]:
            set_aside(out)
        _save_config(out, resolved, once=False)
    if trainer.get("devices", 1) > 1 and not is_worker():
        _learn_in_workers(resolved.verb, trainer, argv)
    else:
        summary = task.run(run, out, trainer, resolved.options.get("ckpt_path"))
        if is_rank_zero():
            write_json(out / RESULTS, {"identity": identity, "summary": summary})
    if is_main():
        _remove_checkpoints(out)
        say(json.loads((out / RESULTS).read_text(encoding="utf-8"))["summary"])
    return EXIT_DONE


def _results(out: Path) -> Any:
    """What an earlier run left when it was done, or None."""
    finished = out / RESULTS
    return json.loads(finished.read_text(encoding="utf-8")) if finished.exists() else None


def _learn_in_workers(verb: str, trainer: dict[str, Any], argv: list[str]) -> None:
    from lit_experiments.collecting.crew import worker_command
    from lit_experiments.collecting.processes import supervise

    supervise(worker_command([verb, *_without_restart(argv)]), trainer, (), None)


def _remove_checkpoints(out: Path) -> None:
    """Training is done: what it could have been resumed from is of no more use, and may be larger than the results."""
    for folder in filter(Path.is_dir, out.glob("checkpoints*")):
        shutil.rmtree(folder)


def run_folder(resolved: Resolved) -> Path:
    """--run, or runs/<exp>, or runs/<exp>-<preset>."""
    name = resolved.exp if resolved.preset is None else f"{resolved.exp}-{resolved.preset}"
    return Path(resolved.options["run"] or Path("runs") / name)


def set_aside(path: Path) -> None:
    """Renames a store or results folder to <name>.old-1, -2, ...: collected data is never deleted."""
    if not path.exists():
        return
    number = 1
    while (target := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    path.rename(target)
    say(f"Set aside: {path} is now {target}")


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


def _save_config(run: Path, resolved: Resolved, once: bool = True) -> None:
    """Writes config.yaml. once: a resumed collection keeps the configuration it began with.

    Raises:
        UserError: the folder cannot be made or written.
    """
    path = run / "config.yaml"
    try:
        run.mkdir(parents=True, exist_ok=True)
        if not (once and path.exists()):
            draft = path.with_name(path.name + ".tmp")
            draft.write_text(resolved.to_yaml(), encoding="utf-8")
            draft.replace(path)
    except OSError as error:
        raise UserError(
            f"Cannot write into {run.absolute()}: {error.strerror}. Nothing ran.\nNext: choose a folder with --run DIR."
        ) from error


def _without_restart(argv: list[str]) -> list[str]:
    return [word for word in argv if word != "--restart"]
