"""One collection from start to end: plan, open the store, run the Trainer here or in workers, sum up."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

import stores
from lit_experiments.collecting.budget import require_room
from lit_experiments.collecting.collector import Collector
from lit_experiments.collecting.data import CollectData
from lit_experiments.collecting.environment import lonely_notice
from lit_experiments.collecting.inputs import refuse_other_inputs
from lit_experiments.collecting.plan import Batch, Sample, first_groups, pending, plan_batches
from lit_experiments.collecting.processes import LAUNCH_VARIABLE, supervise
from lit_experiments.collecting.progress import PipeSink, ProgressBar, Reporter, Sink
from lit_experiments.collecting.writer import StoreWriter
from lit_experiments.errors import RunFailed, UserError
from lit_experiments.launch import PIPE_VARIABLE, current, is_main, is_worker
from lit_experiments.quiet import quiet_lightning
from lit_experiments.signals import stop_signal
from stores import lock

_LOCK_PATIENCE = 20.0  # seconds to wait for the workers of a killed run to notice and leave


@dataclass(frozen=True)
class RunSettings:
    """How to run a collection; none of this changes the numbers that are stored.

    Attributes:
        run: folder of the run; the store is `run/store`.
        backend: "zarr" or "hdf5".
        batch_tokens: most tokens in a batch, padding and draws counted.
        batch_size: most samples in a batch.
        flush_bytes: commit when this much waits in memory.
        flush_seconds: commit at least this often.
        limit: only the first samples, or groups of samples.
        trainer: arguments of the Trainer: devices, accelerator, strategy, ...
        provenance: recorded with a new store.
    """

    run: Path
    backend: str
    batch_tokens: int
    batch_size: int | None
    flush_bytes: int
    flush_seconds: float
    limit: int | None
    trainer: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        least = {"batch_tokens": 1, "batch_size": 1, "flush_bytes": 1, "flush_seconds": 1e-3, "limit": 1}
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                raise UserError(f"{name} must be at least {bound:g}, found {value:g}.")

    @property
    def store(self) -> Path:
        return self.run / "store"


@dataclass(frozen=True)
class Plan:
    """What a run consists of: all its samples, and all its batches whether done or not."""

    samples: Sequence[Sample]
    batches: list[Batch]


def make_plan(collector: Collector, settings: RunSettings) -> Plan:
    """The samples up to the limit, packed into batches; none only where the study calls that a finding."""
    everyone = collector.samples()
    samples = first_groups(everyone, settings.limit)
    if not samples and collector.nothing_found() is None:
        raise UserError("There is nothing to collect: no sample is left. Look at --limit and at the lines above.")
    others = [*everyone, *collector.companions()]
    return Plan(samples, plan_batches(samples, settings.batch_tokens, settings.batch_size, others))


def open_or_create(collector: Collector, settings: RunSettings) -> stores.Store:
    """The run's store, new or with the same fingerprint.

    Raises:
        stores.StoreError: another fingerprint, schema or backend; a newer format; a damaged store.
    """
    provenance = settings.provenance | {"notes": collector.notes()}
    return stores.create_store(
        settings.store, collector.store_schema(), collector.fingerprint(), provenance, settings.backend
    )


def collect(collector: Collector, settings: RunSettings, worker_command: Sequence[str] | None = None) -> int:
    """Runs a collection to its end, or to a signal.

    Args:
        collector: what to visit and write.
        settings: how to run it.
        worker_command: with several devices, the command that repeats this call in a worker process; without it
            Lightning launches the processes itself.

    Returns:
        How many rows the store holds of this run's samples.

    Raises:
        Stopped: a signal came; what is complete is committed.
        RunFailed: a worker process failed; it has said why.
        stores.StoreError, UserError, lm.ModelError: see their messages.
    """
    if not is_main():
        _run_trainer(collector, settings, make_plan(collector, settings))
        return 0
    plan = make_plan(collector, settings)
    store = open_or_create(collector, settings)
    with lock.exclusive(settings.store, _LOCK_PATIENCE) as held:
        store = open_or_create(collector, settings)
        refuse_other_inputs(store, plan.samples, collector.model_input)
        done = frozenset(store.sample_ids)
        left = [s for batch in pending(plan.batches, done) for s in batch.samples]
        if left or current().is_external:  # the others wait for this process even where nothing is left to do
            require_room(settings.run, store.schema, left)
            with ProgressBar(plan.samples, left) as bar:
                _run(collector, settings, plan, worker_command, held.descriptors, bar)
    wanted = {s.sample_id for s in plan.samples}
    rows = len(wanted.intersection(stores.open_store(settings.store).sample_ids))
    if rows < len(wanted):
        raise RunFailed(f"{len(wanted) - rows} of {len(wanted)} samples have no row although every process ended well.")
    return rows


def _run(
    collector: Collector,
    settings: RunSettings,
    plan: Plan,
    command: Sequence[str] | None,
    lock_fds: Sequence[int],
    bar: ProgressBar,
) -> None:
    if command is None or settings.trainer["devices"] == 1 or is_worker():
        _run_trainer(collector, settings, plan, bar)
    else:
        supervise(command, settings.trainer, lock_fds, bar)


def _run_trainer(collector: Collector, settings: RunSettings, plan: Plan, bar: Sink | None = None) -> None:
    """The predict loop of this process; returns when all processes of an external launch are done."""
    launch = os.environ.get(LAUNCH_VARIABLE) or stores.new_launch_name()
    writer = StoreWriter(settings.store, settings.flush_bytes, settings.flush_seconds, launch)
    sink = bar or (PipeSink(int(os.environ[PIPE_VARIABLE])) if PIPE_VARIABLE in os.environ else _Silent())
    with stop_signal() as stop, lonely_notice() as met:
        collector.stop_check = stop.check
        data = CollectData(plan.batches, settings.store, met)
        trainer = quiet_trainer([writer, Reporter(sink, writer, stop)], settings.trainer)
        try:
            trainer.predict(collector, data, return_predictions=False)
        finally:
            stop.raise_at_once()
        data.rendezvous.wait()
    if collector.halvings:
        sys.stderr.write(f"Memory was short {collector.halvings} times and batches were halved: same rows.\n")


def quiet_trainer(callbacks: list[Any], arguments: dict[str, Any]) -> Trainer:
    """A Trainer that predicts, and leaves logging, checkpoints and the sharing of samples to us."""
    quiet_lightning()
    fixed: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    fixed |= {"use_distributed_sampler": False, "enable_model_summary": False, "inference_mode": True}
    try:
        return Trainer(**{**fixed, **arguments}, callbacks=callbacks)
    except (TypeError, ValueError) as error:
        raise UserError(f"The Trainer does not take these flags: {' '.join(str(error).split())}") from error


class _Silent:
    """The sink of a worker that nobody listens to (started by SLURM or torchrun)."""

    def advance(self, stage: str, samples: int, tokens: int, written: int) -> None:
        return
