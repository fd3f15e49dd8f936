"""How often verdicts on claims of known truth are right: `python -m benchmarks.claims --seeds 20 --from 100`.

Every claim is written as a store of study 3 or of texts with labels, trained on by the command line with its usual
options, and judged as users would judge it. Prints the confusion of kinds and verdicts, the share that is right and the
share of claims that are called supported and are not; writes everything as JSON. Kinds: planted_claims/kinds.py.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.planted_claims.claim import SUPPORTED, VERDICTS
from benchmarks.planted_claims.kinds import KINDS, make_claim
from benchmarks.planted_claims.written import (
    CONFIDENCE,
    TARGET,
    write_for_introspection,
    write_for_linear_probes,
)

LINEAR, INTROSPECTION = "linear_probes", "introspection_probes"
TASKS = {"linear_probes": (LINEAR,), "introspection": (INTROSPECTION,), "both": (LINEAR, INTROSPECTION)}


@dataclass(frozen=True)
class Case:
    """One claim for one task; options: further ones of the training."""

    kind: str
    seed: int
    task: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judged:
    """verdict: of VERDICTS, or the error's first line. right: the verdicts that are. numbers: that decided. seconds: of
    training and judging."""

    kind: str
    seed: int
    task: str
    verdict: str
    right: tuple[str, ...]
    numbers: dict[str, Any]
    seconds: float

    @property
    def is_right(self) -> bool:
        return self.verdict in self.right

    @property
    def is_false_support(self) -> bool:
        return self.verdict == SUPPORTED and SUPPORTED not in self.right


def judge(case: Case) -> Judged:
    """Writes, trains, judges and forgets a claim."""
    claim = make_claim(case.kind, case.seed)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        (write_for_linear_probes if case.task == LINEAR else write_for_introspection)(run, claim)
        start = time.monotonic()
        wanted = (
            ["--target", TARGET]
            if case.task == LINEAR
            else ["--passes", f"[{CONFIDENCE}]", "--targets", f"[{CONFIDENCE}.{CONFIDENCE}]"]
        )
        trained = ["--run", str(run), "--accelerator", "cpu", *wanted, *case.options]
        error = _command("train", "--exp", case.task, *trained) or _command("audit", str(run))
        verdict, numbers = (error, {}) if error else _verdict(run)
        return Judged(case.kind, case.seed, case.task, verdict, claim.right, numbers, time.monotonic() - start)


def _command(*words: str) -> str:
    """Runs a command line in this process; empty, or the first line of its error."""
    from lit_experiments.cli import main

    shown, said = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(said):
        code = main(list(words))
    lines = [line for line in said.getvalue().splitlines() if line.strip()]
    return "" if code == 0 else f"exit code {code}: {lines[0] if lines else ''}"


def _verdict(run: Path) -> tuple[str, dict[str, Any]]:
    (claim,) = json.loads((run / "audit" / "audit.json").read_text())["claims"]
    return claim["verdict"], claim["numbers"]


def judged(cases: Sequence[Case], jobs: int) -> Iterator[Judged]:
    """Every case's verdict, as they come."""
    if jobs == 1:
        yield from map(judge, cases)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_quiet) as pool:
        for done in as_completed([pool.submit(judge, case) for case in cases]):
            yield done.result()


def _quiet() -> None:
    warnings.simplefilter("ignore")
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


@dataclass(frozen=True)
class Tally:
    """Of some claims: how many, how many are right, how many are wrongly called supported."""

    claims: int
    right: int
    false_support: int

    @classmethod
    def of(cls, claims: Sequence[Judged]) -> Tally:
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


def main() -> None:
    """Judges what is asked for and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="claims of every kind and task")
    parser.add_argument("--from", type=int, default=100, dest="first", help="the first seed")
    parser.add_argument("--kinds", nargs="*", default=[*KINDS], choices=[*KINDS], metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--task", choices=[*TASKS], default="both")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--options", nargs="*", default=[], help="further options of every training, as --folds=3")
    parser.add_argument("--out", type=Path, default=Path("claims.json"))
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _quiet()
    cases = [
        Case(kind, seed, task, tuple(options.options))
        for seed in range(options.first, options.first + options.seeds)
        for kind in options.kinds
        for task in TASKS[options.task]
    ]
    claims: list[Judged] = []
    for claim in judged(cases, options.jobs):
        claims.append(claim)
        mark = "" if claim.is_right else "  WRONG"
        print(f"{claim.seconds:6.1f} s  {claim.task}  {claim.kind} {claim.seed}: {claim.verdict}{mark}", flush=True)
        options.out.write_text(json.dumps([asdict(claim) for claim in claims], indent=1))
    print(f"\n{report(claims)}")


if __name__ == "__main__":
    main()
