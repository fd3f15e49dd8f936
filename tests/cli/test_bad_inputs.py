"""Every mistake of the table is answered with exit code 2 and one message, and leaves the folder as it was."""

import runpy
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.fork_server import ForkServer
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from tests.cli.bad_inputs import BAD, FILES, SMALL

ROOT = Path(__file__).resolve().parents[2]
FIT = "--bootstraps 2 --shuffles 0 --folds 2 --penalties [1.0]"
SCRIPT = max(number for number, row in enumerate(BAD) if row[0].startswith("train.py "))
IN_A_PROCESS = sorted({*range(0, len(BAD), len(BAD) // 5), SCRIPT})  # these run in a process of their own, too


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the table's files and a finished run."""
    path: Path = tmp_path_factory.mktemp("mistakes")
    for name, content in FILES.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    assert main(shlex.split(f"collect --exp tempnorm --run {path / 'run'} {SMALL}")) == EXIT_DONE
    assert main(shlex.split(f"train --exp tempnorm_ridge --run {path / 'run'} {FIT}")) == EXIT_DONE
    return path


def _command(words: list[str]) -> list[str]:
    script = words[0] if words[0].endswith(".py") else None
    if script is None:
        return [sys.executable, "-m", "lit_experiments.cli", *words]
    return [sys.executable, str(ROOT / script), *words[1:]]


def _run_here(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The command in this process, scripts through their own file."""
    if not words[0].endswith(".py"):
        return main(words)
    monkeypatch.setattr(sys, "argv", words)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / words[0]), run_name="__main__")
    for number, handler in handlers.items():  # a script ends its process and ignores signals from then on
        signal.signal(number, handler)
    return int(stopped.value.code or 0)


def _tree(folder: Path) -> dict[str, int]:
    """Every file below a folder with its size, and every folder; what Python caches is nobody's."""
    paths = [p for p in folder.rglob("*") if "__pycache__" not in p.parts]
    return {str(p): p.stat().st_size if p.is_file() else -1 for p in paths}


def _check_message(text: str, parts: tuple[str, ...]) -> None:
    assert "Traceback" not in text
    assert text.startswith("error: ")
    assert text.count("error: ") == 1
    for words in parts:
        assert words in text


def test_the_table_covers_every_verb_and_is_long_enough() -> None:
    assert len({row[0] for row in BAD}) == len(BAD) >= 150
    verbs = {row[0].split()[0] for row in BAD}
    assert verbs >= {"collect", "train", "analyze", "run", "list", "inspect", "verify", "export", "collect.py"}
    assert all(len(row) > 1 for row in BAD)


@pytest.mark.parametrize("row", BAD, ids=[row[0][:90] for row in BAD])
def test_a_mistake_gets_one_message_and_leaves_no_trace(
    row: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    before = _tree(folder)
    code = _run_here(shlex.split(row[0]), monkeypatch)
    captured = capsys.readouterr()
    assert code == EXIT_USER, captured.err
    _check_message(captured.err, row[1:])
    assert _tree(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize("number", IN_A_PROCESS, ids=[BAD[n][0][:90] for n in IN_A_PROCESS])
def test_the_same_in_a_process_of_its_own(number: int, folder: Path, fork_server: Callable[[], ForkServer]) -> None:
    """Forked, but for two that start as a user's command does: one of the script, one with `-m`."""
    before = _tree(folder)
    words = shlex.split(BAD[number][0])
    if number in (0, SCRIPT):
        done = subprocess.run(_command(words), cwd=folder, capture_output=True, text=True)
    else:
        done = fork_server().run(_command(words)[1:] if words[0].endswith(".py") else words, folder)
    assert done.returncode == EXIT_USER
    _check_message(done.stderr, BAD[number][1:])
    assert _tree(folder) == before
