"""Killed at any moment and started again: no row lost, none twice, the same numbers."""

import os
import signal
import time
from pathlib import Path

import pytest

import stores
from benchmarks.halting import halted_at
from lit_experiments.errors import EXIT_DONE, EXIT_STOPPED
from tests.collecting.conftest import SAMPLES, Launcher, assert_same, content

SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]


def _committed(run: Path) -> list[str]:
    return stores.open_store(run / "store").sample_ids if (run / "store" / "store.json").exists() else []


@pytest.mark.parametrize("backend", ["zarr", "hdf5"])
@pytest.mark.parametrize("number", SIGNALS)
def test_a_run_interrupted_again_and_again_ends_like_one_never_disturbed(
    launcher: Launcher, toy: list[str], undisturbed: tuple[Path, float], tmp_path: Path, number: int, backend: str
) -> None:
    """Six interruptions each, 36 in all: four at random moments of a run, two in the middle of a commit."""
    reference, duration = undisturbed
    run = tmp_path / "run"
    argv = [*toy, "--run", str(run), "--backend", backend]
    before: list[str] = []
    for attempt in range(6):
        if attempt % 3 == 2:
            code = launcher.interrupt_commit(argv, number, run)
        else:
            code = launcher.interrupt(argv, number, duration)
        assert code in (-number, EXIT_STOPPED, EXIT_DONE)
        now = _committed(run)
        assert set(before) <= set(now), "a committed row is gone"
        assert len(now) == len(set(now)), "a row came twice"
        before = now
    assert launcher.run(argv) == EXIT_DONE
    assert_same(content(run), content(reference))
    assert stores.verify(run / "store") == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_two_processes_interrupted_resume_on_one_and_on_two(
    launcher: Launcher, toy: list[str], undisturbed: tuple[Path, float], tmp_path: Path, number: int
) -> None:
    reference, duration = undisturbed
    run = tmp_path / "run"
    argv = [*toy, "--run", str(run)]
    halted = halted_at(run / "store/parts/*/rows-*.parquet", tmp_path / "go on")
    pid = launcher.start([*argv, "--devices", "2", "--limit", str(SAMPLES - 1)], halted)
    while not _committed(run):
        time.sleep(0.01)
    os.kill(pid, number)
    (tmp_path / "go on").touch()
    assert launcher.wait() in (-number, EXIT_STOPPED)
    launcher.interrupt(argv, number, duration)
    assert launcher.run([*argv, "--limit", str(SAMPLES - 1)]) == EXIT_DONE
    # One sample is left for two processes: one of them has nothing to do.
    assert launcher.run([*argv, "--devices", "2"]) == EXIT_DONE
    assert_same(content(run), content(reference))


def test_a_finished_run_started_again_writes_nothing(
    launcher: Launcher, toy: list[str], undisturbed: tuple[Path, float]
) -> None:
    run, _ = undisturbed
    before = sorted((p, p.stat().st_mtime_ns) for p in (run / "store" / "parts").rglob("*"))
    assert launcher.run([*toy, "--run", str(run)]) == EXIT_DONE
    assert before == sorted((p, p.stat().st_mtime_ns) for p in (run / "store" / "parts").rglob("*"))
