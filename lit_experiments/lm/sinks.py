"""What a site's hook does with a state while the forward pass goes on: pick tokens, or pool them, and cast.

Owns `TokenSink`, which holds the selected tokens' states, and `PoolSink`, which holds one mean or maximum per sequence:
of what is pooled, no token's state leaves the device. Both fill one preallocated buffer, float16 with exponents
(`float16.py`). Knows no hooks and no padding; it is told which rows of a padded batch are selected.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from lit_experiments.lm.errors import model_error
from lit_experiments.lm.model import LanguageModel

Rows = list[list[int]]


class StateSink(Protocol):
    """Takes each site's padded state [batch, token, hidden] and holds what is selected of it.

    values: float16 [site, entry, hidden]; exponents: int8 [site, entry]; finite: bool [site, token that was read];
    lengths: int64 [sequence], entries of each; rows: per sequence, the tokens that are read, as indices into the padded
    batch's flattened [batch * token] axis.
    """

    values: Tensor
    exponents: Tensor
    finite: Tensor
    lengths: Tensor
    rows: Rows

    def __call__(self, k: int, state: Tensor) -> None: ...


@dataclass(frozen=True)
class Pool:
    """The mean or the largest value, per hidden dimension, over tokens [start, stop) of each sequence.

    Raises ModelError for a range without a token.
    """

    statistic: Literal["mean", "max"]
    ranges: Sequence[tuple[int, int]]

    def __post_init__(self) -> None:
        empty = next((k for k, (start, stop) in enumerate(self.ranges) if not 0 <= start < stop), None)
        if empty is not None:
            raise model_error(
                f"There is no token to take the {self.statistic} over.",
                actual=f"tokens {self.ranges[empty][0]} to {self.ranges[empty][1]} of sequence {empty}",
            )

    def positions(self) -> list[range]:
        """The tokens of each sequence."""
        return [range(start, stop) for start, stop in self.ranges]


class TokenSink:
    """Receives each site's padded state and keeps the selected rows, cast, in one preallocated buffer."""

    def __init__(self, lm: LanguageModel, n_sites: int, rows: Rows, n_padded: int) -> None:
        self.encode, self.rows = lm.encoder, rows
        self.lengths = torch.tensor([len(row) for row in rows])
        indices = [index for row in rows for index in row]
        everything = indices == list(range(n_padded))
        self.selected = None if everything else torch.tensor(indices, dtype=torch.long, device=lm.device)
        shape = (n_sites, len(indices), lm.info.d_model)
        self.values = _buffer(lm, shape)
        self.exponents = torch.empty(shape[:2], dtype=torch.int8, device=lm.device)
        self.finite = torch.empty(shape[:2], dtype=torch.bool, device=lm.device)

    def __call__(self, k: int, state: Tensor) -> None:
        flat = state.reshape(-1, state.shape[-1])
        self.exponents[k], self.finite[k] = self.encode(flat, self.values[k], self.selected)


class PoolSink:
    """Receives each site's padded state and keeps one vector per sequence.

    Sums run in float32 over a sequence's tokens alone, in their order, so the result does not depend on the padding.
    """

    def __init__(self, lm: LanguageModel, n_sites: int, pool: Pool, rows: Rows) -> None:
        self.encode, self.rows, self.statistic = lm.encoder, rows, pool.statistic
        self.lengths = torch.ones(len(rows), dtype=torch.int64)
        self.counts = torch.tensor([len(row) for row in rows], device=lm.device)
        self.selected = torch.tensor([index for row in rows for index in row], dtype=torch.long, device=lm.device)
        self.values = _buffer(lm, (n_sites, len(rows), lm.info.d_model))
        self.exponents = torch.empty((n_sites, len(rows)), dtype=torch.int8, device=lm.device)
        self.finite = torch.empty((n_sites, len(self.selected)), dtype=torch.bool, device=lm.device)

    def __call__(self, k: int, state: Tensor) -> None:
        tokens = state.reshape(-1, state.shape[-1]).index_select(0, self.selected).float()
        self.finite[k] = tokens.isfinite().all(-1)
        # unsafe: that the counts add up is known here, and checking it would make the device wait
        pooled = torch.segment_reduce(tokens, self.statistic, lengths=self.counts, axis=0, unsafe=True)
        self.exponents[k], _ = self.encode(pooled, self.values[k])


def _buffer(lm: LanguageModel, shape: tuple[int, int, int]) -> Tensor:
    """Memory for what the model's encoder writes: float16 on the host is recycled, any other is new."""
    if lm.device.type == "cpu" and lm.encoder.dtype == torch.float16:
        return lm.buffers.take(shape)
    return torch.empty(shape, dtype=lm.encoder.dtype, device=lm.device)
