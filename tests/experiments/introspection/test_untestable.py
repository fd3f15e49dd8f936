"""Questions without a value are left out and counted; where too few are left, the claim is underpowered and audited."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from tests.experiments.introspection.planted import SELF, noise, unit, write_store
from tests.experiments.introspection.test_probes import QUICK, metrics, pair

QUESTIONS = 120
TARGET = f"{SELF}.{SELF}"


def _train(run: Path, missing: np.ndarray, columns: dict[str, list[Any]] | None = None) -> None:
    states = noise(len(missing), 4)
    confidence = 50 + 12 * states[:, 1] @ unit(1)
    write_store(run, {SELF: states}, {SELF: np.where(missing, np.nan, confidence)}, columns={SELF: columns or {}})
    options = ["--passes", f"[{SELF}]", "--targets", f"[{TARGET}]"]
    assert main(["train", "--exp", "introspection_probes", "--run", str(run), *QUICK, *options]) == EXIT_DONE


def _claim(run: Path) -> dict[str, Any]:
    assert main(["audit", str(run)]) == EXIT_DONE
    (claim,) = json.loads((run / "audit" / "audit.json").read_text())["claims"]
    return dict(claim)


def test_questions_without_a_value_are_left_out_and_counted(tmp_path: Path) -> None:
    missing = np.random.default_rng(0).random(QUESTIONS) < 0.3
    _train(tmp_path, missing)
    assert f"{TARGET}: {missing.sum()} questions without a value are left out." in metrics(tmp_path)["statements"]
    split = json.loads((tmp_path / "introspection_probes" / "split.json").read_text())
    tested = sum(not missing[int(name[1:])] for name in split["test"])
    assert pair(tmp_path, SELF, TARGET)["test_questions"] == tested < len(split["test"])
    claim = _claim(tmp_path)
    assert claim["verdict"] == "supported"
    assert claim["numbers"]["grouping"]["test_rows"] == tested
    assert claim["numbers"]["score"]["low"] > 0.9


def test_values_that_are_missing_change_no_others_fit(tmp_path: Path) -> None:
    """The probe is that of the questions that have one: what stands where there is none counts for nothing."""
    missing = np.random.default_rng(0).random(QUESTIONS) < 0.3
    scores = []
    for name in ("a", "b"):
        states = noise(QUESTIONS, 4)
        confidence = np.where(missing, np.nan, 50 + 12 * states[:, 1] @ unit(1))
        states[missing] += 100.0 * (name == "b")
        write_store(tmp_path / name, {SELF: states}, {SELF: confidence})
        options = ["--passes", f"[{SELF}]", "--targets", f"[{TARGET}]"]
        assert main(["train", "--exp", "introspection_probes", "--run", str(tmp_path / name), *QUICK, *options]) == 0
        scores.append(pair(tmp_path / name, SELF, TARGET)["chosen"]["score"]["value"])
    assert scores[0] == pytest.approx(scores[1], abs=1e-9)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (0, "it has no value for 120 of 120 questions"),
        (1, "it has no value for 119 of 120 questions: test part or folds have as few as 0"),
        (8, "it has no value for 112 of 120 questions: test part or folds have as few as 0"),
    ],
)
def test_too_few_values_are_underpowered(known: int, reason: str, tmp_path: Path) -> None:
    _train(tmp_path, np.arange(QUESTIONS) >= known)
    claim = _claim(tmp_path)
    assert claim["verdict"] == "underpowered"
    assert reason in claim["sentence"]
    assert metrics(tmp_path)["pairs"] == []


@pytest.mark.parametrize(
    ("questions", "columns"), [(QUESTIONS, {"question_text": ["The same question?"] * QUESTIONS}), (5, {}), (1, {})]
)
def test_questions_that_cannot_be_split_are_underpowered(
    questions: int, columns: dict[str, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _train(tmp_path, np.zeros(questions, bool), columns)
    claim = _claim(tmp_path)
    assert claim["verdict"] == "underpowered"
    assert "5 folds and a test part need at least" in claim["sentence"]
    capsys.readouterr()
    assert main(["analyze", "--exp", "introspection_surface", "--run", str(tmp_path)]) == EXIT_USER
    assert "holds no probe: nothing could be tested" in capsys.readouterr().err
