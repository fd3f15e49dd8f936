"""Scores of permuted labels: the same wherever the labels lie."""

import numpy as np

from lit_experiments.controls.scoring import Scorer
from lit_experiments.experiments.introspection.scoring import Scorer as OfQuestions
from lit_experiments.probes.permutations import Permutations
from lit_experiments.statistics import GroupBootstrap


def test_labels_far_from_zero_have_the_null_of_labels_around_it() -> None:
    """Squares of labels around a million left nothing of differences of a thousandth, and no p-value was small."""
    rng = np.random.default_rng(0)
    rows = np.arange(60)
    boot = GroupBootstrap(rows, resamples=1, level=0.95, seed=0)
    moved = Permutations.of(rows, 199, 0)
    label = 1e-3 * rng.normal(size=60)
    predicted = 0.8 * label[:, None, None]
    for make in (lambda true: Scorer(0, true, boot), lambda true: OfQuestions("r2", true, boot)):
        near, far = make(label).null(predicted, moved), make(label + 1e6).null(predicted + 1e6, moved)
        np.testing.assert_allclose(far, near, atol=1e-3)
        assert far.max() < 0.6
