"""How far forecasts of tags (a probe's probabilities) are borne out by what happens (the tags of continuations).

Pure: arrays in, estimates out. Knows no store and no tagger.

Per prefix a forecast p [K] meets counts c [K] of n draws, with shares q = c / n:

    divergence     Jensen-Shannon divergence of p and q
    loss           cross-entropy of q and p: the mean log-loss of p if the draws are what happens
    ambiguity      entropy of the distribution that the draws come from (Miller-Madow, as q's own is too low)

Where it is known how the tagger errs, loss and ambiguity are of the true tags of the draws (see `tagger_errors`);
divergence and calibration are of the tags as counted.

A forecast's expected log-loss is the entropy of what happens plus the Kullback-Leibler divergence from the forecast to
it; the first part no forecaster can avoid (irreducible), the second is the forecaster's own (Kull and Flach 2015; for
log-loss already Good 1952). The share explained is the first over the whole:

    share explained = sum of ambiguity / sum of loss        (1: all uncertainty is the language's; 0: none)

Everything is also computed for the shuffled pairing (each forecast with the draws of a prefix of another document).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.calibration import reliability
from lit_experiments.statistics.divergence import cross_entropy, entropy, jensen_shannon, miller_madow, normalised
from lit_experiments.statistics.intervals import CORRELATION
from lit_experiments.statistics.scores import RankCorrelation, spearman

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Terms:
    """[prefix] each, in nats; `share` is ambiguity over loss, which chance may lift above 1."""

    divergence: Floats
    loss: Floats
    ambiguity: Floats
    uncertainty: Floats

    @property
    def share(self) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.ambiguity / self.loss)


@dataclass(frozen=True)
class Draws:
    """counts [prefix, K] of the tags of the draws; shares [prefix, K], ambiguity [prefix]: the distribution that they
    are from, and its entropy in nats."""

    counts: Ints
    shares: Floats
    ambiguity: Floats

    @classmethod
    def counted(cls, counts: Ints) -> Draws:
        """Tags taken as they were counted."""
        return cls(counts, normalised(counts), miller_madow(counts))

    def __getitem__(self, prefixes: NDArray[np.int64]) -> Draws:
        return Draws(self.counts[prefixes], self.shares[prefixes], self.ambiguity[prefixes])


@dataclass(frozen=True)
class Agreement:
    """Of one kind of forecast, with intervals over documents.

    divergence, loss, ambiguity, uncertainty: means over prefixes, nats (uncertainty: the forecasts' own entropy).
    share: explained. entropies: Spearman correlation of a forecast's entropy with the ambiguity. calibration_error:
    per prefix, probability by which the forecasts of a bin miss the shares found there, summed over the tags.
    reliability: by bins of the forecasts: edges, weight, mean confidence, share that came true (NaN where empty).
    """

    divergence: Estimate
    loss: Estimate
    ambiguity: Estimate
    uncertainty: Estimate
    share: Estimate
    entropies: Estimate
    calibration_error: Estimate
    reliability: dict[str, list[float]]


@dataclass(frozen=True)
class Shuffled:
    """The same numbers of shuffled pairings, [permutation], and how many pairs a pairing had on average."""

    divergence: list[float]
    share: list[float]
    entropies: list[float]
    calibration_error: list[float]
    pairs: float


def terms(forecast: Floats, draws: Draws) -> Terms:
    """forecast [prefix, K]."""
    return Terms(
        jensen_shannon(forecast, normalised(draws.counts)),
        cross_entropy(draws.shares, forecast),
        draws.ambiguity,
        entropy(forecast),
    )


def agreement(forecast: Floats, draws: Draws, boot: GroupBootstrap, bins: int) -> Agreement:
    """boot: over the documents of the prefixes."""
    real, counts = terms(forecast, draws), draws.counts
    means = {name: boot.mean(getattr(real, name)).item() for name in ("divergence", "loss", "ambiguity", "uncertainty")}
    table = reliability(forecast.ravel(), normalised(counts).ravel(), bins)
    gaps = boot.sums(np.concatenate([_gaps(forecast, counts, bins), np.ones((len(counts), 1))], 1))
    return Agreement(
        **means,
        share=boot.ratio(real.ambiguity, real.loss).item(),
        entropies=boot.from_counts(RankCorrelation(real.uncertainty, real.ambiguity, boot.unit_of_row), CORRELATION),
        calibration_error=boot.from_sums(gaps, _calibration_error).item(),
        reliability={name: values.tolist() for name, values in vars(table).items()},
    )


def shuffled(forecast: Floats, draws: Draws, groups: Ints, permutations: int, bins: int, seed: int) -> Shuffled:
    """Pairs forecasts with the draws of other prefixes, never of the same document; groups: [prefix] document."""
    rng, numbers, pairs = np.random.default_rng([seed, 1]), [], 0
    for _ in range(permutations):
        order = rng.permutation(len(forecast))
        apart = groups != groups[order]
        p, other = forecast[apart], draws[order[apart]]
        pairs += len(p)
        numbers.append(_point(p, other, bins) if len(p) > 1 else np.full(4, np.nan))
    divergence, share, entropies, error = np.array(numbers).reshape(permutations, 4).T.tolist()
    return Shuffled(divergence, share, entropies, error, pairs / permutations)


def sampling_floor(forecast: Floats, counts: Ints, simulations: int, seed: int) -> Floats:
    """[simulation] the mean divergence if each prefix's draws came from its forecast: what sampling alone does."""
    rng, draws = np.random.default_rng([seed, 2]), counts.sum(1)
    p = normalised(forecast)
    return np.array([jensen_shannon(p, normalised(rng.multinomial(draws, p))).mean() for _ in range(simulations)])


def _point(forecast: Floats, draws: Draws, bins: int) -> Floats:
    real = terms(forecast, draws)
    sums = np.append(_gaps(forecast, draws.counts, bins).sum(0), len(forecast))
    share = real.ambiguity.sum() / real.loss.sum()
    correlation = spearman(real.uncertainty, real.ambiguity)
    return np.array([real.divergence.mean(), share, correlation, float(_calibration_error(sums))])


def _gaps(forecast: Floats, counts: Ints, bins: int) -> Floats:
    """[prefix, bin] found share less forecast, summed over the tags whose forecast lies in the bin."""
    edges = np.linspace(0, 1, bins + 1)
    bin_of = np.searchsorted(edges[1:-1], forecast)
    gaps = np.zeros((len(forecast), bins))
    np.add.at(gaps, (np.arange(len(forecast))[:, None], bin_of), normalised(counts) - forecast)
    return gaps


def _calibration_error(sums: Floats) -> Floats:
    return np.asarray(np.abs(sums[..., :-1]).sum(-1) / sums[..., -1])
