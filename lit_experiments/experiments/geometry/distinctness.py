"""Does a judge find clusters to be different methods? Which pairs are shown to it, and what its verdicts amount to.

Distinctness: the share judged different among pairs of representatives of different clusters, less the same share
among pairs within a cluster (a representative and another member).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from lit_experiments.experiments.geometry.judge import DIFFERENT, JUDGEMENTS, SAME, UNDECIDED, Comparison, Pair
from lit_experiments.experiments.geometry.partition import Solved
from lit_experiments.experiments.geometry.solved import Floats, Resampling
from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.bootstrap import GAP, SHARE

BETWEEN, WITHIN = "between", "within"


@dataclass(frozen=True)
class Shown:
    """A pair for the judge. kind: BETWEEN or WITHIN; clusters: of the two; places: which completions."""

    problem: int
    kind: str
    clusters: tuple[int, int]
    places: tuple[int, int]
    pair: Pair


def choose_pairs(problems: Sequence[Solved], found: Sequence[dict[str, Any]], most: int, seed: int) -> list[Shown]:
    """At most `most` pairs between clusters and `most` within, for each problem; larger clusters first."""
    shown = []
    for number, (problem, each) in enumerate(zip(problems, found, strict=True)):
        texts, places = problem.of_kept(problem.texts), each["places"]
        centres = [int(row) for row in each["representatives"]]
        rows = [(BETWEEN, (i, j), (centres[i], centres[j])) for i, j in combinations(range(len(centres)), 2)][:most]
        rows += [(WITHIN, (c, c), pair) for c, pair in _within(each, centres, f"{seed}/{problem.problem_id}")][:most]
        shown += [
            Shown(
                number,
                kind,
                clusters,
                (int(places[one]), int(places[other])),
                Pair(problem.question, texts[one], texts[other]),
            )
            for kind, clusters, (one, other) in rows
        ]
    return shown


def _within(each: dict[str, Any], centres: list[int], name: str) -> list[tuple[int, tuple[int, int]]]:
    """For each cluster of two or more: its representative and another member, drawn at random."""
    found = []
    for cluster, centre in enumerate(centres):
        others = [int(row) for row in np.flatnonzero(each["labels"] == cluster) if row != centre]
        if others:
            found.append((cluster, (centre, random.Random(f"{name}/{cluster}").choice(others))))
    return found


def summarise(shown: Sequence[Shown], judged: Sequence[Comparison], resampling: Resampling) -> dict[str, Any]:
    """Shares judged different, with intervals over problems, and every verdict with its reasons."""
    problems = sorted({each.problem for each in shown})
    sums = np.zeros((len(problems), 4))  # different and decided, between and within
    for each, comparison in zip(shown, judged, strict=True):
        at = (problems.index(each.problem), 0 if each.kind == BETWEEN else 2)
        sums[at] += comparison.verdict == DIFFERENT
        sums[at[0], at[1] + 1] += comparison.verdict != UNDECIDED
    boot = resampling.over(len(problems))
    return {
        "between": boot.from_sums(sums[:, :2], lambda s: _share(s, 0), SHARE).item(),
        "within": boot.from_sums(sums[:, 2:], lambda s: _share(s, 0), SHARE).item(),
        "distinctness": _distinctness(sums, boot),
        "verdicts": {kind: _counted(kind, shown, judged) for kind in (BETWEEN, WITHIN)},
        "comparisons": [
            {
                "kind": each.kind,
                "problem": each.problem,
                "clusters": list(each.clusters),
                "completions": list(each.places),
                **asdict(comparison),
            }
            for each, comparison in zip(shown, judged, strict=True)
        ],
    }


def _distinctness(sums: Floats, boot: GroupBootstrap) -> Estimate:
    """sums: [problem, 4] different and decided, between and within."""

    def gap(counts: Floats) -> float:
        total = counts @ sums
        return float(_share(total, 0) - _share(total, 2))

    with np.errstate(invalid="ignore", divide="ignore"):
        return boot.from_counts(gap, GAP, int((sums[:, [1, 3]] > 0).sum(0).min()))


def _share(sums: Floats, at: int) -> Floats:
    out: Floats = sums[..., at] / sums[..., at + 1]
    return out


def _counted(kind: str, shown: Sequence[Shown], judged: Sequence[Comparison]) -> dict[str, int]:
    own = [comparison for each, comparison in zip(shown, judged, strict=True) if each.kind == kind]
    found = {verdict: sum(comparison.verdict == verdict for comparison in own) for verdict in JUDGEMENTS}
    opposed = [{o.verdict for o in comparison.opinions} == {SAME, DIFFERENT} for comparison in own]
    return {**found, "opposed orders": sum(opposed)}
