"""--dry_run: the whole run on a few samples into a temporary store, and what the rest would cost."""

from __future__ import annotations

import dataclasses
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from lit_experiments.collecting.budget import free_bytes, payload_bytes
from lit_experiments.collecting.collector import Collector
from lit_experiments.collecting.plan import Sample, plan_batches
from lit_experiments.collecting.run import Plan, RunSettings, _run_trainer, make_plan, open_or_create
from lit_experiments.units import byte_count, duration

_SAMPLES = 24  # spread over all sizes and stages: how well numbers compress differs from text to text


def dry_run(collector: Collector, settings: RunSettings) -> str:
    """Runs a few samples of all sizes and says what the whole run would take; keeps nothing.

    Returns:
        Lines with samples, tokens, bytes on disk, memory and time.
    """
    plan = make_plan(collector, settings)
    if not plan.samples:
        return f"{collector.nothing_found()} Nothing would run."
    few = _spread(plan.samples)
    with tempfile.TemporaryDirectory() as folder:
        trial = dataclasses.replace(settings, run=Path(folder), trainer={**settings.trainer, "devices": 1})
        store = open_or_create(collector, trial)
        schema = store.schema
        small = Plan(few, plan_batches(few, settings.batch_tokens, settings.batch_size))
        _run_trainer(collector, trial, small)  # once to load the model and warm up
        before = _data_bytes(trial.store)
        again = dataclasses.replace(trial, run=Path(folder) / "timed")
        open_or_create(collector, again)
        started = time.monotonic()
        _run_trainer(collector, again, small)
        seconds = time.monotonic() - started
    payload = payload_bytes(schema, plan.samples)
    tokens = sum(s.tokens for s in plan.samples)
    on_disk = before / payload_bytes(schema, few) * payload
    lines = [
        f"samples            {len(plan.samples):,} in {len(plan.batches):,} batches",
        f"tokens             {tokens:,} (all draws counted)",
        f"uncompressed       {byte_count(payload)}",
        f"bytes on disk      about {byte_count(on_disk)} ({byte_count(free_bytes(settings.run))} free)",
        f"memory             {byte_count(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)} at most so far",
        f"time               at most about {duration(seconds / sum(s.tokens for s in few) * tokens)}",
        "Nothing was kept. The same command without --dry_run starts the run.",
    ]
    return "\n".join(lines)


def _spread(samples: Sequence[Sample]) -> list[Sample]:
    """Evenly spaced in the order of size, stage by stage."""
    ordered = sorted(samples, key=lambda s: (s.stage, s.tokens, s.index))
    count = min(_SAMPLES, len(ordered))
    return [ordered[(2 * i + 1) * len(ordered) // (2 * count)] for i in range(count)]


def _data_bytes(store: Path) -> int:
    return sum(p.stat().st_size for p in (store / "parts").rglob("*") if p.is_file())
