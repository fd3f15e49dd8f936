"""What a tagger's errors add to the ambiguity of tags, and the tags behind them.

A tagger that errs at random makes words look ambiguous that are not. How it errs is counted on held-out sentences with
gold tags, for words of the very kind: whose types have the same set of tags in training. Given these rates, the true
tags of a prefix's draws have an unknown distribution p, the counted tags are draws from p times the rates, and the
distribution of p over prefixes is estimated by penalised maximum likelihood (Kiefer and Wolfowitz 1956; support points
as in Jiang and Zhang 2009: one tag alone, and every prefix's own best p). A prefix's tags and ambiguity are means over
what its counts leave possible, so that neither sampling nor the tagger's errors add to them.

The rates are known from a limited number of gold words only, so they are estimated from these and the draws together,
beginning with words that have one tag: what remains is ambiguity that errors cannot explain.

Pure: codes and counts in, estimates out. Knows no tagger and no store.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lit_experiments.experiments.pos.types import Forms, TypeTable
from lit_experiments.statistics.divergence import entropy, normalised

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Kind = tuple[int, ...]
"""Codes of the tags that a type has in training; none for types that training lacks."""

_BACK_OFF = 20.0
"""Words of a kind below which the rates of wider kinds weigh more."""
_RARE = 0.01
_LEAST_PREFIXES = 0.5
_MOST_SUPPORT = 240
_ROUNDS, _STEPS = 2, 60
_OWN_STEPS = 200
_LEAST = 1e-12


@dataclass(frozen=True)
class GoldErrors:
    """counts: kind -> [true tag, tag that the tagger gives] held-out words."""

    counts: Mapping[Kind, Floats]
    classes: int

    @classmethod
    def of(cls, kinds: Sequence[Kind], true: Ints, tagged: Ints, classes: int) -> GoldErrors:
        """From held-out words [word]."""
        counts: dict[Kind, Floats] = {}
        for kind, row, column in zip(kinds, true.tolist(), tagged.tolist(), strict=True):
            counts.setdefault(kind, np.zeros((classes, classes)))[row, column] += 1
        return cls(counts, classes)

    @property
    def words(self) -> int:
        return int(sum(table.sum() for table in self.counts.values()))

    def of_kind(self, kind: Kind) -> Floats:
        """[K, K] counts of a kind, with rates of wider kinds for `_BACK_OFF` words: as many tags, then all words; a tag
        without gold words counts as tagged rightly."""
        every = sum(self.counts.values(), np.zeros((self.classes, self.classes))) + np.eye(self.classes)
        alike = [table for other, table in self.counts.items() if _breadth(other) == _breadth(kind)]
        wider = sum(alike, np.zeros_like(every)) + _BACK_OFF * normalised(every)
        return np.asarray(self.counts.get(kind, np.zeros_like(every)) + _BACK_OFF * normalised(wider))

    def accuracy(self, kinds: Sequence[Kind]) -> float:
        """Share of right tags among held-out words of these kinds, each kind as often as it comes; NaN without any."""
        known = [self.counts[kind] for kind in kinds if kind in self.counts]
        return float(np.mean([table.trace() / table.sum() for table in known])) if known else math.nan


@dataclass(frozen=True)
class TrueTags:
    """shares [prefix, K]: expected distribution of the draws' true tags; ambiguity [prefix]: its expected entropy,
    nats."""

    shares: Floats
    ambiguity: Floats


def kinds_of(forms: Forms, table: TypeTable) -> list[Kind]:
    """[word] kind of each."""
    none = np.zeros(len(table.overall))
    return [tuple(np.flatnonzero(table.counts.get(form, none)).tolist()) for form in np.asarray(forms, str).tolist()]


def true_tags(counts: Ints, kinds: Sequence[Kind], gold: GoldErrors) -> TrueTags:
    """counts [prefix, K] of the tagger's tags; kinds [prefix]."""
    distinct = sorted(set(kinds))
    kind_of = np.array([distinct.index(kind) for kind in kinds], np.int64)
    tables = np.stack([gold.of_kind(kind) for kind in distinct])
    rates = normalised(tables + _draws_of_one_tag(counts, kind_of, tables))
    for _ in range(_ROUNDS):
        support = _support(counts, rates[kind_of])
        weights = _mostly_alone(support)
        for _ in range(_STEPS):
            posterior, seen = _posterior(counts, kind_of, support, weights, rates)
            weights = _sparse(posterior.sum(0), support)
            rates = normalised(tables + _expected(counts, kind_of, support, posterior, seen, rates))
    posterior, _ = _posterior(counts, kind_of, support, weights, rates)
    return TrueTags(posterior @ support, posterior @ entropy(support))


