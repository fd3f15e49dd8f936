"""The saved probes are scikit-learn's on the same rows, and export as such."""

import json
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE
from lit_experiments.probes.class_probe import load_class_probe
from lit_experiments.probes.save import load_probe
from stores import open_store
from tests.experiments.linear_probes.written import LAYERS, planted, random_texts, target_of, train, write_store

ROWS = 240
NAMES = ["low", "middle", "top"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("equal") / "run"
    rng = np.random.default_rng(0)
    feature = rng.normal(size=ROWS)
    kind = [NAMES[int(np.digitize(value, [-0.5, 0.5]))] for value in feature + 0.5 * rng.normal(size=ROWS)]
    columns = {"text": random_texts(rng, ROWS), "kind": kind, "size": (feature + rng.normal(size=ROWS)).tolist()}
    write_store(folder, planted(rng, 2 * feature), columns, {"text": "string", "kind": "string", "size": "float64"})
    assert train(folder, "--target", "kind", "size", "--penalties", "[1.0, 10.0]") == EXIT_DONE
    return folder


def _part(run: Path, target: str, part: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(x [row, layer, hidden], labels [row], ids) of a target's part."""
    ids = json.loads((run / "linear_probes" / "split.json").read_text())[target][part]
    store = open_store(run / "store")
    rows = np.array([store.sample_ids.index(name) for name in ids])
    x = np.moveaxis(store["states"].read(rows), 1, 0).astype(np.float64)
    return x, np.array(store.table([target]).column(0).to_pylist())[rows], ids


@pytest.mark.parametrize("layer", LAYERS)
def test_ridge_is_scikit_learns(run: Path, layer: str) -> None:
    probe = load_probe(run / "linear_probes" / "size" / layer, None)
    x, y, _ = _part(run, "size", "train")
    place = LAYERS.index(layer)
    theirs = make_pipeline(StandardScaler(), Ridge(alpha=float(probe.penalty[0]))).fit(x[:, place], y)
    np.testing.assert_allclose(probe.weights[0], theirs[-1].coef_, rtol=1e-6, atol=1e-9)
    held = _part(run, "size", "test")[0][:, place]
    np.testing.assert_allclose(probe.predict(held, "size"), theirs.predict(held), rtol=1e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_logistic_reaches_scikit_learns_objective(run: Path, layer: str) -> None:
    probe = load_class_probe(run / "linear_probes" / "kind" / layer, model=None, layer=layer, classes=NAMES)
    x, labels, _ = _part(run, "kind", "train")
    z = StandardScaler().fit_transform(x[:, LAYERS.index(layer)])
    codes = np.array([NAMES.index(label) for label in labels])
    theirs = LogisticRegression(C=1 / (probe.penalty * len(z)), tol=1e-10, max_iter=5000).fit(z, codes)

    def objective(weights: np.ndarray, intercept: np.ndarray) -> float:
        logits = z @ weights.T + intercept
        loss = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(z)), codes]
        return float(loss.mean() + probe.penalty / 2 * (weights**2).sum())

    best = objective(theirs.coef_, theirs.intercept_)
    assert objective(probe.weights, probe.intercept) <= best * (1 + 1e-4)


def test_scores_are_scikit_learns(run: Path) -> None:
    target = target_of(run, "kind")
    probe = load_class_probe(run / "linear_probes" / "kind", model=None, layer=target.layer, classes=None)
    x, labels, _ = _part(run, "kind", "test")
    probability = probe.predict_proba(x[:, LAYERS.index(target.layer)])
    codes = np.array([NAMES.index(label) for label in labels])
    assert target.score.value == pytest.approx(roc_auc_score(codes, probability, multi_class="ovr", average="macro"))
    assert target.probabilities is not None
    balanced = balanced_accuracy_score(codes, probability.argmax(1))
    assert target.probabilities.balanced_accuracy.value == pytest.approx(balanced)
    loss = -np.log(probability[np.arange(len(codes)), codes]).mean()
    assert target.probabilities.log_loss.value == pytest.approx(loss)


def test_notes_hold_what_scoring_and_steering_need(run: Path) -> None:
    target = target_of(run, "size")
    probe = load_probe(run / "linear_probes" / "size", None)
    assert probe.layers == (target.layer,)
    notes = probe.notes
    assert (notes["target"], notes["field"], notes["method"], notes["classes"]) == ("size", "states", "ridge", [])
    x = _part(run, "size", "train")[0][:, LAYERS.index(target.layer)]
    direction = probe.weights[0] / probe.scale[0]
    spread = (x @ direction / np.linalg.norm(direction)).std()
    assert notes["spread"][target.layer] == pytest.approx(spread, rel=1e-5)
    classes = load_class_probe(run / "linear_probes" / "kind", model=None, layer=None, classes=None).notes["spread"]
    assert set(classes[LAYERS[0]]) == set(NAMES)


def test_every_target_exports_to_scikit_learn(run: Path, tmp_path: Path) -> None:
    assert main(["export", str(run / "linear_probes"), "--format", "sklearn", "--out", str(tmp_path / "m")]) == 0
    assert {path.name for path in (tmp_path / "m").iterdir()} == {"kind.pkl", "size.pkl"}
    out = tmp_path / "kind.joblib"
    assert main(["export", str(run / "linear_probes" / "kind"), "--format", "sklearn", "--out", str(out)]) == EXIT_DONE
    target = target_of(run, "kind")
    x, labels, _ = _part(run, "kind", "test")
    assert target.probabilities is not None
    accuracy = (joblib.load(out).predict(x[:, LAYERS.index(target.layer)]) == labels).mean()
    assert accuracy == pytest.approx(target.probabilities.accuracy.value)
