"""What a collection tells the Trainer's loggers: rows, tokens, tokens per second, bytes written."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from lit_experiments.collecting.plan import Batch
from lit_experiments.collecting.writer import StoreWriter


class LogMetrics(Callback):
    """Logs every `log_every_n_steps` batches and at the end; with several processes, those of the first one.

    writer: whose bytes are counted; it must come first among the callbacks, so that at the end all is written.
    """

    def __init__(self, writer: StoreWriter) -> None:
        self.writer = writer
        self._rows = self._tokens = self._batches = 0
        self._started = time.monotonic()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = time.monotonic()

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._batches += 1
        self._rows += len(batch.samples)
        self._tokens += sum(s.tokens for s in batch.samples)
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if every and self._batches % every == 0:
            self._log(trainer)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._log(trainer)

    def _log(self, trainer: Trainer) -> None:
        seconds = max(time.monotonic() - self._started, 1e-9)
        values = {
            "collect/rows": float(self._rows),
            "collect/tokens": float(self._tokens),
            "collect/tokens_per_second": self._tokens / seconds,
            "collect/bytes_written": float(self.writer.bytes_written),
        }
        for logger in trainer.loggers:
            logger.log_metrics(values, step=self._batches)