def _sparse(mass: Floats, support: Floats) -> Floats:
    """[support] weights from how many prefixes each distribution stands for; a mixed one that stands for less than
    `_LEAST_PREFIXES` goes (Figueiredo and Jain 2002), as chance alone makes such."""
    spared = np.where(support.max(1) == 1, mass, np.maximum(mass - _LEAST_PREFIXES, 0.0))
    return np.asarray(normalised(spared if spared.any() else mass))


def _draws_of_one_tag(counts: Ints, kind_of: Ints, tables: Floats) -> Floats:
    """[kind, K, K] draws of prefixes whose commonest tag may well be their only one: no more draws have another tag
    than the error rates of gold words, at the upper end of what these leave open, would make."""
    right = np.diagonal(tables, axis1=1, axis2=2)
    highest = stats.beta.ppf(1 - _RARE, tables.sum(-1) - right + 0.5, right + 0.5)
    top, total = counts.argmax(1), counts.sum(1)
    alone = stats.binom.sf(total - counts.max(1) - 1, total, highest[kind_of, top]) > _RARE
    out = np.zeros_like(tables)
    np.add.at(out, (kind_of[alone], top[alone]), counts[alone])
    return out


def _posterior(counts: Ints, kind_of: Ints, support: Floats, weights: Floats, rates: Floats) -> tuple[Floats, Floats]:
    """([prefix, support] how probable each distribution is, [kind, support, K] probabilities of the tagger's tags)."""
    seen = np.maximum(support @ rates, _LEAST)
    logs = np.empty((len(counts), len(support)))
    for kind, of_kind in enumerate(np.log(seen)):
        logs[kind_of == kind] = counts[kind_of == kind] @ of_kind.T
    density = np.exp(logs - logs.max(1, keepdims=True, where=weights > 0, initial=-np.inf))
    return normalised(np.where(weights > 0, np.minimum(density, 1.0), 0.0) * weights), seen


def _expected(counts: Ints, kind_of: Ints, support: Floats, posterior: Floats, seen: Floats, rates: Floats) -> Floats:
    """[kind, K, K] expected draws with each true tag that got each of the tagger's."""
    out = np.empty_like(rates)
    for kind in range(len(rates)):
        draws = posterior[kind_of == kind].T @ counts[kind_of == kind]  # [support, K]
        out[kind] = rates[kind] * (support.T @ (draws / seen[kind]))
    return out


def _mostly_alone(support: Floats) -> Floats:
    """[support] weights to begin with: nine tenths for one tag alone, which few steps would not give back otherwise."""
    alone = support.max(1) == 1
    return np.asarray(np.where(alone, 0.9 / max(1, alone.sum()), 0.1 / max(1, (~alone).sum())))


def _breadth(kind: Kind) -> int:
    """0, 1, or 2 for several tags."""
    return min(len(kind), 2)


def _support(counts: Ints, rates: Floats) -> Floats:
    """[support, K] one tag alone, for each that was counted, and every prefix's own most likely distribution of true
    tags (expectation maximisation), evenly thinned where there are many."""
    rows = np.unique(np.linspace(0, len(counts) - 1, min(len(counts), _MOST_SUPPORT)).astype(np.int64))
    observed, channel = normalised(counts[rows]), rates[rows]
    p = np.full(observed.shape, 1 / observed.shape[1])
    for _ in range(_OWN_STEPS):
        given = np.einsum("pk,pkt->pt", p, channel)
        p = normalised(p * np.einsum("pkt,pt->pk", channel, observed / np.maximum(given, _LEAST)))
    alone = np.eye(counts.shape[1])[counts.sum(0) > 0]
    return np.concatenate([alone, p])
