"""Questions with four options and a key, from files, datasets, or the package.

Owns: the names under which questions, options and keys are found, what makes a question usable, ids and duplicates.
Does not know: prompts, shuffling, selection, models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lit_experiments.sources.answers import (
    LETTERS,
    AnswerForm,
    common_form,
    looks_counted_from_one,
    readings,
    settle,
)
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.ids import check_unique
from lit_experiments.sources.options import OPTIONS, four_names, four_options
from lit_experiments.sources.records import Malformed, RecordStream, Skipped, open_records
from lit_experiments.sources.values import BadValueError, find_name, has, identifier, text_of

EMBEDDED = "embedded"
_SHIPPED = Path(__file__).resolve().parent.parent / "embedded" / "data" / "questions.jsonl"
_QUESTION = ("question", "question_text")
_ANSWER = ("answer", "answerKey", "answer_key", "correct_answer", "correct_answer_letter", "answer_index", "label")
_ID = ("question_id", "id")
_SUBJECT = ("subject", "type", "category")
_MMLU = ("question", "A", "B", "C", "D", "answer")


@dataclass(frozen=True)
class QuestionRecord:
    """One question.

    Attributes:
        question_id: the record's own id, or its place: "line-000012".
        options: four different texts, in the source's order.
        answer_index: 0-3.
        place: line (from 1) or row (from 0) in the source.
        half: which half of the embedded questions it is of; None for other sources.
    """

    question_id: str
    text: str
    options: tuple[str, str, str, str]
    answer_index: int
    subject: str | None
    place: int
    half: str | None = None

    @property
    def answer_letter(self) -> str:
        """A, B, C or D."""
        return LETTERS[self.answer_index]


@dataclass(frozen=True)
class Questions:
    """What was read.

    Attributes:
        records: in the source's order.
        duplicates: questions that repeat an earlier one's text and options; they are kept.
        name: what was read, for people.
        digest: sha256 of ids, texts, options and keys: the data's part of a fingerprint.
        skipped: malformed records that were left out.
    """

    records: tuple[QuestionRecord, ...]
    duplicates: int
    name: str
    digest: str
    skipped: Skipped


@dataclass(frozen=True)
class _Columns:
    question: str | None
    options: str | Sequence[str] | None
    answer: str | None
    identity: str | None
    subject: str | None


@dataclass(frozen=True)
class _Draft:
    """A question whose key may still be open to two readings."""

    question_id: str
    text: str
    options: tuple[str, str, str, str]
    fit: Mapping[AnswerForm, int]
    subject: str | None
    place: int
    where: str
    half: str | None


def read_questions(
    source: str,
    *,
    question_column: str | None = None,
    options_column: str | list[str] | None = None,
    answer_column: str | None = None,
    id_column: str | None = None,
    subject_column: str | None = None,
    answer_form: Literal["auto", "letter", "index", "text"] = "auto",
    malformed: Malformed = "stop",
) -> Questions:
    """Reads questions from "embedded", a file or folder of records, or a Hub id (NAME[@CONFIG][:SPLIT]).

    Columns that are not given are found under their usual names: question; options or choices (a list), or four columns
    A-D, option_a-option_d, option_1-option_4 and the like; answer; question_id or id; subject. A CSV file without a
    header is read in MMLU's layout (question, four options, letter).

    Args:
        options_column: the column with the list of options, or the four columns' names.
        answer_form: how keys are given; "auto" accepts each form and decides doubtful keys by the whole source.
        malformed: raise at the first record without a question, four different options and a key, or leave such
            records out and count them.

    Raises:
        SourceError: unusable source or record, unknown column, two records with one id, indexes that count from 1.
    """
    columns = _Columns(question_column, options_column, answer_column, id_column, subject_column)
    path = str(_SHIPPED) if source == EMBEDDED else source
    stream = open_records(path, "--questions", malformed, _mmlu_header)
    _require(stream, columns)
    drafts, refused = _drafts(stream, columns, answer_form)
    if answer_form in ("auto", "index") and looks_counted_from_one(refused, [d.fit for d in drafts]):
        raise SourceError(
            f"{stream.name}: the answers are numbers up to 4 and never 0, so they seem to count from 1.\n"
            f"Next: write letters A-D, or indexes 0-3."
        )
    records = _settled(stream, drafts)
    stream.require_some(len(records), "usable question")
    check_unique([(r.question_id, d.where) for r, d in records], stream.name, "--id_column")
    questions = tuple(record for record, _ in records)
    distinct = {(each.text, each.options) for each in questions}
    name = "embedded questions" if source == EMBEDDED else source
    return Questions(questions, len(questions) - len(distinct), name, _digest(questions), stream.skipped)


def _mmlu_header(first: Sequence[str]) -> Sequence[str] | None:
    return _MMLU if len(first) == 6 and first[5].strip() in tuple(LETTERS) and first[1:5] != list(LETTERS) else None


def _require(stream: RecordStream, columns: _Columns) -> None:
    options = [columns.options] if isinstance(columns.options, str) else list(columns.options or [])
    if len(options) not in (0, 1, 4):
        raise SourceError(f"--options_column takes the name of one column or of four, found {len(options)}.")
    given: dict[str, list[str | None]] = {
        "--question_column": [columns.question],
        "--options_column": [*options],
        "--answer_column": [columns.answer],
        "--id_column": [columns.identity],
        "--subject_column": [columns.subject],
    }
    for option, names in given.items():
        for name in names:
            if name is not None:
                stream.require_column(name, option)
    if stream.columns is not None:
        _require_usual(stream, columns)


def _require_usual(stream: RecordStream, columns: _Columns) -> None:
    """Find the unnamed columns in a source whose columns are fixed, before the first record is blamed."""
    present = dict.fromkeys(stream.columns or (), "")
    try:
        find_name(present, columns.question, _QUESTION, "--question_column")
        find_name(present, columns.answer, _ANSWER, "--answer_column")
        if columns.options is None and has(present, None, OPTIONS) is None:
            four_names(present)
    except BadValueError as error:
        raise SourceError(f"{stream.name}: {error}.") from error


def _drafts(stream: RecordStream, columns: _Columns, form: AnswerForm) -> tuple[list[_Draft], list[Any]]:
    """Usable questions, and the answers of the others."""
    drafts: list[_Draft] = []
    refused: list[Any] = []
    for place, record in stream:
        try:
            drafts.append(_draft(stream, place, record, columns, form))
        except BadValueError as error:
            stream.reject(str(error))
            name = has(record, columns.answer, _ANSWER)
            refused.extend([] if name is None else [record[name]])
    return drafts, refused


def _draft(stream: RecordStream, place: int, record: Mapping[str, Any], columns: _Columns, form: AnswerForm) -> _Draft:
    question = find_name(record, columns.question, _QUESTION, "--question_column")
    options = four_options(record, columns.options)
    answer = record[find_name(record, columns.answer, _ANSWER, "--answer_column")]
    subject = has(record, columns.subject, _SUBJECT)
    half = record.get("half")
    return _Draft(
        identifier(record, columns.identity, _ID, f"{stream.unit}-{place:06d}"),
        text_of(record[question], question),
        options,
        readings(answer, options, form),
        None if subject is None else str(record[subject]),
        place,
        stream.where,
        half if isinstance(half, str) else None,
    )


def _settled(stream: RecordStream, drafts: list[_Draft]) -> list[tuple[QuestionRecord, _Draft]]:
    form = common_form([draft.fit for draft in drafts])
    found = []
    for draft in drafts:
        try:
            index = settle(draft.fit, form)
        except BadValueError as error:
            stream.reject(str(error), where=draft.where)
            continue
        record = QuestionRecord(
            draft.question_id, draft.text, draft.options, index, draft.subject, draft.place, draft.half
        )
        found.append((record, draft))
    return found


def _digest(questions: Sequence[QuestionRecord]) -> str:
    digest = hashlib.sha256()
    for each in questions:
        digest.update(json.dumps([each.question_id, each.text, each.options, each.answer_index]).encode() + b"\n")
    return digest.hexdigest()
