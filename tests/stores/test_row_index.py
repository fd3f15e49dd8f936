"""Rows in order whatever the order of commits, and columns of a few rows without those of the others."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import stores
from stores import commit_cache, row_index

SCHEMA = stores.Schema(
    (
        stores.Field("x", ("sample", "hidden"), (None, 2), "float32", "", ""),
        stores.Field("t", ("token", "width"), (None, 1), "float32", "", ""),
    ),
    (stores.Column("word", "string", ""),),
)


def fill(path, commits):
    """Each row of a commit is a sample_index; its id, values and length follow from it."""
    stores.create_store(path, SCHEMA, {}, {}, "zarr")
    with stores.PartWriter(path, 0, 1, 1e9) as writer:
        for numbers in commits:
            lengths = np.array([n % 3 for n in numbers])
            writer.append(
                stores.Records(
                    [{"sample_id": f"s{n}", "sample_index": n, "word": f"w{n}"} for n in numbers],
                    {
                        "x": np.array([[n, -n] for n in numbers], np.float32),
                        "t": np.repeat(np.array(numbers, np.float32), lengths)[:, None],
                    },
                    {"token": lengths},
                )
            )


def assert_holds(store, numbers):
    assert len(store) == len(numbers)
    assert store.table(["sample_index"]).column(0).to_pylist() == numbers
    assert store.table(["word"]).column(0).to_pylist() == [f"w{n}" for n in numbers]
    np.testing.assert_array_equal(store["x"].read(), np.outer(numbers, [1, -1]))
    np.testing.assert_array_equal(store["t"].read()[:, 0], np.repeat(numbers, np.array(numbers, int) % 3))


@pytest.fixture(params=[64, 0], ids=["remembered", "of commits"])
def small_limits(request, monkeypatch):
    """Stores of more than 64 rows, or of any number, are read by commits; windows of 5 rows, next to nothing held."""
    monkeypatch.setattr(row_index, "_REMEMBERED", request.param)
    monkeypatch.setattr(row_index, "WINDOW", 5)
    monkeypatch.setattr("stores.reader.WINDOW", 5)
    monkeypatch.setattr(commit_cache, "_BYTES", 100)


@pytest.mark.parametrize("stride", [1, 2, 1000])
def test_rows_come_in_their_order_and_slices_hold_what_the_whole_holds(tmp_path, small_limits, stride):
    order = np.random.default_rng(0).permutation(40) * stride
    fill(tmp_path, np.split(order, [3, 4, 20, 33]))
    store, numbers = stores.open_store(tmp_path), sorted(order.tolist())
    assert_holds(store, numbers)
    for rows in (slice(7, 12), slice(None, None, -9), [3, 3, 39, 0], slice(40, 40), np.arange(40) % 11 == 0):
        assert_holds(stores.open_store(tmp_path).select(rows), np.array(numbers)[rows].tolist())
    twice = store.select(slice(10, 20)).select([1, 5])
    assert_holds(twice, [numbers[11], numbers[15]])
    assert_holds(store.select(pc.field("word") == f"w{numbers[6]}"), [numbers[6]])
    assert [row["word"] for row in store.iter_rows()] == [f"w{n}" for n in numbers]


@pytest.mark.parametrize("stride", [1, 3])
def test_rows_are_found_by_their_index(tmp_path, small_limits, stride):
    numbers = list(range(5, 5 + 30 * stride, stride))
    fill(tmp_path, [numbers[20:], numbers[:20]])
    store = stores.open_store(tmp_path)
    for low, high in ((0, 4), (5, 5), (6, 20), (0, 1000), (90, 1000), (20, 19)):
        assert_holds(store.with_indexes(low, high), [n for n in numbers if low <= n <= high])
    with pytest.raises(stores.SelectionError):
        store.select([0]).with_indexes(0, 1)


def test_ids_come_in_windows_and_have_one_digest(tmp_path, small_limits):
    fill(tmp_path, [range(7, 12), range(7)])
    store = stores.open_store(tmp_path)
    windows = [ids.to_pylist() for ids in store.id_windows()]
    assert [len(ids) for ids in windows] == [5, 5, 2]
    assert [name for ids in windows for name in ids] == store.sample_ids == [f"s{n}" for n in range(12)]
    assert store.ids_digest() == hashlib.sha256("\0".join(store.sample_ids).encode()).hexdigest()
    assert store.select([]).ids_digest() == hashlib.sha256(b"").hexdigest()


numbers = st.lists(st.integers(0, 30), max_size=12)


@given(numbers, st.integers(1, 10**6))
def test_order_and_ties_are_those_of_a_stable_sort(drawn, stride):
    values = np.array(drawn, np.int64) * stride
    order, tied = row_index._canonical(values)
    assert order.tolist() == sorted(range(len(drawn)), key=drawn.__getitem__)
    assert sorted(tied.tolist()) == [i for i, n in enumerate(drawn) if drawn.count(n) > 1]


def test_a_sample_that_was_committed_again_is_shown_once_and_ties_of_other_samples_stay(tmp_path, small_limits):
    fill(tmp_path, [[4, 1, 2], [2, 9], [0, 4]])
    store = stores.open_store(tmp_path)
    assert store.repeated_ids == ["s2", "s4"]
    assert_holds(store, [0, 1, 2, 4, 9])
    assert [str(p).count("was committed before") for p in stores.verify(tmp_path)] == [1, 1]
