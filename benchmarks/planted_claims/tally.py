"""How many verdicts are right, kind by kind. Knows verdicts; judges nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.planted_claims.claim import VERDICTS
from benchmarks.planted_claims.judging import Judged
from benchmarks.planted_claims.kinds import KINDS


@dataclass(frozen=True)
class Tally:
    """Of some claims: how many, how many are right, how many are wrongly called supported."""

    claims: int
    right: int
    false_support: int

    @classmethod
    def of(cls, claims: Sequence[Judged]) -> Tally:
        """Counts them."""
        return cls(len(claims), sum(c.is_right for c in claims), sum(c.is_false_support for c in claims))

    def __str__(self) -> str:
        right, false = (100 * n / max(1, self.claims) for n in (self.right, self.false_support))
        return f"{self.claims} claims: {right:.1f} % right, {false:.1f} % falsely supported"


def confusion(claims: Sequence[Judged]) -> str:
    """A Markdown table: kinds down, verdicts across; the right ones in bold."""
    lines = [f"| kind | right | {' | '.join(VERDICTS)} | error |", f"|---|---:|{'---:|' * (len(VERDICTS) + 1)}"]
    for kind in KINDS:
        of_kind = [claim for claim in claims if claim.kind == kind]
        if not of_kind:
            continue
        counts = Counter(claim.verdict if claim.verdict in VERDICTS else "error" for claim in of_kind)
        shown = [
            f"**{counts[word]}**" if word in KINDS[kind].right and counts[word] else str(counts[word] or "")
            for word in (*VERDICTS, "error")
        ]
        tally = Tally.of(of_kind)
        lines.append(f"| {kind} | {tally.right}/{tally.claims} | {' | '.join(shown)} |")
    return "\n".join(lines)


def report(claims: Sequence[Judged]) -> str:
    """Tallies and confusion of each task, and of all."""
    parts = []
    for task in sorted({claim.task for claim in claims}):
        of_task = [claim for claim in claims if claim.task == task]
        seconds = sorted(claim.seconds for claim in of_task)[len(of_task) // 2]
        parts.append(f"{task}: {Tally.of(of_task)}; {seconds:.1f} s a claim (median)\n\n{confusion(of_task)}")
    return "\n\n".join([*parts, f"All: {Tally.of(claims)}"])
