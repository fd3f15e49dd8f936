"""Vectors to float16 with one power-of-two exponent each, so that no value overflows or vanishes: value = f16 * 2**e.

Owns the rule: e = 0 if max|v| = 0 or 2**-14 <= max|v| <= 65504, otherwise the e that brings max|v| * 2**-e into
[2**14, 2**15). Vectors that are not finite are stored as they are (e = 0) and reported. Knows nothing of models.
"""

import torch
from torch import Tensor

LARGEST, SMALLEST_NORMAL = 65504.0, 2.0**-14
_LARGEST_BITS, _SMALLEST_BITS = 0x7BFF, 0x0400
# Elements cast at a time. Small chunks would stay in cache, but each step on each is one more meeting of all threads,
# and on a machine that is busy besides (a writer compressing) those cost many times what the cache saves.
_CHUNK = 1 << 22


def encode_rows(rows: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
    """Writes `rows` [n, hidden] into `out` (float16, same shape); returns exponents int8 [n] and finite bool [n]."""
    return RowEncoder()(rows, out)


class RowEncoder:
    """`encode_rows`, again and again, with working memory that stays (fresh memory costs page faults each time).

    On a CPU the common case (all rows in float16's range) costs a cast and one look at the bits. On other devices the
    exact rule runs for all rows: no value travels to the host, so nothing waits. For one thread at a time.

    Attributes:
        dtype: of what it writes.
    """

    dtype = torch.float16

    def __init__(self) -> None:
        self._memory = torch.empty(0)

    def __call__(self, rows: Tensor, out: Tensor, index: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As `encode_rows`, for the rows at `index` [n] when it is given."""
        if rows.device.type != "cpu":
            return _encode_exactly(rows if index is None else rows[index], out)
        exponents = torch.zeros(len(out), dtype=torch.int8)
        finite = torch.ones(len(out), dtype=torch.bool)
        top = self._cast(rows, index, out)
        doubtful = ((top >= _LARGEST_BITS) | (top < _SMALLEST_BITS)).nonzero()[:, 0]
        if len(doubtful):
            exact = torch.empty(len(doubtful), out.shape[1], dtype=torch.float16)
            source = doubtful if index is None else index[doubtful]
            exponents[doubtful], finite[doubtful] = _encode_exactly(rows[source], exact)
            out[doubtful] = exact
        return exponents, finite

    def _cast(self, rows: Tensor, index: Tensor | None, out: Tensor) -> Tensor:
        """Casts into `out`, chunk by chunk; returns each row's largest |value| as float16 bits, int16 [n].

        As integers, float16 magnitudes order as the values do, infinity and NaN last; integers compare much faster.
        """
        hidden = rows.shape[1]
        step = max(1, _CHUNK // hidden)
        top = torch.empty(len(out), dtype=torch.int16)
        for start in range(0, len(out), step):
            chunk = slice(start, min(start + step, len(out)))
            n = chunk.stop - start
            wide, picked, magnitudes = self._scratch(n, hidden, rows.dtype)
            part = rows[chunk] if index is None else torch.index_select(rows, 0, index[chunk], out=picked)
            # bfloat16 -> float16 has no vector kernel on CPUs; by way of float32 it is twice as fast.
            out[chunk].copy_(wide.copy_(part) if rows.dtype == torch.bfloat16 else part)
            torch.bitwise_and(out[chunk].view(torch.int16), 0x7FFF, out=magnitudes)
            torch.amax(magnitudes, -1, out=top[chunk])
        return top

    def _scratch(self, n: int, hidden: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """float32, `dtype` and int16 tensors [n, hidden] in the kept memory."""
        size = n * hidden
        if len(self._memory) < 3 * size:
            self._memory = torch.empty(3 * size)
        parts = (self._memory[k * size : (k + 1) * size] for k in range(3))
        kinds = (torch.float32, dtype, torch.int16)
        wide, picked, magnitudes = (
            part.view(kind)[:size].view(n, hidden) for part, kind in zip(parts, kinds, strict=True)
        )
        return wide, picked, magnitudes


class UnroundedRows(RowEncoder):
    """Takes rows as the model computed them, in float32: for those who ask whether a rounded value is right."""

    dtype = torch.float32

    def __call__(self, rows: Tensor, out: Tensor, index: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As `RowEncoder`; all exponents are 0."""
        out.copy_(rows if index is None else rows[index])
        return torch.zeros(len(out), dtype=torch.int8, device=out.device), out.isfinite().all(-1)


def decode_rows(values: Tensor, exponents: Tensor) -> Tensor:
    """float32 rows [..., hidden] from float16 `values` and int8 `exponents` [...]."""
    return torch.ldexp(values.float(), exponents[..., None].float())


def _encode_exactly(rows: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
    rows = rows.float()
    top = rows.abs().amax(-1)  # NaN and infinity carry through amax
    finite = torch.isfinite(top)
    in_range = (top == 0) | ((top >= SMALLEST_NORMAL) & (top <= LARGEST)) | ~finite
    # frexp: top = m * 2**k with m in [0.5, 1), so 2**(k - 15) brings it into [2**14, 2**15).
    exponents = torch.where(in_range, 0, torch.frexp(top).exponent - 15).clamp(-128, 127)
    # In two steps, since 2**-e alone may lie outside float32's range.
    half = torch.div(exponents, 2, rounding_mode="floor")
    scaled = torch.ldexp(torch.ldexp(rows, -half[:, None]), (half - exponents)[:, None])
    out.copy_(scaled)
    return exponents.to(torch.int8), finite
