"""The comparison of all pages finds what it is for: a run that agrees, and each way in which one can disagree."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.agreement import disagreements
from tests.experiments.linear_probes.written import planted, random_texts, train, write_store

ROWS = 120
Edit = Callable[[Path], None]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(5)
    truth = rng.normal(size=ROWS)
    columns = {"text": random_texts(rng, ROWS), "truth": truth.tolist(), "noise": rng.normal(size=ROWS).tolist()}
    write_store(
        folder / "r", planted(rng, 2 * truth), columns, {"text": "string", "truth": "float64", "noise": "float64"}
    )
    assert train(folder / "r", "--target", "[truth, noise]") == 0
    return folder


def _result(change: Callable[[dict[str, Any]], None]) -> Edit:
    def edit(task: Path) -> None:
        content = json.loads((task / "result.json").read_text())
        change(content)
        (task / "result.json").write_text(json.dumps(content))

    return edit


def _text(old: str, new: str) -> Edit:
    def edit(task: Path) -> None:
        text = (task / "RESULTS.md").read_text()
        assert old in text
        (task / "RESULTS.md").write_text(text.replace(old, new, 1))

    return edit


def _sentence(content: dict[str, Any]) -> None:
    content["claims"][0]["verdict"]["sentence"] = "truth is readable from the states of held-out groups: R2 0.99."


def _wider(content: dict[str, Any]) -> None:
    content["targets"][0]["score"]["high"] += 0.01


def _of_few(content: dict[str, Any]) -> None:
    content["targets"][0]["score"]["n"] = 3


def _other_word(task: Path) -> None:
    path = task / "data" / "verdicts.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0]["verdict"] = "leaked"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_run_agrees_with_itself(run: Path) -> None:
    assert disagreements(run) == []


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (_result(_sentence), "which is no claim's sentence"),
        (_result(_wider), "has 2 intervals"),
        (_result(_of_few), "has an interval of 3 groups"),
        (_other_word, "says leaked, its claim supported"),
        (_text("\n**", "\n**Layer 3 does not tell truth.**\n\n**"), "says that something is absent"),
        (_text("\n**", "\n**Layer 3: 0.71 [0.61, 0.81].**\n\n**"), "prints 0.71 [0.61, 0.81], which no result is"),
    ],
)
def test_what_disagrees_is_named(run: Path, tmp_path: Path, edit: Edit, reason: str) -> None:
    shutil.copytree(run, tmp_path / "runs")
    edit(tmp_path / "runs" / "r" / "linear_probes")
    assert any(reason in problem for problem in disagreements(tmp_path / "runs"))
