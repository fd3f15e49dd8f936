"""One collection from start to end: plan, open the store, run the Trainer here or in workers, sum up."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from numpy.typing import NDArray

import stores
from lit_experiments.collecting.aside import holds_store, set_aside, set_store_aside
from lit_experiments.collecting.budget import require_room
from lit_experiments.collecting.collector import Collector
from lit_experiments.collecting.committed import committed
from lit_experiments.collecting.data import CollectData
from lit_experiments.collecting.ended import mark_ended
from lit_experiments.collecting.environment import lonely_notice
from lit_experiments.collecting.extending import missing, open_to_extend, require_kin, widen
from lit_experiments.collecting.inputs import refuse_other_inputs
from lit_experiments.collecting.metrics import LogMetrics
from lit_experiments.collecting.plan import Batches, first_groups, plan_batches
from lit_experiments.collecting.processes import LAUNCH_VARIABLE, supervise
from lit_experiments.collecting.progress import PipeSink, ProgressBar, Reporter, Sink
from lit_experiments.collecting.samples import Sample, totals
from lit_experiments.collecting.shards import Shard
from lit_experiments.collecting.watched import note_plan
from lit_experiments.collecting.writer import StoreWriter
from lit_experiments.errors import RunFailed, UserError
from lit_experiments.launch import PIPE_VARIABLE, current, is_main, is_worker
from lit_experiments.ranges import at_least
from lit_experiments.signals import stop_signal
from lit_experiments.trainer import make_trainer, misfits_refused, start_loggers, unlogged
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
        lease_seconds: how long a collection on object storage keeps others out after its last sign of life.
        limit: only the first samples, or groups of samples.
        shard: only this part of what is then left; None is everything.
        trainer: arguments of the Trainer: devices, accelerator, strategy, logger, ...
        provenance: recorded with a new store.
        restart: set the store that is there aside and begin a new one.
        config: the YAML that repeats this run, kept as `run/config.yaml`; None keeps none.
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
    restart: bool = False
    config: str | None = None
    shard: Shard | None = None
    lease_seconds: float = 30.0

    def __post_init__(self) -> None:
        at_least(1, batch_tokens=self.batch_tokens, batch_size=self.batch_size, limit=self.limit)
        at_least(1, flush_bytes=self.flush_bytes)
        at_least(1e-3, flush_seconds=self.flush_seconds)
        at_least(2, lease_seconds=self.lease_seconds)

    @property
    def store(self) -> Path:
        return self.run / "store"


@dataclass(frozen=True)
class Plan:
    """What a run consists of: all samples of the collection, and this run's batches of them, whether done or not."""

    samples: Sequence[Sample]
    batches: Batches

    @property
    def selected(self) -> NDArray[np.bool_]:
        """[sample] whether this run is to write its row: all but those of other shards."""
        return self.batches.selected[: len(self.samples)]


def make_plan(collector: Collector, settings: RunSettings) -> Plan:
    """The samples up to the limit, packed into batches; none only where the study calls that a finding, or for a shard
    of fewer batches than shards."""
    everyone = collector.samples()
    samples = first_groups(everyone, settings.limit)
    if not samples and collector.nothing_found() is None:
        raise UserError("There is nothing to collect: no sample is left. Look at --limit and at the lines above.")
    others = itertools.chain(everyone, collector.companions())
    batches = plan_batches(samples, settings.batch_tokens, settings.batch_size, others)
    return Plan(samples, batches if settings.shard is None else settings.shard.of(batches))


def open_or_create(collector: Collector, settings: RunSettings, locked: bool = False) -> stores.Store:
    """The run's store, new or of the same collection. locked: its lock is held, so that it may be extended.

    Raises:
        stores.StoreError: another fingerprint, schema or backend; a newer format; a damaged store.
    """
    provenance = settings.provenance | {"notes": collector.notes()}
    if collector.growing and stores.is_store(settings.store):
        if locked:
            return open_to_extend(collector, settings.store, provenance, settings.backend)
        require_kin(collector, settings.store, provenance, settings.backend)
        return stores.open_store(settings.store)
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
    growth = [] if settings.restart else widen(collector, settings.store)
    if not is_main():
        _run_trainer(collector, settings, make_plan(collector, settings), _launch())
        return 0
    plan = make_plan(collector, settings)
    if settings.restart or not stores.is_store(settings.store):
        _prove(collector, settings, plan)
        _begin_anew(settings)
    open_or_create(collector, settings)
    launch = _launch()
    terms = lock.Terms(settings.lease_seconds, launch, _writers(settings))
    with lock.exclusive(settings.store, _LOCK_PATIENCE, terms) as held:
        store = open_or_create(collector, settings, locked=True)
        _save_config(settings, len(store.pieces) - 1)
        sys.stderr.writelines(f"{line}\n" for line in growth)
        refuse_other_inputs(store.in_pieces()[0], plan.samples, collector.model_input)
        collector.write_beside(settings.run)
        planned = totals(plan.samples, plan.selected)
        note_plan(settings.run, planned)
        parts = missing(store, plan.samples, plan.selected)
        left = totals(plan.samples, plan.selected & ~committed(store, plan.samples))
        if left.samples or current().is_external:  # the others wait for this process even where nothing is left to do
            require_room(settings.run, parts)
            with ProgressBar(planned, left) as bar:
                _run(collector, settings, plan, worker_command, held.descriptors, bar, launch)
    store = stores.open_store(settings.store)
    rows = int((plan.selected & committed(store, plan.samples)).sum())
    if rows < planned.samples:
        raise RunFailed(
            f"{planned.samples - rows} of {planned.samples} samples have no row although every process ended well."
        )
    mark_ended(settings.run, store, None if settings.shard is None else str(settings.shard))
    return rows


