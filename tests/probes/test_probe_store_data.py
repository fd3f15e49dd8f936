"""Probes on stores: the same numbers as on arrays, whatever the order on disk."""

import json

import numpy as np
import pytest
from probe_cases import PENALTIES, fit, module, planted

from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.evaluate import predict
from lit_experiments.probes.result import report
from lit_experiments.probes.store_data import StoreDataModule
from stores import Column, Field, PartWriter, Records, Schema, create_store, open_store

SETTINGS = {"test_fraction": 0.25, "folds": 4, "split_seed": 3, "block_bytes": 4096, "shuffles": 0, "shuffle_seed": 0}
ROWS, LAYERS, HIDDEN = 120, ["embed", "mid", "top"], 12


def schema():
    fields = (
        Field("states", ("layer", "sample", "hidden"), (3, None, HIDDEN), "float32", "", "states"),
        Field("last", ("sample", "hidden"), (None, HIDDEN), "float32", "", "last state"),
        Field("losses", ("sample", "draw", "target"), (None, 2, 2), "float64", "nats", "targets"),
        Field("deep", ("sample", "layer", "draw", "target"), (None, 3, 2, 2), "float32", "", "one dim too many"),
        Field("ids", ("sample", "token"), (None, 4), "int64", "", "tokens"),
    )
    columns = (Column("document", "string", "its document"), Column("score", "float64", "sometimes missing"))
    return Schema(fields, columns, {"layer": LAYERS, "draw": [0, 1], "target": ["a", "b"]})


@pytest.fixture(params=["zarr", "hdf5"])
def stored(request, tmp_path):
    """A store whose two parts hold the rows in shuffled order, and the arrays in canonical order."""
    x, y, _ = planted(rows=ROWS, repetitions=2)
    path = tmp_path / "store"
    create_store(path, schema(), {"model": "toy"}, {}, request.param)
    order = np.random.default_rng(0).permutation(ROWS)
    for rank, part in enumerate((order[:70], order[70:])):
        with PartWriter(path, rank, flush_bytes=3000, flush_seconds=1e9, launch=f"launch{rank}") as writer:
            for rows in np.array_split(part, 5):
                writer.append(records(rows, x, y))
    return open_store(path), x, y, order


def records(rows, x, y):
    ids = [{"sample_id": f"s{i:03d}", "sample_index": int(i), "document": f"d{i // 3:02d}"} for i in rows]
    rows_with_score = [r | {"score": None if i % 50 == 0 else 1.0} for r, i in zip(ids, rows, strict=True)]
    arrays = {
        "states": np.ascontiguousarray(x[rows].swapaxes(0, 1)),
        "last": x[rows, 2],
        "losses": y[rows],
        "deep": np.zeros((len(rows), 3, 2, 2), np.float32),
        "ids": np.zeros((len(rows), 4), np.int64),
    }
    return Records(rows_with_score, arrays, {})


def losses(store, rows):
    return store.field("losses").read(rows)


def of(store, **settings):
    usual = {"features": "states", "targets": losses, "target_names": ["a", "b"], "groups": "document"}
    return StoreDataModule(store, **(usual | SETTINGS | settings))


def test_a_store_gives_the_numbers_that_its_arrays_give(stored, tmp_path):
    store, x, y, _ = stored
    groups = np.array([f"d{i // 3:02d}" for i in range(ROWS)])
    data, arrays = of(store, shuffles=2), module(x, y, groups, shuffles=2)
    here, there = fit(data, tmp_path / "a").solution, fit(arrays, tmp_path / "b").solution
    assert here.coef.numpy() == pytest.approx(there.coef.numpy(), rel=1e-9, abs=1e-12)
    assert here.layer_index.tolist() == there.layer_index.tolist()
    boot = {"resamples": 20, "level": 0.9, "seed": 0}
    ours, theirs = (report(s, predict(s, d, **boot)) for s, d in ((here, data), (there, arrays)))
    assert [r.layer for r in ours] == ["mid", "mid"]
    for a, b in zip(ours, theirs, strict=True):
        assert (a.test.r2.value, a.test.r2.low, a.test.spearman.high) == pytest.approx(
            (b.test.r2.value, b.test.r2.low, b.test.spearman.high)
        )
        assert a.shuffled.r2 == pytest.approx(b.shuffled.r2)


def test_rows_are_read_in_the_order_in_which_they_lie(stored):
    store, x, y, order = stored
    data = of(store)
    data.setup()
    assert data.order.tolist() == order.tolist()
    for block in data.blocks():
        assert np.array_equal(block.x, x[block.rows])
        assert np.array_equal(block.y, y[block.rows])


def test_the_exported_split_names_samples_and_no_document_straddles(stored):
    data = of(stored[0])
    data.setup()
    split = json.loads(json.dumps(data.split_ids()))
    assert sorted(split["train"] + split["test"]) == [f"s{i:03d}" for i in range(ROWS)]
    documents = [{int(s[1:]) // 3 for s in split[part]} for part in ("train", "test")]
    assert not documents[0] & documents[1]
    assert sorted(split["train"]) == sorted(s for f in range(4) for s in split[f"fold{f}"])


def test_layers_by_name_fields_without_layers_and_selections(stored, tmp_path):
    store, x, _, _ = stored
    some = of(store, layers=["top", "embed"])
    some.setup()
    assert np.array_equal(some.block(0).x, x[some.block(0).rows][:, [2, 0]])
    flat = of(store.select(slice(20, 80)), features="last")
    solution = fit(flat, tmp_path).solution
    assert (flat.layers, solution.coef.shape) == (["last"], (1, 2, HIDDEN))
    rows = flat.block(0).rows
    assert np.array_equal(flat.block(0).x[:, 0], x[20:80][rows, 2])


def test_checkpoints_tell_selections_apart(stored):
    store = stored[0]
    first, second = of(store.select(slice(0, 60))), of(store.select(slice(60, 120)))
    first.setup()
    second.setup()
    assert first.pass_identity()["content"] != second.pass_identity()["content"]
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"features": "deep"}, r"dims \('sample', 'layer', 'draw', 'target'\)"),
        ({"features": "ids"}, "not floats"),
        ({"layers": ["middle"]}, "no layer middle; it has embed, mid, top"),
        ({"groups": "score"}, "empty for 3 rows"),
    ],
)
def test_what_a_probe_cannot_use_is_refused(stored, settings, reason):
    with pytest.raises(ProbeError, match=reason):
        of(stored[0], **settings).setup()


def test_targets_of_another_shape_are_refused(stored):
    data = of(stored[0], targets=lambda store, rows: np.zeros((len(rows), 3)))
    data.setup()
    with pytest.raises(ProbeError, match="2 targets"):
        data.block(0)


def test_penalties_of_another_choice_need_no_second_pass(stored, tmp_path):
    probe = fit(of(stored[0]), tmp_path, also=[[PENALTIES[1]]])
    again = fit(of(stored[0]), tmp_path, [PENALTIES[1]]).solution
    assert np.array_equal(probe.solution_for([PENALTIES[1]]).coef, again.coef)
