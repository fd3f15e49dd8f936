"""What the numbers of each target are as evidence for its claim. Computes no score and has no rule: `claims` judges."""

from __future__ import annotations

from dataclasses import replace

from lit_experiments.claims import Claim, Control, Evidence, Grouping, Judged, judged
from lit_experiments.claims.claim import BEYOND, RANDOM
from lit_experiments.controls.split import SplitSummary
from lit_experiments.experiments.linear_probes.result import TargetResult

TASK = "linear_probes"


def with_verdicts(
    results: list[TargetResult], split: SplitSummary, data: str, alpha: float
) -> tuple[list[TargetResult], list[Judged]]:
    """The results with their verdicts, and the judged claims.

    Args:
        data: what the rows are, by a hash.
    """
    claims = [judged(claim_of(result, data), evidence_of(result, split, alpha)) for result in results]
    return [replace(r, verdict=claim.verdict) for r, claim in zip(results, claims, strict=True)], claims


def claim_of(result: TargetResult, data: str) -> Claim:
    """That the states tell the target beyond everything that it was compared with."""
    compared = {*result.controls, *([RANDOM] if result.twins is not None else [])}
    return Claim(
        id=f"{TASK}/{result.field}/{result.target}",
        task=TASK,
        target=result.target,
        states=result.field,
        field=result.field,
        layer="chosen",
        position="label",
        reader=result.method,
        data=data,
        beyond=[name for name in BEYOND if name in compared],
    )


def evidence_of(result: TargetResult, split: SplitSummary, alpha: float) -> Evidence:
    """The numbers that decide."""
    return Evidence(
        score_name=result.score_name,
        chance=result.chance,
        score=result.score,
        p=result.p,
        p_corrected=result.p_targets,
        shuffled_p=result.shuffled.p,
        alpha=alpha,
        controls=[Control(name, c.model, c.score, c.gain, c.determines) for name, c in result.controls.items()],
        twins=result.twins,
        apart=result.apart,
        by_row=result.by_row,
        grouping=replace(grouping_of(split), test_rows=result.test_rows, test_groups=result.test_groups),
        detectable=result.detectable,
        shuffles=len(result.shuffled.scores),
    )


def grouping_of(split: SplitSummary) -> Grouping:
    """The split's counts."""
    return Grouping(
        by=split.by,
        rows=split.rows,
        test_rows=split.test_rows,
        groups=split.groups,
        test_groups=split.test_groups,
        largest_group=split.largest_group,
        joined=split.copies + split.near_copies + split.templates,
        twins_by_row=split.twins_by_row,
        neighbours=split.neighbours,
    )
