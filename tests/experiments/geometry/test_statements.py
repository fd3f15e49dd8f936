"""What reports say of right and wrong completions."""

import pytest

from lit_experiments.experiments.geometry.answers import CORRECT, INCORRECT, NO_ANSWER, UNDECIDED, VERDICTS
from lit_experiments.experiments.geometry.statements import (
    problem_statement,
    visible,
    without_answers,
)
from lit_experiments.reports.findings import held_against
from lit_experiments.statistics import LEVEL, Estimate


@pytest.mark.parametrize(
    ("counted", "asks"),
    [
        ({NO_ANSWER: 4}, True),
        ({NO_ANSWER: 4, INCORRECT: 1}, False),
        ({NO_ANSWER: 4, CORRECT: 1}, False),
        ({UNDECIDED: 2}, False),
        ({}, False),
    ],
)
def test_answers_that_no_completion_writes_are_to_be_asked_for(counted: dict[str, int], asks: bool) -> None:
    sentences = without_answers({**dict.fromkeys(VERDICTS, 0), **counted})
    assert any("--prompt" in sentence for sentence in sentences) == asks


def test_one_problem_is_said_to_have_no_interval() -> None:
    assert "none" in problem_statement(1)
    assert problem_statement(12) == "12 problems."


@pytest.mark.parametrize(
    ("bounds", "n", "word", "tone"),
    [
        ((1.1, 1.5), 9, "above", "for"),
        ((0.5, 0.9), 9, "below", "against"),
        ((0.9, 1.1), 9, "not shown", "open"),
        ((1.1, 1.5), 4, "without interval", "open"),
    ],
)
def test_a_verdict_needs_an_interval_on_one_side(bounds: tuple[float, float], n: int, word: str, tone: str) -> None:
    estimate = Estimate(sum(bounds) / 2, *bounds, n, LEVEL)
    verdict = held_against(estimate, 1, ("above", "for"), ("below", "against"))
    assert (verdict.word, verdict.tone, verdict.value) == (word, tone, estimate)


def test_nothing_is_held_against_no_value() -> None:
    verdict = held_against(Estimate.undefined(0, LEVEL), 1, ("above", "for"), ("below", "against"))
    assert (verdict.tone, verdict.value) == ("void", None)


def test_tokens_show_what_has_no_glyph() -> None:
    assert [visible(token) for token in (" is", "\n", "\x00", "")] == ["␣is", "↵", "\\x00", "∅"]
