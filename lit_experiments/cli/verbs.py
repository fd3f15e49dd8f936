"""The verb `collect`, and what the verbs that run an experiment share: their folder, their Trainer, what they print."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lit_experiments.cli.claims_file import registered
from lit_experiments.cli.class_values import import_class
from lit_experiments.cli.devices import trainer_arguments
from lit_experiments.cli.parser import Resolved
from lit_experiments.cli.trainer_flags import build_flags
from lit_experiments.cli.working_copy import is_elsewhere, is_on_hub, run_place, working_copy
from lit_experiments.errors import EXIT_DONE, UserError
from lit_experiments.launch import is_idle_slurm_allocation, is_main

_PATIENCE = 600.0  # seconds that a process waits for the one next to it to make the store
_DEMONSTRATION = "the embedded model: a demonstration subject, never a scientific result"


def collect(resolved: Resolved, argv: list[str]) -> int:
    """Runs a collection; the same command resumes it."""
    settings = run_settings(resolved)
    with working_copy(settings.run, resolved.options["run"]):
        return _collect(resolved, settings, argv)


def _collect(resolved: Resolved, settings: Any, argv: list[str]) -> int:
    from lit_experiments.collecting.crew import worker_command
    from lit_experiments.collecting.dry_run import dry_run, hand_over
    from lit_experiments.collecting.run import collect as run_collection

    claims = registered(resolved.options["claims"])
    collector = _collector(resolved)
    provenance = {**settings.provenance, "started": collector.info.tokens.clock.moment, **claims}
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
    rows = run_collection(collector, settings, worker_command(["collect", *without_restart(argv)]))
    if is_main():
        for line in (*_findings(collector, settings.store, rows), *_unasked(settings.store, rows)):
            say(line)
        run = resolved.options["run"] if "://" in (resolved.options["run"] or "") else settings.run
        say(f"{rows:,} rows in {run}/store. Next: lit-experiments inspect {run}")
    return EXIT_DONE


def check_options(resolved: Resolved) -> None:
    """Raises UserError for options that the verb will refuse whatever it reads: a bad folder, device or batch size."""
    if resolved.verb == "collect":
        run_settings(resolved)
        return
    run_place("--run", resolved.options["run"] or "runs")
    if resolved.verb == "train":
        trainer_of(resolved, Path(), own_precision=True)


def run_settings(resolved: Resolved) -> Any:
    """The RunSettings of a collection. Raises UserError for options that no run can have."""
    from lit_experiments.collecting.run import RunSettings
    from lit_experiments.collecting.shards import parse_shard
    from lit_experiments.ranges import above

    options, run = resolved.options, run_folder(resolved)
    above(0, flush_mb=options["flush_mb"])
    if is_on_hub(run, options["run"]):
        raise UserError(
            f"--run {options['run']}: runs on the Hub can only be read.\n"
            "Next: collect into a folder, then lit-experiments push RUN hf://OWNER/NAME"
        )
    if options["backend"] == "hdf5" and is_elsewhere(run, options["run"]):
        raise UserError(f"--backend hdf5 writes to disks, {options['run']} is none.\nNext: --backend zarr")
    return RunSettings(
        run=run,
        backend=options["backend"],
        batch_tokens=options["batch_tokens"],
        batch_size=options["batch_size"],
        flush_bytes=max(1, int(options["flush_mb"] * 1e6)),
        flush_seconds=options["flush_seconds"],
        lease_seconds=options["lease_seconds"],
        limit=options["limit"],
        shard=parse_shard(options["shard"]),
        trainer=trainer_of(resolved, run),
        provenance=_provenance(resolved),
        restart=options["restart"],
        config=resolved.to_yaml(),
    )


def trainer_of(resolved: Resolved, root: Path, own_precision: bool = False) -> dict[str, Any]:
    """The Trainer's arguments. root: where its loggers and profilers write, if they are not told otherwise."""
    flags = trainer_arguments(resolved.options, own_precision)
    return {**flags, **build_flags(resolved.options["trainer"], root)}


def _findings(collector: Any, store: Path, rows: int) -> list[str]:
    """What the study has to say after a collection."""
    import stores

    if rows:
        return collector.summary(stores.open_store(store))
    return [collector.nothing_found() or "No sample falls to this shard: there are fewer batches than shards."]


def _unasked(store: Path, rows: int) -> list[str]:
    """That a store holds more than this command asks for, where it does."""
    import stores

    more = len(stores.open_store(store)) - rows
    return [f"The store holds {more:,} more rows, of samples that this command does not ask for; they stay."][:more]


def run_folder(resolved: Resolved) -> Path:
    """--run, or runs/<exp>, or runs/<exp>-<preset>; of a shard, runs/<exp>-3of8.

    Raises:
        UserError: it can be no folder.
    """
    name = resolved.exp if resolved.preset is None else f"{resolved.exp}-{resolved.preset}"
    if resolved.options.get("shard") is not None:
        from lit_experiments.collecting.shards import parse_shard

        name = f"{name}-{str(parse_shard(resolved.options['shard'])).replace('/', 'of')}"
    run = resolved.options["run"]
    return run_place("--run", f"runs/{name}" if run is None else run)


def say(text: str) -> None:
    """Prints a result to standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _collector(resolved: Resolved) -> Any:
    from lit_experiments.cli.options import PRECISIONS
    from lit_experiments.lm.spec import ModelSpec

    options = resolved.options
    if options["device_map"] is not None and (str(options["devices"]), options["num_nodes"]) != ("1", 1):
        raise UserError(
            "--device_map spreads one model over the devices of one process.\n"
            f"  found:   --devices {options['devices']} --num_nodes {options['num_nodes']}\n"
            "  next:    --devices 1, or leave --device_map out for a copy of the model on every device"
        )
    run = run_folder(resolved)
    spec = ModelSpec(
        model=options["model"],
        adapter=options["adapter"],
        revision=options["revision"],
        dtype=PRECISIONS[options["precision"]],
        attn=options["attn"],
        started=None if options["restart"] else _started(run),
        device_map=options["device_map"],
        quantization=options["quantization"],
        engine=options["engine"],
        tensor_parallel=options["tensor_parallel"],
        pipeline_parallel=options["pipeline_parallel"],
    )
    collector = import_class(resolved.class_path)(spec, **resolved.init_args)
    if spec.started is None and collector.info.tokens.clock.was_read and not is_main():
        # A chat template asks for the time: the store that the first process makes says which one it is.
        collector = import_class(resolved.class_path)(replace(spec, started=_await_start(run)), **resolved.init_args)
    return collector


def _started(run: Path) -> str | None:
    """When the run was first started, by its store; None for a new one."""
    import stores

    if not stores.is_store(run / "store"):
        return None
    return stores.open_store(run / "store").provenance.get("started")


def _await_start(run: Path) -> str:
    """The same, in a process that was started next to the one that makes the store."""
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


def without_restart(argv: list[str]) -> list[str]:
    """The words of a command for its workers: what there is to set aside is set aside before they start."""
    return [word for word in argv if word != "--restart"]
