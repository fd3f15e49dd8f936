"""`lit-experiments score`: what a saved probe says of texts equals what it says of their stored states."""

import csv
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

import stores
from lit_experiments.cli import main, score_verb
from lit_experiments.experiments.activations.scores.table import FORMATS
from lit_experiments.lm.info import read_info
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.probes.class_probe import ClassProbe, save_class_probe
from lit_experiments.probes.linear import LinearProbe
from lit_experiments.probes.save import save_probe
from tests.experiments.activations.conftest import collect, jsonl, states_of

LAYER = "resid_post.1"
TEXTS = [{"text": f"{'ab' * n} text", "kind": "odd" if n % 2 else "even", "score": n} for n in range(1, 12)]


@pytest.fixture(scope="module")
def probes(llama, tmp_path_factory):
    """A linear probe, and classifiers of two and of three classes, of random numbers; with the run they lie in."""
    run = tmp_path_factory.mktemp("runs") / "training"
    assert collect(run, texts=jsonl(run.parent / "t.jsonl", TEXTS), model=llama, sites=LAYER, positions="all") == 0
    model = read_info(ModelSpec(str(llama), None, None, "float32", "auto")).fingerprint()
    random = np.random.default_rng(0)
    weights, mean, scale = random.standard_normal((3, 32)), random.standard_normal(32), random.uniform(0.5, 2, 32)
    linear = (weights[:1], mean[None], scale[None], np.array([0.3]), np.ones(1))
    saved = {"linear": LinearProbe(("length",), (LAYER,), *linear, {"model": model}, 11, {"positions": "mean"})}
    save_probe(saved["linear"], run / "linear")
    for name, classes in (("two", ("even", "odd")), ("three", ("a", "b", "c"))):
        arrays = (0.3 * weights[: len(classes)], mean, scale, random.standard_normal(len(classes)))
        saved[name] = ClassProbe(classes, LAYER, *arrays, 0.1, model, {}, 11, {})
        save_class_probe(saved[name], run / name)
    return run, saved


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    return jsonl(tmp_path_factory.mktemp("texts") / "new.jsonl", TEXTS)


def score(probe, texts, out, *words):
    return main(["score", str(probe), "--texts", str(texts), "--out", str(out), "--accelerator", "cpu", *words])


def test_scores_are_what_the_probe_says_of_stored_states(probes, texts, tmp_path):
    """The model is the one that the run of the probe names; the position, the one in the probe's notes."""
    run, saved = probes
    states = [row[0] for row in states_of(run, "hidden_all")]
    assert score(run / "linear", texts, tmp_path / "l.parquet") == 0
    table = pq.read_table(tmp_path / "l.parquet").to_pylist()
    assert [row["text"] for row in table] == [record["text"] for record in TEXTS]
    assert [row["user_score"] for row in table] == [record["score"] for record in TEXTS]
    for row, of_text in zip(table, states, strict=True):
        expected = saved["linear"].predict(of_text, "length")
        rounding = np.abs(of_text) @ np.abs(saved["linear"].weights / saved["linear"].scale)[0] * 2**-11  # of float16
        assert (np.abs(row["token_scores"] - expected) <= rounding).all()
        assert row["score"] == pytest.approx(np.mean(row["token_scores"]))
        assert (row["scored_class"], row["prediction"], row["probabilities"]) == ("length", None, None)
        assert "".join(row["tokens"]) == row["text"]


@pytest.mark.parametrize("position", ["last", "first", "max"])
def test_probabilities_at_any_position(probes, texts, tmp_path, position):
    run, saved = probes
    states = [row[0].astype(np.float64) for row in states_of(run, "hidden_all")]
    pooled = {"last": [s[-1] for s in states], "first": [s[0] for s in states], "max": [s.max(0) for s in states]}
    expected = saved["three"].predict_proba(np.stack(pooled[position]))
    assert score(run / "three", texts, tmp_path / "c.jsonl", "--positions", position) == 0
    rows = [json.loads(line) for line in (tmp_path / "c.jsonl").read_text().splitlines()]
    assert np.allclose([row["probabilities"] for row in rows], expected, atol=2e-3)
    for row in rows:
        assert row["scored_class"] == row["prediction"] == "abc"[int(np.argmax(row["probabilities"]))]
        assert row["score"] == max(row["probabilities"])
    if position == "last":
        assert all(row["token_scores"][-1] == pytest.approx(row["score"]) for row in rows)


