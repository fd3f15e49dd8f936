"""What reports say of right and wrong completions."""

import pytest

from lit_experiments.experiments.geometry.answers import CORRECT, INCORRECT, NO_ANSWER, UNDECIDED, VERDICTS
from lit_experiments.experiments.geometry.statements import problem_statement, without_answers


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
