"""Entries of a ragged field as examples: the same numbers as reading everything and indexing with numpy."""

import numpy as np
import pytest
from logistic_cases import fit_classes
from probe_cases import fit, module

from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.examples import Examples, all_entries, last_entries
from lit_experiments.probes.store_data import StoreDataModule
from stores import Column, Field, PartWriter, Records, Schema, create_store, open_store

SETTINGS = {"test_fraction": 0.25, "folds": 4, "split_seed": 3, "block_bytes": 1000, "shuffles": 1, "shuffle_seed": 0}
ROWS, LAYERS, HIDDEN = 60, ["embed", "mid", "top"], 6
LAYOUTS = {
    "layer first": ("states", ("layer", "token", "hidden"), "float16"),
    "token first": ("tokens", ("token", "layer", "hidden"), "float32"),
    "no layer": ("flat", ("token", "hidden"), "float32"),
}
LENGTHS = np.array([1 + (7 * i + 3) % 5 for i in range(ROWS)])
STARTS = np.cumsum(LENGTHS) - LENGTHS


def schema():
    shapes = {"layer": len(LAYERS), "token": None, "hidden": HIDDEN}
    fields = tuple(
        Field(name, dims, tuple(shapes[d] for d in dims), dtype, "", "states") for name, dims, dtype in LAYOUTS.values()
    )
    return Schema(fields, (Column("question", "string", "its question"),), {"layer": LAYERS})


def everything():
    """[entry, layer, hidden] of all rows in canonical order; some values that float16 holds with an exponent only."""
    values = np.random.default_rng(0).integers(-500, 500, (LENGTHS.sum(), len(LAYERS), HIDDEN)).astype(np.float32)
    values[::7] *= 1024
    return values


@pytest.fixture(params=["zarr", "hdf5"])
def stored(request, tmp_path):
    """A store whose two parts hold the rows in shuffled order, in several segments."""
    path = tmp_path / "store"
    create_store(path, schema(), {"model": "toy"}, {}, request.param)
    order = np.random.default_rng(0).permutation(ROWS)
    for rank, part in enumerate((order[:25], order[25:])):
        with PartWriter(path, rank, flush_bytes=3000, flush_seconds=1e9, launch=f"launch{rank}") as writer:
            for rows in np.array_split(part, 4):
                writer.append(records(rows))
    return open_store(path), order


def records(rows):
    values = np.concatenate([everything()[STARTS[i] : STARTS[i] + LENGTHS[i]] for i in rows])
    ids = [{"sample_id": f"s{i:03d}", "sample_index": int(i), "question": f"q{i // 3:02d}"} for i in rows]
    scale = np.where(np.abs(values).max(-1) > 6e4, 4, 0).astype(np.int8)
    arrays = {
        "states": np.ascontiguousarray((values / 2.0 ** scale[..., None]).astype(np.float16).swapaxes(0, 1)),
        "tokens": values,
        "flat": np.ascontiguousarray(values[:, 2]),
    }
    return Records(ids, arrays, {"token": LENGTHS[rows]}, {"states": np.ascontiguousarray(scale.T)})


def labels(rows, entry):
    """Two targets of an entry that its "mid" layer tells, but for a little."""
    x = everything()[STARTS[rows] + entry, 1]
    return np.stack([x[:, 0] + 0.1 * x[:, 1], x.sum(1) + entry], -1)


def of(store, examples, features="states", **settings):
    usual = {
        "features": features,
        "targets": lambda _, numbers: labels(examples.row[numbers], examples.entry[numbers]),
        "target_names": ["a", "b"],
        "groups": "question",
    }
    return StoreDataModule(store, examples=examples, **(usual | SETTINGS | settings))


def dense(examples, name="layer first"):
    x = everything()[STARTS[examples.row] + examples.entry]
    return x[:, [2]] if name == "no layer" else x


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("choose", [last_entries, all_entries])
def test_blocks_are_what_indexing_with_numpy_gives(stored, name, choose):
    store, order = stored
    field = LAYOUTS[name][0]
    examples = choose(store, field)
    data = of(store, examples, field)
    data.setup()
    assert len(data.plan) > 1
    seen = []
    for block in data.blocks():
        assert np.array_equal(block.x, dense(examples, name)[block.rows])
        assert np.array_equal(block.y[:, 0, :2], labels(examples.row[block.rows], examples.entry[block.rows]))
        seen += block.rows.tolist()
    assert sorted(seen) == list(range(len(examples)))
    lies = [(int(np.flatnonzero(order == examples.row[n])[0]), int(examples.entry[n])) for n in seen]
    assert lies == sorted(lies), "blocks run in the order in which entries lie on disk"


