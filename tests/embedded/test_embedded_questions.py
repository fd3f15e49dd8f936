"""The shipped four-option questions: whole, balanced, without repetitions or tell-tale keys."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter

import pytest

from lit_experiments.embedded.questions import (
    DIFFICULTIES,
    HELD_OUT,
    LETTERS,
    QUESTIONS_FILE,
    TRAINING,
    Question,
    load_questions,
    split,
)

FIELDS = ["question_id", "subject", "difficulty", "half", "question", "options", "answer"]
INTERROGATIVES = ("what", "where", "when", "who", "how", "why", "which")
FUNCTION_WORDS = (
    "a about an and are at by can did do does for from how in is it its many not of on the there these this to was what"
    " when where which who why with"
)
SAME_ANSWER_OVERLAP, ANY_OVERLAP = 0.3, 0.6  # shared content words of two questions, as a part of all they have


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    return load_questions()


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9./+-]*[a-z0-9+]", text.lower())


def _overlap(one: Question, other: Question) -> float:
    a, b = (set(_words(question.text)) - set(FUNCTION_WORDS.split()) for question in (one, other))
    return len(a & b) / max(len(a | b), 1)


def _number(option: str) -> float | None:
    return float(option) if re.fullmatch(r"[+-]?\d+(\.\d+)?", option) else None


def test_two_hundred_and_forty_questions_with_ids_in_order(questions: list[Question]) -> None:
    assert [question.question_id for question in questions] == [f"q{n:03d}" for n in range(1, 241)]


def test_every_line_has_the_same_fields() -> None:
    for line in QUESTIONS_FILE.read_text(encoding="utf-8").splitlines():
        assert list(json.loads(line)) == FIELDS


def test_four_distinct_options_and_a_key_among_them(questions: list[Question]) -> None:
    for question in questions:
        assert len(question.options) == 4, question
        assert len({" ".join(_words(option)) or option for option in question.options}) == 4, question
        assert question.answer in LETTERS, question
        assert question.right_option == question.options["ABCD".index(question.answer)]


def test_plain_short_text(questions: list[Question]) -> None:
    for question in questions:
        assert len(question.text) <= 100, question
        assert question.text.endswith("?"), question
        for part in (question.text, *question.options):
            assert part.isascii(), question
            assert part, question
            assert part == " ".join(part.split()), question
        assert max(map(len, question.options)) <= 30, question
        assert not any(re.match(r"(all|none|both) of", option.lower()) for option in question.options), question


def test_no_question_twice(questions: list[Question]) -> None:
    normalised = Counter(" ".join(_words(question.text)) for question in questions)
    assert [text for text, count in normalised.items() if count > 1] == []


def test_no_question_in_other_words(questions: list[Question]) -> None:
    for one, other in itertools.combinations(questions, 2):
        same_answer = one.right_option.lower() == other.right_option.lower()
        assert _overlap(one, other) < (SAME_ANSWER_OVERLAP if same_answer else ANY_OVERLAP), (one, other)


def test_keys_are_balanced_overall_and_within_halves_difficulties_and_subjects(questions: list[Question]) -> None:
    assert Counter(q.answer for q in questions) == dict.fromkeys(LETTERS, 60)
    assert set(Counter((q.half, q.answer) for q in questions).values()) == {30}
    assert set(Counter((q.half, q.difficulty, q.answer) for q in questions).values()) == {10}
    assert set(Counter((q.subject, q.answer) for q in questions).values()) == {5}


def test_subjects_and_difficulties_are_balanced_over_the_halves(questions: list[Question]) -> None:
    training, held_out = split(questions)
    assert len(training) == len(held_out) == 120
    assert {q.half for q in training} == {TRAINING}
    assert {q.half for q in held_out} == {HELD_OUT}
    for half in (training, held_out):
        subjects = Counter(q.subject for q in half)
        assert (len(subjects), set(subjects.values())) == (12, {10})
        assert Counter(q.difficulty for q in half) == dict.fromkeys(DIFFICULTIES, 40)
        cells = Counter((q.subject, q.difficulty) for q in half)
        assert (len(cells), set(cells.values())) == (36, {3, 4})


def test_subjects_are_mixed_in_the_file(questions: list[Question]) -> None:
    """The first twenty questions are a fair sample, not one subject."""
    assert len({q.subject for q in questions[:20]}) >= 8


def test_the_key_is_neither_mostly_longest_nor_mostly_shortest(questions: list[Question]) -> None:
    """Chance is a quarter; a tie counts for its part."""
    for extreme in (max, min):
        score = 0.0
        for question in questions:
            lengths = [len(option) for option in question.options]
            if len(question.right_option) == extreme(lengths):
                score += 1 / lengths.count(extreme(lengths))
        assert 0.18 < score / len(questions) < 0.32, extreme


def test_a_numeric_key_is_as_often_at_an_end_as_in_the_middle(questions: list[Question]) -> None:
    ranks: Counter[int] = Counter()
    for question in questions:
        numbers = [number for option in question.options if (number := _number(option)) is not None]
        if len(numbers) == 4:
            ranks[sorted(numbers).index(float(question.right_option))] += 1
    assert sum(ranks.values()) >= 40
    assert all(0.15 < ranks[rank] / sum(ranks.values()) < 0.35 for rank in range(4)), ranks


def test_many_ways_of_asking_in_both_halves(questions: list[Question]) -> None:
    for half in split(questions):
        first = Counter(_words(question.text)[0] for question in half)
        assert all(first[word] >= 2 for word in INTERROGATIVES), first
        assert sum(first[word] for word in first if word not in INTERROGATIVES) >= 2
        assert sum("not" in _words(question.text) for question in half) >= 8
