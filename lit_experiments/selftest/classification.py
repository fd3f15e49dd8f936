"""Simulations of how well classes are told apart, and whether confidence is deserved."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.stats import norm

from lit_experiments.selftest.data import Floats, Ints, grouped, happened, normal
from lit_experiments.selftest.simulation import Simulation, resampler
from lit_experiments.statistics import Estimate
from lit_experiments.statistics.calibration import aurocs
from lit_experiments.statistics.calibration_error import calibration_error
from lit_experiments.statistics.intervals import GAP, SHARE
from lit_experiments.statistics.ranking import Ranking

_RIGHT, _BINS = 0.8, 10
_NEGATIVES = 2  # groups of the other class for each of the rarer one
_MOST_ROWS = 3  # of a group, where rows are compared with rows: many replicates of many rows take long
_FALSE_POSITIVES = 0.1


def _distance(area: float) -> float:
    """Between the means of two standard normal classes with this AUROC."""
    return float(np.sqrt(2) * norm.ppf(area))


def _two_classes(groups: int, rng: np.random.Generator, negatives: int = 1) -> tuple[Ints, Floats]:
    """([row] group, [row] outcome): the first groups are of the rarer class."""
    group = grouped(groups * (1 + negatives), rng, _MOST_ROWS)
    return group, (group < groups).astype(np.float64)


def _areas(groups: int, rng: np.random.Generator) -> list[Estimate]:
    out = []
    for area, negatives in ((0.5, 1), (0.75, 1), (0.75, _NEGATIVES), (0.95, _NEGATIVES)):
        group, outcome = _two_classes(groups, rng, negatives)
        score = normal(group, rng) + _distance(area) * outcome
        out.append(resampler(group).from_weights(partial(aurocs, score, outcome), SHARE, groups).item())
    return out


def _stratified(groups: int, rng: np.random.Generator) -> list[Estimate]:
    group, outcome = _two_classes(groups, rng)
    fold = group % 2
    score = normal(group, rng) + _distance(0.75) * outcome + 3.0 * fold
    return [resampler(group).from_weights(lambda w: aurocs(score, outcome, w, fold), SHARE, groups).item()]


def _area_gap(groups: int, rng: np.random.Generator) -> list[Estimate]:
    group, outcome = _two_classes(groups, rng)
    first, second = (normal(group, rng) + _distance(area) * outcome for area in (0.65, 0.85))
    gap = resampler(group).from_weights(lambda w: aurocs(second, outcome, w) - aurocs(first, outcome, w), GAP, groups)
    return [gap.item()]


def _ranking(groups: int, rng: np.random.Generator) -> list[Estimate]:
    group, outcome = _two_classes(groups, rng)
    ranking = Ranking.of(normal(group, rng) + _distance(0.85) * outcome, outcome)
    boot = resampler(group)
    recall = ranking.recall_at(_FALSE_POSITIVES)[0]
    if ranking.sets_threshold(_FALSE_POSITIVES):
        draws = boot.resampled_draws(partial(ranking.recall_at, _FALSE_POSITIVES))
        at_rate = boot.from_resamples(recall, draws, SHARE, groups).item()
    else:
        at_rate = Estimate(float(recall), np.nan, np.nan, boot.n, boot.level)
    return [boot.from_weights(ranking.average_precision, SHARE, groups).item(), at_rate]


def _average_precision(area: float, share: float) -> float:
    """Of two standard normal classes, one with this share of the rows: precision integrated over recall."""
    threshold = np.linspace(9, -9, 20_001)
    right, wrong = share * norm.sf(threshold - _distance(area)), (1 - share) * norm.sf(threshold)
    precision = right / (right + wrong)
    return float(np.sum((precision[1:] + precision[:-1]) / 2 * np.diff(right)) / share)


def _classifier(groups: int, rng: np.random.Generator) -> list[Estimate]:
    """Two classes within every group; every answer is given with the probability with which it is right."""
    from lit_experiments.probes.class_result import class_scores

    group = grouped(groups, rng)
    true, right = rng.integers(0, 2, len(group)), happened(_RIGHT, group, rng)
    answer = np.where(right > 0, true, 1 - true)
    probability = np.where(answer[:, None] == np.arange(2), _RIGHT, 1 - _RIGHT)
    scores = class_scores(true, probability, resampler(group), ("no", "yes"), _BINS)
    yes = scores.classes[1]
    return [scores.accuracy, scores.log_loss, scores.macro_f1, yes.precision, yes.recall, yes.f1]


def _calibration(groups: int, rng: np.random.Generator, overconfidence: float) -> list[Estimate]:
    group = grouped(groups, rng)
    confidence = rng.uniform(0.5, 1, len(group))
    outcome = happened(confidence - overconfidence, group, rng)
    return [calibration_error(confidence, outcome, _BINS, resampler(group))]


_LOSS = float(-_RIGHT * np.log(_RIGHT) - (1 - _RIGHT) * np.log(1 - _RIGHT))

SIMULATIONS = (
    Simulation(
        {"AUROC of 0.5": 0.5, "AUROC of 0.75": 0.75, "AUROC of 0.75, 1 in 3": 0.75, "AUROC of 0.95, 1 in 3": 0.95},
        _areas,
        large=False,
    ),
    Simulation({"AUROC within strata": 0.75}, _stratified, large=False),
    Simulation({"difference of AUROCs": 0.2}, _area_gap, large=False),
    Simulation(
        {
            "average precision": _average_precision(0.85, 0.5),
            "recall at a false-positive rate": float(norm.cdf(_distance(0.85) + norm.ppf(_FALSE_POSITIVES))),
        },
        _ranking,
        large=False,
    ),
    Simulation(
        {
            "accuracy": _RIGHT,
            "log loss": _LOSS,
            "macro F1": _RIGHT,
            "precision": _RIGHT,
            "recall": _RIGHT,
            "F1": _RIGHT,
        },
        _classifier,
    ),
    Simulation({"calibration error of 0": 0.0}, partial(_calibration, overconfidence=0.0)),
    Simulation({"calibration error of 0.1": 0.1}, partial(_calibration, overconfidence=0.1)),
)
