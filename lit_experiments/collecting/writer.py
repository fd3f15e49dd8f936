"""Moves rows from the predict loop to the store in a thread, so that the device never waits for the disk."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

import stores
from lit_experiments.collecting.extending import PieceRecords

_QUEUE_LENGTH = 2  # batches: one being written, one waiting; more would only use memory


class StoreWriter(BasePredictionWriter):
    """Appends every batch's rows to this process's part of the store.

    A failure of the writing thread (full disk, non-finite value) is raised in the loop at the next batch. On the normal
    end, on exceptions and on signals, what is complete is committed: Lightning calls `on_exception`, not `teardown`.
    """

    def __init__(self, store: Path, flush_bytes: int, flush_seconds: float, launch: Callable[[], str]) -> None:
        """launch: names the launch, once the processes have met."""
        super().__init__(write_interval="batch")
        self.store = store
        self.flush_bytes = flush_bytes
        self.flush_seconds = flush_seconds
        self.launch = launch
        self.bytes_written = 0
        self._queue: queue.Queue[PieceRecords | None] = queue.Queue(_QUEUE_LENGTH)
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._thread = threading.Thread(target=self._write, args=(trainer.global_rank,), name="store-writer")
        self._thread.start()

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        for records in prediction:
            self._put(records if isinstance(records, PieceRecords) else PieceRecords(0, records))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._finish()
        self._raise_failure()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._finish()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._finish()  # a process without batches sees neither on_predict_end nor on_exception
        self._raise_failure()

    def _put(self, records: PieceRecords | None) -> None:
        while True:
            self._raise_failure()
            try:
                return self._queue.put(records, timeout=0.5)
            except queue.Full:
                continue

    def _finish(self) -> None:
        """Waits until everything handed over is committed, or the thread has failed."""
        thread, self._thread = self._thread, None
        while thread is not None and thread.is_alive():
            try:
                self._queue.put(None, timeout=0.5)
                thread.join()
            except queue.Full:
                continue

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _write(self, rank: int) -> None:
        """The thread: one writer, closed (and so committed) when the end mark arrives."""
        try:
            with stores.PartWriter(self.store, rank, self.flush_bytes, self.flush_seconds, self.launch()) as part:
                while (records := self._next(part)) is not None:
                    part.append(records.records, records.piece)
                    self.bytes_written = part.bytes_written
            self.bytes_written = part.bytes_written
        except BaseException as error:  # noqa: BLE001 - handed to the loop's thread, which raises it
            self._failure = error

    def _next(self, part: stores.PartWriter) -> PieceRecords | None:
        while True:
            try:
                return self._queue.get(timeout=self.flush_seconds)
            except queue.Empty:
                part.commit()  # nothing new for a while: make durable what there is
