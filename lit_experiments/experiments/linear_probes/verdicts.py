"""What the numbers of each target are as evidence for its claim. Computes no score and has no rule: `claims` judges."""

from __future__ import annotations

from dataclasses import replace

from lit_experiments.claims import Claim, Control, Evidence, Grouping, Judged, judged, untested
from lit_experiments.claims.claim import BEYOND, RANDOM
from lit_experiments.controls.split import SplitSummary
from lit_experiments.experiments.linear_probes.result import TargetResult, UntestedTarget
from lit_experiments.experiments.linear_probes.study import Study

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


def without_test(study: Study, method: str, data: str) -> tuple[list[UntestedTarget], list[Judged]]:
    """Targets that could not be tested, with their verdicts, and these claims.

    Args:
        method: the option of this name; data: what the rows are, by a hash.
    """
    targets, claims = [], []
    for target in study.untested:
        claim = Claim(
            id=f"{TASK}/{study.field}/{target.target}",
            task=TASK,
            target=target.target,
            states=study.field,
            field=study.field,
            layer="chosen",
            position="label",
            reader=method,
            data=data,
            beyond=[],
        )
        claims.append(untested(claim, target.reason, grouping_of(study.split.summary)))
        targets.append(UntestedTarget(target.target, target.reason, target.missing, claims[-1].verdict))
    return targets, claims


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
        controls=[
            Control(name, c.model, c.score, c.gain, c.determines, growth=c.growth)
            for name, c in result.controls.items()
        ],
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