def test_the_last_entry_and_the_ones_before(stored):
    store, _ = stored
    assert last_entries(store, "states").entry.tolist() == (LENGTHS - 1).tolist()
    some = store.select(LENGTHS >= 2)
    second = last_entries(some, "states", back=2)
    data = of(some, second, targets=lambda _, numbers: np.zeros((len(numbers), 2)))
    data.setup()
    rows = np.flatnonzero(LENGTHS >= 2)
    expected = everything()[STARTS[rows] + LENGTHS[rows] - 2]
    for block in data.blocks():
        assert np.array_equal(block.x, expected[block.rows])


@pytest.mark.parametrize("name", LAYOUTS)
def test_ridge_on_entries_is_ridge_on_the_dense_matrix(stored, tmp_path, name):
    store, _ = stored
    field = LAYOUTS[name][0]
    examples = all_entries(store, field)
    groups = np.array([f"q{i // 3:02d}" for i in examples.row])
    here = fit(of(store, examples, field), tmp_path / "a").solution
    there = module(dense(examples, name), labels(examples.row, examples.entry), groups, shuffles=1)
    other = fit(there, tmp_path / "b").solution
    assert here.coef.numpy() == pytest.approx(other.coef.numpy(), rel=1e-8, abs=1e-9)
    assert here.penalty_index.tolist() == other.penalty_index.tolist()


def test_classes_of_entries_with_groups_of_their_own(stored, tmp_path):
    """Several labelled words per row, some entries without a label, split by the word instead of the row."""
    store, _ = stored
    examples = all_entries(store, "tokens")
    x = everything()[STARTS[examples.row] + examples.entry]
    codes = (x[:, 0, 0] + 0.3 * x[:, 0, 1] > 0).astype(float)
    codes[::11] = np.nan
    words = np.arange(len(examples)) // 4
    settings = {"targets": lambda _, n: codes[n][:, None], "target_names": ["tag"], "groups": words, "shuffles": 0}
    data, other = of(store, examples, "tokens", **settings), module(x, codes, words)
    # Both close to the optimum, for they come to it by other roundings.
    here = fit_classes(data, tmp_path / "a", [1e-3, 1e-1], 2, tolerance=1e-13).solution
    there = fit_classes(other, tmp_path / "b", [1e-3, 1e-1], 2, tolerance=1e-13).solution
    assert here.coef.numpy() == pytest.approx(there.coef.numpy(), rel=1e-4, abs=1e-5)
    split = data.split_ids()
    assert split["train"][0] == f"s{examples.row[data.fold >= 0][0]:03d}[{examples.entry[data.fold >= 0][0]}]"
    in_test = {words[i] for i in np.flatnonzero(data.fold < 0)}
    assert not in_test & {words[i] for i in np.flatnonzero(data.fold >= 0)}


def test_a_half_done_pass_over_other_entries_is_not_taken_up(stored):
    store, _ = stored
    chosen = all_entries(store, "states")
    first = of(store, chosen)
    moved = Examples(chosen.name, chosen.row, np.zeros_like(chosen.entry))
    second = of(store, moved)
    first.setup()
    second.setup()
    assert first.pass_identity()["content"] != second.pass_identity()["content"]
    assert first.fingerprint == {**second.fingerprint, "examples": "every entry"}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda s: last_entries(s, "states", back=2), r"no entry 2 from the end .* in 12 rows"),
        (lambda s: last_entries(s, "states", back=0), "1 is the last"),
        (lambda s: of(s, Examples("x", np.array([0, 60]), np.array([0, 0]))).setup(), "Example 1 is of row 60"),
        (lambda s: of(s, Examples("x", np.array([0]), np.array([9]))).setup(), "entry 9 of row 0, which has 4"),
        (lambda s: Examples("x", np.array([0.0]), np.array([0])), "int64"),
        (lambda s: of(s, last_entries(s, "states"), groups=np.arange(3)).setup(), "3 groups for 60 rows"),
        (lambda s: of(s, None).setup(), "many token entries per row"),
    ],
)
def test_what_is_not_there_is_refused(stored, make, reason):
    with pytest.raises(ProbeError, match=reason):
        make(stored[0])
