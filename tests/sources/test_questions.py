"""Reading questions: the layouts that occur, keys in three forms, and what makes a question unusable."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import pytest

from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.questions import QuestionColumns, Questions, read_questions

SHARED = Path(__file__).parents[3] / "shared" / "data"
OPTIONS = ["red", "green", "blue", "grey"]
FROM_ZERO, FROM_ONE = QuestionColumns(answer_index="zero"), QuestionColumns(answer_index="one")
ONE: dict[str, Any] = {"question": "Which is the colour of leaves?", "options": OPTIONS, "answer": "B"}


def jsonl(path: Path, *records: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def text(path: Path, content: str) -> str:
    path.write_text(content)
    return str(path)


def answers(questions: Questions) -> str:
    return "".join(record.answer_letter for record in questions.records)


def test_a_question_has_its_id_its_options_in_order_its_key_and_its_place(tmp_path: Path) -> None:
    questions = read_questions(jsonl(tmp_path / "q.jsonl", {**ONE, "question_id": "leaf", "subject": "plants"}, ONE))
    first, second = questions.records
    assert (first.question_id, first.subject, first.place, first.options) == ("leaf", "plants", 1, tuple(OPTIONS))
    assert (first.answer_index, first.answer_letter) == (1, "B")
    assert (second.question_id, second.subject) == ("line-000002", None)
    assert questions.duplicates == 1  # the same question again is kept
    assert questions.skipped.count == 0


@pytest.mark.parametrize("answer", ["B", "b", " B ", "(B)", "B.", "green", " green "])
def test_a_key_may_be_a_letter_or_the_option_itself(tmp_path: Path, answer: Any) -> None:
    assert answers(read_questions(jsonl(tmp_path / "q.jsonl", {**ONE, "answer": answer}))) == "B"


@pytest.mark.parametrize("answer", [1, 1.0, "1", "1.0", " 1 "])
def test_a_number_counts_from_where_the_option_says(tmp_path: Path, answer: Any) -> None:
    source = jsonl(tmp_path / "q.jsonl", {**ONE, "answer": answer})
    assert answers(read_questions(source, FROM_ZERO)) == "B"
    assert answers(read_questions(source, FROM_ONE)) == "A"


@pytest.mark.parametrize(
    "options",
    [
        {"choices": OPTIONS},
        dict(zip("ABCD", OPTIONS, strict=True)),
        {f"option_{letter}": option for letter, option in zip("abcd", OPTIONS, strict=True)},
        {f"Option {number}": option for number, option in zip("1234", OPTIONS, strict=True)},
        {"choices": {"text": OPTIONS, "label": ["A", "B", "C", "D"]}},
        {"options": dict(zip("DCBA", reversed(OPTIONS), strict=True))},
        {"options": json.dumps(OPTIONS)},
        {"options": str(OPTIONS)},
    ],
)
def test_options_may_be_a_list_or_four_columns(tmp_path: Path, options: dict[str, Any]) -> None:
    record = {"question": ONE["question"], "answer": "B", **options}
    assert read_questions(jsonl(tmp_path / "q.jsonl", record)).records[0].options == tuple(OPTIONS)


def test_csv_parquet_and_saved_datasets_give_the_same_questions(tmp_path: Path) -> None:
    rows = [{"id": f"q{i}", "question": f"Which {i}?", "choices": OPTIONS, "answer": i % 4} for i in range(6)]
    data = datasets.Dataset.from_list(rows)
    data.to_parquet(tmp_path / "q.parquet")
    data.save_to_disk(tmp_path / "saved")
    flat = "id,question,A,B,C,D,answer\n" + "".join(f"q{i},Which {i}?,{','.join(OPTIONS)},{i % 4}\n" for i in range(6))
    sources = [str(tmp_path / "q.parquet"), str(tmp_path / "saved"), text(tmp_path / "q.csv", flat)]
    copies = [read_questions(source, FROM_ZERO) for source in sources]
    assert {questions.digest for questions in copies} == {copies[0].digest}
    assert answers(copies[0]) == "ABCDAB"


def test_mmlu_s_csv_without_a_header_is_read(tmp_path: Path) -> None:
    source = text(tmp_path / "q.csv", 'Which then?,red,green,blue,grey,C\n"Which\nnow?",1,2,3,4,A\n')
    questions = read_questions(source)
    assert [(r.text, r.options, r.answer_letter, r.place) for r in questions.records] == [
        ("Which then?", ("red", "green", "blue", "grey"), "C", 1),
        ("Which\nnow?", ("1", "2", "3", "4"), "A", 2),
    ]


def test_columns_of_any_name_can_be_given(tmp_path: Path) -> None:
    source = text(tmp_path / "q.csv", "nr,stem,w,x,y,z,key,field\n7,Which?,red,green,blue,grey,3,art\n")
    columns = QuestionColumns("stem", ["w", "x", "y", "z"], "key", None, "nr", "field", answer_index="zero")
    questions = read_questions(source, columns)
    record = questions.records[0]
    assert (record.question_id, record.subject, record.answer_letter) == ("7", "art", "D")


NUMBERS = ["1", "2", "3", "4"]
MMLU = {"question": "Which?", "subject": "x", "choices": OPTIONS}


def test_a_file_with_mmlu_s_columns_but_no_subject_may_count_from_anything(tmp_path: Path) -> None:
    record = {"question": "Which?", "choices": OPTIONS}
    source = jsonl(tmp_path / "q.jsonl", *({**record, "answer": i} for i in (1, 2, 3)))
    with pytest.raises(SourceError, match=r"--answer_index zero .*--answer_index one"):
        read_questions(source)
    assert answers(read_questions(source, FROM_ONE)) == "ABC"


def test_a_key_that_reads_two_ways_follows_the_form_of_all_others(tmp_path: Path) -> None:
    first, doubtful = ({"question": "Which?", "subject": "x", "choices": options} for options in (OPTIONS, NUMBERS))
    by_index = jsonl(tmp_path / "i.jsonl", {**first, "answer": "0"}, {**doubtful, "answer": "2"})
    by_text = jsonl(tmp_path / "t.jsonl", {**first, "answer": "red"}, {**doubtful, "answer": "2"})
    assert answers(read_questions(by_index)) == "AC"
    assert answers(read_questions(by_text)) == "AB"
    assert answers(read_questions(jsonl(tmp_path / "n.jsonl", {**doubtful, "answer": 2}))) == "C"


def test_a_key_that_stays_doubtful_is_malformed_until_its_form_is_given(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "q.jsonl", {**MMLU, "choices": NUMBERS, "answer": "2"})
    with pytest.raises(SourceError, match=r"line 1: the answer can be read as index C or as text B .--answer_form"):
        read_questions(source)
    assert answers(read_questions(source, QuestionColumns(answer_form="index"))) == "C"
    assert answers(read_questions(source, QuestionColumns(answer_form="text"))) == "B"
    assert answers(read_questions(source, FROM_ZERO)) == "C"  # who says where numbers count from means no text


def test_options_that_are_letters_do_not_confuse_letter_keys(tmp_path: Path) -> None:
    swapped = {**ONE, "options": ["D", "C", "B", "A"], "answer": "A"}
    assert answers(read_questions(jsonl(tmp_path / "q.jsonl", ONE, swapped))) == "BA"


def test_numbers_beyond_a_layout_s_counting_are_refused_even_when_malformed_records_are_skipped(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "q.jsonl", *({**MMLU, "answer": i} for i in (1, 2, 3, 4)))
    with pytest.raises(SourceError, match=r"line 4: answer 4 is none of 0-3 .indexes count from 0: MMLU's layout"):
        read_questions(source)
    with pytest.raises(SourceError, match="seems to count from 1"):
        read_questions(source, malformed="skip")
    assert answers(read_questions(source, FROM_ONE)) == "ABCD"
    assert answers(read_questions(source, FROM_ZERO, malformed="skip")) == "BCD"


MALFORMED = [
    ({**ONE, "options": OPTIONS[:3]}, "3 options where four belong"),
    ({**ONE, "options": [*OPTIONS, "black"]}, "5 options where four belong"),
    ({**ONE, "options": ["red", "green", "blue", " red"]}, "options A and D are the same: 'red'"),
    ({**ONE, "options": ["red", "green", "blue", " "]}, '"options[3]" is blank'),
    ({**ONE, "options": ["red", "green", "blue", True]}, '"options[3]" must be text, found bool'),
    ({**ONE, "options": "red green"}, "must be a list of four options, found the text 'red green'"),
    ({**ONE, "options": 4}, "must be a list of four options, found int"),
    ({**ONE, "choices": {"text": OPTIONS, "label": list("WXYZ")}, "options": None}, "none of the labels W, X, Y, Z"),
    ({"question": "Which?", "answer": "A"}, "no options, choices, or four columns A-D; it has: question, answer"),
    ({**ONE, "question": ""}, '"question" is blank'),
    (
        {"options": OPTIONS, "answer": "A"},
        "no question or question_text or question_stem or the like; it has: options, answer",
    ),
    ({"question": "Which?", "options": OPTIONS}, "no answer or "),
    ({**ONE, "answer": "E"}, "answer 'E' is not a letter A-D, an index 0-3, or the text of an option"),
    ({**MMLU, "answer": 7}, "answer 7 is none of 0-3"),
    ({**MMLU, "answer": -1}, "answer -1 is none of 0-3"),
    ({**ONE, "answer": True}, "answer True is not"),
    ({**ONE, "answer": None}, "the key is blank"),
    ({**ONE, "answer": ""}, "the key is blank"),
    ({**ONE, "answer": "purple"}, "answer 'purple' is not"),
    ({**ONE, "question_id": ["x"]}, '"question_id" must be text, found list'),
]


@pytest.mark.parametrize(("record", "reason"), MALFORMED)
def test_an_unusable_question_stops_with_its_reason_or_is_counted(
    tmp_path: Path, record: dict[str, Any], reason: str
) -> None:
    source = jsonl(tmp_path / "q.jsonl", ONE, record, {**ONE, "question": "Which else?"})
    with pytest.raises(SourceError, match=r"q\.jsonl, line 2: .*(\n.*)?--malformed skip") as caught:
        read_questions(source)
    assert reason in str(caught.value)
    questions = read_questions(source, malformed="skip")
    assert [question.place for question in questions.records] == [1, 3]
    assert questions.skipped.count == 1
    assert reason in questions.skipped.reasons[0]


def test_records_that_are_no_json_are_counted_with_the_others(tmp_path: Path) -> None:
    source = text(tmp_path / "q.jsonl", json.dumps(ONE) + "\n{nonsense\n" + json.dumps({**ONE, "answer": "E"}))
    questions = read_questions(source, malformed="skip")
    assert questions.skipped.count == 2
    assert ["not valid JSON" in questions.skipped.reasons[0], "'E'" in questions.skipped.reasons[1]] == [True, True]


def test_two_records_with_one_id_are_refused_with_both_places(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "q.jsonl", {**ONE, "id": 5}, ONE, {**ONE, "id": "5"})
    for malformed in ("stop", "skip"):
        with pytest.raises(SourceError, match=r'the id "5" occurs twice, at .*line 1 and .*line 3'):
            read_questions(source, malformed=malformed)  # type: ignore[arg-type]


def test_a_column_missing_from_a_table_is_told_once_not_row_by_row(tmp_path: Path) -> None:
    source = text(tmp_path / "q.csv", "question,A,B,C,D\nWhich?,1,2,3,4\n")
    with pytest.raises(SourceError, match=r"q\.csv: no answer or .*it has: question, A, B, C, D .--answer_column"):
        read_questions(source, malformed="skip")
    with pytest.raises(SourceError, match=r'no column "Bb".*nearest: "B".*\n.*--options_column'):
        read_questions(source, QuestionColumns(options_column=["A", "Bb", "C", "D"]))
    with pytest.raises(SourceError, match="one column or of four, found 2"):
        read_questions(source, QuestionColumns(options_column=["A", "B"]))


def test_the_digest_follows_what_is_asked_and_the_key(tmp_path: Path) -> None:
    one = read_questions(jsonl(tmp_path / "a.jsonl", ONE))
    assert read_questions(jsonl(tmp_path / "b.jsonl", {**ONE, "answer": "green", "extra": 3})).digest == one.digest
    assert read_questions(jsonl(tmp_path / "c.jsonl", {**ONE, "answer": "C"})).digest != one.digest


def test_the_embedded_questions_are_all_usable() -> None:
    questions = read_questions("embedded")
    assert questions.name == "embedded questions"
    assert len(questions.records) >= 200
    assert questions.duplicates == 0
    assert all(record.half and record.subject for record in questions.records)
    assert min(Counter(answers(questions)).values()) > len(questions.records) / 10


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder ../shared is not there")
def test_mmlu_s_four_questions_with_equal_options_are_found() -> None:
    source = str(SHARED / "mmlu_stem" / "test.jsonl")
    with pytest.raises(SourceError, match="line 318: options A and C are the same"):
        read_questions(source)
    questions = read_questions(source, malformed="skip")
    assert (len(questions.records), questions.skipped.count) == (3014, 4)
    assert questions.records[1].subject == "college_biology"
    assert Counter(answers(questions)).most_common(1)[0] == ("D", 871)
