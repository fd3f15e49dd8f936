"""What a person sees while a collection runs: a bar per stage with samples, tokens/s, bytes and time left.

With several processes each worker sends what it did down a pipe and the parent shows the sum. Without a terminal there
is one line a minute.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Protocol

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.progress import TextColumn

from lit_experiments.collecting.bars import Bar
from lit_experiments.collecting.plan import Batch
from lit_experiments.collecting.samples import Totals
from lit_experiments.collecting.writer import StoreWriter
from lit_experiments.signals import StopSignal
from lit_experiments.units import byte_count


class Sink(Protocol):
    """Takes what was done since the last call."""

    def advance(self, stage: str, samples: int, tokens: int, written: int) -> None: ...


class ProgressBar(Bar):
    """Shows a collection's progress on standard error; a context manager."""

    def __init__(self, planned: Totals, left: Totals) -> None:
        super().__init__(TextColumn("{task.fields[rate]}"))
        self.total = planned.stages
        self.done = {stage: count - left.stages.get(stage, 0) for stage, count in planned.stages.items()}
        self.tokens = self.written = 0
        self.started = time.monotonic()
        self._tasks = {
            stage: self._bar.add_task(stage or "collecting", total=count, completed=self.done[stage], rate="")
            for stage, count in self.total.items()
        }

    def advance(self, stage: str, samples: int, tokens: int, written: int) -> None:
        self.done[stage] += samples
        self.tokens += tokens
        self.written += written
        elapsed = time.monotonic() - self.started
        rate = f"{self.tokens / max(elapsed, 1e-9):,.0f} tokens/s, {byte_count(self.written)} written"
        name = f" ({stage})" if stage else ""
        line = f"collecting {sum(self.done.values())}/{sum(self.total.values())} samples{name}, {rate}"
        self._show(self._tasks[stage], lambda: line, completed=self.done[stage], rate=rate)


class PipeSink:
    """A worker's end: one JSON line per report, written to the descriptor that its parent passed on."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def advance(self, stage: str, samples: int, tokens: int, written: int) -> None:
        line = json.dumps([stage, samples, tokens, written]) + "\n"
        try:
            os.write(self._descriptor, line.encode())
        except BrokenPipeError:  # the parent is gone; the stop signal notices that at the next batch
            return


class Reporter(Callback):
    """Reports every batch to a sink, and stops the loop between batches when asked to.

    A signal stops the process at once until the first batch begins, and again when the last is committed.
    """

    def __init__(self, sink: Sink, writer: StoreWriter, stop: StopSignal) -> None:
        self.sink, self.writer, self.stop = sink, writer, stop
        self._reported = 0
        self._stage: str | None = None

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.stop.install()  # again: Lightning has just put its own handler over SIGTERM

    def on_predict_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.stop.remember()

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._stage = batch.samples[0].stage
        self._report(len(batch.samples), sum(s.tokens for s in batch.samples))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.stop.raise_at_once()
        self._report(0, 0)

    def _report(self, samples: int, tokens: int) -> None:
        if self._stage is None:  # this process had no batch
            return
        written = self.writer.bytes_written
        self.sink.advance(self._stage, samples, tokens, written - self._reported)
        self._reported = written
