"""Questions with four options and a key, from files, datasets, or the package.

Owns: what makes a question usable, ids, duplicates, and what is worth saying of a whole source.
Does not know: the shapes of options (`options`) and keys (`answers`), usual names (`layouts`); prompts, models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lit_experiments.sources.answers import KeyRule, Readings, common_form, readings, settle, undecided, whole_number
from lit_experiments.sources.dialect import Quoting
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.ids import check_unique
from lit_experiments.sources.layouts import IDENTITY, layout_of, unfolded
from lit_experiments.sources.options import LETTERS, Options, read_options, without_marks
from lit_experiments.sources.question_columns import QuestionColumns
from lit_experiments.sources.records import Malformed, RecordStream, Skipped, open_records
from lit_experiments.sources.repeats import repeats_note
from lit_experiments.sources.values import BadValueError, identifier, text_of

EMBEDDED = "embedded"
_SHIPPED = Path(__file__).resolve().parent.parent / "embedded" / "data" / "questions.jsonl"
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
        notes: what is worth knowing of the source as a whole: how keys were read, repeats, a key that never changes.
    """

    records: tuple[QuestionRecord, ...]
    duplicates: int
    name: str
    digest: str
    skipped: Skipped
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Draft:
    """A question whose key may still be open to several readings."""

    record: QuestionRecord
    key: Readings
    placed: bool
    where: str
    rule: KeyRule


def read_questions(
    source: str,
    columns: QuestionColumns | None = None,
    *,
    malformed: Malformed = "stop",
    quoting: Quoting = "auto",
) -> Questions:
    """Reads questions from "embedded", a file or folder of records, or a Hub id (NAME[@CONFIG][:SPLIT]).

    Published layouts are read as they are: MMLU, ARC, OpenBookQA, HellaSwag, SWAG, MedMCQA, SciQ, TruthfulQA (mc1),
    GPQA and the like, and tables with a question, options in columns A-D or option_1-option_4 and the like, and a key.
    A question has four options: records with more or fewer are malformed, and none is dropped to make them fit. A CSV
    file without a header is read in MMLU's layout (question, four options, letter).

    Args:
        columns: the names of columns, and how keys are written; None to find both.
        malformed: raise at the first record without a question, four different options and a key, or leave such
            records out and count them.
        quoting: what quotes are in CSV and TSV files.

    Raises:
        SourceError: unusable source or record, unknown column, two records with one id, numeric keys of which nothing
            says what they count from.
    """
    path = str(_SHIPPED) if source == EMBEDDED else source
    columns = columns or QuestionColumns()
    stream = open_records(path, "--questions", malformed, _mmlu_header, quoting)
    _require(stream, columns)
    drafts, beyond = _drafts(stream, columns)
    _check_numbers(stream.name, drafts, beyond)
    kept = _settled(stream, drafts)
    stream.require_some(len(kept), "usable question")
    check_unique([(draft.record.question_id, draft.where) for draft in kept], stream.name, "--id_column")
    records = tuple(draft.record for draft in kept)
    distinct = {(record.text, record.options) for record in records}
    name = "embedded questions" if source == EMBEDDED else source
    notes = (*stream.notes, *_notes(kept))
    return Questions(records, len(records) - len(distinct), name, _digest(records), stream.skipped, notes)


def _mmlu_header(first: Sequence[str]) -> Sequence[str] | None:
    return _MMLU if len(first) == 6 and first[5].strip() in tuple(LETTERS) and first[1:5] != list(LETTERS) else None


def _require(stream: RecordStream, columns: QuestionColumns) -> None:
    given = columns.named()
    options = given.get("--options_column", [])
    if len(options) not in (0, 1, 4):
        raise SourceError(f"--options_column takes the name of one column or of four, found {len(options)}.")
    for option, names in given.items():
        for name in names:
            stream.require_column(name, option)
    if stream.columns is not None:
        _require_usual(stream, columns, stream.columns)


def _require_usual(stream: RecordStream, columns: QuestionColumns, present: Sequence[str]) -> None:
    """Find the unnamed columns in a source whose columns are fixed, before the first record is blamed."""
    filled = dict.fromkeys(present, "")
    try:
        columns.question(filled)
        if "mc1_targets" not in present:
            columns.key(filled)
    except BadValueError as error:
        raise SourceError(f"{stream.name}: {error}.") from error


