"""Planted truths: a feature is found at its layer and not before; copies, pairs and surfaces are not taken for more."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lit_experiments.claims.rule import LEAKED, SUPPORTED, SURFACE_EXPLAINED
from lit_experiments.errors import EXIT_DONE
from tests.experiments.linear_probes.written import (
    LAYERS,
    declare,
    planted,
    random_texts,
    result_of,
    target_of,
    train,
    write_store,
)

ROWS = 300


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class and a number that grow along one direction from layer 1 on; a tenth of the labels is missing."""
    folder = tmp_path_factory.mktemp("planted") / "run"
    rng = np.random.default_rng(0)
    feature = rng.normal(size=ROWS)
    missing = rng.random(ROWS) < 0.1
    kind = [None if gone else ("high" if value > 0 else "low") for value, gone in zip(feature, missing, strict=True)]
    columns = {"text": random_texts(rng, ROWS), "kind": kind, "size": (2 * feature).tolist()}
    write_store(folder, planted(rng, 3 * feature), columns, {"text": "string", "kind": "string", "size": "float64"})
    declare(folder, label_columns=["kind", "size"])
    assert train(folder) == EXIT_DONE
    return folder


@pytest.mark.parametrize("name", ["kind", "size"])
def test_a_feature_is_found_at_its_layer_and_not_before(run: Path, name: str) -> None:
    target = target_of(run, name)
    before, second, third = target.curves[0].layers
    assert target.verdict.word == SUPPORTED
    assert target.layer != LAYERS[0]
    assert before.score.side_of(target.chance) <= 0
    assert before.p > 0.05
    assert second.p == target.p_targets == pytest.approx(1 / 100)  # of 2 targets x 3 layers: as small as 99 allow
    assert min(second.score.value, third.score.value) > 0.6
    assert target.shuffled.p == pytest.approx(1 / 20)


def test_missing_labels_are_left_out_and_counted_per_target(run: Path) -> None:
    kind, size = target_of(run, "kind"), target_of(run, "size")
    assert size.missing == 0
    assert kind.missing > 10
    assert kind.rows == ROWS - kind.missing
    assert size.rows == ROWS


def test_kinds_of_targets_are_inferred(run: Path) -> None:
    kind, size = target_of(run, "kind"), target_of(run, "size")
    assert (kind.kind, kind.method, kind.classes) == ("class", "logistic", ["high", "low"])
    assert (size.kind, size.method) == ("number", "ridge")


def test_predictions_are_those_that_are_scored(run: Path) -> None:
    table = pq.read_table(run / "linear_probes" / "predictions.parquet").to_pandas()
    kind = table[(table["target"] == "kind") & (table["part"] == "test")]
    target = target_of(run, "kind")
    assert target.probabilities is not None
    assert len(kind) == target.test_rows
    assert (kind["true"] == kind["predicted"]).mean() == pytest.approx(target.probabilities.accuracy.value)


def test_a_thousand_duplicates_give_an_honest_score(tmp_path: Path) -> None:
    """Noise labels of 60 texts with 20 copies each: states tell the text, and so the label of every copy."""
    rng = np.random.default_rng(1)
    texts, labels = random_texts(rng, 60), rng.integers(0, 2, 60)
    number = np.tile(np.arange(60), 20)
    states = rng.normal(size=(3, 60, 8)).astype(np.float32)[:, number]
    columns = {"text": [texts[i] for i in number], "kind": [f"c{labels[i]}" for i in number]}
    write_store(tmp_path / "r", states, columns, {"text": "string", "kind": "string"})
    assert train(tmp_path / "r", "--target", "kind") == EXIT_DONE
    honest, split = target_of(tmp_path / "r", "kind"), result_of(tmp_path / "r").split
    assert (split.groups, split.largest_group, split.copies) == (60, 20, 1140)
    assert split.neighbours == 0
    assert split.twins_by_row > 300
    assert honest.verdict.word != SUPPORTED
    assert train(tmp_path / "r", "--target", "kind", "--group_by", "id") == EXIT_DONE
    leaky = target_of(tmp_path / "r", "kind")
    assert result_of(tmp_path / "r").split.neighbours == leaky.test_rows
    assert leaky.verdict.word != SUPPORTED or leaky.apart is None


def test_a_score_that_rests_on_copies_is_said_to_be_leaked(tmp_path: Path) -> None:
    """Half of the texts are copied, with states that tell their noise label; the other half's tell nothing."""
    rng = np.random.default_rng(2)
    count, copies = 60, 8
    texts = random_texts(rng, count + 200)
    number = np.concatenate([np.tile(np.arange(count), copies), np.arange(count, count + 200)])
    labels = rng.integers(0, 2, count + 200)
    signal = np.where(np.arange(count + 200) < count, 2 * labels - 1, 0)
    states = planted(rng, 4 * signal[number], layer=0)
    columns = {"text": [texts[i] for i in number], "kind": [f"c{labels[i]}" for i in number]}
    write_store(tmp_path / "r", states, columns, {"text": "string", "kind": "string"})
    assert train(tmp_path / "r", "--target", "kind", "--group_by", "id") == EXIT_DONE
    target = target_of(tmp_path / "r", "kind")
    assert target.apart is not None
    assert target.apart.side_of(0.5) <= 0 < target.score.side_of(0.5)
    assert target.verdict.word == LEAKED


def test_pairs_never_straddle_the_split(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    pairs, texts = np.repeat(np.arange(80), 2), random_texts(rng, 160)
    columns = {"text": texts, "pair": [f"p{i}" for i in pairs], "pair_label": ["true", "false"] * 80}
    states = planted(rng, np.tile([3.0, -3.0], 80))
    write_store(tmp_path / "r", states, columns, {"text": "string", "pair": "string", "pair_label": "string"})
    declare(tmp_path / "r", label_columns=["pair_label"], group_column="pair")
    assert train(tmp_path / "r") == EXIT_DONE
    table = pq.read_table(tmp_path / "r" / "linear_probes" / "predictions.parquet").to_pandas()
    parts = table.assign(pair=pairs).groupby("pair")["part"].nunique()
    assert (parts == 1).all()
    assert result_of(tmp_path / "r").split.groups == 80


def test_what_the_surface_tells_is_said_to_be_the_surface(tmp_path: Path) -> None:
    """The label is whether a text has a certain word; the states hold just that."""
    rng = np.random.default_rng(4)
    label = rng.integers(0, 2, ROWS)
    texts = [
        f"{text} {'indeed' if code else 'never'}" for text, code in zip(random_texts(rng, ROWS), label, strict=True)
    ]
    columns = {"text": texts, "kind": [f"c{code}" for code in label]}
    write_store(tmp_path / "r", planted(rng, 6 * label), columns, {"text": "string", "kind": "string"})
    assert train(tmp_path / "r", "--target", "kind", surface_model="auto") == EXIT_DONE
    target = target_of(tmp_path / "r", "kind")
    assert target.controls["surface"].score.value > 0.95
    assert target.verdict.claims["beyond the surface"] == "no"
    assert target.verdict.word == SURFACE_EXPLAINED


def test_noise_is_not_supported(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    columns = {"text": random_texts(rng, ROWS), "kind": rng.choice(["a", "b", "c"], ROWS).tolist()}
    write_store(tmp_path / "r", planted(rng, np.zeros(ROWS)), columns, {"text": "string", "kind": "string"})
    assert train(tmp_path / "r", "--target", "kind") == EXIT_DONE
    target = target_of(tmp_path / "r", "kind")
    assert len(target.classes) == 3
    assert target.verdict.word != SUPPORTED
    assert 0.4 < target.score.value < 0.6
