"""Kills commands at hundreds of moments, resumes them, and compares with commands that nobody disturbed.

    python -m benchmarks.kill_points [--points 300] [--jobs 2] [--seed 0] [--dir FOLDER] [--fork]

Kinds of points: SIGKILL, SIGTERM, SIGINT x the command's own process, a worker of each rank, all processes at once x
loading, collecting, in the middle of a commit, training, analysing, exporting, somewhere in a pipeline. The moment is
chosen by what lies in the folder, and a random delay after it. Up to four points follow each other in one folder; then
the same command runs to its end, every second time on two devices.

Compared: exit codes; processes left over; the lock; rows lost or twice; states, tokens and tables bit for bit; results
and exports byte for byte (a pipeline's results to rounding); what `verify` says. Exit code 1 if anything differs.

A start takes a few seconds of processor time, so 300 points take about an hour on two idle cores; --fork starts
commands, and their workers, by forking a process that has imported everything.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import stores
from benchmarks.fork_server import ForkServer
from benchmarks.kill_plan import COMMANDS, GROUP, PARENT, SIGNALS, WORKERS, Point, command_line, plan
from benchmarks.process_tree import catches, family, is_running, marked, send, workers
from benchmarks.same_results import RESULTS, began, commits, differences, is_torn
from benchmarks.undisturbed import ROOT, Process, Reference, Start, start_process
from stores import lock

EXIT_STOPPED = 75
ATTEMPTS = 5  # at hitting a point, before it counts as missed
PATIENCE = 300.0  # seconds for a process that was told to stop


@dataclass
class Tally:
    """What came of the points. hit: by (stage, signal); faults: one line for each difference."""

    hit: Counter[tuple[str, signal.Signals]] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    last_devices: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def count(self, point: Point) -> None:
        with self._guard:
            self.hit[point.stage, point.number] += 1
            self.targets[point.target] += 1

    def fault(self, where: Path, text: str) -> None:
        with self._guard:
            self.faults.append(f"{where}: {text}")
            print(self.faults[-1], flush=True)


class Chain:
    """Points that follow each other in one folder, and the run to the end after them."""

    def __init__(self, folder: Path, reference: Reference, start: Start, tally: Tally, seed: int, last: int) -> None:
        self.base, self.reference, self.start, self.tally = folder, reference, start, tally
        self.luck, self.last_devices, self._round = random.Random(seed), last, 0

    def run(self, points: list[Point]) -> None:
        folder, before = self._fresh(points[0].command), set[str]()
        for point in points:
            for _ in range(ATTEMPTS):
                if _is_exported(folder):  # complete before the signal came; an export never writes over another
                    self._check_end(point.command, folder)
                    folder, before = self._fresh(point.command), set()
                if self._kill(point, folder):
                    self.tally.count(point)
                    before = self._check_rows(point, folder, before)
                    break
                self._check_end(point.command, folder)  # it ended first: a new folder for the next attempt
                folder, before = self._fresh(point.command), set()
            else:
                self.tally.missed[point.stage] += 1
        self._finish(points[-1].command, folder)

    def _fresh(self, command: str) -> Path:
        self._round += 1
        folder = self.base / str(self._round)
        folder.mkdir(parents=True)
        for needed in COMMANDS[command].needs:
            for result in ("run", "texts"):
                source = self.reference.folder(needed) / result
                if source.exists():
                    shutil.copytree(source, folder / result)
        return folder

    def _kill(self, point: Point, folder: Path) -> bool:
        """Starts the command and sends the signal when it is in the stage; False if it ended before."""
        started = time.time()
        process = self.start(command_line(point.command, point.devices), folder)
        moment = Moment(point, folder, self.reference, self.luck, process.pid, started)
        while process.poll() is None and not moment.has_come():
            time.sleep(moment.step)
        members = family(process.pid, folder)
        single = process.pid if point.target == PARENT else workers(folder).get(point.target)
        victims = members if point.target == GROUP else {single} if single is not None else set()
        if process.poll() is not None or not victims:
            code = _patient(process)
            self._expect(code == 0, folder, f"{point}: ended with {code}, undisturbed")
            return False
        for pid in sorted(victims):
            send(pid, point.number)
        self._check_exit(point, process, folder, members)
        return True

    def _check_exit(self, point: Point, process: Process, folder: Path, members: set[int]) -> None:
        code = _patient(process)
        killed = point.number == signal.SIGKILL
        if killed and point.target in (PARENT, GROUP):
            right = code == -signal.SIGKILL
        elif killed:  # a worker failed, or had just ended well
            right = code is not None and code not in (-signal.SIGKILL, EXIT_STOPPED)
        else:  # 0: nothing was left to do
            right = code in (EXIT_STOPPED, 0)
        self._expect(right, folder, f"{point}: exit code {code}")
        deadline = time.monotonic() + PATIENCE / 5
        while (left := {pid for pid in members | marked(folder) if is_running(pid)}) and time.monotonic() < deadline:
            time.sleep(0.02)
        self._expect(not left, folder, f"{point}: processes left over: {sorted(left)}")
        self._expect("Traceback" not in (folder / "log.txt").read_text(), folder, f"{point}: a traceback")

    def _check_rows(self, point: Point, folder: Path, before: set[str]) -> set[str]:
        """What is committed stays, and comes once; nobody holds the lock."""
        store = folder / "run" / "store"
        if not (store / "store.json").exists():
            return before
        ids = stores.open_store(store).sample_ids
        self._expect(before <= set(ids), folder, f"{point}: committed rows are gone: {sorted(before - set(ids))}")
        self._expect(len(ids) == len(set(ids)), folder, f"{point}: rows came twice")
        lock.exclusive(store, PATIENCE / 5).release()
        return set(ids)

    def _finish(self, command: str, folder: Path) -> None:
        devices = self.last_devices if COMMANDS[command].takes_devices else 1
        self.tally.last_devices[devices] += 1
        code = 0 if _is_exported(folder) else _patient(self.start(command_line(command, devices), folder))
        self._expect(code == 0, folder, f"the last run of {command} ended with {code}")
        self._check_end(command, folder)

    def _check_end(self, command: str, folder: Path) -> None:
        for difference in differences(folder, self.reference.folder(command), exactly=command != "pipeline"):
            self.tally.fault(folder, difference)

    def _expect(self, condition: bool, folder: Path, otherwise: str) -> None:
        if not condition:
            self.tally.fault(folder, otherwise)


class Moment:
    """When a point's signal is due: something is seen in the folder, and a random delay has passed since."""

    def __init__(
        self, point: Point, folder: Path, reference: Reference, luck: random.Random, pid: int, started: float
    ) -> None:
        self.folder = folder
        stage = point.stage
        if stage == "pipeline":
            stage = luck.choice(("loading", "collecting", "committing", "training"))
        self.step = 0.001 if stage in ("committing", "exporting") else 0.02  # seconds between two looks
        self._pid = pid
        self.needed_worker = point.target if point.target in WORKERS else None
        self.commits = commits(folder) + luck.randint(1, 3)
        self._seen = {
            "loading": lambda: catches(pid, signal.SIGTERM),
            "collecting": lambda: commits(folder) >= self.commits,
            "committing": lambda: is_torn(folder),
            "exporting": lambda: (folder / "exported.partial").exists(),
        }.get(stage) or (lambda: began(folder / RESULTS[stage], started))
        longest = {"collecting": 0.05, "committing": 0.0, "exporting": 0.03}.get(stage)
        self.delay = luck.uniform(0, reference.seconds(stage, point.devices) if longest is None else longest)
        self._since: float | None = None

    def has_come(self) -> bool:
        """Looks at the folder until it shows the stage, then at the clock."""
        if self._since is None:
            here = self.needed_worker is None or self.needed_worker in workers(self.folder)
            # An earlier command may have left what is looked for; before it has its handlers, this one is not there.
            if here and self._seen() and catches(self._pid, signal.SIGTERM):
                self._since = time.monotonic()
            return self._since is not None and self.delay == 0
        return time.monotonic() - self._since >= self.delay


