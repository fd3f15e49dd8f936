"""Data for probes: rows in blocks, split by group. Owns the plan of a pass; knows no store and no probe.

A pass visits blocks of rows in storage order, so that a data set of any size is read once, in order, in bounded
memory. The plan (which rows form which block) depends on the data and its settings only, never on ranks, so a pass
can be resumed on any number of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np
from lightning.pytorch import LightningDataModule
from numpy.typing import ArrayLike, NDArray

from lit_experiments.probes.blocks import TEST, Block, BlockLoader, share
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.splits import group_codes, group_split, shuffled_donors


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

    def setup(self, stage: str | None = None) -> None:
        """Describe, split and plan; a second call does nothing."""
        if self._ready:
            return
        self.describe()
        _, self.group = group_codes(self.groups)
        self.fold = group_split(self.groups, self.test_fraction, self.folds, self.split_seed, self.test_groups)
        self.donors = [shuffled_donors(self.group, self.shuffle_seed, k) for k in range(self.shuffles)]
        rows = max(1, self.block_bytes // (len(self.layers) * self.hidden * 4))
        self.plan = [self.order[i : i + rows] for i in range(0, len(self.order), rows)]
        self._ready = True

    @property
    def targets(self) -> list[str]:
        """Names of all targets, the real ones first, then those of each shuffle."""
        return self.real_targets + [f"shuffle{k}:{t}" for k in range(self.shuffles) for t in self.real_targets]

    def pass_identity(self) -> dict[str, Any]:
        """What must be the same for a half-finished pass to go on: data, split, plan."""
        plan = hashlib.sha256(b"".join([np.int64(len(self.plan)).tobytes(), self.order.tobytes(), self.fold.tobytes()]))
        return {
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
        if index < 0:
            x, y = np.zeros((0, len(self.layers), self.hidden), np.float32), np.zeros((0, 1, len(self.targets)))
        else:
            x, y = self.read_x(rows), self._targets(rows)
        expected = (len(rows), len(self.layers), self.hidden)
        if x.shape != expected or y.shape[::2] != (len(rows), len(self.targets)):
            raise ProbeError(
                f"Block {index}: features have shape {x.shape} and targets {y.shape}; expected [row, layer, hidden] = "
                f"{expected} and [row, repetition, target] with {len(self.targets)} targets."
            )
        self._check_finite(x, y, rows)
        return Block(index, x, y, self.group[rows], self.fold[rows], rows)

    def blocks(self) -> Iterator[Block]:
        """One whole pass in this process, for evaluation."""
        yield from BlockLoader(self.block, list(range(len(self.plan))))

    def skip_blocks(self, done: set[int]) -> None:
        """Leave these blocks out of the next pass: a resumed run has them already."""
        self._done = set(done)

    def read_with(self, reader: Callable[[int], Block]) -> None:
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
            name, where = self.row_names(rows[row[:1]])[0], self.layers[layer[0]]
            raise ProbeError(
                f"Row {name} has a non-finite feature in layer {where} (and {len(set(row)) - 1} more of its block). "
                "Leave such rows out of the selection."
            )
        absent = np.isnan(y)
        bad = np.flatnonzero(((absent & ~absent.all(-1, keepdims=True)) | np.isinf(y)).any((1, 2)))
        if len(bad):
            raise ProbeError(
                f"Row {self.row_names(rows[bad[:1]])[0]} has a non-finite target (and {len(bad) - 1} more rows of its "
                "block). A repetition must be finite in every target, or NaN in all of them where it is absent."
            )

    def _targets(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """[row, repetition, target] with the shuffled copies behind the real targets."""
        parts = [_with_repetitions(self.read_y(r)) for r in (rows, *(donor[rows] for donor in self.donors))]
        if len(parts) > 1 and any(np.isnan(p).all(-1).any() or p.shape != parts[0].shape for p in parts):
            raise ProbeError(
                "The shuffled-targets control needs the same number of repetitions in every row; some row lacks one. "
                "Set shuffles: 0, or select rows with all repetitions."
            )
        return np.concatenate(parts, axis=-1)


class ArrayDataModule(BlockDataModule):
    """Arrays in memory.

    x: [row, hidden] or [row, layer, hidden]; y: [row], [row, target] or [row, repetition, target]; groups: [row] or
    None for every row on its own; layers, targets: names, or None for numbers. The other arguments are
    `BlockDataModule`'s.
    """

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        groups: Sequence | NDArray | None,
        *,
        test_fraction: float,
        folds: int,
        split_seed: int,
        block_bytes: int,
        shuffles: int,
        shuffle_seed: int,
        layers: list[str] | None = None,
        targets: list[str] | None = None,
    ) -> None:
        super().__init__(test_fraction, folds, split_seed, block_bytes, shuffles, shuffle_seed)
        features, y = np.asarray(x), np.asarray(y, np.float64)
        self._x = features[:, None, :] if features.ndim == 2 else features
        self._y = y[:, None] if y.ndim == 1 else y
        self._groups, self._layers, self._target_names = groups, layers, targets
        if len(self._x) != len(self._y) or (groups is not None and len(groups) != len(self._x)):
            raise ProbeError(
                f"x has {len(self._x)} rows, y {len(self._y)}, groups {len(groups or self._x)}; they must agree."
            )

    def describe(self) -> None:
        rows, layers, self.hidden = self._x.shape
        self.layers = self._layers or [str(i) for i in range(layers)]
        self.real_targets = self._target_names or [str(t) for t in range(self._y.shape[-1])]
        self.groups = np.arange(rows) if self._groups is None else np.asarray(self._groups)
        self.order = np.arange(rows)
        digest = hashlib.sha256(np.ascontiguousarray(self._x).tobytes() + np.ascontiguousarray(self._y).tobytes())
        self.content = digest.hexdigest()
        self.fingerprint = {"arrays": self.content}

    def read_x(self, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        return self._x[rows]

    def read_y(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._y[rows]


def _with_repetitions(y: NDArray) -> NDArray[np.float64]:
    y = np.asarray(y, np.float64)
    return y[:, None, :] if y.ndim == 2 else y
