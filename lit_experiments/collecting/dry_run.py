"""--dry_run: the whole run on a few samples into a temporary store, and what the rest would cost."""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import stores
from lit_experiments.collecting.budget import free_bytes, payload_bytes
from lit_experiments.collecting.collector import Collector
from lit_experiments.collecting.committed import committed
from lit_experiments.collecting.extending import missing, require_kin, widen
from lit_experiments.collecting.plan import pending, plan_batches
from lit_experiments.collecting.run import Plan, RunSettings, _run_trainer, make_plan, open_or_create
from lit_experiments.collecting.sample_keys import read_keys
from lit_experiments.collecting.samples import Sample, Totals, totals
from lit_experiments.trainer import WATCHING
from lit_experiments.units import byte_count, duration
from stores import new_launch_name
from stores.pieces import missing_piece

FORECAST_VARIABLE = "LIT_FORECAST"
"""Names a file that gets the forecast too, as JSON: how a pipeline sums up those of its steps."""

_SAMPLES = 24  # spread over all sizes and stages: how well numbers compress differs from text to text


@dataclasses.dataclass(frozen=True)
class Forecast:
    """What is left of a run would take. payload, on_disk, free (None on object storage), memory: bytes; seconds: at
    most about so many; there: samples whose rows are whole already."""

    samples: int
    batches: int
    tokens: int
    payload: int
    on_disk: float
    free: int | None
    memory: int
    seconds: float
    there: int = 0

    def __str__(self) -> str:
        free = "object storage" if self.free is None else f"{byte_count(self.free)} free"
        lines = [
            *([f"there already      {self.there:,} samples, which are not counted below"] if self.there else []),
            f"samples            {self.samples:,} in {self.batches:,} batches",
            f"tokens             {self.tokens:,} (all draws counted)",
            f"uncompressed       {byte_count(self.payload)}",
            f"bytes on disk      about {byte_count(self.on_disk)} ({free})",
            f"memory             {byte_count(self.memory)} at most so far",
            f"time               at most about {duration(self.seconds)}",
            "Nothing was kept. The same command without --dry_run starts the run.",
        ]
        return "\n".join(lines)


def dry_run(collector: Collector, settings: RunSettings) -> Forecast:
    """Runs a few samples of all sizes twice, the second time timed; keeps nothing. Of a run that is there already, what
    is left is what counts.

    Raises:
        stores.StoreError: the run's store is of another collection.
    """
    there = None if settings.restart or not stores.is_store(settings.store) else stores.open_store(settings.store)
    if there is not None:
        widen(collector, there)
        require_kin(collector, settings.store, settings.provenance, settings.backend)
    plan = make_plan(collector, settings)
    few = _spread(plan.samples)
    with tempfile.TemporaryDirectory() as folder:
        flags = {key: value for key, value in settings.trainer.items() if key not in WATCHING}
        trial = dataclasses.replace(settings, run=Path(folder), trainer={**flags, "devices": 1})
        schema = open_or_create(collector, trial).schema
        small = Plan(few, plan_batches(few, settings.batch_tokens, settings.batch_size))
        _run_trainer(collector, trial, small, new_launch_name())  # once to load the model and warm up
        written = _data_bytes(trial.store)
        again = dataclasses.replace(trial, run=Path(folder) / "timed")
        open_or_create(collector, again)
        started = time.monotonic()
        _run_trainer(collector, again, small, new_launch_name())
        seconds = time.monotonic() - started
    whole, parts = _written(collector, plan, there)
    left, tried = totals(plan.samples, plan.selected & ~whole), totals(few)
    payload = sum(payload_bytes(piece, lacking) for piece, lacking in parts)
    tried_payload = payload_bytes(schema, tried)  # none of rows without arrays
    times = payload / tried_payload if tried_payload else left.samples / tried.samples
    return Forecast(
        samples=left.samples,
        batches=len(pending(plan.batches, whole)),
        tokens=left.tokens,
        payload=payload,
        on_disk=written * times,
        free=free_bytes(settings.store),
        memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        seconds=seconds / tried.tokens * left.tokens,
        there=int((plan.selected & whole).sum()),
    )


def _written(
    collector: Collector, plan: Plan, store: stores.Store | None
) -> tuple[NDArray[np.bool_], list[tuple[stores.Schema, Totals]]]:
    """([sample] whether its row has everything that is asked for, by schema what is to be written of how many)."""
    schema = collector.store_schema()
    nothing = np.zeros(len(plan.samples), bool)
    if store is None:
        return nothing, [(schema, totals(plan.samples, plan.selected))]
    parts = missing(store, plan.samples, plan.selected)
    piece = missing_piece(schema, store.pieces)
    if piece.fields:
        return nothing, [*parts, (piece, totals(plan.samples, plan.selected))]
    return committed(store, plan.samples), parts


def hand_over(forecast: Forecast) -> None:
    """Writes the forecast where a pipeline waits for it, if one does."""
    if FORECAST_VARIABLE in os.environ:
        content = json.dumps(dataclasses.asdict(forecast))
        Path(os.environ[FORECAST_VARIABLE]).write_text(content, encoding="utf-8")


def _spread(samples: Sequence[Sample]) -> list[Sample]:
    """Evenly spaced in the order of size, stage by stage."""
    keys = read_keys(samples)
    by_name = np.argsort(np.argsort(keys.names))
    stages = np.zeros(len(samples), np.int64) if keys.stages is None else by_name[keys.stages]
    indexes = np.arange(len(samples)) if keys.indexes is None else keys.indexes
    ordered = np.lexsort((indexes, keys.tokens, stages))
    count = min(_SAMPLES, len(ordered))
    return [samples[int(ordered[(2 * i + 1) * len(ordered) // (2 * count)])] for i in range(count)]


def _data_bytes(store: Path) -> int:
    return sum(p.stat().st_size for p in (store / "parts").rglob("*") if p.is_file())
