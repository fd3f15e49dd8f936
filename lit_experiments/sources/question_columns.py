"""Where the parts of a question stand in a record, and how its key is written: the options that say it, and the usual.

Owns: the one declaration of these options. Does not know: what the parts must be, files, other records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from lit_experiments.sources.answers import FIRST, AnswerForm, AnswerIndex, KeyRule
from lit_experiments.sources.layouts import ANSWER, QUESTION, SUBJECT, layout_of, usual_name
from lit_experiments.sources.values import find_name


@dataclass(frozen=True)
class QuestionColumns:
    """Where the parts of a question stand and how its key is written; every field is an option of the command line.

    Columns that are not given are found under their usual names (`layouts`).

    Attributes:
        question_column: the question's text.
        options_column: the list of options, or the names of four columns.
        answer_column: the key.
        label_column: the list of what keys call the options, such as 1, 2, 3, 4.
        id_column: the id.
        subject_column: the subject.
        answer_form: how keys are written; "auto" takes each form and decides doubtful keys by the whole source.
        answer_index: what numbers count from, where no label and no published layout says it.
    """

    question_column: str | None = None
    options_column: str | Sequence[str] | None = None
    answer_column: str | None = None
    label_column: str | None = None
    id_column: str | None = None
    subject_column: str | None = None
    answer_form: AnswerForm = "auto"
    answer_index: AnswerIndex | None = None

    def named(self) -> dict[str, list[str]]:
        """The columns that are given, by the option that gives them."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if field.name.endswith("_column")}
        listed = {name: [value] if isinstance(value, str) else list(value or ()) for name, value in given.items()}
        return {f"--{name}": value for name, value in listed.items() if value}

    def question(self, record: Mapping[str, Any]) -> str:
        """The column of the question's text. Raises BadValueError if the record has none."""
        return _name(record, self.question_column, QUESTION, "--question_column")

    def key(self, record: Mapping[str, Any]) -> str:
        """The column of the key, even where it is null. Raises BadValueError if the record has none."""
        if self.answer_column is None and usual_name(record, ANSWER) is None:
            null = usual_name(dict.fromkeys(record, ""), ANSWER)  # a question of which the key is kept secret
            if null is not None:
                return null
        return _name(record, self.answer_column, ANSWER, "--answer_column")

    def subject(self, record: Mapping[str, Any]) -> str | None:
        """The subject, None if the record has none."""
        name = self.subject_column or usual_name(record, SUBJECT)
        return None if name is None or record.get(name) is None else str(record[name])

    def rule(self, record: Mapping[str, Any]) -> KeyRule:
        """How the record's key is to be read: as the options say, or as its published layout does."""
        if self.answer_index is not None:
            return KeyRule(self.answer_form, FIRST[self.answer_index], f"--answer_index {self.answer_index}", True)
        key = self.answer_column or usual_name(record, ANSWER)
        layout = None if key is None else layout_of(record, key)
        if layout is None or layout.counts_from is None:
            return KeyRule(self.answer_form)
        return KeyRule(self.answer_form, layout.counts_from, f"{layout.name}'s layout; else --answer_index zero|one")


def _name(record: Mapping[str, Any], given: str | None, usual: Sequence[str], option: str) -> str:
    """The given name, or the usual one as the record spells it. Raises BadValueError if it has neither."""
    name = usual_name(record, usual) if given is None else None
    return name if name is not None else find_name(record, given, usual, option)
