"""Problems with a final answer and, where there is one, a worked solution: from files, datasets, or generated.

Owns: the layouts of GSM8K (the answer ends in "#### 42") and MATH (`problem`, `solution` with \\boxed{}), usual names,
ids, duplicates. Does not know: prompts, models, when two answers are equal.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lit_experiments.sources.boxes import boxed
from lit_experiments.sources.dialect import Quoting
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.generated import generated_problems
from lit_experiments.sources.ids import check_unique
from lit_experiments.sources.records import Malformed, RecordStream, Skipped, check_quoting, open_records
from lit_experiments.sources.repeats import repeats_note
from lit_experiments.sources.values import BadValueError, find_name, has, identifier, text_of

EMBEDDED = "embedded"
_QUESTION = ("question", "problem")
_ANSWER = ("answer", "final_answer", "expected_answer")
_SOLUTION = ("solution", "solution_text", "rationale")
_ID = ("problem_id", "id", "unique_id", "question_id")
_MARK = "####"
_CALCULATOR = re.compile(r"<<[^<>]*>>")
_THOUSANDS = re.compile(r"([^\d,()\[\]{}]*)(\d{1,3}(?:,\d{3})+)(\.\d+)?([^\d,()\[\]{}]*)")
_LATEX_STYLE = re.compile(r"\\(?:left|right|displaystyle|[,;:! ])|\s|\$")


@dataclass(frozen=True)
class ProblemRecord:
    """One problem.

    Attributes:
        problem_id: the record's own id, or its place: "line-000012".
        answer: the final answer as the source writes it (GSM8K: without thousands commas).
        solution: worked steps up to the answer, None if the source has none. GSM8K: without calculator marks and
            without the "####" line. MATH: as it is, with its \\boxed{}.
        place: line (from 1) or row (from 0) in the source.
        prompt: what the embedded model is to be given for a generated problem; None for other sources.
    """

    problem_id: str
    question: str
    answer: str
    solution: str | None
    place: int
    prompt: str | None = None


@dataclass(frozen=True)
class Problems:
    """What was read.

    Attributes:
        records: in the source's order.
        duplicates: problems that repeat an earlier one's question; they are kept.
        name: what was read, for people.
        digest: sha256 of the records: the data's part of a fingerprint.
        skipped: malformed records that were left out.
        notes: what is worth knowing of the source as a whole: repeats, answers that their solutions contradict.
    """

    records: tuple[ProblemRecord, ...]
    duplicates: int
    name: str
    digest: str
    skipped: Skipped
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Columns:
    question: str | None
    answer: str | None
    solution: str | None
    identity: str | None


def read_problems(
    source: str,
    *,
    generated: int,
    seed: int,
    question_column: str | None = None,
    answer_column: str | None = None,
    solution_column: str | None = None,
    id_column: str | None = None,
    malformed: Malformed = "stop",
    quoting: Quoting = "auto",
) -> Problems:
    """Reads problems from "embedded", a file or folder of records, or a Hub id (NAME[@CONFIG][:SPLIT]).

    Columns that are not given are found under their usual names: question or problem; answer; solution; id. An answer
    with a line "#### 42" is a worked solution and its answer (GSM8K); without an answer, what the solution puts into
    its last \\boxed{} is it (MATH; see `boxes.boxed` for several). An answer is kept as it is written; where its
    solution ends in another one, it counts, and the notes say so.

    Args:
        generated: how many embedded problems to generate; other sources are read whole.
        seed: which ones; the same seed gives the same problems, and a larger number only adds to them.
        malformed: raise at the first record without a question or an answer, or leave such records out and count them.
        quoting: what quotes are in CSV and TSV files.

    Raises:
        SourceError: unusable source or record, unknown column, two records with one id.
    """
    if source == EMBEDDED:
        name = f"embedded problems (held out, seed {seed})"
        check_quoting(quoting, name, "generated")
        records = [
            ProblemRecord(
                f"embedded-{seed}-{i:05d}", problem.question, str(problem.answer), solution, i, problem.prompt
            )
            for i, (problem, solution) in enumerate(generated_problems(generated, seed))
        ]
        return _problems(records, name, Skipped(), ())
    columns = _Columns(question_column, answer_column, solution_column, id_column)
    stream = open_records(source, "--problems", malformed, quoting=quoting)
    _require(stream, columns)
    problems, places = _read(stream, columns)
    stream.require_some(len(problems), "usable problem")
    check_unique(places, stream.name, "--id_column")
    return _problems(problems, source, stream.skipped, (*stream.notes, *_contradicted(problems)))


def _problems(records: Sequence[ProblemRecord], name: str, skipped: Skipped, notes: tuple[str, ...]) -> Problems:
    digest = hashlib.sha256()
    for record in records:
        values = [record.problem_id, record.question, record.answer, record.solution, record.prompt]
        digest.update(json.dumps(values).encode() + b"\n")
    duplicates = len(records) - len({record.question for record in records})
    repeats = repeats_note((record.question for record in records), "questions")
    notes = (*notes, repeats) if repeats else notes
    return Problems(tuple(records), duplicates, name, digest.hexdigest(), skipped, notes)


def _contradicted(records: Sequence[ProblemRecord]) -> list[str]:
    """A note on answers that their own solutions write in another way."""
    differing = []
    for record in records:
        stated = _stated(record.solution)
        if stated is not None and _bare(stated) != _bare(record.answer):
            differing.append(f'{record.problem_id} ("{record.answer}", solution: "{stated}")')
    if not differing:
        return []
    more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
    return [
        f"answers written otherwise than where their solutions end; the answers count: {', '.join(differing[:3])}{more}"
    ]


def _stated(solution: str | None) -> str | None:
    try:
        return None if solution is None else _ending(solution)[0]
    except BadValueError:
        return None


def _bare(answer: str) -> str:
    """An answer without what changes its looks alone."""
    plain = _LATEX_STYLE.sub("", _without_thousands(answer)).replace("dfrac", "frac").replace("tfrac", "frac")
    try:
        return repr(float(plain))
    except ValueError:
        return plain


def _require(stream: RecordStream, columns: _Columns) -> None:
    given = {
        "--question_column": columns.question,
        "--answer_column": columns.answer,
        "--solution_column": columns.solution,
        "--id_column": columns.identity,
    }
    for option, name in given.items():
        if name is not None:
            stream.require_column(name, option)
    if stream.columns is None:
        return
    present = dict.fromkeys(stream.columns, "")
    try:
        find_name(present, columns.question, _QUESTION, "--question_column")
        if has(present, columns.solution, _SOLUTION) is None:
            find_name(present, columns.answer, _ANSWER, "--answer_column")
    except BadValueError as error:
        raise SourceError(f"{stream.name}: {error}.") from error


def _read(stream: RecordStream, columns: _Columns) -> tuple[list[ProblemRecord], list[tuple[str, str]]]:
    """Usable problems, and (id, where) of each."""
    problems: list[ProblemRecord] = []
    places: list[tuple[str, str]] = []
    for place, record in stream:
        try:
            problems.append(_problem(record, columns, place, f"{stream.unit}-{place:06d}"))
        except BadValueError as error:
            stream.reject(str(error))
        else:
            places.append((problems[-1].problem_id, stream.where))
    return problems, places


def _problem(record: Mapping[str, Any], columns: _Columns, place: int, default_id: str) -> ProblemRecord:
    question = find_name(record, columns.question, _QUESTION, "--question_column")
    identity = identifier(record, columns.identity, _ID, default_id)
    name = has(record, columns.solution, _SOLUTION)
    if name is None and columns.solution is not None:
        find_name(record, columns.solution, (), "--solution_column")
    solution = None if name is None else text_of(record[name], name)
    answer, solution = _answer(record, columns, solution)
    return ProblemRecord(identity, text_of(record[question], question), answer, solution, place)


def _answer(record: Mapping[str, Any], columns: _Columns, solution: str | None) -> tuple[str, str | None]:
    """The final answer, and the solution without marks.

    Raises:
        BadValueError: no final answer, or something longer in its place.
    """
    name = has(record, columns.answer, _ANSWER)
    if name is None and columns.answer is None and solution is not None:
        return _ending(solution)
    name = find_name(record, columns.answer, _ANSWER, "--answer_column")
    text = _as_text(record[name], name)
    if _MARK in text:
        answer, steps = _ending(text)
        return answer, solution or steps or None
    if "\n" in text:
        raise BadValueError(
            f'"{name}" has {text.count(chr(10)) + 1} lines and no "{_MARK} 42" that marks the final answer'
        )
    return text, solution


def _ending(solution: str) -> tuple[str, str]:
    """(final answer, solution) of a worked solution that ends in "#### 42" or holds a \\boxed{42}."""
    if _MARK in solution:
        steps, _, answer = solution.rpartition(_MARK)
        answer = _without_thousands(answer.strip())
        if not answer or "\n" in answer:
            raise BadValueError(f'"{_MARK}" is not followed by one final answer at the end')
        return answer, _CALCULATOR.sub("", steps).strip()
    content = boxed(solution)
    if not content:
        raise BadValueError(f'no answer, and the solution ends neither in "{_MARK} 42" nor in \\boxed{{42}}')
    return content, solution


def _without_thousands(answer: str) -> str:
    """ "1,200" and "$1,200" without the commas; any other answer as it is: "3, 4" are two numbers."""
    match = _THOUSANDS.fullmatch(answer)
    if match is None:
        return answer
    before, number, decimals, after = match.groups(default="")
    return before + number.replace(",", "") + decimals + after


def _as_text(value: Any, name: str) -> str:
    """A final answer may be a number where the file has types."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(int(value) if isinstance(value, float) and value.is_integer() else value)
    return text_of(value, name)
