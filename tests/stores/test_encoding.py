"""Nothing becomes infinite or 0 on its way through 16 bits; the error stays within 2**-10 of each vector's largest
magnitude.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stores import RecordError
from stores.encoding import (
    cast_exactly,
    decode_bfloat16,
    decode_float16,
    encode_bfloat16,
    encode_float16,
    first_nonfinite,
)

any_float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
shapes = hnp.array_shapes(min_dims=2, max_dims=3, max_side=5)


def assert_close(values, decoded):
    peak = np.abs(values.astype(np.float64)).max(axis=-1, keepdims=True)
    assert np.isfinite(decoded).all()
    assert (np.abs(values.astype(np.float64) - decoded) <= peak * 2.0**-10).all()


@settings(max_examples=300)
@given(hnp.arrays(np.float32, shapes, elements=any_float32))
def test_any_float32_comes_back_within_a_thousandth_of_its_vectors_largest(values):
    assert_close(values, decode_float16(*encode_float16(values)))


@settings(max_examples=200)
@given(hnp.arrays(np.float32, shapes, elements=any_float32))
def test_exponents_follow_the_stated_rule(values):
    _, exponents = encode_float16(values)
    peak = np.abs(values.astype(np.float64)).max(axis=-1)
    ordinary = (peak == 0) | ((peak >= 2.0**-14) & (peak <= 65504))
    assert (exponents[ordinary] == 0).all()
    scaled = peak[~ordinary] * 2.0 ** -exponents[~ordinary].astype(float)
    low = exponents[~ordinary] == -128  # as far as int8 goes: float32's subnormal numbers, exact there
    assert ((scaled >= 2.0**14) | low).all()
    assert (scaled < 2.0**15).all()


@pytest.mark.parametrize("peak", [65504.0, 65520.0, 1e5, 3.4028235e38, 2.0**-14, 6e-5, 1e-8, 1e-30, 1.4e-45])
def test_the_edges_of_float16_and_float32(peak):
    values = np.array([[peak, -peak / 3, peak / 1000, 0]], np.float32)
    assert_close(values, decode_float16(*encode_float16(values)))


def test_a_vector_does_not_disturb_its_neighbours():
    values = np.array([[1.5, 2.5], [1e6, 1.0], [0.5, 0.25]], np.float32)
    mantissas, exponents = encode_float16(values)
    assert exponents.tolist() == [0, 5, 0]
    np.testing.assert_array_equal(decode_float16(mantissas, exponents)[[0, 2]], values[[0, 2]])


def test_float64_beyond_float32_is_refused_not_rounded():
    for peak in (1e39, 1e-60):
        with pytest.raises(RecordError, match="declare float64"):
            encode_float16(np.array([[peak, 0.0]]))
    assert_close(np.array([[1e-38, 3e-39]]), decode_float16(*encode_float16(np.array([[1e-38, 3e-39]]))))


def test_recorded_infinities_stay_and_do_not_spoil_their_vector():
    values = np.array([[np.inf, 1e6, -np.nan, -np.inf]], np.float32)
    decoded = decode_float16(*encode_float16(values))
    assert decoded[0, 0] == np.inf
    assert decoded[0, 3] == -np.inf
    assert np.isnan(decoded[0, 2])
    assert abs(decoded[0, 1] - 1e6) <= 1e6 * 2**-10


def test_large_arrays_are_encoded_as_small_ones():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((300, 700), dtype=np.float32) * 10.0 ** rng.integers(-12, 12, (300, 1))
    mantissas, exponents = encode_float16(values.astype(np.float32))
    for i in (0, 95, 299):
        one = encode_float16(values[i : i + 1].astype(np.float32))
        np.testing.assert_array_equal(mantissas[i], one[0][0])
        assert exponents[i] == one[1][0]


@settings(max_examples=200)
@given(hnp.arrays(np.uint16, hnp.array_shapes(max_side=20)))
def test_bfloat16_numbers_are_exact(bits):
    bits = np.where((bits & 0x7F80) == 0x7F80, np.uint16(0), bits)
    np.testing.assert_array_equal(encode_bfloat16(decode_bfloat16(bits)), bits)


def test_bfloat16_rounds_to_nearest_even_and_never_to_infinity():
    values = np.array([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20], np.float32)
    assert decode_bfloat16(encode_bfloat16(values)).tolist() == [1.0, 1 + 2**-6, 1 + 2**-7]
    with pytest.raises(RecordError, match="largest"):
        encode_bfloat16(np.array([3.4e38], np.float32))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_nonfinite_value_is_found_wherever_it_is(dtype, bad):
    values = np.zeros((3, 50_000, 20), dtype)
    assert first_nonfinite(values) is None
    for place in [(2, 49_999, 19), (1, 4, 0), (0, 0, 0)]:
        values[place] = bad
        assert first_nonfinite(values) == place
    assert first_nonfinite(np.full(3, -65504, dtype)) is None


def test_nonfinite_bfloat16_bits_are_found():
    for bits in (0x7F80, 0xFF80, 0x7FC0, 0xFFFF):
        assert first_nonfinite(np.array([0x7F7F, 0xFF7F, bits], np.uint16)) == (2,)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [(np.array([300]), "int8"), (np.array([-1]), "uint8"), (np.array([0.5]), "int64"), (np.array([1e300]), "float32"),
     (np.array([2]), "bool"), (np.array([2**53 + 1]), "float32")],
)  # fmt: skip
def test_casts_that_would_change_a_value_are_refused(values, dtype):
    with pytest.raises(RecordError, match=dtype):
        cast_exactly(values, np.dtype(dtype), "Field 'x'")


def test_casts_that_fit_are_made():
    assert cast_exactly(np.array([100]), np.dtype("int8"), "").dtype == np.int8
    assert cast_exactly(np.array([True]), np.dtype("uint8"), "").tolist() == [1]
    assert cast_exactly(np.array([0.1]), np.dtype("float32"), "").dtype == np.float32
