"""Hands each process the batches that have no committed rows yet."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader

import stores
from lit_experiments.collecting.collector import Collector
from lit_experiments.collecting.committed import committed_pieces
from lit_experiments.collecting.environment import Rendezvous
from lit_experiments.collecting.plan import Batch, Batches, pending, share
from lit_experiments.collecting.samples import Sample


class CollectData(LightningDataModule):
    """The pending batches of this process.

    The Trainer must run with `use_distributed_sampler=False`: the sharing is done here, by tokens, over what is left.
    What is left is read by one process and broadcast, for the store may already grow while a slow process starts.

    Attributes:
        rendezvous: where the processes can wait for each other after the run. met: set when they have met before it.
        launch: names what this launch writes; once the processes have met, the first one's for all.
        lacking: by piece of an extended store, [sample] whether it lacks the row; empty for other stores.
    """

    def __init__(
        self, samples: Sequence[Sample], batches: Batches, store: Path, met: threading.Event, launch: str
    ) -> None:
        super().__init__()
        self.samples, self.batches = samples, batches
        self.store = store
        self.met = met
        self.launch = launch
        self.mine: Sequence[Batch] = ()
        self.lacking: dict[int, NDArray[np.bool_]] = {}
        # A resumed run may have fewer batches left than processes. An instance attribute: the base class sets it too.
        self.allow_zero_length_dataloader_with_multiple_devices = True

    def setup(self, stage: str) -> None:
        trainer = self.trainer
        assert trainer is not None
        self.met.set()
        self.rendezvous = Rendezvous()
        known = self._committed() if trainer.is_global_zero else {}
        packed = {number: np.packbits(done) for number, done in known.items()}
        of_pieces = {
            number: np.unpackbits(bits, count=len(self.samples)).astype(bool)
            for number, bits in trainer.strategy.broadcast(packed, src=0).items()
        }
        done = np.logical_and.reduce(list(of_pieces.values()))
        self.lacking = {number: ~rows for number, rows in of_pieces.items()} if len(of_pieces) > 1 else {}
        if self.lacking:
            collector = trainer.lightning_module
            assert isinstance(collector, Collector)
            collector.extend_in(stores.open_store(self.store))
        self.launch = trainer.strategy.broadcast(self.launch, src=0)
        self.mine = share(pending(self.batches, done), trainer.global_rank, trainer.world_size)

    def _committed(self) -> dict[int, NDArray[np.bool_]]:
        return committed_pieces(stores.open_store(self.store), self.samples)

    def predict_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(self.mine, batch_size=None, collate_fn=self._with_pieces)  # type: ignore[arg-type]

    def _with_pieces(self, batch: Batch) -> Batch:
        """With the pieces of the store that lack each row, where there are several."""
        if not self.lacking:
            return batch
        lacking = [tuple(n for n, rows in self.lacking.items() if rows[place]) for place in batch.places]
        return replace(batch, lacking=tuple(lacking))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch
