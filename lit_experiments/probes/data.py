"""Data for probes: rows in blocks, split by group. Owns the plan of a pass; knows no store and no probe.

A pass visits blocks of rows in storage order, so that a data set of any size is read once, in order, in bounded
memory. The plan (which rows form which block) depends on the data and its settings only, never on ranks, so a pass
can be resumed on any number of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, Self

import numpy as np
from lightning.pytorch import LightningDataModule
from numpy.typing import ArrayLike, NDArray

from lit_experiments.probes.blocks import TEST, Block, BlockLoader, share
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.splits import group_codes, group_split
from lit_experiments.probes.target_table import TargetTable


class BlockDataModule(LightningDataModule):
    """Blocks of (x, y, group, fold). Subclasses say what there is (`describe`) and read rows of it.

    test_fraction, folds, split_seed, test_groups: see `group_split`. block_bytes: features read at a time (about three
    times that is held: a block in use, its training rows, and the next block being read). shuffles, shuffle_seed: how
    many copies of the targets, permuted between groups, are added as further targets (the shuffled-targets control,
    which shares X'X with the real ones).
    """

    layers: list[str]
    hidden: int
    real_targets: list[str]
    groups: NDArray
    order: NDArray[np.int64]
    fingerprint: dict[str, Any]
    content: str

    def __init__(
        self,
        test_fraction: float,
        folds: int,
        split_seed: int,
        block_bytes: int,
        shuffles: int,
        shuffle_seed: int,
        test_groups: Collection[str] | None = None,
    ) -> None:
        super().__init__()
        self.test_fraction, self.folds, self.split_seed = test_fraction, folds, split_seed
        self.test_groups = test_groups
        self.block_bytes, self.shuffles, self.shuffle_seed = block_bytes, shuffles, shuffle_seed
        self.missing_allowed = False
        self.weights: NDArray[np.float64] | None = None
        self.pass_layers: list[int] | None = None
        self._done: set[int] = set()
        self._reader: Callable[[int], Block] | None = None
        self._ready = False

    def describe(self) -> None:
        """Set layers, hidden, real_targets, groups [row], order [row] (rows in storage order), fingerprint, content.

        fingerprint says what the data is and goes into saved probes; content, a hash, tells one set of rows from
        another.
        """
        raise NotImplementedError

    def read_x(self, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        """[row, layer, hidden] features of these rows."""
        raise NotImplementedError

    def read_y(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """[row, target] or [row, repetition, target] targets of these rows."""
        raise NotImplementedError

    def read_layers(self, rows: NDArray[np.int64], layers: list[int]) -> NDArray[np.floating]:
        """[row, layer, hidden] of these layers only, by their positions in `layers`."""
        return self.read_x(rows)[:, layers]

    def feature_dtype(self) -> np.dtype:
        """What features are read as: float32, or float64 where they are stored so."""
        wide = self.read_layers(self.order[:1], [0]).dtype == np.float64
        return np.dtype(np.float64 if wide else np.float32)

    def allow_missing(self) -> Self:
        """Let a row have some targets and lack others (NaN); each target is then fitted to the rows that have it.

        A shuffled copy is permuted among the rows that have the target. All targets are read once and held.
        """
        self.missing_allowed = True
        return self

    def weigh(self, weights: ArrayLike) -> Self:
        """Give every row [row] a weight: w counts as w copies of it, in the fits and in their standardisation."""
        self.weights = np.asarray(weights, np.float64)
        return self

    def setup(self, stage: str | None = None) -> None:
        """Describe, split and plan; a second call does nothing."""
        if self._ready:
            return
        self.describe()
        _, self.group = group_codes(self.groups)
        self.fold = group_split(self.groups, self.test_fraction, self.folds, self.split_seed, self.test_groups)
        self._check_weights()
        self._table = TargetTable(self.read_y, self.group, self.shuffles, self.shuffle_seed, self.missing_allowed)
        self.only_layers(None)
        self._ready = True

    @property
    def targets(self) -> list[str]:
        """Names of all targets, the real ones first, then those of each shuffle."""
        return self.real_targets + [f"shuffle{k}:{t}" for k in range(self.shuffles) for t in self.real_targets]

    def pass_identity(self) -> dict[str, Any]:
        """What must be the same for a half-finished pass to go on: data, split, plan."""
        plan = hashlib.sha256(b"".join([np.int64(len(self.plan)).tobytes(), self.order.tobytes(), self.fold.tobytes()]))
        weights = {} if self.weights is None else {"weights": hashlib.sha256(self.weights.tobytes()).hexdigest()}
        return weights | {
            "data": self.fingerprint,
            "content": self.content,
            "layers": list(self.layers),
            "targets": self.targets,
            "rows": len(self.order),
            "blocks": len(self.plan),
            "split": {"test_fraction": self.test_fraction, "folds": self.folds, "seed": self.split_seed},
            "shuffle_seed": self.shuffle_seed,
            "plan": plan.hexdigest(),
        }

    def block(self, index: int) -> Block:
        """Read one block of the plan; -1 gives an empty one.

        Raises ProbeError for wrong shapes and for non-finite values, naming the row.
        """
        rows = self.plan[index] if index >= 0 else np.zeros(0, np.int64)
        layers = len(self.layers) if self.pass_layers is None else len(self.pass_layers)
        if index < 0:
            x, y = np.zeros((0, layers, self.hidden), np.float32), np.zeros((0, 1, len(self.targets)))
        else:
            x = self.read_x(rows) if self.pass_layers is None else self.read_layers(rows, self.pass_layers)
            y = self.target_values(rows)
        expected = (len(rows), layers, self.hidden)
        if x.shape != expected or y.shape[::2] != (len(rows), len(self.targets)):
            raise ProbeError(
                f"Block {index}: features have shape {x.shape} and targets {y.shape}; expected [row, layer, hidden] = "
                f"{expected} and [row, repetition, target] with {len(self.targets)} targets."
            )
        self._check_finite(x, y, rows)
        return Block(index, x, y, self.group[rows], self.fold[rows], rows, self.row_weights(rows))

    def target_values(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """[row, repetition, target] with the shuffled copies behind the real targets."""
        return self._table.values(rows)

    def row_weights(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """[row] how many times they count."""
        return np.ones(len(rows)) if self.weights is None else self.weights[rows]

    def blocks(self) -> Iterator[Block]:
        """One whole pass in this process, for evaluation."""
        yield from BlockLoader(self.block, list(range(len(self.plan))))

    def skip_blocks(self, done: set[int]) -> None:
        """Leave these blocks out of the next pass: a resumed run has them already."""
        self._done = set(done)

    def only_layers(self, layers: list[int] | None) -> None:
        """Read these layers only, by position, in the blocks to come, which are planned anew; None reads all."""
        self.pass_layers = layers
        rows = max(1, self.block_bytes // (len(self.layers if layers is None else layers) * self.hidden * 4))
        self.plan = [self.order[i : i + rows] for i in range(0, len(self.order), rows)]

    def longest_block(self) -> int:
        """Rows of the longest block of the plan."""
        return max((len(rows) for rows in self.plan), default=0)

    def without_features(self, rows: NDArray[np.int64]) -> Block:
        """Everything of these rows but x, which has no layer here."""
        x = np.zeros((len(rows), 0, self.hidden), np.float32)
        return Block(-1, x, self.target_values(rows), self.group[rows], self.fold[rows], rows, self.row_weights(rows))

    def read_with(self, reader: Callable[[int], Block] | None) -> None:
        """Get training blocks from `reader` instead of `block`: a probe that makes many passes keeps what it can."""
        self._reader = reader

    def train_dataloader(self) -> BlockLoader:
        """This rank's share of the blocks that are not done."""
        assert self.trainer is not None
        todo = [i for i in range(len(self.plan)) if i not in self._done]
        return BlockLoader(self._reader or self.block, share(todo, self.trainer.global_rank, self.trainer.world_size))

    def split_ids(self) -> dict[str, list]:
        """Row numbers of the train and test part and of each fold."""
        parts = {"train": np.flatnonzero(self.fold != TEST), "test": np.flatnonzero(self.fold == TEST)}
        parts |= {f"fold{f}": np.flatnonzero(self.fold == f) for f in range(self.folds)}
        return {name: self.row_names(rows) for name, rows in parts.items()}

    def row_names(self, rows: NDArray[np.int64]) -> list:
        """How rows are called in exported splits: their numbers, unless the data names them."""
        return rows.tolist()

    def _check_finite(self, x: NDArray, y: NDArray, rows: NDArray[np.int64]) -> None:
        # A sum costs less than a look at every value, and one NaN or inf spoils it.
        suspect = not np.isfinite(x.sum(dtype=np.float64))
        row, layer = np.nonzero(~np.isfinite(x).all(-1)) if suspect else np.zeros((2, 0), np.int64)
        if len(row):
            layers = range(len(self.layers)) if self.pass_layers is None else self.pass_layers
            name, where = self.row_names(rows[row[:1]])[0], self.layers[layers[int(layer[0])]]
            raise ProbeError(
                f"Row {name} has a non-finite feature in layer {where} (and {len(set(row)) - 1} more of its block). "
                "Leave such rows out of the selection."
            )
        absent = np.isnan(y)
        partly = np.zeros_like(absent) if self.missing_allowed else absent & ~absent.all(-1, keepdims=True)
        bad = np.flatnonzero((partly | np.isinf(y)).any((1, 2)))
        if len(bad):
            raise ProbeError(
                f"Row {self.row_names(rows[bad[:1]])[0]} has a non-finite target (and {len(bad) - 1} more rows of its "
                "block). A repetition must be finite in every target, or NaN in all of them where it is absent."
            )

    def _check_weights(self) -> None:
        if self.weights is None:
            return
        good = np.isfinite(self.weights) & (self.weights >= 0)
        if self.weights.shape != self.fold.shape or not good.all() or not self.weights[self.fold != TEST].any():
            raise ProbeError(
                f"Weights must be one finite number of at least 0 for each of the {len(self.fold)} rows, not all 0 in "
                f"the training part; found shape {self.weights.shape}, {int((~good).sum())} of another kind."
            )
