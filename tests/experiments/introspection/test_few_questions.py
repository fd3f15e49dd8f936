"""Pages of study 3 made from few held-out questions: no interval, and nothing said without one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE
from lit_experiments.experiments.introspection.emergence.page import lag_sentence
from lit_experiments.experiments.introspection.emergence.result import Lag
from lit_experiments.experiments.introspection.passes import CentralRange
from lit_experiments.experiments.introspection.patching.result import (
    Ablation,
    Checks,
    Interventions,
    LayerEffects,
    PassEffects,
    Patching,
    Steering,
)
from lit_experiments.experiments.introspection.patching.words import is_clear, outcome
from lit_experiments.statistics import Estimate
from tests.experiments.introspection.planted import MCQ, SELF, noise, two_letters, unit, write_store
from tests.intervals import check

OTHER = "other_confidence"


def plant(run: Path, questions: int, with_mcq: bool = True) -> None:
    """Confidence and entropy stand in the states as clearly as can be."""
    rng = np.random.default_rng(7)
    confidence = {SELF: rng.uniform(5, 95, questions), OTHER: rng.uniform(5, 95, questions)}
    states = {kind: noise(questions, at, 0.01) for at, kind in enumerate((MCQ, SELF, OTHER))}
    entropy = rng.uniform(0, 1.3, questions)
    states[MCQ] += np.multiply.outer(entropy - 0.6, unit(1))[:, None, :]
    for kind in (SELF, OTHER):
        states[kind] += np.multiply.outer((confidence[kind] - 50) / 10, unit(2))[:, None, :]
    columns = {
        "entropy": entropy.tolist(),
        "char_length": rng.integers(20, 200, questions).tolist(),
        "probs": two_letters(rng.uniform(0.5, 0.98, questions)),
        "logit_margin": rng.normal(size=questions).tolist(),
    }
    if not with_mcq:
        del states[MCQ]
    write_store(run, states, confidence, columns={MCQ: columns})


@pytest.mark.parametrize("held_out", [2, 4, 5])  # one test question gives no score, and training refuses it
def test_pages_of_few_held_out_questions(held_out: int, tmp_path: Path) -> None:
    run, questions = tmp_path / "run", 40
    plant(run, questions)
    share = ["--test_fraction", str(held_out / questions), "--bootstraps", "100"]
    train = ["train", "--exp", "introspection_probes", "--run", str(run), "--accelerator", "cpu", "--twin", "false"]
    targets = ["--targets", "[mcq.entropy, self_confidence.self_confidence]", "--passes", "[mcq, self_confidence]"]
    assert main([*train, *share, *targets, "--shuffles", "19", "--permutations", "100", "--fewest", "1"]) == EXIT_DONE
    check(run / "introspection_probes", held_out)
    for exp, options in {"introspection_probing": ["--permutations", "200"], "introspection_surface": []}.items():
        assert main(["analyze", "--exp", exp, "--run", str(run), "--bootstraps", "100", *options]) == EXIT_DONE
        check(run / exp, held_out)
    pairs = json.loads((run / "introspection_surface" / "result.json").read_text())["pairs"]
    if held_out < 5:
        assert {pair["verdict"] for pair in pairs} == {"underpowered"}
        page = (run / "introspection_surface" / "RESULTS.md").read_text()
        assert f"underpowered {len(pairs)}." in page


@pytest.mark.parametrize("questions", [1, 2, 4, 5])
def test_two_runs_over_few_questions(questions: int, tmp_path: Path) -> None:
    for at, name in enumerate(("run", "run-finetuned")):
        plant(tmp_path / name, questions + at, with_mcq=False)  # the finetuned run read one more, which is left out
    argv = ["analyze", "--exp", "introspection_compare", "--run", str(tmp_path / "run"), "--bootstraps", "100"]
    assert main(argv) == EXIT_DONE
    check(tmp_path / "run" / "introspection_compare", questions)


def test_directions_rest_on_the_fewer_of_high_and_low_questions(tmp_path: Path) -> None:
    """12 questions, 4 of high and 4 of low confidence: none of the scores gets an interval."""
    plant(tmp_path, 12)
    argv = ["analyze", "--exp", "introspection_directions", "--run", str(tmp_path), "--folds", "2", "--shuffles", "20"]
    assert main([*argv, "--bootstraps", "100"]) == EXIT_DONE
    page = (tmp_path / "introspection_directions" / "RESULTS.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| resid_post.2"))
    assert "1.000 (no interval: 4 groups)" in row


def intervention(n: int) -> LayerEffects:
    effect, none = Estimate(3.0, 2.0, 4.0, n, 0.95), Estimate.undefined(n, 0.95)
    random = CentralRange(0.0, -0.1, 0.1)
    steer = Steering([effect], [random], effect, random, p=0.001, p_corrected=0.001, together=effect)
    ablate = Ablation(effect, random, p=0.001, p_corrected=0.001, together=effect)
    patch = Patching(effect, none, effect, gap=none, share=none, p=0.001, p_corrected=0.001, together=effect)
    return LayerEffects(1.0, {}, {"confidence": steer}, {"confidence": ablate}, {"confidence": patch})


@pytest.mark.parametrize("questions", [1, 2, 4, 5])
def test_interventions_on_few_questions_are_not_said_to_work(questions: int) -> None:
    layer = intervention(questions)
    passes = {SELF: PassEffects(questions, questions, [layer], Checks(0, 0.0, None, 0, 0.0, cached=True))}
    result = Interventions(["resid_post.0"], ["confidence"], [1.0], 500, 500, 0.95, passes, [])
    (sentences,) = outcome(result)
    assert ("moves it at 1 of 1 layers" in sentences) == (questions == 5)
    assert (f"cannot be told from {questions} group" in sentences) == (questions < 5)
    assert is_clear(layer.steer["confidence"]) == (questions == 5)


def test_the_lag_of_few_questions() -> None:
    lag = Lag(Estimate(2.0, 1.0, 3.0, 3, 0.95), undefined_share=0.0, absent=[])
    assert lag_sentence(lag).endswith("It has no interval: 3 groups.")
