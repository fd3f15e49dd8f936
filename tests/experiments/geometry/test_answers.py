"""Answers: found where a completion states them, compared as mathematics, and no comparison goes on for ever."""

import threading
from collections.abc import Iterator

import pytest

from lit_experiments.embedded.arithmetic import METHODS, problems
from lit_experiments.experiments.geometry.answers import (
    CORRECT,
    INCORRECT,
    NO_ANSWER,
    UNDECIDED,
    AnswerChecker,
    Checked,
    counts,
    final_answer,
)


@pytest.fixture(scope="module")
def checker() -> Iterator[AnswerChecker]:
    with AnswerChecker(seconds=1) as made:
        yield made


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"first \boxed{3}, no: \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        ("She has 16 - 3 = 13.\n#### 1,013\n", "1,013"),
        (r"\boxed{7} #### 8", "7"),
        ("The answer is 5.", None),
        (r"\boxed{}", None),
        (r"cut off \boxed{12", None),
        ("####", None),
    ],
)
def test_the_final_answer_is_found_where_it_stands(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        ("1/2", "0.5", True),
        ("1234", "1,234", True),
        ("18", r"\$18", True),
        ("18", r"18\text{ dollars}", True),
        ("p - q", "-q+p", True),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\pi/2)", True),
        (r"\text{Evelyn}", r"\text{Anna}", False),
        ("3,4", "4,3", True),
        ("42", "43", False),
        ("42", "banana", False),
        ("", "42", None),
    ],
)
def test_equality_is_mathematical(checker: AnswerChecker, gold: str, answer: str, same: bool | None) -> None:
    assert checker.equal(gold, answer) is same


def test_embedded_solutions_are_correct_by_either_method(checker: AnswerChecker) -> None:
    stream = problems(3, held_out=True)
    for problem in (next(stream) for _ in range(4)):
        for method in METHODS:
            assert checker.check(problem.solutions[method], str(problem.answer)).verdict == CORRECT
        assert checker.check(rf"\boxed{{{problem.answer + 1}}}", str(problem.answer)).verdict == INCORRECT


def test_a_comparison_without_end_is_ended_and_the_next_one_works(checker: AnswerChecker) -> None:
    for endless in ("9^{9^{9^{9}}}", "((9^{9^{9}})!)!"):
        assert checker.check(rf"\boxed{{{endless}}}", "42") == Checked(endless, UNDECIDED)
    assert checker.check(r"so \boxed{42}", "42") == Checked("42", CORRECT)
    assert checker.check("so 42", "42") == Checked(None, NO_ANSWER)


def test_it_works_in_other_threads(checker: AnswerChecker) -> None:
    verdicts: list[bool | None] = []
    threads = [
        threading.Thread(target=lambda n=n: verdicts.append(checker.equal(str(n), f"{n}.0")))
        for n in range(4)  # type: ignore[misc]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == [True] * 4


def test_verdicts_are_counted() -> None:
    assert counts([CORRECT, NO_ANSWER, CORRECT]) == {CORRECT: 2, INCORRECT: 0, NO_ANSWER: 1, UNDECIDED: 0}
