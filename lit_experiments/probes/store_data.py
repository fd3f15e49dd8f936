"""Rows of a store, or entries of its rows, as data for probes.

Knows stores; knows no study: what the targets are is given as a function.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.examples import Examples
from stores import Store, fingerprint_hash

Targets = Callable[[Store, NDArray[np.int64]], NDArray[np.float64]]


class StoreDataModule(BlockDataModule):
    """A field of a store as features, with targets computed from the store.

    store: a Store or a selection of its rows. features: a float field over "sample" and "hidden" (whatever that dim is
    called), with or without a third dim, which is then the layer. targets: targets(store, rows) -> [row, target] or
    [row, repetition, target], NaN where a repetition is absent; or an array of that shape with all rows. groups: the
    column whose equal values must not straddle the split ("sample_id": every row on its own), or an array with the
    group of each row. layers: the layers to use, by name, or None for all. examples: for a field over a ragged dim such
    as "token" instead of "sample", the entries that are this data set's rows: a row number is then the number of an
    example, for targets too, and an example belongs to the group of its row in the store.
    The other arguments are `BlockDataModule`'s.
    """

    def __init__(
        self,
        store: Store,
        features: str,
        targets: Targets | NDArray[np.float64],
        target_names: list[str],
        groups: str | NDArray,
        *,
        test_fraction: float,
        folds: int,
        split_seed: int,
        block_bytes: int,
        shuffles: int,
        shuffle_seed: int,
        layers: list[str] | None = None,
        examples: Examples | None = None,
        test_groups: Collection[str] | None = None,
    ) -> None:
        super().__init__(test_fraction, folds, split_seed, block_bytes, shuffles, shuffle_seed, test_groups)
        self.store, self.features, self._given_targets = store, features, targets
        self._target_names, self._groups, self._layer_names = target_names, groups, layers
        self.examples = examples

    def describe(self) -> None:
        """Raises ProbeError if the field, its dims, the layers or the groups are not what a probe needs."""
        self._view = self.store.field(self.features)
        self._layer_dim, hidden_dim = self._check_field()
        self.hidden = self._view.field.shape[self._view.field.dims.index(hidden_dim)] or 0
        self.layers, self._picks = self._choose_layers()
        self.real_targets = list(self._target_names)
        if self.examples is not None:
            self._positions = self.examples.positions(self._view.lengths())
        self.groups = self._read_groups()
        # Nothing is read here: an empty selection of each dim only tells in which order the rows lie.
        empty = {dim: slice(0, 0) for dim in (self._layer_dim, hidden_dim) if dim}
        blocks = [rows for rows, _, _ in self._view.iter_blocks(1, **empty)]
        self.order = np.concatenate([np.zeros(0, np.int64), *blocks])
        self.fingerprint = {"store": fingerprint_hash(self.store.fingerprint), "features": self.features}
        content = "\0".join(self.store.sample_ids).encode()
        if self.examples is not None:
            rank = np.empty_like(self.order)
            rank[self.order] = np.arange(len(self.order))
            self.order = np.lexsort((self.examples.entry, rank[self.examples.row]))
            self.fingerprint["examples"] = self.examples.name
            content += b"\0\0" + self.examples.content
        if not callable(self._given_targets):
            content += b"\0\0" + np.ascontiguousarray(self._given_targets).tobytes()
        self.content = hashlib.sha256(content).hexdigest()

    def read_x(self, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        """[row, layer, hidden], float32 (or float64 if so stored)."""
        return self._read(rows, self._picks)

    def read_layers(self, rows: NDArray[np.int64], layers: list[int]) -> NDArray[np.floating]:
        """The same of some layers, whose chunks alone are read."""
        return self._read(rows, {dim: [picks[i] for i in layers] for dim, picks in self._picks.items()})

    def _read(self, rows: NDArray[np.int64], picks: dict[str, Any]) -> NDArray[np.floating]:
        if self.examples is None:
            values = self._view.read(rows, **picks)
        else:
            values = self._view.gather(self._positions[rows], **picks)
        return values[:, None, :] if self._layer_dim is None else np.moveaxis(values, self._view.field.axis, 0)

    def read_y(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the targets function returns for these rows, or the array holds."""
        return self._given_targets(self.store, rows) if callable(self._given_targets) else self._given_targets[rows]

    def row_names(self, rows: NDArray[np.int64]) -> list:
        """Sample ids; with examples, the sample id and the entry: "q3:mcq[17]"."""
        if self.examples is None:
            return self.store.select(rows).sample_ids
        ids, row, entry = self.store.sample_ids, self.examples.row[rows], self.examples.entry[rows]
        return [f"{ids[r]}[{e}]" for r, e in zip(row.tolist(), entry.tolist(), strict=True)]

    def _check_field(self) -> tuple[str | None, str]:
        """The layer dim, if there is one, and the hidden dim."""
        field = self._view.field
        others = [dim for dim in field.dims if dim != field.stacking]
        if field.dims[-1] == field.stacking or len(others) not in (1, 2):
            raise ProbeError(
                f"Field {self.features!r} of {self.store.path} has dims {field.dims}; a probe reads one over sample "
                "and hidden, with or without a layer dim (or over a ragged dim in place of sample). Name such a field."
            )
        if field.stacking != "sample" and self.examples is None:
            raise ProbeError(
                f"Field {self.features!r} of {self.store.path} has dims {field.dims}: many {field.stacking} entries "
                "per row. Say which are examples: examples=last_entries(store, field), all_entries, or Examples."
            )
        if self._view.dtype.kind != "f":
            raise ProbeError(f"Field {self.features!r} of {self.store.path} holds {self._view.dtype}, not floats.")
        return (others[0] if len(others) == 2 else None), others[-1]

    def _choose_layers(self) -> tuple[list[str], dict[str, Any]]:
        """Names of the layers, and what to select for them."""
        if self._layer_dim is None:
            names = [self.features]
        else:
            size = self._view.field.shape[self._view.field.dims.index(self._layer_dim)] or 0
            names = [str(name) for name in self.store.schema.coords.get(self._layer_dim, range(size))]
        selected = names if self._layer_names is None else [str(name) for name in self._layer_names]
        unknown = [name for name in selected if name not in names]
        if unknown or not selected:
            raise ProbeError(
                f"Field {self.features!r} of {self.store.path} has no layer "
                f"{', '.join(unknown) or '(none was named)'}; it has {', '.join(names)}."
            )
        picks = {self._layer_dim: [names.index(name) for name in selected]} if self._layer_dim else {}
        return selected, picks

    def _read_groups(self) -> NDArray:
        """[row] of the data set: as given, or from the column."""
        rows = len(self.store) if self.examples is None else len(self.examples)
        if not isinstance(self._groups, str):
            if len(self._groups) != rows:
                raise ProbeError(f"There are {len(self._groups)} groups for {rows} rows; they must agree.")
            return np.asarray(self._groups)
        column = self.store.table([self._groups]).column(0)
        if column.null_count:
            raise ProbeError(
                f"Column {self._groups!r} of {self.store.path} is empty for {column.null_count} rows, so they "
                "cannot be split by it. Select the others, or split by another column."
            )
        of_row = np.asarray(column.to_pylist())
        return of_row if self.examples is None else of_row[self.examples.row]
