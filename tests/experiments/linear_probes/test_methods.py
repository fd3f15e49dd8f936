"""Every method, and weights of rows and classes: what is saved is scikit-learn's on the same rows."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from lit_experiments.errors import EXIT_DONE
from lit_experiments.probes.class_probe import ClassProbe, load_class_probe
from lit_experiments.probes.save import load_probe
from stores import open_store
from tests.experiments.linear_probes.written import LAYERS, planted, random_texts, target_of, train, write_store

ROWS = 220
TARGETS = ("--target", "kind", "many")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two classes, the second of them rarer; three classes; a number; and a weight for every row."""
    rng = np.random.default_rng(3)
    feature = rng.normal(size=ROWS)
    columns = {
        "text": random_texts(rng, ROWS),
        "kind": ["b" if value > 0.6 else "a" for value in feature],
        "many": [f"m{np.digitize(value, [-0.5, 0.5])}" for value in feature],
        "size": (feature + 0.3 * rng.normal(size=ROWS)).tolist(),
        "weight": rng.integers(1, 4, ROWS).astype(float).tolist(),
    }
    types = dict.fromkeys(columns, "string") | {"size": "float64", "weight": "float64"}
    write_store(tmp_path / "r", planted(rng, 3 * feature), columns, types)
    return tmp_path / "r"


def _train_rows(run: Path, target: str, layer: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x [row, hidden], labels, weights) of the training part."""
    ids = json.loads((run / "linear_probes" / "split.json").read_text())[target]["train"]
    store = open_store(run / "store")
    rows = np.array([store.sample_ids.index(name) for name in ids])
    table = store.table([target, "weight"])
    x = store["states"].read(rows, layer=LAYERS.index(layer)).astype(np.float64)
    return x, *(np.array(table.column(name).to_pylist())[rows] for name in (target, "weight"))


def _class_probe(run: Path, target: str) -> ClassProbe:
    return load_class_probe(run / "linear_probes" / target, model=None, layer=None, classes=None)


def test_lda_is_scikit_learns(run: Path) -> None:
    assert train(run, *TARGETS, "--method", "lda", "--shrinkages", "[0.3]") == EXIT_DONE
    for target in ("kind", "many"):
        probe = _class_probe(run, target)
        assert probe.notes["method"] == "lda"
        x, labels, _ = _train_rows(run, target, probe.layer)
        scaler = StandardScaler().fit(x)
        theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(scaler.transform(x), labels)
        np.testing.assert_allclose(probe.predict_proba(x), theirs.predict_proba(scaler.transform(x)), atol=1e-6)


def test_the_mean_difference_is_that_of_the_class_means(run: Path) -> None:
    assert train(run, "--target", "kind", "size", "--method", "mean_difference") == EXIT_DONE
    probe = _class_probe(run, "kind")
    x, labels, _ = _train_rows(run, "kind", probe.layer)
    z = (x - probe.mean) / probe.scale
    difference = z[labels == "b"].mean(0) - z[labels == "a"].mean(0)
    direction = probe.weights[1] - probe.weights[0]
    assert direction @ difference / np.linalg.norm(direction) / np.linalg.norm(difference) == pytest.approx(1)
    number = load_probe(run / "linear_probes" / "size", None)
    x, size, _ = _train_rows(run, "size", number.layers[0])
    covariance = ((x - x.mean(0)) / number.scale[0]).T @ (size - size.mean())
    cosine = number.weights[0] @ covariance / np.linalg.norm(number.weights[0]) / np.linalg.norm(covariance)
    assert cosine == pytest.approx(1)
    assert target_of(run, "kind").score.value > 0.9


def test_sample_weights_weigh_a_ridge_as_scikit_learns_do(run: Path) -> None:
    options = ["--sample_weights", "weight", "--penalties", "[5.0]"]
    assert train(run, "--target", "size", *options) == EXIT_DONE
    probe = load_probe(run / "linear_probes" / "size", None)
    x, size, weight = _train_rows(run, "size", probe.layers[0])
    scaler = StandardScaler().fit(x, sample_weight=weight)
    theirs = Ridge(alpha=5.0).fit(scaler.transform(x), size, sample_weight=weight)
    np.testing.assert_allclose(probe.weights[0], theirs.coef_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("options", [["--class_weights", "balanced"], ["--sample_weights", "weight"]])
def test_weights_weigh_a_logistic_probe_as_scikit_learns_do(run: Path, options: list[str]) -> None:
    assert train(run, "--target", "kind", *options, "--class_penalties", "[0.01]", "--tolerance", "1e-8") == EXIT_DONE
    probe = _class_probe(run, "kind")
    x, labels, weight = _train_rows(run, "kind", probe.layer)
    weights = weight if options[0] == "--sample_weights" else np.ones(len(x))
    scaler = StandardScaler().fit(x, sample_weight=weights)
    balanced = "balanced" if options[0] == "--class_weights" else None
    theirs = LogisticRegression(C=1 / (0.01 * weights.sum()), class_weight=balanced, tol=1e-10, max_iter=5000)
    theirs.fit(scaler.transform(x), labels, sample_weight=weights)
    np.testing.assert_allclose(probe.predict_proba(x), theirs.predict_proba(scaler.transform(x)), atol=2e-3)
    plain = LogisticRegression(C=1 / (0.01 * len(x)), tol=1e-10, max_iter=5000).fit(
        StandardScaler().fit_transform(x), labels
    )
    gap = np.abs(plain.predict_proba(StandardScaler().fit_transform(x)) - theirs.predict_proba(scaler.transform(x)))
    assert gap.max() > 0.01
