"""Final answers: which one a completion gives, and whether it is the right one.

Owns: where a completion's answer stands (\\boxed{}, or GSM8K's "#### 42"), and equality as math-verify sees it (1/2 is
0.5, p - q is -q + p), in a process of its own so that it works in any thread and a comparison without end is ended.
Does not know: problems, models, stores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_experiments.errors import RunFailed
from lit_experiments.sources.boxes import boxed

CORRECT, INCORRECT, NO_ANSWER, UNDECIDED = VERDICTS = ("correct", "incorrect", "no answer", "undecided")
SECONDS = 5.0  # of processor time for one comparison; nearly all take milliseconds
_MARK = "####"
_WORKER = Path(__file__).with_name("answer_worker.py")


@dataclass(frozen=True)
class Checked:
    """A completion's final answer as it stands there (None: it gives none), and one of VERDICTS."""

    answer: str | None
    verdict: str


def final_answer(text: str) -> str | None:
    """What a completion puts into its last box (see `boxed`), or else what follows its last "####"; None if neither."""
    answer = boxed(text)
    if answer is None and _MARK in text:
        answer = (text.rpartition(_MARK)[2].strip().splitlines() or [""])[0].strip()
    return answer or None


class AnswerChecker:
    """Compares answers; starts its process at the first comparison, remembers what it has compared.

    Safe to use from several threads; a forked process starts its own. `seconds`: processor time for one comparison,
    after which it counts as undecided.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._known: dict[tuple[str, str], bool | None] = {}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = -1

    def __enter__(self) -> AnswerChecker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self, text: str, gold: str) -> Checked:
        """The final answer of a completion, held against the right one."""
        answer = final_answer(text)
        if answer is None:
            return Checked(None, NO_ANSWER)
        same = self.equal(gold, answer)
        return Checked(answer, UNDECIDED if same is None else CORRECT if same else INCORRECT)

    def equal(self, gold: str, answer: str) -> bool | None:
        """Whether `answer` equals the right one; None where that cannot be told (unreadable, too long to find out).

        Raises:
            RunFailed: the comparing process does not start.
        """
        with self._lock:
            pair = (gold, answer)
            if pair not in self._known:
                self._known[pair] = self._compare(pair)
            return self._known[pair]

    def close(self) -> None:
        """Ends the process, if there is one."""
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.communicate()
        self._process = None

    def _compare(self, pair: tuple[str, str]) -> bool | None:
        process = self._started()
        try:
            reply = _ask(process, json.dumps(pair) + "\n")
        except BrokenPipeError:
            reply = ""
        if not reply:  # the system ended it: out of time or memory
            self.close()
            return None
        same: bool | None = json.loads(reply)
        return same

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._owner != os.getpid():
            # -P: the worker's folder must not come first on its path, it holds modules with common names.
            argv = [sys.executable, "-P", str(_WORKER), str(self.seconds)]
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            self._process = subprocess.Popen(argv, text=True, encoding="utf-8", **pipes)
            self._owner = os.getpid()
            if _ask(self._process, "") != "ready\n":
                self.close()
                raise RunFailed(f"The process that compares answers does not start: {' '.join(argv)}")
        return self._process


def counts(verdicts: Sequence[str]) -> dict[str, int]:
    """How many there are of each verdict, in the order of VERDICTS."""
    return {kind: sum(verdict == kind for verdict in verdicts) for kind in VERDICTS}


def _ask(process: subprocess.Popen[str], line: str) -> str:
    """The next line of the process; empty when it has ended."""
    if process.stdin is None or process.stdout is None:
        raise RunFailed("The process that compares answers has no pipes.")
    process.stdin.write(line)
    process.stdin.flush()
    return process.stdout.readline()
