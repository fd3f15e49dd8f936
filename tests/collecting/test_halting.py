"""A command that a test holds for its signal: benchmarks/halting.py."""

import time
from pathlib import Path

from benchmarks.halting import halted_at
from lit_experiments.errors import EXIT_DONE
from tests.collecting.conftest import Launcher

PROGRAM = """
from pathlib import Path
Path("before").touch()
Path("before").rename("early")
Path("part-1").mkdir()
Path("part-1", "rows").touch()
Path("early").rename("late")
"""


def test_a_command_halts_at_its_next_rename_and_goes_on_when_released(launcher: Launcher, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    halted = halted_at(tmp_path / "part-*" / "rows", tmp_path / "go on")
    process = launcher.server.start([str(script)], tmp_path, {**halted, "PYTHONPATH": str(tmp_path)})
    while not (tmp_path / "part-1" / "rows").exists():
        time.sleep(0.01)
    time.sleep(0.3)
    assert process.poll() is None
    assert (tmp_path / "early").exists(), "it was held too early or not at all"
    (tmp_path / "go on").touch()
    assert process.wait() == EXIT_DONE
    assert (tmp_path / "late").exists()