def _drafts(stream: RecordStream, columns: QuestionColumns) -> tuple[list[_Draft], list[str]]:
    """Usable questions, and where numeric keys lie just beyond the options that a layout's counting leaves them."""
    drafts: list[_Draft] = []
    beyond: list[str] = []
    for place, record in stream:
        record = dict(unfolded(record))
        rule = columns.rule(record)
        try:
            drafts.append(_draft(stream, place, record, columns, rule))
        except BadValueError as error:
            if _is_beyond(record, columns, rule):
                beyond.append(stream.where)
            stream.reject(str(error))
    return drafts, beyond


def _is_beyond(record: Mapping[str, Any], columns: QuestionColumns, rule: KeyRule) -> bool:
    """Whether a key is the number just beyond the options if it counts as its layout says, as if it counted from 1."""
    if rule.first is None or rule.given:
        return False
    return whole_number(record[columns.key(record)]) == rule.first + len(LETTERS)


def _draft(
    stream: RecordStream, place: int, record: Mapping[str, Any], columns: QuestionColumns, rule: KeyRule
) -> _Draft:
    name = columns.question(record)
    text = text_of(record[name], name)
    options = read_options(record, text, columns.options_column, columns.label_column)
    key, options = _key(record, options, columns, rule)
    half = record.get("half")
    question = QuestionRecord(
        identifier(record, columns.id_column, IDENTITY, f"{stream.unit}-{place:06d}"),
        text,
        options.texts,
        -1 if options.right is None else options.right,
        columns.subject(record),
        place,
        half if isinstance(half, str) else None,
    )
    return _Draft(question, key, options.placed, stream.where, rule)


def _key(
    record: Mapping[str, Any], options: Options, columns: QuestionColumns, rule: KeyRule
) -> tuple[Readings, Options]:
    if options.right is not None and columns.answer_column is None:
        return Readings({"label": options.right}), options
    name = columns.key(record)
    layout = layout_of(record, name)
    if layout is not None and layout.marked:
        options = without_marks(options)
    return readings(record[name], options, rule), options


def _check_numbers(name: str, drafts: Sequence[_Draft], beyond: Sequence[str]) -> None:
    """Raises SourceError where numeric keys could count from 0 or from 1."""
    if beyond:
        raise SourceError(
            f"{beyond[0]}: the answer 4 is beyond the options if answers count from 0, and seems to count from 1; "
            f"{len(beyond)} such in all.\nNext: --answer_index one, or --answer_index zero if these records are wrong."
        )
    if undecided([draft.key for draft in drafts]):
        first = next(draft for draft in drafts if draft.key.number is not None)
        count = sum(draft.key.number is not None for draft in drafts)
        texts = all("text" in draft.key.fit for draft in drafts)
        or_texts = ", or --answer_form text if they are the options themselves" if texts else ""
        raise SourceError(
            f"{name}: numeric answers ({count} of {len(drafts)}), such as {first.key.number} at {first.where}, may "
            f"count from 0 or from 1, and nothing says which.\nNext: --answer_index zero if 0 is the first option, "
            f"--answer_index one if 1 is{or_texts}."
        )


def _settled(stream: RecordStream, drafts: Sequence[_Draft]) -> list[_Draft]:
    form = common_form([draft.key.fit for draft in drafts])
    kept: list[_Draft] = []
    for draft in drafts:
        try:
            index = settle(draft.key.fit, form)
        except BadValueError as error:
            stream.reject(str(error), where=draft.where)
        else:
            kept.append(replace(draft, record=replace(draft.record, answer_index=index)))
    return kept


def _notes(drafts: Sequence[_Draft]) -> list[str]:
    notes: list[str] = []
    repeats = repeats_note(((draft.record.text, draft.record.options) for draft in drafts), "questions")
    if repeats:
        notes.append(repeats)
    placed = sum(draft.placed for draft in drafts)
    if placed:
        where = f"{placed:,} of {len(drafts):,} questions"
        notes.append(f"options without an order in {where}: the right one's place is drawn from the question's text")
    layouts = {draft.rule.said_by for draft in drafts if "index" in draft.key.fit and not draft.rule.given}
    notes += [f"numeric answers count from 0 ({layout})" for layout in sorted(layouts)]
    letters = {draft.record.answer_letter for draft in drafts}
    if len(letters) == 1 and len(drafts) > 1:
        notes.append(f"WARNING: the right answer is {letters.pop()} for all {len(drafts):,} questions")
    return notes


def _digest(questions: Sequence[QuestionRecord]) -> str:
    digest = hashlib.sha256()
    for question in questions:
        values = [question.question_id, question.text, question.options, question.answer_index]
        digest.update(json.dumps(values).encode() + b"\n")
    return digest.hexdigest()
