"""What the page of the clusters says of the judge, as blocks."""

from __future__ import annotations

from lit_experiments.experiments.geometry.clustering_result import ClusteringResult, JudgeFindings
from lit_experiments.experiments.geometry.distinctness import KINDS, OPPOSED
from lit_experiments.experiments.geometry.judge import JUDGEMENTS
from lit_experiments.experiments.geometry.judging import JudgeSettings
from lit_experiments.experiments.geometry.statements import shortened
from lit_experiments.reports.blocks import Block, Cell, Column, Note, Statement, Table
from lit_experiments.reports.cells import interval

_REASONS = 12  # comparisons whose reasons are shown
_TEXT = 240  # characters of a reason shown
_JUDGED = (
    Column("pairs"),
    Column("judged different", "estimate", 2, "share of the decided pairs"),
    *(Column(name, "count") for name in (*JUDGEMENTS, OPPOSED)),
)
_COMPARISONS = (Column("problem"), Column("clusters"), Column("verdict"), Column("reasons, first order"))


def judge_blocks(result: ClusteringResult, settings: JudgeSettings) -> list[Block]:
    """Its findings; or why there are none, and how to have some: with `settings`."""
    if result.judge is None:
        message = (
            f"The judge could not be had: {result.judge_failure}" if result.judge_failure else _not_asked(settings)
        )
        return [Note(message)]
    judge = result.judge
    rows: list[list[Cell]] = [
        [kind, share, *(judge.verdicts[kind][verdict] for verdict in (*JUDGEMENTS, OPPOSED))]
        for kind, share in zip(KINDS, (judge.between, judge.within), strict=True)
    ]
    reasons: list[list[Cell]] = [
        [
            result.problems[pair.problem].problem_id,
            f"{pair.kind} {pair.clusters[0] + 1} and {pair.clusters[1] + 1}",
            pair.verdict,
            shortened(pair.opinions[0].reasons, _TEXT),
        ]
        for pair in judge.comparisons[:_REASONS]
    ]
    return [
        Statement(distinctness_sentence(judge)),
        Table("judged", "", _JUDGED, rows),
        Table("reasons", "Reasons", _COMPARISONS, reasons, folded=True),
    ]


def _not_asked(settings: JudgeSettings) -> str:
    return (
        "No judge was asked whether the clusters are different methods. --judge_enabled true asks "
        f"{settings.endpoint.model} at {settings.endpoint.base_url} (its key in {settings.endpoint.key_variable}, "
        "from the environment or a .env file); --judge_kind local --judge_model MODEL asks a model on this machine."
    )


def distinctness_sentence(judge: JudgeFindings) -> str:
    """Who judged, and what came out."""
    return (
        f"The judge, {judge.who}, finds {interval(judge.between, 2)} of the pairs between clusters different and "
        f"{interval(judge.within, 2)} of those within; distinctness, the difference: {interval(judge.distinctness, 2)}."
    )
