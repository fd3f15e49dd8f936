"""How often a report says that there is something where there is nothing: one simulation for each kind of statement."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, rankdata

from lit_experiments.probes.permutations import Permutations
from lit_experiments.selftest.data import Floats, grouped, happened, normal
from lit_experiments.selftest.simulation import resampler
from lit_experiments.statistics import equivalent, holm, paired
from lit_experiments.statistics.calibration import aurocs
from lit_experiments.statistics.calibration_error import calibration_error
from lit_experiments.statistics.ceiling import ceiling_estimates
from lit_experiments.statistics.intervals import CORRELATION, EXPLAINED, SHARE
from lit_experiments.statistics.max_t import Family, max_t
from lit_experiments.statistics.permutation import permutation_p, permuted, sign_flip_null, sign_flip_p, spearman_p
from lit_experiments.statistics.scores import RankCorrelation, error_terms, r2_from_sums

SIZES = (8, 24, 72)
LEVEL = 0.05
_PERMUTATIONS = 199
_FAMILY = 30
_TARGETS = 5
_CHANCE = 1e-4  # that so many false positives come of a rate that is low enough
Claim = Callable[[int, np.random.Generator], bool]


@dataclass(frozen=True)
class FalsePositives:
    """Of one kind of statement, from pure noise in so many groups: repeats in which it is made.

    level: how often it may be made.
    """

    statement: str
    groups: int
    seeds: int
    made: int
    level: float

    @property
    def share(self) -> float:
        """Of the repeats."""
        return self.made / self.seeds

    @property
    def holds(self) -> bool:
        """Whether the rate may be as low as promised: more statements than these would be no chance."""
        return bool(binom.sf(self.made - 1, self.seeds, self.level) > _CHANCE)


def false_positives(statement: str, groups: int, seeds: Iterable[int]) -> FalsePositives:
    """Of one of STATEMENTS."""
    key = zlib.crc32(statement.encode())
    made = [STATEMENTS[statement](groups, np.random.default_rng([seed, groups, key])) for seed in seeds]
    return FalsePositives(statement, groups, len(made), sum(made), LEVEL)


def _differs(groups: int, rng: np.random.Generator) -> bool:
    group = grouped(groups, rng)
    return bool(resampler(group).difference(normal(group, rng), normal(group, rng)).item().side_of(0))


def _above_chance(groups: int, rng: np.random.Generator) -> bool:
    group = grouped(groups, rng)
    return bool(resampler(group).mean(happened(0.5, group, rng), SHARE).item().side_of(0.5) > 0)


def _two_classes(groups: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """(scores, outcomes) [row] that have nothing to do with each other; as many rows of either outcome."""
    return rng.normal(size=2 * groups), np.repeat([1.0, 0.0], groups)


def _separates(groups: int, rng: np.random.Generator) -> bool:
    score, outcome = _two_classes(groups, rng)
    boot = resampler(np.arange(len(score)))
    return bool(boot.from_weights(lambda w: aurocs(score, outcome, w), SHARE, groups).item().side_of(0.5) > 0)


def _separates_by_permutation(groups: int, rng: np.random.Generator) -> bool:
    score, outcome = _two_classes(groups, rng)
    null = aurocs(score, permuted(outcome, _PERMUTATIONS, rng))
    return bool(permutation_p(aurocs(score, outcome), null) <= LEVEL)


def _explains(groups: int, rng: np.random.Generator) -> bool:
    """Predictions of which the true R2 is 0: half of their variance is right, half wrong."""
    group = grouped(groups, rng)
    right, wrong, rest = (normal(group, rng) for _ in range(3))
    sums = resampler(group).sums(error_terms(right + rest, right + wrong, 0.0))
    return bool(resampler(group).from_sums(sums, r2_from_sums, EXPLAINED).item().side_of(0) > 0)


def _gains(groups: int, rng: np.random.Generator) -> bool:
    """Two predictions that are as good as each other."""
    group = grouped(groups, rng)
    boot, true = resampler(group), normal(group, rng)
    errors = [error_terms(true, 0.5 * true + 0.5 * normal(group, rng), 0.0) for _ in range(2)]
    gain = boot.from_sums(
        boot.sums(np.concatenate(errors, -1)), lambda sums: r2_from_sums(sums[..., :5]) - r2_from_sums(sums[..., 5:])
    )
    return bool(gain.item().side_of(0) > 0)


def _correlates(groups: int, rng: np.random.Generator) -> bool:
    group = grouped(groups, rng)
    ranks = RankCorrelation(normal(group, rng), normal(group, rng), group)
    return bool(resampler(group).from_counts(ranks, CORRELATION).side_of(0))


def _correlates_by_permutation(groups: int, rng: np.random.Generator) -> bool:
    return spearman_p(rng.normal(size=groups), rng.normal(size=groups), _PERMUTATIONS, groups) <= LEVEL


def _differs_by_sign_flips(groups: int, rng: np.random.Generator) -> bool:
    return sign_flip_p(rng.normal(size=groups), _PERMUTATIONS, groups) <= LEVEL


def _pairs_differ(groups: int, rng: np.random.Generator) -> bool:
    unit = np.arange(groups)
    pair = paired(rng.normal(size=groups), rng.normal(size=groups), unit, resampler(unit), 0)
    return bool(min(holm([pair.p, pair.p_w])) <= LEVEL)


def _any_of_family(groups: int, rng: np.random.Generator) -> bool:
    differences, seed = _layers(groups, _FAMILY, rng), _seed(rng)
    tests = [sign_flip_null(of_layer, _PERMUTATIONS, seed) for of_layer in differences.T]
    p = max_t([value for value, _ in tests], np.stack([null for _, null in tests], 1), two_sided=True)
    return bool(p.min() <= LEVEL)


def _any_of_layers_and_targets(groups: int, rng: np.random.Generator) -> bool:
    """R2 and AUROC of the layers of several targets, groups of two rows, labels permuted between groups."""
    group = np.repeat(np.arange(groups), 2)
    donors = np.concatenate(list(Permutations.of(group, _PERMUTATIONS, _seed(rng)).blocks()))
    values, nulls = [], []
    for target in range(_TARGETS):
        true, predicted = _layers(groups, 1, rng)[group, 0], _layers(groups, _FAMILY // _TARGETS, rng)[group]
        predicted = 0.3 * (predicted + rng.normal(size=predicted.shape))
        score = _r2 if target % 2 else _above_median
        values.append(score(true[None], predicted)[0])
        nulls.append(score(true[donors], predicted))
    return bool(Family.joined(values, nulls).adjusted().min() <= LEVEL)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _layers(groups: int, count: int, rng: np.random.Generator) -> Floats:
    """[group, layer] noise, most of which all layers share."""
    return np.asarray(0.9 * rng.normal(size=(groups, 1)) + 0.44 * rng.normal(size=(groups, count)))


def _r2(true: Floats, predicted: Floats) -> Floats:
    """[order, layer] R2 of predicted [row, layer] for true [order, row], which differ in order alone."""
    y = true[0] - true[0].mean()
    errors = (true[0] ** 2).sum() - 2 * true @ predicted + (predicted**2).sum(0)
    return np.asarray(1 - errors / (y @ y))


def _above_median(true: Floats, predicted: Floats) -> Floats:
    """[order, layer] AUROC of the larger half, from the sum of its ranks."""
    outcome = (true > np.median(true[0])).astype(np.float64)
    larger, smaller = outcome[0].sum(), (1 - outcome[0]).sum()
    return np.asarray((outcome @ rankdata(predicted, axis=0) - larger * (larger + 1) / 2) / (larger * smaller))


def _miscalibrated(groups: int, rng: np.random.Generator) -> bool:
    group = grouped(groups, rng)
    confidence = rng.uniform(0.5, 1, len(group))
    return bool(calibration_error(confidence, happened(confidence, group, rng), 10, resampler(group)).side_of(0) > 0)


def _repeatable(groups: int, rng: np.random.Generator) -> bool:
    ceiling, _ = ceiling_estimates(rng.normal(size=(groups, 4)), np.zeros(groups), 0.0, resampler(np.arange(groups)))
    return bool(ceiling.side_of(0) > 0)


def _equivalent(groups: int, rng: np.random.Generator) -> bool:
    """Two means that differ by just the margin."""
    group = grouped(groups, rng)
    return equivalent(resampler(group).mean(0.5 + 0.5 * normal(group, rng)).item(), 0.0, 0.5)


STATEMENTS: dict[str, Claim] = {
    "a difference: its interval leaves out 0": _differs,
    "a difference: random sign flips": _differs_by_sign_flips,
    "a paired difference: t-test and Wilcoxon, corrected": _pairs_differ,
    "a share above one half": _above_chance,
    "an AUROC above 0.5: its interval": _separates,
    "an AUROC above 0.5: permuted labels": _separates_by_permutation,
    "an R2 above 0: its interval": _explains,
    "a gain of R2 over a baseline: its interval": _gains,
    "a correlation: its interval leaves out 0": _correlates,
    "a positive correlation: permuted rows": _correlates_by_permutation,
    f"any of {_FAMILY} differences at alike layers: sign flips, max-T": _any_of_family,
    f"any of {_FAMILY} scores of layers and targets: permuted labels, max-T": _any_of_layers_and_targets,
    "a calibration error above 0": _miscalibrated,
    "a noise ceiling above 0": _repeatable,
    "equivalence, of a difference as large as the margin": _equivalent,
}
