"""Starts commands, and runs each of them once undisturbed: what `kill_points` compares with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from benchmarks.kill_plan import COMMANDS, command_line
from benchmarks.process_tree import MARK
from benchmarks.same_results import RESULTS, began, commits

ROOT = Path(__file__).resolve().parents[1]


class Process(Protocol):
    """A started command; `subprocess.Popen` is one."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self) -> int: ...


Start = Callable[[Sequence[str], Path], Process]


def start_process(argv: Sequence[str], folder: Path) -> Process:
    """Starts a command as a user does, in its folder."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), MARK: str(folder), "OMP_NUM_THREADS": "1"}
    with (folder / "log.txt").open("ab") as log:
        command = [sys.executable, "-m", "lit_experiments.cli", *argv]
        return subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True)


class Reference:
    """Every command run once, undisturbed, and how long its stages took."""

    def __init__(self, base: Path, start: Start, most_devices: int, commands: Sequence[str]) -> None:
        self._base, self._start = base, start
        self._seconds: dict[tuple[str, int], float] = {}
        for name in (n for n in COMMANDS if n in commands or any(n in COMMANDS[c].needs for c in commands)):
            timed_on_two = most_devices > 1 and name in ("collect", "train")
            for devices in (1, 2) if timed_on_two else (1,):
                self._measure(name, devices)

    def folder(self, command: str) -> Path:
        return self._base / f"{command}-1"

    def seconds(self, stage: str, devices: int) -> float:
        """How long a stage took here."""
        return self._seconds[stage, devices]

    def _measure(self, name: str, devices: int) -> None:
        folder = self._base / f"{name}-{devices}"
        folder.mkdir(parents=True)
        for needed in COMMANDS[name].needs:
            shutil.copytree(self.folder(needed), folder, dirs_exist_ok=True)
        seen: dict[str, float] = {}
        process, started = self._start(command_line(name, devices), folder), time.time()
        while process.poll() is None:
            if commits(folder):
                seen.setdefault("loading", time.time())
            for stage, result in RESULTS.items():
                if began(folder / result, started):
                    seen.setdefault(stage, time.time())
            time.sleep(0.05)
        if process.wait() != 0:
            raise SystemExit(f"{' '.join(command_line(name, devices))} failed:\n{(folder / 'log.txt').read_text()}")
        for stage, when in seen.items():
            took = when - started if stage == "loading" else time.time() - when
            self._seconds.setdefault((stage, devices), took)
