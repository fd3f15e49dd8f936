"""Data modules on the states of the examples of a target, stored or computed as they are wanted. Owns how examples of
rows and of tokens are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lit_experiments.controls.fields import StateField
from lit_experiments.controls.labels import Floats, Ints
from lit_experiments.controls.problems import Problem
from lit_experiments.experiments.linear_probes.fitting import Make
from lit_experiments.probes.blocks import BlockLoader
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.examples import Examples
from lit_experiments.probes.scratch_states import ScratchDataModule, ScratchRows
from lit_experiments.probes.store_data import StoreDataModule
from lit_experiments.tasks.live_states import LiveStore
from stores import Store


@dataclass(frozen=True)
class Passes:
    """Settings of every pass over states."""

    folds: int
    seed: int
    block_bytes: int

    def settings(self) -> dict[str, Any]:
        """As data modules take them: the test part comes by its groups, and no label is shuffled there."""
        return {
            "test_fraction": 0.0,
            "folds": self.folds,
            "split_seed": self.seed,
            "block_bytes": self.block_bytes,
            "shuffles": 0,
            "shuffle_seed": self.seed,
        }


class LiveDataModule(StoreDataModule):
    """Rows of a store whose states the model computes: a block lies in one batch of the model's plan, and a batch goes
    to one process, so that no text is read twice in a pass."""

    def feature_dtype(self) -> np.dtype[np.float32]:
        return np.dtype(np.float32)

    def only_layers(self, layers: list[int] | None) -> None:
        """Read these layers only, in blocks that end where batches do."""
        super().only_layers(layers)
        if len(self.plan) == 0:
            return
        ends = np.flatnonzero(np.diff(self._batches(self.order))) + 1
        size = len(self.plan[0])
        whole = np.split(self.order, ends)
        self.plan = [rows[start : start + size] for rows in whole for start in range(0, len(rows), size)]

    def train_dataloader(self) -> BlockLoader:
        """This rank's share, batch by batch."""
        assert self.trainer is not None
        states = self._live.states
        states.device = self.trainer.strategy.root_device
        of_block = self._batches(np.array([rows[0] for rows in self.plan], np.int64))
        todo = [index for index in range(len(self.plan)) if index not in self._done]
        shares = shares_by_batch(todo, of_block[todo], self.trainer.world_size)
        return BlockLoader(self._reader or self.block, shares[self.trainer.global_rank])

    @property
    def _live(self) -> LiveStore:
        assert isinstance(self.store, LiveStore)
        return self.store

    def _batches(self, numbers: Ints) -> Ints:
        """[n] the batch of rows of this data set."""
        rows = numbers if self.examples is None else self.examples.row[numbers]
        return self._live.states.batch[self._live.rows[rows]]


def shares_by_batch(todo: list[int], batch: Ints, ranks: int) -> list[list[int]]:
    """[rank] the blocks of each, in order, all blocks of a batch [block of todo] to one rank; filled up with -1 so that
    all ranks make as many steps, one at least."""
    whole = [np.flatnonzero(batch == number) for number in dict.fromkeys(batch.tolist())]
    shares = [[todo[place] for blocks in whole[rank::ranks] for place in blocks] for rank in range(ranks)]
    steps = max(1, *map(len, shares))
    return [blocks + [-1] * (steps - len(blocks)) for blocks in shares]


def stored(store: Store, field: StateField, problem: Problem, passes: Passes) -> Make:
    """Data modules on a field of a store; examples in the problem's order, test groups as its split has them.

    A row of a field with many entries is read at its last one, unless its entries have labels of their own.
    """
    examples, rows = None, store
    if problem.entry is not None:
        examples = Examples("labelled entries", problem.row, problem.entry)
    elif field.ragged:
        last = store.field(field.name).lengths()[problem.row] - 1
        examples = Examples("last entry", problem.row, last)
    else:
        rows = store.select(problem.row)

    def make(y: Floats, names: list[str]) -> BlockDataModule:
        kind = LiveDataModule if isinstance(rows, LiveStore) else StoreDataModule
        data = kind(
            rows,
            field.name,
            y,
            names,
            problem.group,
            layers=list(field.layers),
            examples=examples,
            test_groups=sorted(set(problem.group[problem.test].tolist())),
            **passes.settings(),
        )
        if problem.weight is not None:
            data.weigh(problem.weight)
        data.setup()
        return data

    return make


def from_scratch(rows: ScratchRows, field: StateField, problem: Problem, passes: Passes) -> Make:
    """Data modules on states that were computed for this, one row an example, split alike."""

    def make(y: Floats, names: list[str]) -> BlockDataModule:
        settings = passes.settings()
        data = ScratchDataModule(rows, y, problem.group, names, layers=field.layers, **settings)
        data.test_groups = sorted(set(problem.group[problem.test].tolist()))
        if problem.weight is not None:
            data.weigh(problem.weight)
        data.setup()
        return data

    return make
