"""The page of the clusters, as blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from lit_experiments.experiments.geometry.clustering_result import (
    ClusteringResult,
    LayerClusters,
    Partition,
    ProblemClusters,
)
from lit_experiments.experiments.geometry.judge_page import distinctness_sentence, judge_blocks
from lit_experiments.experiments.geometry.judging import JudgeSettings
from lit_experiments.experiments.geometry.statements import (
    certainty,
    problem_statement,
    shortened,
    verdict_sentence,
    without_answers,
)
from lit_experiments.reports.blocks import (
    Block,
    Cell,
    Column,
    Matrix,
    Page,
    Points,
    Scatter,
    Section,
    Table,
    Verdict,
)
from lit_experiments.reports.cells import interval
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.reports.findings import held_against
from lit_experiments.statistics import LEVEL

_PANELS = 6  # problems in the figure
_REPRESENTED = 6  # problems whose representatives are shown
_ALL_COPIES = 10.0  # a gap (natural logarithm) that only clusters without any spread reach
_TEXT = 240  # characters of a solution shown
_METHODS = (
    "Each problem by itself: k-means on the latents of its kept completions; means over problems with "
    f"{LEVEL:.0%} intervals. Adjusted Rand: agreement with the methods known of the embedded problems, where a "
    "problem's completions use both (1: the same groups, 0: chance); next to it, what clustering the completions' "
    "lengths alone would reach. Few distinct texts make clusters easy: copies of a text lie on one point. Gap: the gap "
    "statistic; several clusters are reported where theirs exceeds that of one by more than its simulation error "
    "(copies: every cluster is one text, so nothing is left within).",
    "All problems together, after each problem's mean latent over all its completions, right and wrong, is taken away: "
    "clusters here are what solutions of different problems have in common.",
    "Judge: representatives of different clusters, and within a cluster its representative and another member, are "
    "shown in both orders. Distinctness: the share judged different between clusters minus that within. Undecided "
    "pairs (orders that disagree, no readable verdict) count in neither share; intervals over problems.",
)
_LAYERS = (
    Column("layer"),
    Column("problems", "count"),
    Column("clusters", "estimate", 2, "mean number over problems"),
    Column("more than one", "estimate", 2, "share of problems with more than one cluster"),
    Column("silhouette", "estimate", 2),
    Column("adjusted Rand", "estimate", 2, "agreement with the known methods; 1: the same groups, 0: chance"),
    Column("of lengths alone", "estimate", 2, "adjusted Rand of clusters of the completions' lengths"),
)
_TOGETHER = (
    Column("layer"),
    Column("completions", "count"),
    Column("distinct texts", "count"),
    Column("clusters", "count"),
    Column("silhouette", "number", 2),
    Column("adjusted Rand", "number", 2, "agreement with the known methods; 1: the same groups, 0: chance"),
    Column("of lengths alone", "number", 2, "adjusted Rand of clusters of the completions' lengths"),
)
_PROBLEMS = (
    Column("problem"),
    Column("kept", "count"),
    Column("distinct texts", "count"),
    Column("clusters", "count"),
    Column("sizes"),
    Column("gap of 1", "number", 2, "gap statistic of one cluster"),
    Column("gap", "number", 2, "gap statistic of the number with the best silhouette; copies: nothing left within"),
    Column("adjusted Rand", "number", 2),
)
_REPRESENTATIVES = (
    Column("problem"),
    Column("cluster", "count"),
    Column("completions", "count"),
    Column("known method"),
    Column("text closest to the centroid"),
)


def clustering_page(result: ClusteringResult, judge: JudgeSettings, demonstration: bool) -> Page:
    """The page. judge: as it was, or would be, asked; demonstration: the data are the embedded model's."""
    sections = _cluster_sections(result) if result.problems_clustered else []
    sections.append(Section("Judge", judge_blocks(result, judge)))
    return Page(
        title="Geometry: clusters of solutions",
        question="Do a model's solutions of one problem fall into groups in its states, and are the groups different "
        "methods?",
        done=f"{problem_statement(result.problems_asked)} {verdict_sentence(result.verdicts)} {_kept(result)}",
        outcome=_outcome(result) or [_kept(result), *without_answers(result.verdicts)],
        certainty=certainty(LEVEL),
        sections=sections,
        methods=_METHODS,
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _kept(result: ClusteringResult) -> str:
    which = "correct completions" if result.keep == "correct" else "completions (right or wrong)"
    sentence = (
        f"{result.problems_clustered} of {result.problems_asked} problems have at least "
        f"{result.min_completions} {which} and are clustered"
    )
    short = result.completions_too_short
    sentence += f"; {short} completions are shorter than the stride and have no latent." if short else "."
    if not result.problems_clustered:
        hint = " --keep all would cluster wrong ones too." if result.keep == "correct" else ""
        sentence += f" Nothing can be clustered.{hint}"
    return sentence


def _outcome(result: ClusteringResult) -> list[str]:
    if not result.problems_clustered:
        return []
    first = result.layers[0]
    lines = [
        f"At {first.site}, {interval(first.several, 2)} of the problems have more than one cluster of completions, "
        f"{interval(first.clusters, 2)} clusters on average."
    ]
    if first.rand.n:
        lines.append(
            f"The adjusted Rand index of clusters and known methods (1: the same groups, 0: chance) is "
            f"{interval(first.rand, 2)}; that of clusters of the lengths alone is {interval(first.rand_of_lengths, 2)}."
        )
    if result.judge is not None:
        lines.append(distinctness_sentence(result.judge))
    return lines


def _cluster_sections(result: ClusteringResult) -> list[Section]:
    first = result.layers[0]
    sections = [
        Section("Each problem by itself", [_verdicts(result), _layer_table(result)]),
        Section(f"Each problem at {first.site}", [_map(result), _problem_table(result.problems)]),
        Section("Representatives", [_representatives(result.problems)], quiet=True),
    ]
    if first.together is not None:
        sections.insert(2, Section("All problems together", _together(result, first, first.together)))
    return sections


def _verdicts(result: ClusteringResult) -> Matrix:
    cells: list[list[Verdict | None]] = []
    for number, layer in enumerate(result.layers):
        judged = None
        if result.judge is not None and number == 0:
            judged = held_against(result.judge.distinctness, 0, ("distinct", "for"), ("alike", "against"))
        agreement = held_against(layer.rand, 0, ("agree", "for"), ("disagree", "against"))
        cells.append([Verdict("share of problems", "void", layer.several), agreement, judged])
    columns = ["more than one cluster", "clusters are the known methods (adjusted Rand)"]
    columns.append("a judge finds them different methods (distinctness)")
    return Matrix("verdicts", "", [layer.site for layer in result.layers], columns, cells)


def _layer_table(result: ClusteringResult) -> Table:
    rows: list[list[Cell]] = [
        [
            layer.site,
            layer.clusters.n,
            layer.clusters,
            layer.several,
            layer.silhouette,
            layer.rand,
            layer.rand_of_lengths,
        ]
        for layer in result.layers
    ]
    return Table("layers", "", _LAYERS, rows)


def _problem_table(problems: Sequence[ProblemClusters]) -> Table:
    rows: list[list[Cell]] = [
        [
            problem.problem_id,
            problem.completions,
            problem.distinct_texts,
            problem.number,
            " + ".join(map(str, problem.sizes)),
            *_gaps(problem),
            problem.rand,
        ]
        for problem in problems
    ]
    return Table("problems", "", _PROBLEMS, rows, most=20)


def _gaps(problem: ProblemClusters) -> tuple[Cell, Cell]:
    if problem.choice is None:
        return "given", "given"
    best: Cell = "copies" if problem.choice.gap_best > _ALL_COPIES else problem.choice.gap_best
    return problem.choice.gap_one, best


def _map(result: ClusteringResult) -> Scatter:
    order = sorted(range(len(result.problems)), key=lambda i: -result.problems[i].number)
    shown = [result.problems[i] for i in sorted(order[:_PANELS])]
    panels = [_points(p, f"{p.problem_id} ({p.completions} completions)", p.representatives) for p in shown]
    caption = (
        f"Kept completions at {result.layers[0].site} along the two leading principal components of each problem. "
        "Colour: cluster; shape: known method; size: how many completions lie on one point. Pointing at a dot says "
        "how many they are, and whether the cluster's representative is among them."
    )
    return Scatter("clusters", caption, "component 1", "component 2", panels)


def _points(partition: Partition, title: str, representatives: Sequence[int] = ()) -> Points:
    """Completions in their plane, copies as one dot; one component is drawn as a line."""
    scores = np.array(partition.plane.scores).reshape(partition.completions, -1)
    scores = np.pad(scores, ((0, 0), (0, max(0, 2 - scores.shape[1])))).round(3) + 0.0
    methods = partition.methods or [""] * partition.completions
    keys = list(zip(partition.labels, methods, *scores[:, :2].T.tolist(), strict=True))
    copies = Counter(keys)
    dots = sorted(copies)
    shown = {keys[row] for row in representatives}
    shares = [f"{share:.0%} of variance" if np.isfinite(share) else "no variance" for share in partition.plane.shares]
    first, second = [*shares, "no variance", "no variance"][:2]
    return Points(
        title,
        [x for _, _, x, _ in dots],
        [y for _, _, _, y in dots],
        group=[f"cluster {label + 1}" for label, *_ in dots],
        kind=[method for _, method, *_ in dots] if partition.methods else (),
        label=[f"{copies[d]} completions{', the representative' if d in shown else ''}" for d in dots],
        size=[copies[dot] / max(copies.values()) for dot in dots],
        x_name=f"component 1 ({first})",
        y_name=f"component 2 ({second})",
    )


def _together(result: ClusteringResult, first: LayerClusters, partition: Partition) -> list[Block]:
    rows: list[list[Cell]] = [
        [layer.site, t.completions, t.distinct_texts, t.number, t.silhouette, t.rand, t.rand_of_lengths]
        for layer in result.layers
        if (t := layer.together) is not None
    ]
    caption = f"All problems together at {first.site}, each about its own mean."
    picture = Scatter("together", caption, "component 1", "component 2", [_points(partition, "")])
    return [picture, Table("together_layers", "", _TOGETHER, rows)]


def _representatives(problems: Sequence[ProblemClusters]) -> Table:
    rows: list[list[Cell]] = [
        [
            problem.problem_id,
            cluster + 1,
            problem.sizes[cluster],
            None if problem.methods is None else problem.methods[problem.representatives[cluster]],
            shortened(text, _TEXT),
        ]
        for problem in problems[:_REPRESENTED]
        for cluster, text in enumerate(problem.texts)
    ]
    return Table("representatives", "", _REPRESENTATIVES, rows)
