"""One planted claim, written as a store, trained on by the command line with its usual options, and audited.

Owns: what a case and its verdict are, and the file of verdicts, one JSON line each. Does not know: how to count them.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.planted_claims.claim import SUPPORTED
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
    training and judging. options: further ones of the training."""

    kind: str
    seed: int
    task: str
    verdict: str
    right: tuple[str, ...]
    numbers: dict[str, Any]
    seconds: float
    options: tuple[str, ...] = ()

    @property
    def case(self) -> Case:
        """Of which this is the verdict."""
        return Case(self.kind, self.seed, self.task, self.options)

    @property
    def is_right(self) -> bool:
        """Whether the verdict is one of the right ones."""
        return self.verdict in self.right

    @property
    def is_false_support(self) -> bool:
        """Whether the claim is called supported and is not."""
        return self.verdict == SUPPORTED and SUPPORTED not in self.right


def cases_of(
    kinds: Sequence[str], seeds: Sequence[int], task: str, options: Sequence[str], shuffled: bool = False
) -> list[Case]:
    """Every kind at every seed, seed by seed, for the tasks that can read it. task: of TASKS. shuffled: the cases of a
    seed in random order, the same every time, so that those of a run that is stopped stand for all."""
    cases = [
        Case(kind, seed, name, tuple(options))
        for seed in seeds
        for kind in kinds
        for name in TASKS[task]
        if name == LINEAR or KINDS[kind].in_study_3
    ]
    order = {case: random.Random(f"{case}").random() for case in cases}
    return sorted(cases, key=lambda case: (case.seed, order[case])) if shuffled else cases


def judge(case: Case) -> Judged:
    """Writes, trains, judges and forgets a claim."""
    claim = make_claim(case.kind, case.seed)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        (write_for_linear_probes if case.task == LINEAR else write_for_introspection)(run, claim)
        start = time.monotonic()
        target = (
            ["--target", TARGET]
            if case.task == LINEAR
            else ["--passes", f"[{CONFIDENCE}]", "--targets", f"[{CONFIDENCE}.{CONFIDENCE}]"]
        )
        trained = ["--run", str(run), "--accelerator", "cpu", *target, *case.options]
        error = _command("train", "--exp", case.task, *trained) or _command("audit", str(run))
        verdict, numbers = (error, {}) if error else _verdict(run)
        seconds = time.monotonic() - start
    return Judged(case.kind, case.seed, case.task, verdict, claim.right, numbers, seconds, case.options)


def _command(*words: str) -> str:
    """Runs a command line in this process; empty, or the first line of its error.

    Raises:
        SystemExit: it was told to stop (SIGTERM, Ctrl-C): so is the benchmark.
    """
    from lit_experiments.cli import main
    from lit_experiments.errors import EXIT_STOPPED

    shown, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(stderr):
        code = main(list(words))
    if code == EXIT_STOPPED:
        raise SystemExit(EXIT_STOPPED)
    lines = [line for line in stderr.getvalue().splitlines() if line.strip()]
    return "" if code == 0 else f"exit code {code}: {lines[0] if lines else ''}"


def _verdict(run: Path) -> tuple[str, dict[str, Any]]:
    (claim,) = json.loads((run / "audit" / "audit.json").read_text())["claims"]
    return claim["verdict"], claim["numbers"]


def add_line(path: Path, claim: Judged) -> None:
    """Adds a verdict to the file."""
    with path.open("a") as file:
        file.write(json.dumps(asdict(claim)) + "\n")


def read_lines(path: Path) -> Iterator[Judged]:
    """The verdicts of a file; none where there is no file. A last line that a killed run left half written is cut off,
    so that the next one does not go on behind it.

    Raises:
        ValueError: another line is no verdict.
    """
    if not path.exists():
        return
    content = path.read_text()
    whole, _, rest = content.rpartition("\n")
    if rest:
        path.write_text(whole + "\n" if whole else "")
    for line in whole.splitlines():
        values = json.loads(line)
        yield Judged(**{**values, "right": tuple(values["right"]), "options": tuple(values["options"])})
