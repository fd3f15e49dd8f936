"""Selecting: rows by filter, mask and number; entries by position and slice; blocks in storage order."""

import pickle

import numpy as np
import pyarrow.compute as pc
import pytest

import stores

from .samples import assert_rows, create, length, records, row, values, write

N = 30


@pytest.fixture
def store(place):
    create(place.path, place.backend)
    order = np.random.default_rng(3).permutation(N)
    write(place.path, [order[:7], order[7:11]], rank=0, flush_bytes=1)
    write(place.path, [order[11:]], rank=1)
    return stores.open_store(place.path)


@pytest.fixture
def whole():
    return np.concatenate([values(i)["resid_post"] for i in range(N)], axis=1)


def test_filters_on_columns(store):
    few = store.table(["sample_index", "text"], filter=(pc.field("count") >= 10) & (pc.field("right")))
    assert few["sample_index"].to_pylist() == [i for i in range(N) if i * 2 >= 10 and i % 2 == 0]
    assert_rows(store.select(pc.field("score").is_null()), range(0, N, 5))
    assert_rows(store.select(pc.field("text") == "text 4 é"), [4])


def test_selections_nest_and_keep_the_order_given(store):
    mask = np.arange(N) % 3 == 0
    part = store.select(mask).select([4, 1])
    assert part.sample_ids == ["sample-12", "sample-3"]
    np.testing.assert_array_equal(part["start"].read(), np.stack([values(12)["start"], values(3)["start"]], axis=1))
    assert part.select(slice(1, None)).sample_ids == ["sample-3"]
    assert [r["sample_id"] for r in part.iter_rows()] == part.sample_ids


def test_pandas_has_json_decoded(store):
    frame = store.to_pandas()
    assert frame["options"][3] == row(3)["options"]
    assert list(frame["sample_index"]) == list(range(N))


@pytest.mark.parametrize("values", [[None, None], [None, {"a": 1}], [[1, 2], None]])
def test_pandas_has_none_where_json_is_missing(tmp_path, values):
    schema = stores.Schema((), (stores.Column("options", "json", "anything"),))
    stores.create_store(tmp_path / "s", schema, {}, {}, "zarr")
    with stores.PartWriter(tmp_path / "s", 0, 10**9, 60) as writer:
        rows = [{"sample_id": str(i), "sample_index": i, "options": value} for i, value in enumerate(values)]
        writer.append(stores.Records(rows, {}))
    assert list(stores.open_store(tmp_path / "s").to_pandas()["options"]) == values


def test_reading_rows_and_places(store, whole):
    view = store["resid_post"]
    lengths = [length(i) for i in range(N)]
    assert view.lengths().tolist() == lengths
    assert view.lengths([3, 1]).tolist() == [length(3), length(1)]
    assert view.shape == (3, sum(lengths), 8)
    np.testing.assert_array_equal(view.read(), whole)
    np.testing.assert_array_equal(view.read(rows=[4], layer=1), values(4)["resid_post"][1])
    np.testing.assert_array_equal(view.read(rows=slice(2, 5), layer=[0, 2], hidden=3), whole[
        [0, 2], sum(lengths[:2]) : sum(lengths[:5]), 3
    ])  # fmt: skip
    backwards = np.concatenate([values(i)["resid_post"] for i in range(N - 1, -1, -1)], axis=1)
    np.testing.assert_array_equal(view.read(np.arange(N)[::-1]), backwards)


def test_gather_by_position(store, whole):
    rng = np.random.default_rng(0)
    at = rng.integers(0, whole.shape[1], 50)
    np.testing.assert_array_equal(store["resid_post"].gather(at), whole[:, at])
    np.testing.assert_array_equal(store["resid_post"].gather(at, layer=2, hidden=[7, 0]), whole[2, at][:, [7, 0]])
    assert store["resid_post"].gather([]).shape == (3, 0, 8)


