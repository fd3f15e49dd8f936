"""Does a judge find clusters to be different methods? Which pairs are shown to it, and what its verdicts amount to.

Distinctness: the share judged different among pairs of representatives of different clusters, minus the same share
among pairs within a cluster (a representative and another member).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from lit_experiments.experiments.geometry.averages import Floats, Resampler, estimate
from lit_experiments.experiments.geometry.clustering_result import JudgedPair, JudgeFindings, ProblemClusters
from lit_experiments.experiments.geometry.judge import DIFFERENT, JUDGEMENTS, SAME, UNDECIDED, Comparison, Pair
from lit_experiments.experiments.geometry.partition import Solved
from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.bootstrap import ratio_of_sums
from lit_experiments.statistics.intervals import GAP, SHARE

BETWEEN, WITHIN = KINDS = ("between", "within")
OPPOSED = "opposed orders"


@dataclass(frozen=True)
class Shown:
    """A pair for the judge. kind: BETWEEN or WITHIN; clusters: of the two; places: which completions."""

    problem: int
    kind: str
    clusters: tuple[int, int]
    places: tuple[int, int]
    pair: Pair


def choose_pairs(problems: Sequence[Solved], clusters: Sequence[ProblemClusters], most: int, seed: int) -> list[Shown]:
    """At most `most` pairs between clusters and `most` within, for each problem; larger clusters first."""
    shown = []
    for number, (problem, partition) in enumerate(zip(problems, clusters, strict=True)):
        texts, places, centers = problem.of_kept(problem.texts), partition.places, partition.representatives
        rows = [(BETWEEN, (i, j), (centers[i], centers[j])) for i, j in combinations(range(len(centers)), 2)][:most]
        rows += [(WITHIN, (c, c), pair) for c, pair in _within(partition, f"{seed}/{problem.problem_id}")][:most]
        shown += [
            Shown(number, kind, pair, (places[i], places[j]), Pair(problem.question, texts[i], texts[j]))
            for kind, pair, (i, j) in rows
        ]
    return shown


def _within(partition: ProblemClusters, name: str) -> list[tuple[int, tuple[int, int]]]:
    """For each cluster of two or more: its representative and another member, drawn at random."""
    pairs = []
    for cluster, center in enumerate(partition.representatives):
        others = [row for row, label in enumerate(partition.labels) if label == cluster and row != center]
        if others:
            pairs.append((cluster, (center, random.Random(f"{name}/{cluster}").choice(others))))
    return pairs


def summarise(shown: Sequence[Shown], judged: Sequence[Comparison], who: str, resampler: Resampler) -> JudgeFindings:
    """Shares judged different, with intervals over problems, and every verdict with its reasons."""
    problems = sorted({pair.problem for pair in shown})
    counts = np.zeros((len(problems), 2, 2))  # [problem, between or within, different or decided]
    for pair, comparison in zip(shown, judged, strict=True):
        place = (problems.index(pair.problem), KINDS.index(pair.kind))
        counts[place] += comparison.verdict == DIFFERENT, comparison.verdict != UNDECIDED
    boot = resampler(np.arange(len(problems)))
    between, within = (estimate(boot.from_sums(boot.sums(counts[:, k]), ratio_of_sums, SHARE)) for k in range(2))
    return JudgeFindings(
        who=who,
        between=between,
        within=within,
        distinctness=_distinctness(counts, boot),
        verdicts={kind: _counted(kind, shown, judged) for kind in KINDS},
        comparisons=[
            JudgedPair(pair.kind, pair.problem, pair.clusters, pair.places, **vars(comparison))
            for pair, comparison in zip(shown, judged, strict=True)
        ],
    )


def _distinctness(counts: Floats, boot: GroupBootstrap) -> Estimate:
    """counts: [problem, between or within, different or decided]."""
    sums = boot.sums(counts)

    def gap(drawn: Floats) -> float:
        between, within = ratio_of_sums(np.tensordot(drawn, sums, 1))
        return float(between - within)

    return boot.from_counts(gap, GAP, int((counts[..., 1] > 0).sum(0).min()))


def _counted(kind: str, shown: Sequence[Shown], judged: Sequence[Comparison]) -> dict[str, int]:
    of_kind = [comparison for pair, comparison in zip(shown, judged, strict=True) if pair.kind == kind]
    counted = {verdict: sum(comparison.verdict == verdict for comparison in of_kind) for verdict in JUDGEMENTS}
    opposed = [{opinion.verdict for opinion in comparison.opinions} == {SAME, DIFFERENT} for comparison in of_kind]
    return {**counted, OPPOSED: sum(opposed)}
