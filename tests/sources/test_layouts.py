"""Questions as data sets publish them: options in every shape, keys that are labels, and none guessed or dropped."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.questions import QuestionColumns, Questions, read_questions

TEXTS = ["iron", "zinc", "gold", "lead"]
FROM_ZERO, FROM_ONE = QuestionColumns(answer_index="zero"), QuestionColumns(answer_index="one")


def jsonl(path: Path, *records: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def table(path: Path, content: str) -> str:
    path.write_text(content)
    return str(path)


def keys(questions: Questions) -> str:
    return "".join(record.answer_letter for record in questions.records)


def labelled(labels: str) -> dict[str, Any]:
    return {"text": TEXTS, "label": list(labels)}


PUBLISHED = {
    "MMLU": ({"question": "Which?", "subject": "x", "choices": TEXTS, "answer": 2}, "C"),
    "MMLU, letters": ({"input": "Which?", **dict(zip("ABCD", TEXTS, strict=True)), "target": "D"}, "D"),
    "MMMLU": ({"Question": "Which?", **dict(zip("ABCD", TEXTS, strict=True)), "Answer": "B", "Subject": "x"}, "B"),
    "ARC": ({"id": "M1", "question": "Which?", "choices": labelled("ABCD"), "answerKey": "B"}, "B"),
    "ARC, numbered": ({"id": "M2", "question": "Which?", "choices": labelled("1234"), "answerKey": "2"}, "B"),
    "ARC's own files": (
        {
            "question": {
                "stem": "Which?",
                "choices": [{"text": t, "label": k} for t, k in zip(TEXTS, "1234", strict=True)],
            },
            "answerKey": "4",
        },
        "D",
    ),
    "OpenBookQA": ({"id": "7", "question_stem": "Which", "choices": labelled("ABCD"), "answerKey": "C"}, "C"),
    "HellaSwag": ({"ind": 4, "activity_label": "x", "ctx": "A man", "endings": TEXTS, "label": "3"}, "D"),
    "SWAG": ({"startphrase": "He", **{f"ending{i}": t for i, t in enumerate(TEXTS)}, "label": 1}, "B"),
    "MedMCQA": ({"question": "Which?", **dict(zip(("opa", "opb", "opc", "opd"), TEXTS, strict=True)), "cop": "d"}, "D"),
    "TruthfulQA": (
        {"question": "Which?", "mc1_targets": {"choices": TEXTS, "labels": [0, 0, 1, 0]}, "mc2_targets": {}},
        "C",
    ),
    "TruthfulQA's own file": ({"question": "Which?", "mc1_targets": {t: int(t == "zinc") for t in TEXTS}}, "B"),
    "MedQA": (
        {"question": "Which?", "answer": "zinc", "options": {**dict(zip("ABCD", TEXTS, strict=True)), "E": None}},
        "B",
    ),
    "options by number": ({"question": "Which?", "options": dict(zip("0123", TEXTS, strict=True)), "answer": 2}, "C"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_layouts_are_read_as_they_are(tmp_path: Path, name: str) -> None:
    record, letter = PUBLISHED[name]
    questions = read_questions(jsonl(tmp_path / "q.jsonl", record))
    assert (questions.records[0].options, keys(questions)) == (tuple(TEXTS), letter)


def test_aqua_s_options_lose_the_letters_they_carry(tmp_path: Path) -> None:
    record = {"question": "How many?", "options": ["A)7", "B)7.5", "C)-2", "D) 9"], "rationale": "r", "correct": "C"}
    questions = read_questions(jsonl(tmp_path / "q.jsonl", record))
    assert (questions.records[0].options, keys(questions)) == (("7", "7.5", "-2", "9"), "C")


def test_class_numbers_are_read_by_their_names_wherever_datasets_put_them(tmp_path: Path) -> None:
    text, label = datasets.Value("string"), datasets.ClassLabel(names=list("ABCD"))
    features = datasets.Features(
        {"question": text, "subject": text, "choices": datasets.Sequence(text), "answer": label}
    )
    rows = [{"question": f"Q{i}?", "subject": "x", "choices": TEXTS, "answer": i % 4} for i in range(6)]
    data = datasets.Dataset.from_list(rows, features=features)
    data.to_parquet(tmp_path / "q.parquet")
    data.save_to_disk(tmp_path / "saved")
    data.to_csv(tmp_path / "q.csv")
    data.to_pandas().to_csv(tmp_path / "printed.csv")
    copies = [read_questions(str(tmp_path / name)) for name in ("q.parquet", "saved", "q.csv", "printed.csv")]
    assert {keys(questions) for questions in copies} == {"ABCDAB"}
    assert {questions.records[3].options for questions in copies} == {tuple(TEXTS)}


def test_a_class_number_of_no_class_is_a_blank_key(tmp_path: Path) -> None:
    text = datasets.Value("string")
    features = datasets.Features(
        {
            "question": text,
            **dict.fromkeys(("opa", "opb", "opc", "opd"), text),
            "cop": datasets.ClassLabel(names=[*"abcd"]),
        }
    )
    options = dict(zip(("opa", "opb", "opc", "opd"), TEXTS, strict=True))
    rows = [{"question": f"Q{i}?", **options, "cop": cop} for i, cop in enumerate((3, -1))]
    datasets.Dataset.from_list(rows, features=features).to_parquet(tmp_path / "q.parquet")
    with pytest.raises(SourceError, match="row 1: the key is blank"):
        read_questions(str(tmp_path / "q.parquet"))
    questions = read_questions(str(tmp_path / "q.parquet"), malformed="skip")
    assert (keys(questions), questions.skipped.count) == ("D", 1)


COLUMNS = {f"option{i}": text for i, text in enumerate(TEXTS, start=1)}


@pytest.mark.parametrize("numbers", [(1, 2, 3), (0, 1, 2, 3), (1, 2, 3, 4), ("2.0", "1.0")])
@pytest.mark.parametrize("malformed", ["stop", "skip"])
def test_which_numbers_occur_never_says_what_they_count_from(
    tmp_path: Path, numbers: tuple[Any, ...], malformed: Any
) -> None:
    records = [{"question": f"Q{i}?", **COLUMNS, "answer": number} for i, number in enumerate(numbers)]
    with pytest.raises(
        SourceError, match=r"may count from 0 or from 1, .*\n.*--answer_index zero .*--answer_index one"
    ):
        read_questions(jsonl(tmp_path / "q.jsonl", *records), malformed=malformed)


def test_the_option_says_what_numbers_count_from_and_numbers_outside_are_malformed(tmp_path: Path) -> None:
    records = [{"question": f"Q{i}?", **COLUMNS, "answer": str(float(i))} for i in (1, 2, 3)]
    source = jsonl(tmp_path / "q.jsonl", *records)
    assert keys(read_questions(source, FROM_ZERO)) == "BCD"
    assert keys(read_questions(source, FROM_ONE)) == "ABC"
    zero = jsonl(tmp_path / "z.jsonl", records[0], {"question": "Q?", **COLUMNS, "answer": 0})
    with pytest.raises(SourceError, match=r"line 2: answer 0 is none of 1-4 .indexes count from 1: --answer_index one"):
        read_questions(zero, FROM_ONE)


def test_numbers_that_are_the_options_themselves_are_no_places(tmp_path: Path) -> None:
    far = [{"question": f"{n}+1?", "options": [n, n + 1, n + 2, n + 3], "answer": n + 1} for n in (2, 40)]
    assert keys(read_questions(jsonl(tmp_path / "far.jsonl", *far))) == "BB"
    near = jsonl(tmp_path / "near.jsonl", {"question": "1+1?", "options": [1, 2, 3, 4], "answer": 2})
    with pytest.raises(SourceError, match="--answer_form text if they are the options themselves"):
        read_questions(near)
    assert keys(read_questions(near, QuestionColumns(answer_form="text"))) == "B"


def test_labels_may_stand_in_a_column_of_their_own(tmp_path: Path) -> None:
    record = {"question": "Which?", "options": TEXTS, "names": ["i", "ii", "iii", "iv"], "answer": "iii"}
    columns = QuestionColumns(label_column="names")
    assert keys(read_questions(jsonl(tmp_path / "q.jsonl", record), columns)) == "C"
    for change, reason in (
        ({"answer": "v"}, "none of the labels i, ii, iii, iv"),
        ({"names": ["i", "i", "ii", "iii"]}, "two options have one label"),
        ({"names": ["i"]}, "4 options, but their labels are 1"),
    ):
        with pytest.raises(SourceError, match=reason):
            read_questions(jsonl(tmp_path / "q.jsonl", record | change), columns)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({**dict(zip("ABCDE", [*TEXTS, "tin"], strict=True))}, "5 options where four belong; the fifth is E: 'tin'"),
        ({f"option_{c}": c for c in "abcdefghij"}, "10 options where four belong; the fifth is option_e: 'e'"),
        ({f"Option {i}": str(i) for i in range(1, 6)}, "5 options where four belong; the fifth is Option 5"),
        ({"choices": {"text": [*TEXTS, "tin"], "label": list("ABCDE")}}, "the fifth is choices[4]: 'tin'"),
        ({"choices": {"text": TEXTS[:3], "label": list("ABC")}}, "3 options where four belong"),
        ({"options": dict(zip("ABCDE", [*TEXTS, "tin"], strict=True))}, "the fifth is options[E]: 'tin'"),
        ({"sol1": "a", "sol2": "b"}, "2 options where four belong (sol1, sol2)"),
        ({"answerA": "a", "answerB": "b", "answerC": "c"}, "3 options where four belong (answerA, answerB, answerC)"),
        ({"A": "a", "a": "b", "B": "c", "C": "d", "D": "e"}, "columns A and a have one meaning"),
    ],
)
def test_no_option_is_dropped_to_make_four(tmp_path: Path, record: dict[str, Any], reason: str) -> None:
    good = {"question": "Which?", "options": TEXTS, "answer": "A"}
    source = jsonl(tmp_path / "q.jsonl", {"question": "Which?", **record, "answer": "A"}, good)
    with pytest.raises(SourceError) as caught:
        read_questions(source)
    assert reason in str(caught.value)
    assert read_questions(source, malformed="skip").skipped.count == 1


def test_a_blank_column_of_a_fifth_option_is_none(tmp_path: Path) -> None:
    source = table(tmp_path / "q.csv", "id,prompt,A,B,C,D,E,answer\n0,Which?,a,b,c,d,,B\n1,Who?,a,b,c,d, ,A\n")
    assert keys(read_questions(source)) == "BA"


def test_a_right_answer_apart_from_three_wrong_ones_gets_a_place_of_its_own(tmp_path: Path) -> None:
    wrong = {"distractor3": "lead", "distractor1": "zinc", "distractor2": "gold"}
    records = [{"question": f"Question {i}?", **wrong, "correct_answer": "iron", "support": ""} for i in range(60)]
    questions = read_questions(jsonl(tmp_path / "a.jsonl", *records))
    assert all(record.options[record.answer_index] == "iron" for record in questions.records)
    assert [[o for o in record.options if o != "iron"] for record in questions.records] == [
        ["zinc", "gold", "lead"]
    ] * 60
    assert set(keys(questions)) == set("ABCD")
    assert "60 of 60 questions: the right one's place is drawn" in questions.notes[0]
    turned = read_questions(jsonl(tmp_path / "b.jsonl", *reversed(records)))
    assert [record.options for record in turned.records] == [record.options for record in reversed(questions.records)]


@pytest.mark.parametrize(
    "record",
    [
        {"Question": "Q?", "Correct Answer": "iron", **{f"Incorrect Answer {i}": t for i, t in enumerate("abc", 1)}},
        {"question": "Q?", "correct_answer": "iron", "incorrect_answers": ["a", "b", "c"], "type": "multiple"},
    ],
)
def test_other_names_of_right_and_wrong_answers(tmp_path: Path, record: dict[str, Any]) -> None:
    question = read_questions(jsonl(tmp_path / "q.jsonl", record)).records[0]
    assert question.options[question.answer_index] == "iron"
    assert set(question.options) == {"iron", "a", "b", "c"}


@pytest.mark.parametrize(
    "written",
    [
        "['iron ore' 'zinc' \"gold's\" 'say \"lead\"']",
        "['iron ore' 'zinc'\n \"gold's\"\n 'say \"lead\"']",
        "['iron ore', 'zinc', \"gold's\", 'say \"lead\"']",
        json.dumps(["iron ore", "zinc", "gold's", 'say "lead"']),
        "array(['iron ore', 'zinc', \"gold's\", 'say \"lead\"'], dtype=object)",
        "{'text': array(['iron ore', 'zinc', \"gold's\", 'say \"lead\"'],\n      dtype=object), 'label': None}",
    ],
)
def test_lists_in_a_cell_are_read_however_they_are_printed(tmp_path: Path, written: str) -> None:
    cell = '"' + written.replace('"', '""') + '"'
    source = table(tmp_path / "q.csv", f",question,subject,choices,answer\n0,Which?,x,{cell},1\n")
    questions = read_questions(source)
    assert questions.records[0].options == ("iron ore", "zinc", "gold's", 'say "lead"')


def test_numbers_printed_by_numpy_are_options_too(tmp_path: Path) -> None:
    source = table(tmp_path / "q.csv", 'question,choices,answer\nLeast?,"[ 3 -1\n 12  7]",B\n')
    assert read_questions(source).records[0].options == ("3", "-1", "12", "7")


def test_what_a_spreadsheet_leaves_behind_is_no_column_and_no_row(tmp_path: Path) -> None:
    content = "question;A;B;C;D;answer;;\nBig, or small?;a;b;c;d;B;;\nOther?;a;b;c;d;C\n;;;;;;;\n"
    source = tmp_path / "q.csv"
    source.write_bytes(b"\xef\xbb\xbf" + content.replace("\n", "\r\n").encode())
    questions = read_questions(str(source))
    assert ([record.text for record in questions.records], keys(questions)) == (["Big, or small?", "Other?"], "BC")
    source.write_text(content.replace("Other?;a;b;c;d;C", "Other?;a;b;c;d;C;;x"))
    with pytest.raises(SourceError, match="line 3: a value in column 8, which the header does not name"):
        read_questions(str(source))


def test_a_key_that_never_changes_and_repeats_are_said(tmp_path: Path) -> None:
    record = {"question": "Which?", "options": TEXTS, "answer": "B"}
    questions = read_questions(jsonl(tmp_path / "q.jsonl", record, record, {**record, "question": "What?"}))
    assert questions.notes == ("2 distinct questions among 3", "WARNING: the right answer is B for all 3 questions")
    assert read_questions(jsonl(tmp_path / "q.jsonl", record)).notes == ()
