"""Controls without states: honest out of fold, chosen in the training part, and as strong as they should be."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

import lit_experiments.embedded
from lit_experiments.controls.baselines import MODELS, Baseline, fit_baseline, leftover
from lit_experiments.controls.features import Features
from lit_experiments.controls.problems import Problem
from lit_experiments.errors import UserError
from lit_experiments.experiments.linear_probes.embedding import embedded_texts
from lit_experiments.probes.blocks import TEST
from tests.experiments.linear_probes.written import random_texts

ROWS = 200
MODEL = Path(lit_experiments.embedded.__file__).parent / "model"


def _problem(y: np.ndarray, classes: tuple[str, ...] = ()) -> Problem:
    row = np.arange(len(y))
    part = np.where(row % 4 == 0, TEST, row % 3)
    return Problem(
        name="target",
        classes=classes,
        fields=(),
        row=row,
        entry=None,
        y=y.astype(np.float64),
        weight=None,
        part=part,
        group=row.astype(str),
        neighbour=np.zeros(len(y), bool),
        missing=0,
        reason="",
        notes=(),
    )


def _fit(features: Features, problem: Problem, kinds: tuple[str, ...] = MODELS) -> Baseline:
    baseline = fit_baseline(features, problem, kinds, most_rows=10_000, seed=0)
    assert baseline is not None
    return baseline


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_curved_function_of_a_number_is_found(rng: np.random.Generator) -> None:
    number = rng.uniform(-2, 2, ROWS)
    problem = _problem((np.abs(number) > 1).astype(int), ("in", "out"))
    baseline = _fit(Features(None, number[:, None], ("number",)), problem)
    assert (baseline.predicted.argmax(1) == problem.y)[problem.test].mean() > 0.9


def test_one_word_is_found_in_a_text(rng: np.random.Generator) -> None:
    label = rng.integers(0, 2, ROWS)
    words = np.where(label == 1, "yes", "no")
    texts = [f"{text} {word} {text[:9]}" for text, word in zip(random_texts(rng, ROWS), words, strict=True)]
    baseline = _fit(Features(texts, np.zeros((ROWS, 0)), ()), _problem(label, ("no", "yes")), ("words",))
    assert (baseline.predicted.argmax(1) == label).mean() > 0.95


def test_training_rows_are_predicted_by_models_that_have_not_seen_them(rng: np.random.Generator) -> None:
    """Labels of noise: a model that had seen them would leave less of them over in training."""
    problem = _problem(rng.normal(size=ROWS))
    features = Features(random_texts(rng, ROWS), rng.normal(size=(ROWS, 30)), tuple(map(str, range(30))))
    left = leftover(problem, _fit(features, problem))[~problem.test, 0]
    assert left.var() > 0.95 * problem.y[~problem.test].var()


def test_nothing_that_varies_gives_no_baseline() -> None:
    problem = _problem(np.arange(ROWS) % 2, ("a", "b"))
    assert fit_baseline(Features(None, np.zeros((ROWS, 0)), ()), problem, MODELS, 100, 0) is None


def test_embeddings_are_means_over_a_texts_own_tokens() -> None:
    texts = ["Where is Rome?", "What is the largest planet of the solar system?", "Where is Rome?"]
    vectors = embedded_texts(str(MODEL), texts)
    tokenizer = AutoTokenizer.from_pretrained(str(MODEL))
    network = AutoModel.from_pretrained(str(MODEL), dtype=torch.float32).eval()
    for text, vector in zip(texts, vectors, strict=True):
        with torch.inference_mode():
            states = network(**tokenizer(text, return_tensors="pt", return_token_type_ids=False)).last_hidden_state
        np.testing.assert_allclose(vector, states[0].double().mean(0).numpy(), atol=1e-4)


def test_an_embedding_model_that_is_not_there() -> None:
    with pytest.raises(UserError, match="--embedding_model /nowhere"):
        embedded_texts("/nowhere", ["text"])
