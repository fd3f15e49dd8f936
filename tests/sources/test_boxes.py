"""Final answers as authors write them: boxes of every kind, several of them, and numbers with commas."""

import json
from pathlib import Path

import pytest

from lit_experiments.sources.boxes import boxed
from lit_experiments.sources.contexts import read_contexts
from lit_experiments.sources.paragraphs import read_paragraphs
from lit_experiments.sources.problems import Problems, read_problems
from lit_experiments.sources.treebank import read_treebank


def read(path: Path, *records: dict[str, str]) -> Problems:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return read_problems(str(path), generated=1, seed=0)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"Not \boxed{4}. It is $\boxed 9$.", "9"),
        (r"$\boxed \frac12$", r"\frac12"),
        (r"\[ x = \boxed 12\text{ cm} \]", r"12\text{ cm}"),
        (r"so \boxed 42 is right", "42"),
        (r"$\boxed{7}$, that is \fbox 7", "7"),
        (r"\fbox{\boxed{3}}", "3"),
        (r"\boxed{x = \boxed{5}}", "5"),
        (r"$\boxed{2}$ or $\boxed{-3}$", "2, -3"),
        (r"$x = \boxed{2}$ or $x=\boxed{-3}$.", "2, -3"),
        (r"$x=\boxed{2}$, $y=\boxed{5}$", "x = 2, y = 5"),
        (r"\[\boxed 5,\quad \boxed 6\]", "5, 6"),
        (r"$\boxed{1}, \boxed{2}, \text{ and } \boxed{4}$", "1, 2, 4"),
        (r"$\boxed{1.5}$ or $\boxed{\frac{3}{2}}$", r"\frac{3}{2}"),
        (r"$\boxed{15\frac{1}{2}},$ or $\boxed{\frac{31}{2}}$", r"\frac{31}{2}"),
        (r"\boxed{8}, not \boxed{9}", "9"),
        (r"\boxed{8}. And \boxed{9}", "9"),
        (r"\boxed{3}, \boxed{4", None),
        (r"\boxedtext{3}", None),
        (r"ends in \boxed", None),
    ],
)
def test_boxes_are_read_as_they_are_meant(text: str, answer: str | None) -> None:
    assert boxed(text) == answer


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("1,234,567", "1234567"),
        ("$1,200.50", "$1200.50"),
        ("-2,000 m", "-2000 m"),
        ("3, 4", "3, 4"),
        ("1,2", "1,2"),
        ("(1,200)", "(1,200)"),
        ("1,200, 300", "1,200, 300"),
        ("50%", "50%"),
        ("x = 5", "x = 5"),
    ],
)
def test_an_answer_keeps_the_commas_that_part_its_numbers(tmp_path: Path, written: str, answer: str) -> None:
    assert (
        read(tmp_path / "p.jsonl", {"question": "q", "answer": f"Steps.\n#### {written}"}).records[0].answer == answer
    )


def test_an_answer_column_counts_and_its_solution_s_disagreement_is_said(tmp_path: Path) -> None:
    agreeing = {"question": "a", "answer": "\\frac{1}{2}", "solution": "So $\\boxed{\\dfrac{1}{2} }$."}
    number = {"question": "b", "answer": "1200", "solution": "#### 1,200"}
    other = {"question": "c", "answer": "7", "solution": "It is \\boxed{8}.", "id": "c7"}
    problems = read(tmp_path / "p.jsonl", agreeing, number, other)
    assert [record.answer for record in problems.records] == ["\\frac{1}{2}", "1200", "7"]
    (note,) = problems.notes
    assert "the answers count" in note
    assert 'c7 ("7", solution: "8")' in note
    assert "line-" not in note


def test_repeats_are_said_in_every_source(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("one\ntwo\n\n one \n")
    assert read_contexts(str(path), None).notes == ("2 distinct texts among 3",)
    path.write_text("one\n\ntwo\n\none\n")
    assert read_paragraphs(str(path)).notes == ("2 distinct paragraphs among 3",)
    assert read(tmp_path / "p.jsonl", *[{"question": "q", "answer": n} for n in "12"]).notes == (
        "1 distinct questions among 2",
    )
    bank = tmp_path / "b.conllu"
    bank.write_text("1\tGo\tgo\tVERB\t_\t_\t0\troot\t_\t_\n\n" * 3)
    assert read_treebank(str(bank)).notes == ("1 distinct sentences among 3",)
    assert read_contexts("embedded", None).notes == ()
