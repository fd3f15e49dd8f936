"""Data modules on stored states for the examples of a target. Owns how examples of rows and of tokens are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.fields import StateField
from lit_experiments.controls.labels import Floats
from lit_experiments.controls.problems import Problem
from lit_experiments.experiments.linear_probes.fitting import Make
from lit_experiments.probes.array_data import ArrayDataModule
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.examples import Examples
from lit_experiments.probes.store_data import StoreDataModule
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
        data = StoreDataModule(
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


def in_memory(x: NDArray[np.float32], field: StateField, problem: Problem, passes: Passes) -> Make:
    """Data modules on x [example, layer, hidden], split alike."""

    def make(y: Floats, names: list[str]) -> BlockDataModule:
        settings = passes.settings()
        data = ArrayDataModule(x, y, problem.group, layers=list(field.layers), targets=names, **settings)
        data.test_groups = sorted(set(problem.group[problem.test].tolist()))
        if problem.weight is not None:
            data.weigh(problem.weight)
        data.setup()
        return data

    return make
