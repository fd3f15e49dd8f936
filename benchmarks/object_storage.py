"""Collections whose store lies on object storage: killed at random moments, and timed against a local disk.

    python -m benchmarks.object_storage [--kills 60] [--samples 200] [--seed 0] [--dir FOLDER]

The server is moto's, a process on this machine that keeps what it holds in memory: what is timed is the price of
requests, not of a network. Kills: SIGKILL at a random moment after a command that resumes the run has got the lease,
up to five after each other, every second run on two devices; then the same command runs to its end. Counted: rows lost,
rows twice, certificates that are not that of the run on disk, and what `verify` says. Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import stores
from benchmarks.fork_server import ForkServer
from benchmarks.forked_workers import ForkedProcess
from benchmarks.object_server import BUCKET, ObjectServer, environment
from stores.files import open_files
from stores.lease import LEASE_NAME

ROOT = Path(__file__).resolve().parents[1]
IN_A_ROW = 5
_COLLECT = ("collect", "--exp", "tempnorm", "--accelerator", "cpu", "--gen_length", "10", "--eval_lengths", "[1, 10]")
_ROWS = 60
_SMALL = (
    "--gen_number",
    "3",
    "--limit",
    str(_ROWS),
    "--batch_size",
    "2",
    "--flush_seconds",
    "0.05",
    "--lease_seconds",
    "2",
)
_PLAIN = ("--gen_number", "8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dir", type=Path, default=None)
    words = parser.parse_args()
    folder = words.dir or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    with ObjectServer() as server:
        env = environment(server.port)
        os.environ.update(env)  # for the stores that are opened here
        faults = kill(folder, env, words.kills, random.Random(words.seed)) if words.kills else 0
        if words.samples:
            compare_times(folder, env, words.samples)
    sys.exit(1 if faults else 0)


def kill(folder: Path, env: dict[str, str], kills: int, luck: random.Random) -> int:
    """Kills runs and looks at what they left; prints and returns the number of faults."""
    counts: Counter[str] = Counter()
    with ForkServer(ROOT) as forks:
        assert forks.start([*_COLLECT, *_SMALL, "--run", str(folder / "reference")], folder).wait() == 0
        expected = stores.certify(stores.open_store(folder / "reference" / "store")).root
        lasts = _undisturbed(forks, folder, env)
        while counts["killed"] < kills:
            url = f"s3://{BUCKET}/killed-{counts['runs']}"
            command = [*_COLLECT, *_SMALL, "--run", url, "--devices", str(1 + counts["runs"] % 2)]
            before: set[str] = set()
            for _ in range(min(IN_A_ROW, kills - counts["killed"])):
                process = forks.start(command, folder, env)
                _await_lease(url, process)
                time.sleep(luck.uniform(0, lasts))
                process.send_signal(signal.SIGKILL)
                code = process.wait()
                now = _rows(url)
                counts["lost"] += len(before - set(now))
                counts["twice"] += len(now) - len(set(now))
                before = set(now)
                if code != -signal.SIGKILL:  # it was quicker than the kill
                    break
                counts["killed"] += 1
                counts["of them amid collecting"] += 0 < len(now) < _ROWS
            _look(url, forks.start(command, folder, env).wait(), expected, counts)
    print(", ".join(f"{name}: {count}" for name, count in counts.items()), flush=True)
    return sum(counts[name] for name in ("lost", "twice", "wrong ends", "problems", "other certificates"))


def _undisturbed(forks: ForkServer, folder: Path, env: dict[str, str]) -> float:
    """Seconds from getting the lease to the end of a run that nobody disturbs."""
    url = f"s3://{BUCKET}/undisturbed"
    process = forks.start([*_COLLECT, *_SMALL, "--run", url], folder, env)
    _await_lease(url, process)
    started = time.monotonic()
    assert process.wait() == 0
    return time.monotonic() - started


def _await_lease(url: str, process: ForkedProcess) -> None:
    """Returns when the process holds the lease, or has ended."""
    files = open_files(f"{url}/store")
    while process.poll() is None:
        if files.exists(LEASE_NAME) and json.loads(files.read(LEASE_NAME))["pid"] == process.pid:
            return
        time.sleep(0.02)


def _look(url: str, code: int, expected: str, counts: Counter[str]) -> None:
    """Counts what is wrong with a run that was brought to its end."""
    counts["runs"] += 1
    counts["wrong ends"] += code != 0
    counts["problems"] += len(stores.verify(f"{url}/store"))
    counts["other certificates"] += stores.certify(stores.open_store(f"{url}/store")).root != expected


def _rows(url: str) -> list[str]:
    return stores.open_store(f"{url}/store").sample_ids if stores.is_store(f"{url}/store") else []


def compare_times(folder: Path, env: dict[str, str], samples: int) -> None:
    """Prints what the same commands take on the disk and on the server."""
    for run in (str(folder / "disk"), f"s3://{BUCKET}/timed"):
        command = [*_COLLECT, *_PLAIN, "--limit", str(samples), "--run", run]
        for words in (command, ["certificate", run], ["verify", run]):
            seconds, processor = _timed(words, folder, env)
            print(
                f"{run.partition(':')[0][-12:]:>12} {words[0]:<12} {seconds:6.1f} s, {processor:6.1f} CPU s", flush=True
            )


def _timed(words: list[str], folder: Path, env: dict[str, str]) -> tuple[float, float]:
    """(seconds, processor seconds) of a command, its imports included."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "lit_experiments.cli", *words]
    subprocess.run(command, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - started, used


if __name__ == "__main__":
    main()