def _prove(collector: Collector, settings: RunSettings, plan: Plan) -> None:
    """Finds whatever can be known to stop a new store before anything is written or set aside.

    That is the Trainer's flags, the declared fields, the room on the disk, the model's weights, and the loggers.
    Weights are loaded where they will be used; with several processes only when there is a store to be set aside, and
    on the host, since each process loads its own.
    """
    device = quiet_trainer([], unlogged(settings.trainer)).strategy.root_device
    collector.fingerprint()
    require_room(settings.run, [(collector.store_schema(), totals(plan.samples, plan.selected))])
    if not plan.selected.any():
        return
    if settings.trainer["devices"] == 1 and not is_worker():
        collector.load_model(device)
        loggers = settings.trainer.get("logger")
        start_loggers(loggers if isinstance(loggers, list) else [])
    elif settings.restart and holds_store(settings.store):
        collector.load_model(torch.device("cpu"))
        collector.drop_model()


def _begin_anew(settings: RunSettings) -> None:
    """Sets the old store and its configuration aside, if that is asked for; not while someone writes into it."""
    if not (settings.restart and holds_store(settings.store)):
        return
    with lock.exclusive(settings.store, _LOCK_PATIENCE, lock.Terms(settings.lease_seconds)):
        set_store_aside(settings.store)
    set_aside(settings.run / "config.yaml")


def _save_config(settings: RunSettings, extensions: int) -> None:
    """Written once: a resumed run keeps the configuration that it began with, and each extension's is next to it.

    Raises:
        UserError: the folder cannot be made or written.
    """
    path = settings.run / (f"config-{extensions}.yaml" if extensions else "config.yaml")
    if settings.config is None or path.exists():
        return
    try:
        settings.run.mkdir(parents=True, exist_ok=True)
        path.write_text(settings.config, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"Cannot write into {settings.run.absolute()}: {error.strerror}. Nothing ran.\n"
            f"Next: choose a folder with --run DIR."
        ) from error


def _run(
    collector: Collector,
    settings: RunSettings,
    plan: Plan,
    command: Sequence[str] | None,
    lock_fds: Sequence[int],
    bar: ProgressBar,
    launch: str,
) -> None:
    if command is None or settings.trainer["devices"] == 1 or is_worker():
        _run_trainer(collector, settings, plan, launch, bar)
    else:
        supervise(command, settings.trainer, lock_fds, bar, launch)


def _launch() -> str:
    """A name for what this launch writes: its starter's, or a new one."""
    return os.environ.get(LAUNCH_VARIABLE) or stores.new_launch_name()


def _writers(settings: RunSettings) -> int:
    """How many processes of this launch write."""
    return current().world_size if current().is_external else int(settings.trainer["devices"])


def _run_trainer(collector: Collector, settings: RunSettings, plan: Plan, launch: str, bar: Sink | None = None) -> None:
    """The predict loop of this process; returns when all processes of an external launch are done."""
    sink = bar or (PipeSink(int(os.environ[PIPE_VARIABLE])) if PIPE_VARIABLE in os.environ else _Silent())
    with stop_signal() as stop, lonely_notice() as met:
        collector.stop_check = stop.check
        data = CollectData(plan.samples, plan.batches, settings.store, met, launch)
        writer = StoreWriter(settings.store, settings.flush_bytes, settings.flush_seconds, lambda: data.launch)
        watchers = [LogMetrics(writer)] if settings.trainer.get("logger") else []
        trainer = quiet_trainer([writer, Reporter(sink, writer, stop), *watchers], settings.trainer)
        try:
            with misfits_refused():
                trainer.predict(collector, data, return_predictions=False)
        finally:
            stop.raise_at_once()
        data.rendezvous.wait()
    for line in collector.engine_notes():
        sys.stderr.write(line + "\n")
    if collector.halvings:
        sys.stderr.write(f"Memory was short {collector.halvings} times and batches were halved: same rows.\n")


def quiet_trainer(callbacks: Sequence[Callback], flags: dict[str, Any]) -> Trainer:
    """A Trainer that predicts, and leaves checkpoints and the sharing of samples to us.

    Raises:
        UserError: see `make_trainer`.
    """
    fixed: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    fixed |= {"use_distributed_sampler": False, "enable_model_summary": False, "inference_mode": True}
    return make_trainer({**fixed, "log_every_n_steps": 1}, flags, callbacks)


class _Silent:
    """The sink of a worker that nobody listens to (started by SLURM or torchrun)."""

    def advance(self, stage: str, samples: int, tokens: int, written: int) -> None:
        return
