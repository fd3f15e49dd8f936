"""A tagger's errors are no ambiguity: planted words, planted errors."""

import numpy as np
import pytest

from lit_experiments.experiments.pos.agreement import Draws, terms
from lit_experiments.experiments.pos.tagger_errors import GoldErrors, kinds_of, true_tags
from lit_experiments.experiments.pos.types import TypeTable
from lit_experiments.statistics.divergence import cross_entropy, entropy

TAGS = 5
KIND = (0, 1)


def channel(error: float, rng: np.random.Generator) -> np.ndarray:
    """[K, K] rates of a tagger that errs at `error`, each tag in proportions of its own."""
    wrong = rng.dirichlet(np.ones(TAGS - 1), TAGS)
    return np.stack([np.insert(error * row, tag, 1 - error) for tag, row in enumerate(wrong)])


def share(draws: Draws, forecast: np.ndarray) -> float:
    of_prefix = terms(forecast, draws)
    return float(of_prefix.ambiguity.sum() / of_prefix.loss.sum())


def shares(seed: int, error: float, ambiguous: float, gold: int = 400, draws: int = 96) -> tuple[float, float, float]:
    """(counted, corrected, true) share explained of 60 prefixes of which a part has the forecast's own ambiguity and
    the others one tag alone."""
    rng = np.random.default_rng(seed)
    rates = channel(error, rng)
    forecast = rng.dirichlet(np.full(TAGS, 0.5), 60) * 0.9 + 0.02
    one = np.eye(TAGS)[[rng.choice(TAGS, p=p) for p in forecast]]
    truth = np.where((rng.random(60) < ambiguous)[:, None], forecast, one)
    counts = np.array([rng.multinomial(draws, p @ rates) for p in truth])
    words = rng.integers(TAGS, size=gold)
    tagged = np.array([rng.choice(TAGS, p=rates[word]) for word in words])
    tags = true_tags(counts, [KIND] * 60, GoldErrors.of([KIND] * gold, words, tagged, TAGS))
    whole = entropy(truth).sum() / cross_entropy(truth, forecast).sum()
    corrected = share(Draws(counts, tags.shares, tags.ambiguity), forecast)
    return share(Draws.counted(counts), forecast), corrected, float(whole)


@pytest.mark.parametrize("gold", [150, 400, 3000])
@pytest.mark.parametrize("draws", [24, 96])
def test_words_without_ambiguity_explain_nothing_however_the_tagger_errs(gold: int, draws: int) -> None:
    explained = np.array([shares(seed, 0.06, 0.0, gold, draws) for seed in range(4)])
    assert explained[:, 0].min() > 0.15, "uncorrected, the errors look like ambiguity"
    assert explained[:, 1].max() < 0.05


def test_ambiguity_that_is_there_stays() -> None:
    whole = np.array([shares(seed, 0.06, 1.0) for seed in range(4)])
    assert whole[:, 1] == pytest.approx(whole[:, 2], abs=0.06)
    half = np.array([shares(seed, 0.06, 0.5) for seed in range(4)])
    assert half[:, 1] == pytest.approx(half[:, 2], abs=0.06)
    assert (abs(half[:, 1] - half[:, 2]) < abs(half[:, 0] - half[:, 2])).all()


def test_a_tagger_without_errors_changes_little() -> None:
    explained = np.array([shares(seed, 1e-9, 0.5) for seed in range(4)])
    assert explained[:, 1] == pytest.approx(explained[:, 0], abs=0.03)


def test_rates_are_of_the_kind_and_of_wider_kinds_where_it_has_few_words() -> None:
    kinds = [(0,)] * 1000 + [(0, 1)] * 100
    tagged = np.concatenate([np.repeat(0, 1000), np.repeat([0, 1], [60, 40])])
    gold = GoldErrors.of(kinds, np.zeros(1100, np.int64), tagged, 2)
    assert gold.words == 1100
    row = gold.of_kind((0, 1))[0]
    wider = np.array([60, 40]) + 20 * np.array([1061, 40]) / 1101
    assert row == pytest.approx(np.array([60, 40]) + 20 * wider / wider.sum())
    assert gold.of_kind((0,))[0, 1] / gold.of_kind((0,))[0].sum() < 0.005
    assert gold.of_kind((1,))[1].tolist() == pytest.approx([0, 20]), "no gold words: taken to be right"
    assert gold.accuracy([(0,), (0, 1)]) == pytest.approx((1 + 0.6) / 2)


def test_a_kind_is_the_set_of_tags_that_a_type_has_in_training() -> None:
    table = TypeTable.of(["duck", "duck", "sit"], np.array([0, 1, 1]), 3)
    assert kinds_of(["duck", "sit", "new"], table) == [(0, 1), (1,), ()]