@pytest.mark.parametrize(
    "key",
    [0, -1, slice(1, 3), (0, 5), (0, slice(4, 9)), (slice(None), slice(None, None, 3), slice(2, 5)), (..., 3),
     (1, ..., -1), ([2, 0], slice(3, 8)), (slice(None), slice(None, None, -1)), (1, slice(50, 10), 0)],
)  # fmt: skip
def test_slices_as_in_numpy(store, whole, key):
    np.testing.assert_array_equal(store["resid_post"][key], whole[key])


def test_int_arrays_on_two_axes_select_independently(store, whole):
    np.testing.assert_array_equal(store["resid_post"][[2, 0], [3, 9, 3]], whole[[2, 0]][:, [3, 9, 3]])


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda s: s["resid_pots"], "did you mean 'resid_post'"),
        (lambda s: s["resid_post"].read(layers=1), "did you mean 'layer'"),
        (lambda s: s["resid_post"].read(token=1), "use rows= or gather"),
        (lambda s: s["resid_post"].read(layer=3), "outside 0..2"),
        (lambda s: s["resid_post"].read(rows=[N]), "outside 0..29"),
        (lambda s: s["resid_post"].gather([10_000]), "outside"),
        (lambda s: s["resid_post"].gather([0.5]), "integer array"),
        (lambda s: s["resid_post"][0, 0, 0, 0], "too many"),
        (lambda s: s.select(np.ones(3, bool)), "A mask of 3 for 30"),
        (lambda s: s.table(["texts"]), "did you mean 'text'"),
        (lambda s: s["start"].exponents(), "only float16"),
    ],
)
def test_selecting_what_is_not_there_is_an_error(store, read, message):
    with pytest.raises(stores.StoreError, match=message) as caught:
        read(store)
    assert caught.value.exit_code == 2


def test_blocks_cover_all_rows_once_within_the_limit(store, whole):
    view, seen = store["resid_post"], []
    ends = np.cumsum(view.lengths())
    for rows, block, lengths in view.iter_blocks(max_bytes=600, layer=1):
        assert block.nbytes <= 600 or len(rows) == 1
        expected = [whole[1, ends[r] - n : ends[r]] for r, n in zip(rows, lengths, strict=True)]
        np.testing.assert_array_equal(block, np.concatenate(expected))
        seen += rows.tolist()
    assert sorted(seen) == list(range(N))
    assert seen != sorted(seen)  # storage order, not sample order


def test_blocks_of_chosen_rows(store):
    rows = np.concatenate([r for r, _, _ in store["start"].iter_blocks(10**6, rows=[5, 2])])
    assert sorted(rows.tolist()) == [2, 5]


def test_the_first_of_two_commits_of_a_sample_is_shown_and_verify_says_so(place):
    create(place.path, place.backend)
    first = records([1, 2])
    second = records([2, 3])
    second.arrays["start"] = second.arrays["start"] + 1
    for rank, batch in enumerate([first, second]):
        with stores.PartWriter(place.path, rank, 1, 1e9, launch="same") as writer:
            writer.append(batch)
    store = stores.open_store(place.path)
    assert_rows(store.select([0, 1]), [1, 2])
    assert store.sample_ids == ["sample-1", "sample-2", "sample-3"]
    assert store.repeated_ids == ["sample-2"]
    problems = stores.verify(place.path)
    assert len(problems) == 1
    assert "sample-2" in problems[0].what
    assert "same-r001" in problems[0].path


def test_a_store_survives_pickling(store, whole, place):
    if place.path.startswith("memory:"):
        pytest.skip("an in-memory object store is not shared")
    again = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(again["resid_post"].read(layer=0), whole[0])


def test_inspect_counts(store, place):
    summary = stores.inspect(place.path)
    assert summary["rows"] == N
    assert summary["commits"] == 3
    assert sum(p["rows"] for p in summary["parts"].values()) == N
    assert summary["orphan_bytes"] == 0
    tokens = sum(length(i) for i in range(N))
    assert summary["fields"]["resid_post"]["payload_bytes"] == tokens * 3 * 8 * 2
    assert summary["fields"]["resid_post"]["shape"] == [3, tokens, 8]