def test_a_class_by_name_and_tables_of_all_kinds(probes, texts, tmp_path):
    run, _ = probes
    assert score_verb.FORMATS == FORMATS
    assert score(run / "two", texts, tmp_path / "o.csv") == 0
    assert score(run / "two", texts, tmp_path / "e.parquet", "--class", "even", "--template", "{text}") == 0
    with (tmp_path / "o.csv").open(newline="") as file:
        odd = list(csv.DictReader(file))
    even = pq.read_table(tmp_path / "e.parquet").to_pylist()
    assert {row["scored_class"] for row in odd} == {"odd"}
    for one, other in zip(odd, even, strict=True):
        assert float(one["score"]) + other["score"] == pytest.approx(1)
        assert np.allclose(np.add(json.loads(one["token_scores"]), other["token_scores"]), 1)
    page = (tmp_path / "o.csv.run" / "report.html").read_text(encoding="utf-8")
    assert all(title in page for title in ("The first texts", "Lowest scores", "Highest scores"))


def test_a_resumed_run_scores_every_text_once(probes, texts, tmp_path):
    run, _ = probes
    assert score(run / "two", texts, tmp_path / "whole.parquet", "--batch_size", "4") == 0
    for limit in ("3", "7"):
        assert score(run / "two", texts, tmp_path / "parts.parquet", "--limit", limit, "--batch_size", "1") == 0
        assert len(pq.read_table(tmp_path / "parts.parquet")) == int(limit)
    assert score(run / "two", texts, tmp_path / "parts.parquet") == 0
    whole, parts = (pq.read_table(tmp_path / f"{name}.parquet").to_pylist() for name in ("whole", "parts"))
    assert [row["sample_id"] for row in parts] == [row["sample_id"] for row in whole]
    assert np.allclose([row["score"] for row in parts], [row["score"] for row in whole], atol=1e-6)
    assert len(stores.open_store(tmp_path / "parts.parquet.run" / "store").repeated_ids) == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--out", "scores.xlsx"], "suffix"),
        (["--out", "nowhere/scores.csv"], "folder"),
        (["--class", "fish"], 'no class "fish"'),
        (["--positions", "middle"], "--positions"),
        (["--text_column", "nothing"], "nothing"),
        (["--model", "embedded"], "32 numbers"),
        (["--run", "elsewhere"], "no option of score"),
        (["--texts", "missing.jsonl"], "--texts"),
        (["--nonsense", "1"], "Unknown option"),
        (["--devices", "99"], "--devices"),
    ],
)
def test_a_mistake_gets_one_message_and_makes_nothing(probes, texts, tmp_path, capsys, monkeypatch, words, expected):
    run, _ = probes
    monkeypatch.chdir(tmp_path)
    assert score(run / "two", texts, "scores.parquet", *words) == 2
    assert expected in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_another_model_a_file_of_the_users_and_a_probe_without_a_model(probes, texts, tmp_path, capsys, llama):
    from tests.toys import random_llama

    run, saved = probes
    other = random_llama(tmp_path / "other", seed=6, window=64)
    assert score(run / "two", texts, tmp_path / "a.csv", "--model", str(other)) == 2
    assert "another model" in capsys.readouterr().err
    (tmp_path / "mine.csv").write_text("precious")
    assert score(run / "two", texts, tmp_path / "mine.csv") == 2
    assert (tmp_path / "mine.csv").read_text() == "precious"
    capsys.readouterr()
    save_class_probe(saved["two"], tmp_path / "loose")
    assert score(tmp_path / "loose", texts, tmp_path / "b.csv") == 2
    assert "--model NAME" in capsys.readouterr().err
    assert score(tmp_path / "loose", texts, tmp_path / "b.csv", "--model", str(llama)) == 0
    assert main(["score", "--texts", str(texts), "--out", "x.csv"]) == 2
    assert main(["score", str(run), "--texts", str(texts), "--out", str(tmp_path / "c.csv")]) == 2
    assert str(run / "two") in capsys.readouterr().err
