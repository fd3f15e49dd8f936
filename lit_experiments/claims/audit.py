"""An audit: every claim of a run, judged, and its page. Does not know: where results lie, which tasks there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lit_experiments.claims.cells import verdicts_matrix
from lit_experiments.claims.claim import Claim, closest
from lit_experiments.claims.evidence import Evidence
from lit_experiments.claims.rule import NAMES, WORDS, Judged, Verdict, in_words, judged
from lit_experiments.errors import UserError
from lit_experiments.reports import blocks


@dataclass(frozen=True)
class AuditedClaim:
    """A claim with its verdict. states: whose; stale: the store has changed since the numbers were made. numbers: what
    decided; claims: for each part of the claim whether it holds (yes, no, open)."""

    id: str
    task: str
    target: str
    states: str
    verdict: str
    sentence: str
    stale: bool
    claims: dict[str, str]
    numbers: Evidence
    claim: Claim


@dataclass(frozen=True)
class Audit:
    """All claims of a run. claims_file: the hash of the claims that were judged, None for those of the tasks.
    registered: the hash that the collection recorded before it began, None without one."""

    run: str
    claims: list[AuditedClaim]
    tasks: list[str]
    claims_file: str | None
    registered: str | None


def audited(items: Sequence[tuple[Judged, bool]]) -> list[AuditedClaim]:
    """Judges claims again, by the rule as it is now. items: (claim with its evidence, whether it is stale)."""
    return [_audited(item.claim, item.evidence, stale) for item, stale in items]


def matched(claims: Sequence[Claim], items: Sequence[tuple[Judged, bool]], where: str) -> list[AuditedClaim]:
    """The user's claims, each judged by the evidence that fits it, beyond what it names.

    Raises:
        UserError: no evidence or several for a claim, or no number for a control that it names.
    """
    out = []
    for claim in claims:
        fitting = [(item, stale) for item, stale in items if claim.matches(item.claim)]
        if len(fitting) != 1:
            raise UserError(_no_match(claim, [item.claim for item, _ in (fitting or items)], len(fitting), where))
        item, stale = fitting[0]
        missing = [name for name in claim.beyond if name not in item.claim.beyond and name != "embedding"]
        if missing:
            raise UserError(
                f"{where}: claim {claim.id} goes beyond {', '.join(missing)}, and {item.claim.id} was compared with "
                f"{', '.join(item.claim.beyond) or 'nothing'} alone.\nNext: train with that control, or claim less."
            )
        out.append(_audited(claim, item.evidence, stale))
    return out


def audit_page(audit: Audit) -> blocks.Page:
    """The matrix of verdicts with the numbers that decide."""
    times = Counter(claim.verdict for claim in audit.claims)
    counted = ", ".join(f"{word} {times[word]}" for word in WORDS if times[word])
    rows = {c.id: (Verdict(c.verdict, c.claims, c.sentence), c.numbers) for c in audit.claims}
    notes = [f"{claim.id}: its store has changed since; train again." for claim in audit.claims if claim.stale]
    if audit.claims_file is not None:
        notes.append(_registration(audit))
    return blocks.Page(
        title="Audit: which claims hold?",
        question="Does each claim of this run hold beyond surface, output, random weights and copies?",
        done=f"{len(audit.claims)} claims of {', '.join(audit.tasks) or 'no task'} were judged by one rule.",
        outcome=[f"{counted}.", *in_words([claim.sentence for claim in audit.claims])],
        certainty="Every number is of held-out groups, with its interval; p-values are corrected over the targets of "
        "a training. A claim is supported if all of its parts hold.",
        sections=[
            blocks.Section(
                "Verdicts",
                [
                    verdicts_matrix(rows),
                    *(blocks.Note(note) for note in notes),
                ],
            ),
            blocks.Section(
                "Numbers", [blocks.Table.of("numbers", "", _NUMBERS, [(claim,) for claim in audit.claims], most=60)]
            ),
        ],
        methods=[_METHOD],
    )


_NUMBERS = (
    blocks.Column("claim", of="id"),
    blocks.Column("score", of=lambda c: NAMES[c.numbers.score_name]),
    blocks.Column("chance", "number", 2, of="numbers.chance"),
    blocks.Column("held out", "estimate", 3, of="numbers.score"),
    blocks.Column("p", "p", meaning="corrected over targets", of="numbers.p_corrected"),
    blocks.Column("test rows", "count", of="numbers.grouping.test_rows"),
    blocks.Column("test groups", "count", of="numbers.grouping.test_groups"),
    blocks.Column("copies", "count", meaning="test rows with a copy, row by row", of="numbers.grouping.twins_by_row"),
    blocks.Column("row by row", "estimate", 3, "score where rows are split one by one", of="numbers.by_row"),
    blocks.Column("seen at 80 % power", "number", 2, "smallest distance from chance", of="numbers.detectable"),
)
_METHOD = (
    "Leaked: told where copies are in training, and not by held-out content. Underpowered: too few groups, or tests "
    "that disagree. Not supported: it would have been seen, and is not, or random states tell as much. Surface- and "
    "output-explained: the states add nothing to what text and place, or the model's output, tell. A target that is a "
    "readout of the same output is said to be so, and not compared with it."
)


def _audited(claim: Claim, evidence: Evidence, stale: bool) -> AuditedClaim:
    verdict = judged(claim, evidence).verdict
    return AuditedClaim(
        id=claim.id,
        task=claim.task,
        target=claim.target,
        states=claim.states,
        verdict=verdict.word,
        sentence=verdict.sentence,
        stale=stale,
        claims=verdict.claims,
        numbers=evidence,
        claim=claim,
    )


def _no_match(claim: Claim, trained: Sequence[Claim], matches: int, where: str) -> str:
    if matches:
        return (
            f"{where}: claim {claim.id} fits {matches} results: {', '.join(item.id for item in trained)}.\n"
            "Next: name its states, field or layer."
        )
    words = {f"{item.task}/{item.target}": item.id for item in trained}
    near = closest(f"{claim.task}/{claim.target}", [*words])
    return (
        f"{where}: nothing of this run was trained that claim {claim.id} is about (task {claim.task}, target "
        f"{claim.target}, states {claim.states}){near}.\nThere is: {', '.join(words.values()) or 'no claim'}."
    )


def _registration(audit: Audit) -> str:
    assert audit.claims_file is not None
    mine = audit.claims_file[:12]
    if audit.registered is None:
        return f"These claims ({mine}) were not registered before collecting (collect --claims FILE)."
    if audit.registered == audit.claims_file:
        return f"These claims ({mine}) are those that were registered before collecting."
    return f"These claims ({mine}) are not those that were registered before collecting ({audit.registered[:12]})."