def _is_exported(folder: Path) -> bool:
    return (folder / "exported").exists()


def _patient(process: Process) -> int | None:
    """The exit code; None if the process does not end."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None:
        if time.monotonic() > deadline:
            return None
        time.sleep(0.01)
    return process.wait()


def run(
    base: Path, points: int, jobs: int, seed: int, start: Start, most_devices: int, commands: Sequence[str]
) -> Tally:
    """All of it, in folders below `base`; a chain's folders are removed when all was right."""
    tally, reference = Tally(), Reference(base / "reference", start, most_devices, commands)
    print(f"references made; loading takes {reference.seconds('loading', 1):.1f} s", flush=True)

    def follow(number: int, chain: list[Point]) -> None:
        folder, faults = base / f"chain-{number}", len(tally.faults)
        last = min(most_devices, 1 + number % 2)
        try:
            Chain(folder, reference, start, tally, seed * 10_000 + number, last).run(chain)
        except Exception as error:  # noqa: BLE001 - a fault of the point; the other chains go on
            tally.fault(folder, f"{type(error).__name__}: {error}")
        if len(tally.faults) == faults:
            shutil.rmtree(folder)
        print(f"{sum(tally.hit.values())} of {points} points, {len(tally.faults)} faults", flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(follow, *zip(*enumerate(plan(points, seed, most_devices, commands)), strict=True)))
    return tally


def report(tally: Tally) -> str:
    """The table, and a line that says it all."""
    stages = list(dict.fromkeys(stage for command in COMMANDS.values() for stage in command.stages))
    lines = ["stage        " + "".join(f"{s.name:>9}" for s in SIGNALS) + "   missed"]
    for stage in stages:
        row = "".join(f"{tally.hit[stage, s]:>9}" for s in SIGNALS)
        lines.append(f"{stage:<13}{row}{tally.missed[stage]:>9}")
    lines.append("targets: " + ", ".join(f"{name} {count}" for name, count in sorted(tally.targets.items())))
    ends = ", ".join(f"{count} on {devices}" for devices, count in sorted(tally.last_devices.items()))
    lines.append(f"last runs by number of devices: {ends}")
    lines.append(f"{sum(tally.hit.values())} kill points, {len(tally.faults)} faults")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dir", type=Path, help="an empty folder to work in; default: a temporary one")
    parser.add_argument("--fork", action="store_true", help="start commands without their imports")
    args = parser.parse_args()
    base: Path = args.dir or Path(tempfile.mkdtemp(prefix="kill-points-"))
    with ForkServer(ROOT) if args.fork else nullcontext() as server:
        start = start_process if server is None else server.start
        tally = run(base.resolve(), args.points, args.jobs, args.seed, start, 2, list(COMMANDS))
    print(report(tally))
    if not tally.faults and args.dir is None:
        shutil.rmtree(base)
    return 1 if tally.faults or sum(tally.missed.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
