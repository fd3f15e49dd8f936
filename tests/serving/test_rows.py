"""What the pages show of rows is what the store holds: lists, searches, numbers by token, norms, neighbours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lit_experiments.serving import nearest, rows
from lit_experiments.serving.numbers import Number, numbers_of, places
from lit_experiments.serving.probes import probes_of
from lit_experiments.serving.rows import Row, page_of, read_row
from lit_experiments.serving.runs import OpenStores, runs_in
from lit_experiments.serving.scale import scale_of
from lit_experiments.serving.site import Site
from lit_experiments.serving.states import fields_of_states, norms_by_layer
from lit_experiments.serving.strips import Strip, strips_of
from stores import Column, Field, PartWriter, Records, Schema, create_store, lock, open_store
from tests.serving.conftest import HARM, LAYERS, row_states, write_probe, write_rows


def html(folder: Path, address: str, query: str) -> str:
    answer = Site(folder).answer(address, query)
    return answer.content.decode()  # type: ignore[union-attr]


def numbers(folder: Path, row: int) -> dict[str, Number]:
    read = read_row(open_store(folder / "plain/store"), row)
    return {number.label: number for number in numbers_of(read, strips_of(read)[0], probes_of(folder / "plain")[0])}


def test_a_list_has_fifty_rows_and_says_which(folder: Path) -> None:
    store = open_store(folder / "plain/store")
    assert [line.sample_id for line in page_of(store, 100, "").lines] == [f"row-{i}" for i in range(100, 120)]
    assert "Rows 51 to 100 of 120." in html(folder, "/rows", "run=plain&start=50")
    assert page_of(store, 10**9, "").lines == []


def test_a_search_looks_at_ids_and_texts_and_goes_on_where_it_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(folder / "plain/store")
    assert [line.number for line in page_of(store, 0, "ROW-11").lines] == list(range(110, 120))
    waters = [i for i in range(120) if i % 4 >= 2]
    first = page_of(store, 0, "waters")
    assert [line.number for line in first.lines] == waters[:50]
    assert [line.number for line in page_of(store, first.after, "waters").lines] == waters[50:]
    monkeypatch.setattr(rows, "MOST_SEARCHED", 60)
    assert (page_of(store, 0, "row-110").after, page_of(store, 60, "row-110").lines[0].number) == (60, 110)
    assert "Searched rows 1 to 60 of 120." in html(folder, "/rows", "run=plain&words=row-110")
    assert page_of(store, 0, "(").lines == []


def test_numbers_by_token_are_stored_ones_norms_and_what_probes_say(folder: Path) -> None:
    known, states = numbers(folder, 7), row_states(7)
    assert list(known) == ["surprisal (nats)", "norm of resid_post", "linear_probes/length"]
    np.testing.assert_array_equal(known["surprisal (nats)"].compute(""), states[0, :, 0])
    norm, probe = known["norm of resid_post"], known["linear_probes/length"]
    assert norm.layers == probe.layers == tuple(LAYERS)
    for place, layer in enumerate(LAYERS):
        np.testing.assert_allclose(norm.compute(layer), np.linalg.norm(states[place], axis=1), rtol=1e-6)
        weights = np.random.default_rng(place).normal(size=(1, states.shape[2]))
        np.testing.assert_allclose(probe.compute(layer), states[place] @ weights[0] + 0.5, rtol=1e-6)
    assert probe.note.endswith("The training chose resid_post.1.")


def test_a_probe_that_is_trained_again_is_read_again_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    run = tmp_path / "run"
    write_rows(run / "store", 0, 1)
    write_probe(run / "task/length", LAYERS[0], 3)
    (before,), _ = probes_of(run)
    probe = write_probe(run / "task/length", LAYERS[0], 4)
    (after,), _ = probes_of(run)
    states = row_states(0)[0].astype(np.float64)
    np.testing.assert_allclose(after.says(LAYERS[0], "length", states), states @ probe.weights[0] + 0.5)
    assert not np.allclose(before.says(LAYERS[0], "length", states), after.says(LAYERS[0], "length", states))
    (run / "task/length/probe.safetensors").write_bytes(b"damaged")
    (run / "task/length/probe.json").touch()
    probes, problems = probes_of(run)
    assert (probes, len(problems)) == ([], 1)
    assert html(tmp_path, "/row", "run=run&row=1").count("probe.safetensors") == 1


def test_entries_belong_to_the_tokens_that_the_columns_name(folder: Path) -> None:
    row = read_row(open_store(folder / "plain/store"), 3)  # of 5 tokens
    strip = Strip("ids", "read", ["a"] * 5, read=True)
    field = row.part.schema.field("resid_post")
    longer = replace(strip, pieces=["a"] * 9)
    assert places(row, strip, field).tolist() == [0, 1, 2, 3, 4]  # type: ignore[union-attr]
    assert places(row, longer, field) is None
    at = {"positions": [0, 2, 4, 6, 8]}
    assert places(Row(row.part, 3, {**row.columns, **at}), longer, field).tolist() == at["positions"]  # type: ignore[union-attr]
    assert places(Row(row.part, 3, {**row.columns, "positions": [0, 2, 4, 6, 9]}), longer, field) is None
    later = Row(row.part, 3, {**row.columns, "first_state": 4})
    assert places(later, longer, field).tolist() == [4, 5, 6, 7, 8]  # type: ignore[union-attr]
    assert places(row, replace(strip, read=False), field) is None
    assert places(row, replace(strip, draw=0), field) is None
    assert places(row, strip, row.part.schema.field("pooled")) is None


def test_norms_by_layer_are_those_of_the_row(folder: Path) -> None:
    row = read_row(open_store(folder / "plain/store"), 6)
    states, pooled = fields_of_states(row.part)
    norms, expected = norms_by_layer(row, states), np.linalg.norm(row_states(6), axis=2)
    for value, of_layer in zip(norms.ranges, expected, strict=True):
        assert (value.low, value.high, value.middle) == pytest.approx(
            (of_layer.min(), of_layer.max(), of_layer.mean()), rel=1e-6
        )
    assert (norms.entries, norms.of, norms_by_layer(row, pooled).of) == (4, 4, 1)


@pytest.mark.parametrize(("field", "block"), [("resid_post", 200), ("pooled", 64), ("pooled", 1 << 20)])
def test_nearest_rows_are_those_of_all_rows_at_once(
    folder: Path, field: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "BLOCK_BYTES", block)
    store = open_store(folder / "plain/store")
    (declared,) = [f for f in fields_of_states(store) if f.name == field]
    layer = declared.layers[-1]
    vectors = [row_states(i)[-1][-1] if field == "resid_post" else row_states(i)[-1].mean(0) for i in range(120)]
    unit = np.array([v / np.linalg.norm(v) for v in np.float64(vectors)])
    cosines = unit @ unit[5]
    cosines[5] = -2
    result = nearest.nearest_rows(store, 5, declared, layer, seconds=1e9)
    assert result is not None
    assert [n.row for n in result.neighbours] == np.argsort(-cosines)[: nearest.MOST].tolist()
    np.testing.assert_allclose([n.cosine for n in result.neighbours], np.sort(cosines)[::-1][: nearest.MOST], rtol=1e-5)
    assert (result.searched, result.without, result.of) == (119, 0, 119)


def test_a_search_whose_time_is_up_says_how_many_rows_it_saw(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "BLOCK_BYTES", 160)
    monkeypatch.setattr("lit_experiments.serving.nearest_part.SECONDS", -1.0)
    text = html(folder, "/row", "run=plain&row=1&near=1&field=pooled")
    assert "9 of 119 other rows were searched; after -1 seconds the search ended" in text


def test_a_store_that_grows_is_shown_as_it_is_now(tmp_path: Path) -> None:
    write_rows(tmp_path / "run/store", 0, 2)
    site, stores = Site(tmp_path), OpenStores()
    assert len(stores.get(tmp_path / "run/store")) == 2
    assert b"of 2." in site.answer("/rows", "run=run").content  # type: ignore[union-attr]
    write_rows(tmp_path / "run/store", 2, 5)
    assert len(stores.get(tmp_path / "run/store")) == 5
    assert b"of 5." in site.answer("/rows", "run=run").content  # type: ignore[union-attr]


def test_a_run_that_is_being_collected_is_said_to_be(tmp_path: Path) -> None:
    write_rows(tmp_path / "run/store", 0, 2)
    assert "is being collected" not in html(tmp_path, "/rows", "run=run")
    with lock.exclusive(tmp_path / "run/store", 0):
        assert "is being collected" in html(tmp_path, "/rows", "run=run")
        assert "is being collected" in html(tmp_path, "/row", "run=run&row=1")


def test_stores_without_rows_tokens_or_states_say_so(tmp_path: Path) -> None:
    schema = Schema((Field("score", ("sample",), (None,), "float64", "", ""),), (Column("note", "string", ""),))
    create_store(tmp_path / "own", schema, {}, {}, "zarr")
    assert "No row has been committed yet." in html(tmp_path, "/rows", "run=own")
    with PartWriter(tmp_path / "own", 0, 1, 1e9) as writer:
        writer.append(Records([{"sample_id": "a", "sample_index": 0, "note": HARM}], {"score": np.array([1.0])}))
    text = html(tmp_path, "/row", "run=own&row=1")
    assert "This row holds no tokens" in text
    assert "This store holds no hidden states" in text
    assert "score (sample)" in text
    assert "Nearest rows" not in text


def test_a_damaged_store_is_named_and_the_others_still_work(tmp_path: Path) -> None:
    for name in ("good", "bad"):
        write_rows(tmp_path / name / "store", 0, 2)
    rows_file = sorted((tmp_path / "bad/store").rglob("rows-*.parquet"))[0]
    rows_file.write_bytes(b"damaged")
    index = html(tmp_path, "/", "")
    assert "good" in index
    assert rows_file.name in index
    assert set(runs_in(tmp_path)) == {"good", "bad"}


def test_colours_run_from_zero_or_over_the_row_or_between_bounds() -> None:
    nothing = np.full(3, np.nan)
    assert scale_of(nothing, None) is None
    signed = scale_of(np.array([-2.0, 0.0, 1.0, np.nan]), None)
    assert signed is not None
    np.testing.assert_array_equal(signed.strengths, [-1, 0, 1, np.nan])
    assert (signed.low, signed.high, signed.kind) == ("-1.00", "1.00", "both")
    norms = scale_of(np.array([900.0, *np.linspace(10, 12, 30)]), None)
    assert norms is not None
    assert (norms.strengths[0], norms.strengths[1], norms.strengths[-1]) == (1, 0, 1)
    probability = scale_of(np.array([0.25, 1.0]), (0.0, 1.0))
    assert probability is not None
    assert (probability.strengths.tolist(), probability.kind) == ([0.25, 1.0], "up")
    log_probs = scale_of(np.array([-2.0, -0.5, 0.0]), None)
    assert log_probs is not None
    assert (log_probs.low, log_probs.high, log_probs.kind) == ("-0.500", "0", "down")
