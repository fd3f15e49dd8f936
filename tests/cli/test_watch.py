"""`watch` sees a run from outside: while it is collected, after it was stopped, when it is complete."""

from pathlib import Path

import pytest

from lit_experiments.cli import main
from lit_experiments.collecting.watched import look, rows_per_second
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from stores import lock

COLLECT = ["collect", "--exp", "tempnorm", "--limit", "24", "--accelerator", "cpu"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watched") / "tempnorm"
    assert main([*COLLECT, "--run", str(folder)]) == EXIT_DONE
    return folder


def test_a_complete_run_says_so(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(run)]) == EXIT_DONE
    shown = capsys.readouterr().out
    assert shown.startswith(f"{run}: complete\n  rows       24 of 24, ")
    assert " commits, last commit " in shown


def test_while_someone_holds_the_lock_it_is_being_collected(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with lock.exclusive(run / "store", 1.0):
        assert main(["watch", str(run), "--once"]) == EXIT_DONE
    shown = capsys.readouterr().out
    assert ": collecting\n" in shown
    assert " of memory with its workers\n" in shown


def test_a_run_that_nobody_collects_and_that_is_not_whole_was_stopped(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = run / "ended.json"
    kept = ended.read_bytes()
    ended.unlink()
    try:
        assert main(["watch", str(run)]) == EXIT_DONE
    finally:
        ended.write_bytes(kept)
    shown = capsys.readouterr().out
    assert f"{run}: stopped\n" in shown
    assert f"lit-experiments collect --config {run}/config.yaml --run {run} goes on with it" in shown


def test_rates_are_over_several_looks(run: Path) -> None:
    first = look(str(run))
    assert rows_per_second([first]) != rows_per_second([first])
    later = type(first)(**{**vars(first), "parts": [*first.parts, *first.parts], "at": first.at + 12})
    assert rows_per_second([first, later]) == 2


def test_a_folder_without_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(tmp_path)]) == EXIT_USER
    assert "holds no store" in capsys.readouterr().err
