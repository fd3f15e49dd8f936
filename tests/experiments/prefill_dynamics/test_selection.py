"""Which of the usable paragraphs are taken: drawn at random, or the first ones in the file's order."""

from pathlib import Path
from typing import Any

import pytest

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from stores import open_store
from tests.toys import random_llama

TEXTS = 12


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("first")
    lines = [f"Number {i:02d} begins. And it goes on for {i} words more than that." for i in range(TEXTS)]
    lines.insert(1, "Too short.")
    (folder / "texts.txt").write_text("\n\n".join(lines), encoding="utf-8")
    sizes = {"min_tokens": 20, "max_tokens": 90, "max_new_tokens": 4, "temperatures": "[]", "shuffled": "false"}
    return {
        "model": random_llama(folder / "model", seed=0),
        "paragraphs": folder / "texts.txt",
        "n_samples": 4,
        **sizes,
    }


def collect(run: Path, **options: Any) -> int:
    words = [f"--{key}={value}" for key, value in options.items()]
    return main(["collect", "--exp", "prefill_dynamics", "--accelerator", "cpu", "--run", str(run), *words])


def prompts(run: Path) -> list[str]:
    rows = open_store(run / "store").table(["condition", "prompt"]).to_pylist()
    return [row["prompt"] for row in rows if row["condition"] == "human"]


def test_the_first_usable_paragraphs_in_the_files_order(options: dict[str, Any], tmp_path: Path) -> None:
    assert collect(tmp_path / "run", selection="first", **options) == EXIT_DONE
    assert prompts(tmp_path / "run") == [f"Number {i:02d} begins." for i in range(4)]
    assert open_store(tmp_path / "run" / "store").fingerprint["settings"]["selection"] == "first"


def test_another_selection_is_another_run(
    options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs that drew at random have the fingerprint that they had before there was a choice."""
    run = tmp_path / "run"
    assert collect(run, **options) == EXIT_DONE
    assert "selection" not in open_store(run / "store").fingerprint["settings"]
    assert prompts(run) != [f"Number {i:02d} begins." for i in range(4)]
    assert collect(run, selection="first", **options) == EXIT_USER
    assert "selection" in capsys.readouterr().err
    assert collect(tmp_path / "other", generations=run, selection="first", **options) == EXIT_USER
    assert "its texts are not the ones asked for" in capsys.readouterr().err
    assert collect(tmp_path / "third", selection="frist", **options) == EXIT_USER
    assert "first" in capsys.readouterr().err
