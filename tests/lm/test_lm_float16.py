"""float16 with exponents: nothing overflows, nothing vanishes, and both code paths follow one rule."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_experiments.lm import float16
from lit_experiments.lm.float16 import RowEncoder, _encode_exactly, decode_rows, encode_rows


def rows_of_every_size(dtype):
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(6, 32, generator=generator)
    return torch.cat([base * 10.0**e for e in range(-37, 38)] + [torch.zeros(1, 32)]).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_vectors_of_every_size_come_back_within_two_to_the_minus_ten(dtype):
    rows = rows_of_every_size(dtype)
    out = torch.empty(rows.shape, dtype=torch.float16)
    exponents, finite = encode_rows(rows, out)
    assert finite.all()
    error = (decode_rows(out, exponents) - rows.float()).abs().amax(-1)
    assert (error <= 2**-10 * rows.float().abs().amax(-1)).all()


@pytest.mark.parametrize(
    ("largest", "exponent"),
    [
        (0.0, 0),
        (1.0, 0),
        (65504.0, 0),
        (65505.0, 1),  # 65505 / 2 lies in [2**14, 2**15)
        (65519.0, 1),  # would round to 65504 without an exponent
        (65536.0, 2),
        (2.0**-14, 0),
        (2.0**-14 * 0.999, -29),
        (1e30, 85),
    ],
)
def test_the_exponent_is_zero_in_range_and_otherwise_fills_float16(largest, exponent):
    rows = torch.zeros(3, 8)
    rows[1, 3] = -largest
    out = torch.empty(3, 8, dtype=torch.float16)
    exponents, _ = encode_rows(rows, out)
    assert exponents.tolist() == [0, exponent, 0]
    if exponent:
        assert 2**14 <= -out[1, 3] < 2**15


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_quick_path_equals_the_exact_rule(dtype):
    rows = rows_of_every_size(torch.float32).to(dtype)
    rows[0, 0], rows[7, 1], rows[9, 2] = torch.nan, torch.inf, -torch.inf
    quick, exact = (torch.empty(rows.shape, dtype=torch.float16) for _ in range(2))
    quick_exponents, quick_finite = encode_rows(rows, quick)
    exact_exponents, exact_finite = _encode_exactly(rows, exact)
    assert torch.equal(quick_exponents, exact_exponents)
    assert torch.equal(quick_finite, exact_finite)
    assert torch.equal(quick.view(torch.int16), exact.view(torch.int16))


def test_chunks_change_nothing(monkeypatch):
    rows = rows_of_every_size(torch.bfloat16)
    index = torch.arange(len(rows) - 1, -1, -2)
    whole, parts = (torch.empty(len(index), 32, dtype=torch.float16) for _ in range(2))
    encode = RowEncoder()
    expected = encode(rows, whole, index)
    monkeypatch.setattr(float16, "_CHUNK", 7 * 32)
    for one, other in zip(encode(rows, parts, index), expected, strict=True):
        assert torch.equal(one, other)
    assert torch.equal(parts, whole)


def test_non_finite_vectors_are_reported_and_kept_as_they_are():
    rows = torch.tensor([[1.0, torch.nan], [torch.inf, 2.0], [3.0, -torch.inf], [1e30, 1.0]])
    out = torch.empty(4, 2, dtype=torch.float16)
    exponents, finite = encode_rows(rows, out)
    assert finite.tolist() == [False, False, False, True]
    assert exponents[:3].tolist() == [0, 0, 0]
    assert out[0, 1].isnan()
    assert out[1].tolist() == [torch.inf, 2.0]
    assert out[2].tolist() == [3.0, -torch.inf]


@settings(max_examples=200)
@given(st.lists(st.floats(-(2.0**127), 2.0**127, width=32), min_size=1, max_size=8))
def test_any_finite_vector_survives(values):
    rows = torch.tensor([values])
    out = torch.empty(rows.shape, dtype=torch.float16)
    exponents, finite = encode_rows(rows, out)
    largest = rows.abs().max()
    assert finite.all()
    if largest >= 2.0**-142:  # below lies what even 127 doublings leave among float16's subnormals
        assert (decode_rows(out, exponents) - rows).abs().max() <= 2**-10 * largest
