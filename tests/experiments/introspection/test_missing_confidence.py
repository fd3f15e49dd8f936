"""Questions whose confidence could not be read: they are left out, and the report says how many."""

import json
from pathlib import Path

import numpy as np
import pytest

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE
from tests.experiments.introspection.planted import noise, unit, write_store

QUESTIONS, ABSENT = 120, 7
SELF, OTHER = "self_confidence", "other_confidence"
FEW = {
    "introspection_directions": ["--bootstraps", "60", "--shuffles", "60"],
    "introspection_self_other": ["--bootstraps", "60", "--permutations", "200"],
}


@pytest.mark.parametrize("task", [*FEW])
def test_questions_without_confidence_are_left_out(task: str, tmp_path: Path) -> None:
    """One missing value made all thresholds NaN, and the pass "hardly varied"."""
    stated = {kind: np.random.default_rng(seed).uniform(5, 95, QUESTIONS) for seed, kind in enumerate((SELF, OTHER))}
    states = {kind: noise(QUESTIONS, seed, 0.3) for seed, kind in enumerate((SELF, OTHER))}
    for kind in states:
        states[kind][:, 1] += np.outer((stated[kind] - 50) / 10, unit(1))
    stated[SELF][:ABSENT] = np.nan
    write_store(tmp_path, states, stated, embedded=True)
    assert main(["analyze", "--exp", task, "--run", str(tmp_path), *FEW[task]]) == EXIT_DONE
    result = json.loads((tmp_path / task / "result.json").read_text())
    assert result["statements"] == [f"{SELF}: {ABSENT} of {QUESTIONS} questions hold no confidence and are left out."]
    if task == "introspection_directions":
        assert result["passes"][SELF]["layers"][1]["auroc"]["value"] > 0.99
    else:
        parts = result["transfer"]["questions"]
        assert parts["train"] + parts["test"] == QUESTIONS - ABSENT
