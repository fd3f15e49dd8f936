"""A small round of `benchmarks.kill_points`, which kills commands in every stage, resumes them and compares."""

from pathlib import Path

import pytest

from benchmarks.kill_plan import COMMANDS, SIGNALS, plan
from benchmarks.kill_points import report, run
from tests.collecting.conftest import Launcher


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_eight_kills_change_nothing(launcher: Launcher, tmp_path: Path) -> None:
    """Of every command on one device, a pipeline that forks its steps among them."""
    tally = run(tmp_path, 8, 1, 1, launcher.server.start, 1, ["collect", "train", "analyze", "export", "pipeline"])
    assert tally.faults == []
    assert sum(tally.hit.values()) + sum(tally.missed.values()) == 8
    assert sum(tally.hit.values()) >= 5, report(tally)
    assert sum(tally.hit["pipeline", number] for number in SIGNALS) > 0, report(tally)


def test_three_hundred_points_hold_every_kind() -> None:
    points = [point for chain in plan(300, 0, 2, list(COMMANDS)) for point in chain]
    assert len(points) == 300
    assert {p.stage for p in points} == {stage for command in COMMANDS.values() for stage in command.stages}
    for stage in ("loading", "collecting", "committing", "training", "pipeline"):
        kinds = {(p.number, p.target) for p in points if p.stage == stage}
        assert kinds == {(number, target) for number in SIGNALS for target in ("parent", "group", "rank 0", "rank 1")}
    assert all(p.devices == 2 for p in points if p.target.startswith("rank"))
