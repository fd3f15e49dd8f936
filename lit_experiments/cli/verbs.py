"""The three verbs that run an experiment: collect, train, analyze."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lit_experiments.cli.devices import trainer_arguments
from lit_experiments.cli.parser import Resolved, import_class
from lit_experiments.errors import EXIT_DONE, UserError

_DEMONSTRATION = "the embedded model: a demonstration subject, never a scientific result"


def collect(resolved: Resolved, argv: list[str]) -> int:
    """Runs a collection; the same command resumes it."""
    from lit_experiments.collecting.crew import is_main, worker_command
    from lit_experiments.collecting.dry_run import dry_run
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
        provenance=_provenance(resolved),
    )
    if is_main():
        _announce(resolved, collector)
    if options["dry_run"]:
        nothing = None if collector.samples() else collector.nothing_found()
        say(str(dry_run(collector, settings)) if nothing is None else f"{nothing} Nothing would run.")
        return EXIT_DONE
    if is_main():
        if options["restart"]:
            set_aside(settings.store)
        _save_config(run, resolved)
    rows = run_collection(collector, settings, worker_command(["collect", *_without_restart(argv)]))
    if is_main():
        for line in _findings(collector, settings.store, rows):
            say(line)
        say(f"{rows:,} rows in {settings.store}. Next: lit-experiments inspect {run}")
    return EXIT_DONE


def _findings(collector: Any, store: Path, rows: int) -> list[str]:
    """What the study has to say after a collection."""
    import stores

    return collector.summary(stores.open_store(store)) if rows else [collector.nothing_found()]


def train(resolved: Resolved, argv: list[str]) -> int:
    """Trains from a store; results that are up to date are shown, not made again."""
    task = import_class(resolved.class_path)(**resolved.init_args)
    return _learn(
        task, resolved, trainer_arguments(resolved.options, own_precision=True), resolved.options["ckpt_path"]
    )


def analyze(resolved: Resolved, argv: list[str]) -> int:
    """Computes statistics, figures and a report from stores and probes; shown again when up to date."""
    return _learn(import_class(resolved.class_path)(**resolved.init_args), resolved, {}, None)


def _learn(task: Any, resolved: Resolved, trainer: dict[str, Any], checkpoint: str | None) -> int:
    from lit_experiments.collecting.crew import is_main

    run = Path(resolved.options["run"] or Path("runs") / task.reads)
    if not (run / "store" / "store.json").exists():
        raise UserError(
            f"{run.absolute()} holds no store to learn from.\n"
            f"Next: python collect.py --exp {task.reads}, or point --run at the folder of a collection."
        )
    out = run / resolved.exp
    identity = json.loads(json.dumps(task.identity(run)))
    finished = out / "results.json"
    kept = json.loads(finished.read_text(encoding="utf-8")) if finished.exists() else None
    if kept is not None and kept["identity"] == identity and not resolved.options["restart"]:
        if is_main():
            _remove_checkpoints(out)  # of a run that was stopped right after its results were written
        say(f"{out} is up to date (--restart makes it again).\n\n{kept['summary']}")
        return EXIT_DONE
    if is_main() and (kept is not None or resolved.options["restart"]):
        set_aside(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.yaml").write_text(resolved.to_yaml(), encoding="utf-8")
    summary = task.run(run, out, trainer, checkpoint)
    if is_main():
        draft = finished.with_name("results.json.tmp")
        draft.write_text(json.dumps({"identity": identity, "summary": summary}), encoding="utf-8")
        draft.replace(finished)
        _remove_checkpoints(out)
        say(summary)
    return EXIT_DONE


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
    spec = ModelSpec(
        model=options["model"],
        adapter=options["adapter"],
        revision=options["revision"],
        dtype=PRECISIONS[options["precision"]],
        attn=options["attn"],
    )
    return import_class(resolved.class_path)(spec, **resolved.init_args)


def _announce(resolved: Resolved, collector: Any) -> None:
    options = resolved.options
    model = _DEMONSTRATION if options["model"] == "embedded" else options["model"]
    adapter = f" + adapter {options['adapter']}" if options["adapter"] else ""
    say(f"{resolved.exp}: {model}{adapter}, {options['precision']}")
    for line in collector.notes():
        say(f"  {line}")


def _provenance(resolved: Resolved) -> dict[str, Any]:
    from importlib.metadata import version

    packages = {name: version(name) for name in ("torch", "transformers", "lightning", "zarr", "h5py")}
    return {"config": {**asdict(resolved), "options": {**resolved.options}}, "packages": packages}


def _save_config(run: Path, resolved: Resolved) -> None:
    """Written once: a resumed run keeps the configuration it began with.

    Raises:
        UserError: the folder cannot be made or written.
    """
    path = run / "config.yaml"
    try:
        run.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(resolved.to_yaml(), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"Cannot write into {run.absolute()}: {error.strerror}. Nothing ran.\nNext: choose a folder with --run DIR."
        ) from error


def _without_restart(argv: list[str]) -> list[str]:
    return [word for word in argv if word != "--restart"]
