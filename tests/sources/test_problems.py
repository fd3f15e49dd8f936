"""Reading problems: GSM8K's and MATH's layouts, other names, and the embedded, generated ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from lit_experiments.embedded.arithmetic import METHODS, boxed_answer, method_of
from lit_experiments.sources.boxes import boxed
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.problems import Problems, read_problems

SHARED = Path(__file__).parents[3] / "shared" / "data"
STEPS = "Each pair is 2 * 3 = <<2*3=6>>6.\nSo 6 * 200 = <<6*200=1200>>1,200.\n#### 1,200"


def read(source: str | Path, **options: Any) -> Problems:
    return read_problems(str(source), generated=1, seed=0, **options)


def jsonl(path: Path, *records: Any) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_gsm8k_answers_are_split_into_steps_and_answer(tmp_path: Path) -> None:
    problems = read(jsonl(tmp_path / "p.jsonl", {"question": " How many? ", "answer": STEPS}))
    record = problems.records[0]
    assert (record.problem_id, record.question, record.answer, record.place) == ("line-000001", "How many?", "1200", 1)
    assert record.solution == "Each pair is 2 * 3 = 6.\nSo 6 * 200 = 1,200."
    assert record.prompt is None


def test_math_problems_keep_their_solution_and_their_id(tmp_path: Path) -> None:
    solution = "Halve it: $\\boxed{\\frac{1}{2}}$."
    full = {"unique_id": "algebra/3", "problem": "What?", "solution": solution, "answer": "\\frac{1}{2}"}
    record, bare = read(jsonl(tmp_path / "p.jsonl", full, {"problem": "What else?", "solution": solution})).records
    assert (record.problem_id, record.answer, record.solution) == ("algebra/3", "\\frac{1}{2}", solution)
    assert (bare.answer, bare.solution) == ("\\frac{1}{2}", solution)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("\\boxed{3} then \\boxed{ 4 }", "4"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("\\boxed{\\left\\{ 1 \\right.}", "\\left\\{ 1 \\right."),
        ("\\fbox {x^{2^{3}}}!", "x^{2^{3}}"),
        ("\\boxed{never closed", None),
        ("none", None),
    ],
)
def test_the_last_box_is_read_with_its_inner_braces(text: str, content: str | None) -> None:
    assert boxed(text) == content


def test_any_names_can_be_given_and_numbers_are_answers_too(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("nr,task,result,how\n1,Add 2 and 2,4,counting\n")
    names = {"question_column": "task", "answer_column": "result", "solution_column": "how", "id_column": "nr"}
    record = read(path, **names).records[0]
    assert (record.problem_id, record.question, record.answer, record.solution) == ("1", "Add 2 and 2", "4", "counting")
    typed = jsonl(tmp_path / "p.jsonl", {"question": "a", "answer": 4}, {"question": "b", "answer": 2.0})
    assert [problem.answer for problem in read(typed).records] == ["4", "2"]


MALFORMED = [
    ({"question": "How many?"}, "no answer or final_answer or expected_answer; it has: question"),
    ({"answer": "4"}, "no question or problem; it has: answer"),
    ({"question": " ", "answer": "4"}, '"question" is blank'),
    ({"question": "How many?", "answer": ""}, '"answer" is blank'),
    ({"question": "How many?", "answer": True}, '"answer" must be text, found bool'),
    ({"question": "How many?", "answer": "First this.\nThen that."}, '"answer" has 2 lines and no "#### 42"'),
    ({"question": "How many?", "answer": "Steps.\n####"}, '"####" is not followed by one final answer'),
    ({"question": "How many?", "answer": "Steps.\n#### 4\nmore"}, '"####" is not followed by one final answer'),
    ({"problem": "What?", "solution": "It is 4."}, "the solution ends neither in"),
    ({"problem": "What?", "solution": 4, "answer": "4"}, '"solution" must be text, found int'),
    ([1], "a JSON list where an object"),
]


@pytest.mark.parametrize(("record", "reason"), MALFORMED)
def test_an_unusable_problem_stops_with_its_reason_or_is_counted(tmp_path: Path, record: Any, reason: str) -> None:
    good = {"question": "How many?", "answer": "4"}
    path = jsonl(tmp_path / "p.jsonl", good, record, good)
    with pytest.raises(SourceError, match=r"p\.jsonl, line 2: ") as caught:
        read(path)
    assert reason in str(caught.value)
    assert "--malformed skip" in str(caught.value)
    problems = read(path, malformed="skip")
    assert ([problem.place for problem in problems.records], problems.skipped.count, problems.duplicates) == (
        [1, 3],
        1,
        1,
    )
    assert reason in problems.skipped.reasons[0]


def test_a_missing_column_and_a_repeated_id_are_refused_outright(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,question,answr\n1,How many?,4\n1,How few?,2\n")
    with pytest.raises(SourceError, match=r"p\.csv: no answer or .*it has: id, question, answr"):
        read(path, malformed="skip")
    with pytest.raises(SourceError, match=r'no column "answer"; .*nearest: "answr"'):
        read(path, answer_column="answer")
    with pytest.raises(SourceError, match=r'the id "1" occurs twice, at .*line 2 and .*line 3'):
        read(path, answer_column="answr", malformed="skip")
    with pytest.raises(SourceError, match="no usable problem: 1 malformed"):
        read(jsonl(tmp_path / "p.jsonl", {}), malformed="skip")


def test_embedded_problems_are_different_solved_and_a_longer_run_only_adds() -> None:
    few = read_problems("embedded", generated=60, seed=3)
    more = read_problems("embedded", generated=90, seed=3)
    assert few.records == more.records[:60]
    assert few.digest != read_problems("embedded", generated=60, seed=4).digest
    assert few.digest == read_problems("embedded", generated=60, seed=3).digest
    many = read_problems("embedded", generated=120, seed=5)  # the stream itself repeats a problem within these
    assert len({problem.question for problem in many.records}) == len(many.records) == 120
    for problem in more.records:
        assert problem.solution is not None
        assert problem.prompt is not None
        assert problem.question in problem.prompt
        assert str(boxed_answer(problem.solution)) == problem.answer


def test_embedded_solutions_use_both_methods_for_every_kind_of_problem() -> None:
    records = read_problems("embedded", generated=80, seed=0).records
    methods = [method_of(problem.solution or "") for problem in records]
    assert set(methods[:2]) == set(METHODS)
    assert methods.count("split") == methods.count("count") == 40
    fills = [method for method, problem in zip(methods, records, strict=True) if " fills " in problem.question]
    assert fills.count("split") == fills.count("count") > 5


def test_embedded_problems_need_a_number() -> None:
    with pytest.raises(SourceError, match="At least one embedded problem"):
        read_problems("embedded", generated=0, seed=0)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder ../shared is not there")
def test_gsm8k_and_math500_are_read_whole() -> None:
    gsm8k, math = read(f"{SHARED / 'gsm8k'}:test"), read(SHARED / "math500" / "math500.jsonl")
    assert (len(gsm8k.records), len(math.records)) == (1319, 500)
    assert (gsm8k.skipped.count, math.skipped.count) == (0, 0)
    assert gsm8k.records[0].answer == "18"
    assert all(problem.answer.lstrip("-").replace(".", "").isdigit() for problem in gsm8k.records)
    assert not any("<<" in (problem.solution or "") for problem in gsm8k.records)
    assert all(boxed(problem.solution or "") == problem.answer for problem in math.records)
