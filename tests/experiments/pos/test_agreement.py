"""How far forecasts are borne out, where the truth is known."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import spearmanr

from lit_experiments.experiments.pos.agreement import Draws, agreement, sampling_floor, shuffled, terms
from lit_experiments.statistics import GroupBootstrap
from lit_experiments.statistics.permutation import permutation_p


def made(prefixes: int = 300, draws: int = 400, blur: float = 0.0, seed: int = 0):
    """(forecasts, counts, groups): counts come from the forecasts, mixed with a uniform distribution by `blur`."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(4, 0.4), prefixes) * 0.98 + 0.005
    truth = (1 - blur) * p + blur / 4
    return p, rng.multinomial(draws, truth / truth.sum(1, keepdims=True)), np.repeat(np.arange(prefixes // 10), 10)


def boot(groups):
    return GroupBootstrap(groups, resamples=300, level=0.95, seed=0)


def test_draws_from_the_forecasts_themselves_are_fully_explained():
    p, counts, groups = made()
    measured = agreement(p, Draws.counted(counts), boot(groups), 10)
    floor = sampling_floor(p, counts, 100, 0)
    assert measured.share.value == pytest.approx(1, abs=0.02)
    assert measured.divergence.value == pytest.approx(floor.mean(), rel=0.1)
    assert measured.entropies.value > 0.98
    assert measured.calibration_error.value < 0.02
    assert measured.ambiguity.value == pytest.approx(measured.uncertainty.value, rel=0.02)


def test_an_unsure_forecaster_of_a_sure_language_explains_nothing():
    rng = np.random.default_rng(0)
    p = np.full((200, 4), 0.25)
    counts = np.eye(4, dtype=np.int64)[rng.integers(0, 4, 200)] * 96
    measured = agreement(p, Draws.counted(counts), boot(np.arange(200)), 10)
    assert measured.share.value == 0
    assert measured.loss.value == pytest.approx(np.log(4))
    assert np.isnan(measured.entropies.value), "no forecast is more or less sure than another"


def test_the_share_is_the_irreducible_part_of_the_loss():
    p, counts, groups = made(blur=0.4, draws=20_000)
    truth = 0.6 * p + 0.1
    entropy = -(truth * np.log(truth)).sum(1).mean()
    loss = -(truth * np.log(p)).sum(1).mean()
    measured = agreement(p, Draws.counted(counts), boot(groups), 10)
    assert measured.share.value == pytest.approx(entropy / loss, rel=0.01)
    assert measured.share.low < measured.share.value < measured.share.high


def test_numbers_are_scipys():
    p, counts, groups = made(draws=96)
    draws, q = Draws.counted(counts), counts / 96
    measured, of_word = agreement(p, draws, boot(groups), 10), terms(p, draws)
    assert of_word.divergence == pytest.approx(jensenshannon(p, q, axis=1) ** 2)
    assert measured.entropies.value == pytest.approx(spearmanr(of_word.uncertainty, of_word.ambiguity).statistic)
    edges = np.clip(np.ceil(p * 10).astype(int) - 1, 0, 9)
    gaps = sum(abs((q - p)[edges == b].sum()) for b in range(10))
    assert measured.calibration_error.value == pytest.approx(gaps / len(p))


def test_shuffled_pairs_are_of_other_documents_and_lose_the_relation():
    p, counts, groups = made(draws=96)
    real, control = (
        agreement(p, Draws.counted(counts), boot(groups), 10),
        shuffled(p, Draws.counted(counts), groups, 200, 10, 0),
    )
    assert control.pairs == pytest.approx(300 * (1 - 10 / 300), rel=0.02)
    assert abs(np.mean(control.entropies)) < 0.03
    assert max(control.share) < real.share.value
    assert permutation_p(-real.divergence.value, -np.asarray(control.divergence)) == pytest.approx(1 / 201)
    assert permutation_p(-np.mean(control.divergence), -np.asarray(control.divergence)) > 0.2
    one = shuffled(p, Draws.counted(counts), np.zeros(300), 5, 10, 0)
    assert np.isnan(one.divergence).all()
    assert np.isnan(permutation_p(-0.1, -np.asarray(one.divergence)))
