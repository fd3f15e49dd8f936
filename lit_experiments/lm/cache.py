"""Key-value caches that can be forked, thinned, and cut at a position of each row.

Owns `GrowingLayer` and the operations on whole caches. A layer writes only into memory that it has allocated itself and
behind its own last column; whatever another layer may see is never written again. So caches may share tensors, and none
is changed by what another does. Knows nothing of texts and sampling.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from lit_experiments.lm.errors import ModelError

_ROOM = 64  # columns to spare at least; beyond that a quarter, so that copying stays a constant share of the work


class GrowingLayer(DynamicLayer):
    """Hugging Face's dynamic layer with columns to spare, so that a token is written and not concatenated.

    `keys` and `values` [row, head, column, width] are views of the filled part of the layer's own buffers, or tensors
    that belong to others, which the next update copies.
    """

    def __init__(self) -> None:
        super().__init__()
        self._storage: tuple[Tensor, Tensor] | None = None

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Appends columns; returns all keys and values."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
            return self.keys, self.values
        held, total = self.keys.shape[-2], self.keys.shape[-2] + key_states.shape[-2]
        if self._storage is None or total > self._storage[0].shape[-2]:
            self._storage = (_with_room(self.keys, total), _with_room(self.values, total))
        for buffer, new in zip(self._storage, (key_states, value_states), strict=True):
            buffer[:, :, held:total] = new
        self.keys, self.values = (buffer[:, :, :total] for buffer in self._storage)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keeps the rows `indices`, in memory of its own."""
        if self.get_seq_length() > 0:
            self.keys, self.values = self.keys[indices], self.values[indices]
        self._storage = None

    def cut(self, rows: Sequence[int], starts: Sequence[int], counts: Sequence[int]) -> None:
        """New row i: columns starts[i] ... starts[i] + counts[i] - 1 of row rows[i], moved to the right end."""
        width = max(counts)
        storage = tuple(_cut(held, rows, starts, counts) for held in (self.keys, self.values))
        self._storage = (storage[0], storage[1])
        self.keys, self.values = (buffer[:, :, :width] for buffer in self._storage)


def keeps_past(cache: DynamicCache) -> bool:
    """Whether no layer lets go of what its sliding window has passed."""
    return all(isinstance(layer, GrowingLayer) for layer in cache.layers)


def new_cache(config: object, keep_past: bool = False) -> DynamicCache:
    """An empty cache for a model of this configuration.

    keep_past: layers with a sliding window keep all columns too (masks hide what the window has passed), so that the
    cache can be cut anywhere. Raises ModelError for layers that cannot be forked.
    """
    cache = DynamicCache(config=config)
    kinds = {type(layer) for layer in cache.layers} - {DynamicLayer, DynamicSlidingWindowLayer}
    if kinds:
        raise ModelError(f"This model's cache cannot be forked: {', '.join(sorted(kind.__name__ for kind in kinds))}.")
    cache.layers = [GrowingLayer() if keep_past or type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def selected(cache: DynamicCache, rows: Tensor) -> DynamicCache:
    """The given rows (repeats allowed) as a cache independent of this one."""
    chosen = shallow_copy(cache)
    chosen.batch_select_indices(rows)
    return chosen


def cut(cache: DynamicCache, rows: Sequence[int], starts: Sequence[int], counts: Sequence[int]) -> DynamicCache | None:
    """New row i: columns starts[i] ... starts[i] + counts[i] - 1 of row rows[i], ending where all new rows end.

    What lies left of a shorter row's first column is undefined and must be masked. None where a sliding window may have
    let go of a column.
    """
    if not keeps_past(cache):
        return None
    shorter = shallow_copy(cache)
    for layer in shorter.layers:
        layer.cut(rows, starts, counts)
    return shorter


def with_rows(cache: DynamicCache, rows: Sequence[int], fresh: DynamicCache) -> DynamicCache:
    """A cache independent of `cache` in which row rows[i] is row i of `fresh`, a cache of as many columns."""
    changed = shallow_copy(cache)
    for layer, new in zip(changed.layers, fresh.layers, strict=True):
        index = torch.as_tensor(rows, device=layer.keys.device)
        layer.keys = layer.keys.index_copy(0, index, new.keys)
        layer.values = layer.values.index_copy(0, index, new.values)
    return changed


def shallow_copy(cache: DynamicCache) -> DynamicCache:
    """A cache that shares every tensor; what is fed to it leaves the first one as it is."""
    twin = copy.copy(cache)
    twin.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in twin.layers:
        if isinstance(layer, GrowingLayer):
            layer._storage = None
    return twin


def _with_room(held: Tensor, columns: int) -> Tensor:
    """A copy of [row, head, column, width] with room for at least `columns` columns."""
    rows, heads, filled, width = held.shape
    buffer = held.new_empty(rows, heads, columns + max(_ROOM, columns // 4), width)
    buffer[:, :, :filled] = held
    return buffer


def _cut(held: Tensor, rows: Sequence[int], starts: Sequence[int], counts: Sequence[int]) -> Tensor:
    _, heads, _, width = held.shape
    columns = max(counts)
    buffer = held.new_empty(len(rows), heads, columns + max(_ROOM, columns // 4), width)
    for new, (row, start, count) in enumerate(zip(rows, starts, counts, strict=True)):
        buffer[new, :, : columns - count] = 0  # masked, but NaN times 0 would still be NaN
        buffer[new, :, columns - count : columns] = held[row, :, start : start + count]
    return buffer
