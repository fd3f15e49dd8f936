"""From numbers to stored numbers and back: float16 with power-of-two exponents, bfloat16 as bits, safe casts. Pure
numpy.

float16: value = mantissa * 2**exponent, one exponent per vector along the last axis. The exponent is 0 when the
largest magnitude m of the vector is 0 or 2**-14 <= m <= 65504 (float16's normal range); otherwise it is the power of
two that brings m into [2**14, 2**15). Every value comes back within 2**-10 * m: float16 has 11 significant bits, and
its subnormal step 2**-24 is 2**-10 of the smallest m.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import RecordError
from .workers import map_ordered

Array = NDArray[Any]
HALF_MAX = 65504.0
HALF_TINY = 2.0**-14
_BLOCK = 1 << 16  # elements per pass: the block stays in the processor's cache between the maximum and the cast
_SLAB = 1 << 21  # elements per thread's turn
_TOP = 113  # the exponent of float32's topmost vectors, where rounding up would leave float32's range


def encode_float16(values: Array) -> tuple[NDArray[np.float16], NDArray[np.int8]]:
    """Encode float32 or float64 `[..., vector]` as float16 `[..., vector]` and int8 exponents `[...]`.

    NaN and infinities stay what they are; the other values of their vector are scaled by the finite ones among them.
    Raises RecordError if a vector's largest magnitude lies outside float32's range (only float64 can hold such).
    """
    rows = values.reshape(-1, values.shape[-1])
    mantissas = np.empty(rows.shape, np.float16)
    exponents = np.zeros(len(rows), np.int8)
    step = max(1, _BLOCK // rows.shape[1])
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            mantissas[start : start + step] = block
            peak = np.maximum(block.max(axis=1), -block.min(axis=1))
            odd = np.flatnonzero(~((peak == 0) | ((peak >= HALF_TINY) & (peak <= HALF_MAX))))
            if odd.size:
                mantissas[start + odd], exponents[start + odd] = _scale(block[odd])
    return mantissas.reshape(values.shape), exponents.reshape(values.shape[:-1])


def _scale(rows: Array) -> tuple[NDArray[np.float16], NDArray[np.int8]]:
    """Encode vectors whose largest magnitude float16 can't hold well."""
    finite = np.isfinite(rows)
    peak = np.max(np.abs(rows), axis=1, where=finite, initial=0)
    tiny = 2.0**-149 if rows.dtype == np.float32 else 2.0**-136  # below that float32 can't hold 2**-10 of a float64
    if np.any(peak > np.finfo(np.float32).max) or np.any((peak > 0) & (peak < tiny)):
        raise RecordError("A float16 field got a vector outside float32's range (1e-41 to 3.4e38); declare float64.")
    power = np.frexp(peak)[1] - 15
    power = np.where((peak == 0) | ((peak >= HALF_TINY) & (peak <= HALF_MAX)), 0, power)
    power = np.maximum(power, -128)
    scaled = np.ldexp(rows.astype(np.float64), -power[:, None]).astype(np.float16)
    top = power[:, None] == _TOP
    limit = np.float16(32752)  # the float16 below 2**15: 32768 * 2**113 would be infinite in float32
    scaled = np.where(top & finite, np.clip(scaled, -limit, limit), scaled)
    return scaled, power.astype(np.int8)


def decode_float16(mantissas: Array, exponents: Array | None) -> NDArray[np.float32]:
    """The inverse: float32 `[..., vector]`. `exponents` None means all 0."""
    values = mantissas.astype(np.float32)
    return values if exponents is None else apply_exponents(values, exponents)


def apply_exponents(values: NDArray[np.float32], exponents: Array) -> NDArray[np.float32]:
    """Multiply by 2**exponent in place, only where it isn't 0. `exponents` has `values`' shape, or lacks its last
    axis.
    """
    odd = exponents != 0
    if odd.any():
        scale = exponents[odd].astype(np.int32)
        values[odd] = np.ldexp(values[odd], scale if exponents.ndim == values.ndim else scale[:, None])
    return values


def encode_bfloat16(values: Array) -> NDArray[np.uint16]:
    """float32 to bfloat16 bits, rounded to nearest even; values that are bfloat16 numbers come back exactly."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = ((bits + (np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1)))) >> np.uint32(16)).astype(
        np.uint16
    )
    finite = np.isfinite(values)
    rounded = np.where(np.isnan(values), np.uint16(0x7FC0), rounded)
    if np.any(finite & ((rounded & 0x7F80) == 0x7F80)):
        raise RecordError("A bfloat16 field got a value above bfloat16's largest, 3.39e38; declare float32.")
    return rounded


def decode_bfloat16(bits: Array) -> NDArray[np.float32]:
    """bfloat16 bits (uint16) to float32, exactly."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def first_nonfinite(values: Array) -> tuple[int, ...] | None:
    """Index of the first NaN or infinity of a float array, or of bfloat16 bits (uint16); None if there is none."""
    flat = values.reshape(-1)
    for start, finite in zip(
        range(0, flat.size, _SLAB),
        map_ordered(lambda at: _slab_finite(flat[at : at + _SLAB]), range(0, flat.size, _SLAB)),
        strict=True,
    ):
        if not finite:
            inside = int(np.flatnonzero(~_finite(flat[start : start + _SLAB]))[0])
            return tuple(int(i) for i in np.unravel_index(start + inside, values.shape))
    return None


def _slab_finite(slab: Array) -> bool:
    return all(_all_finite(slab[at : at + _BLOCK]) for at in range(0, slab.size, _BLOCK))


def _all_finite(block: Array) -> bool:
    if block.dtype == np.float16:  # integer maxima are quick where float16 arithmetic is not
        return bool(block.view(np.int16).max() < 0x7C00 and block.view(np.uint16).max() < 0xFC00)
    if block.dtype == np.uint16:
        return bool(block.view(np.int16).max() < 0x7F80 and block.max() < 0xFF80)
    return bool(np.isfinite(block.max()) and np.isfinite(block.min()))


def _finite(block: Array) -> Array:
    return (block & 0x7F80) != 0x7F80 if block.dtype == np.uint16 else np.isfinite(block)


def cast_exactly(values: Array, dtype: np.dtype[Any], where: str) -> Array:
    """Cast integers, booleans and float32/float64 without changing a value beyond the target's precision.

    Raises RecordError where an integer doesn't fit, or floats meet an integer field.
    """
    if values.dtype == dtype:
        return values
    if np.can_cast(values.dtype, dtype, "safe"):
        return values.astype(dtype)
    if dtype.kind == "f" and values.dtype.kind in "fiu":
        with np.errstate(over="ignore", invalid="ignore"):
            cast = values.astype(dtype)
            back = cast.astype(values.dtype)
        if values.dtype.kind == "f" and np.array_equal(np.isfinite(values), np.isfinite(cast)):
            return cast
        if values.dtype.kind in "iu" and np.array_equal(back, values):
            return cast
    if dtype.kind in "iu" and values.dtype.kind in "iu":
        info = np.iinfo(dtype)
        if not values.size or (int(values.min()) >= info.min and int(values.max()) <= info.max):
            return values.astype(dtype)
    raise RecordError(f"{where}: values of dtype {values.dtype} don't fit the declared {dtype}.")
