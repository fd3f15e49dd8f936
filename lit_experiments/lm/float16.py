"""Vectors to float16 with one power-of-two exponent each, so that no value overflows or vanishes: value = f16 * 2**e.

Owns the rule: e = 0 if max|v| = 0 or 2**-14 <= max|v| <= 65504, otherwise the e that brings max|v| * 2**-e into
[2**14, 2**15). Vectors that are not finite are stored as they are (e = 0) and reported. Knows nothing of models.
"""

import torch
from torch import Tensor

LARGEST, SMALLEST_NORMAL = 65504.0, 2.0**-14
_LARGEST_BITS, _SMALLEST_BITS = 0x7BFF, 0x0400
_CHUNK_ROWS = 384  # 384 rows of a few thousand float32 stay in a core's L2 cache


def encode_rows(rows: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
    """Writes `rows` [n, hidden] into `out` (float16, same shape); returns exponents int8 [n] and finite bool [n].

    On a CPU the common case (all rows in float16's range) costs a cast and one look at the bits. On other devices the
    exact rule runs for all rows: no value travels to the host, so nothing waits.
    """
    if rows.device.type != "cpu":
        return _encode_exactly(rows, out)
    _cast(rows, out)
    exponents = torch.zeros(len(rows), dtype=torch.int8)
    finite = torch.ones(len(rows), dtype=torch.bool)
    top = torch.bitwise_and(out.view(torch.int16), 0x7FFF).amax(-1)
    doubtful = ((top >= _LARGEST_BITS) | (top < _SMALLEST_BITS)).nonzero()[:, 0]
    if len(doubtful):
        exact = torch.empty(len(doubtful), out.shape[1], dtype=torch.float16)
        exponents[doubtful], finite[doubtful] = _encode_exactly(rows[doubtful], exact)
        out[doubtful] = exact
    return exponents, finite


def decode_rows(values: Tensor, exponents: Tensor) -> Tensor:
    """float32 rows [..., hidden] from float16 `values` and int8 `exponents` [...]."""
    return torch.ldexp(values.float(), exponents[..., None].float())


def _cast(rows: Tensor, out: Tensor) -> None:
    if rows.dtype != torch.bfloat16:
        out.copy_(rows)
        return
    # bfloat16 -> float16 has no vector kernel on CPUs; through a small float32 scratch it is twice as fast.
    scratch = torch.empty(min(_CHUNK_ROWS, len(rows)), rows.shape[1])
    for start in range(0, len(rows), _CHUNK_ROWS):
        part = rows[start : start + _CHUNK_ROWS]
        out[start : start + _CHUNK_ROWS].copy_(scratch[: len(part)].copy_(part))


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
