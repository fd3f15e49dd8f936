"""--dry_run of train and analyze: what will be read and held is said, or refused where it cannot be."""

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import psutil
import pytest

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.tasks.forecast import read_forecast
from stores import open_store
from tests.experiments.linear_probes.written import planted, random_texts, train, write_store
from tests.experiments.prefill_dynamics.planted import write_store as write_paragraphs
from tests.experiments.prefill_dynamics.test_analysis import texts

ROWS = 60
Free = namedtuple("Free", ["available", "free"])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, ROWS)
    columns = {"text": random_texts(rng, ROWS), "kind": [f"c{code}" for code in kind]}
    write_store(tmp_path / "run", planted(rng, kind), columns, {"text": "string", "kind": "string"})
    return tmp_path / "run"


@pytest.fixture
def paragraphs(tmp_path: Path) -> Path:
    write_paragraphs(tmp_path / "paragraphs", texts(5.0))
    return tmp_path / "paragraphs"


def analyze(run: Path, *options: str) -> int:
    return main(["analyze", "--exp", "prefill_dynamics", "--run", str(run), "--bootstraps=50", *options])


def files_in(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_a_training_says_what_it_reads_and_makes_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files_in(run)
    assert train(run, "--target", "kind", "--dry_run", memory_mb=100) == EXIT_DONE
    output = capsys.readouterr().out
    assert f"rows               {ROWS}\n" in output
    assert "states 5.8 kB" in output  # 60 rows x 3 layers x 8 dims x 4 bytes
    assert "fits at most about 200.0 MB more" in output
    assert "checkpoints of at most about 200.0 MB" in output
    assert files_in(run) == before


def test_an_analysis_says_what_it_reads_and_makes_nothing(paragraphs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, store = files_in(paragraphs), open_store(paragraphs / "store")
    assert analyze(paragraphs, "--dry_run") == EXIT_DONE
    output = capsys.readouterr().out
    assert f"rows               {len(store):,}\n" in output
    assert "resid_post" in output
    assert files_in(paragraphs) == before


def test_bytes_are_those_of_the_arrays_that_reading_gives(paragraphs: Path) -> None:
    store = open_store(paragraphs / "store")
    states = store["resid_post"].read()
    forecast = read_forecast(store, ("resid_post", "ce", "condition"), None, 0)
    assert forecast.fields == {"resid_post": states.nbytes, "ce": store["ce"].read().nbytes}
    longest = max(store["resid_post"].read(rows=[row]).nbytes for row in range(len(store)))
    assert forecast.least == 3 * longest
    assert read_forecast(store, ("resid_post",), 1000, 0).least == 1000
    assert read_forecast(store, ("resid_post",), 1 << 40, 0).least == states.nbytes


@pytest.mark.parametrize("options", [("--dry_run",), ()])
@pytest.mark.parametrize(
    ("place", "name", "problem"),
    [(psutil, "virtual_memory", "Not enough memory"), (shutil, "disk_usage", "Not enough room for results")],
)
def test_what_cannot_be_held_is_refused_beforehand(
    paragraphs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: object,
    name: str,
    problem: str,
    options: tuple[str, ...],
) -> None:
    before = files_in(paragraphs)
    monkeypatch.setattr(place, name, lambda *path: Free(1000, 1000))
    assert analyze(paragraphs, *options) == EXIT_USER
    message = capsys.readouterr().err
    assert problem in message
    assert "Next:" in message
    assert files_in(paragraphs) == before


def test_results_that_are_there_are_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(run, "--target", "kind") == EXIT_DONE
    capsys.readouterr()
    assert train(run, "--target", "kind", "--dry_run") == EXIT_DONE
    assert "is up to date: nothing would be computed" in capsys.readouterr().out
    assert train(run, "--target", "kind", "--dry_run", seed=5) == EXIT_DONE
    assert "Nothing was computed" in capsys.readouterr().out


def test_mistakes_are_told_as_without_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(run, "--target", "kin", "--dry_run") == EXIT_USER
    assert "'kind'" in capsys.readouterr().err
