"""Ranking scores: equal to scikit-learn's, for plain rows, ties, and rows counted several times."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from lit_experiments.statistics.ranking import Ranking


def _cases(ties: bool, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    outcome = (rng.random(80) < 0.3).astype(float)
    score = rng.normal(size=80) + outcome
    if ties:
        score = np.round(score)
    return score, outcome, rng.integers(0, 4, size=(6, 80)).astype(float)


@pytest.mark.parametrize("ties", [False, True])
def test_scores_equal_scikit_learn_on_every_resample(ties: bool) -> None:
    score, outcome, weights = _cases(ties, 1)
    ranking = Ranking.of(score, outcome)
    for b, w in enumerate(weights):
        assert ranking.auroc(weights)[b] == pytest.approx(roc_auc_score(outcome, score, sample_weight=w))
        expected = average_precision_score(outcome, score, sample_weight=w)
        assert ranking.average_precision(weights)[b] == pytest.approx(expected)
        fpr, tpr, _ = roc_curve(outcome, score, sample_weight=w, drop_intermediate=False)
        assert ranking.recall_at(0.1, weights)[b] == pytest.approx(tpr[fpr <= 0.1 + 1e-12].max())


def test_one_outcome_has_no_score() -> None:
    ranking = Ranking.of([0.1, 0.2, 0.3], [1, 1, 0])
    assert np.isnan(ranking.auroc([[1, 1, 0]])).all()
    assert np.isnan(Ranking.of([0.1, 0.2], [1, 1]).average_precision()).all()
    assert len(Ranking.of([], []).auroc()) == 1


def test_many_rows_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    score, outcome, weights = _cases(False, 2)
    whole = Ranking.of(score, outcome).auroc(weights)
    monkeypatch.setattr("lit_experiments.statistics.ranking._CELLS", 100)
    np.testing.assert_array_equal(Ranking.of(score, outcome).auroc(weights), whole)
