"""Any table as texts: one column, a template over several, two columns as a contrast pair, or turns of a conversation.

Owns: which columns of a record make its text, templates, what is wrong with a record's text.
Does not know: file formats (records), tokenizers, chat templates, labels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any, Protocol

from lit_experiments.sources import openings
from lit_experiments.sources.dialect import Quoting
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.records import Malformed, RecordStream, check_quoting, missing, open_records
from lit_experiments.sources.values import BadValueError, find_name, string_of

EMBEDDED = "embedded"
DECLARED = {EMBEDDED: (("subject", "difficulty"), None), openings.NAME: (openings.LABELS, openings.GROUP)}
"""Embedded source -> its labels and its group column, where nothing else is declared."""
USUAL = ("text", "sentence", "content", "document", "prompt", "question")
_SHIPPED = Path(__file__).resolve().parent.parent / "embedded" / "data" / "questions.jsonl"
_WORDS = {True: ("true", "yes", "on"), False: ("false", "no", "off")}
_ROLES = ("system", "user", "assistant", "tool")

Turns = list[dict[str, Any]]


@dataclass(frozen=True)
class RecordText:
    """A text that a record gives.

    Attributes:
        text: as it stands in the record, or the template filled in; "" for a conversation.
        turns: the conversation's turns, each with role and content; empty for a text.
        start: where the text column's own characters begin in `text`.
        label: which column it comes from, in a contrast pair; "" otherwise.
    """

    text: str
    turns: Turns
    start: int = 0
    label: str = ""


class TextForm(Protocol):
    """How a record becomes texts. `consumed`: the columns that are the text, and so need not be stored next to it;
    `option`: what names the columns on the command line."""

    consumed: tuple[str, ...]
    option: str

    def texts(self, record: Mapping[str, Any]) -> list[RecordText]:
        """The record's texts, at least one. Raises BadValueError for a record that has none."""
        ...


@dataclass(frozen=True)
class TextOptions:
    """Which columns make the text; at most one of template, messages_column and pair_columns.

    Attributes:
        text_column: the text, or of a template the part whose characters spans count; None finds a usual name.
        template: text with {column} for each column's value.
        messages_column: a conversation: [{role, content}, ...], the same as JSON, or text that is one user's turn.
        pair_columns: two columns whose texts differ in one respect; True and False stand for columns named so.
    """

    text_column: str | None = None
    template: str | None = None
    messages_column: str | None = None
    pair_columns: tuple[str | bool, ...] | None = None

    def __post_init__(self) -> None:
        if self.pair_columns is not None and len(set(self.pair_columns)) != 2:
            raise SourceError(f"--pair_columns takes the names of two columns, found {list(self.pair_columns)}.")
        several = {
            "--template": self.template,
            "--messages_column": self.messages_column,
            "--pair_columns": self.pair_columns,
        }
        options = [option for option, value in several.items() if value is not None]
        if self.text_column is not None and options != ["--template"]:
            options = ["--text_column", *options]
        if len(options) > 1:
            raise SourceError(f"{' and '.join(options)} say in two ways what the text is.\nNext: give one of them.")


def open_texts(source: str, malformed: Malformed, quoting: Quoting) -> RecordStream:
    """The records of "embedded" (questions with their subject), "embedded:openings" (see `openings`), a file, a folder
    or a Hub id. Raises SourceError."""
    if source == openings.NAME:
        check_quoting(quoting, source, "dataset")
        return RecordStream(openings.read_openings(), malformed)
    stream = open_records(str(_SHIPPED) if source == EMBEDDED else source, "--texts", malformed, quoting=quoting)
    stream.name = "embedded questions" if source == EMBEDDED else stream.name
    return stream


def text_form(options: TextOptions, columns: Sequence[str] | None, name: str) -> TextForm:
    """How the records of a source become texts.

    Args:
        columns: the names that every record has; None where each record names its own.
        name: of the source, for messages.

    Raises:
        SourceError: a column that is not there, or a template that is none.
    """
    if options.template is not None:
        form: TextForm = TemplateText(_unescaped(options.template), options.text_column)
    elif options.messages_column is not None:
        form = TurnsText(options.messages_column)
    elif options.pair_columns is not None:
        form = PairText(options.pair_columns)
    else:
        form = ColumnText(options.text_column)
    if columns is not None:
        try:
            form.texts(_Placeholders(columns))
        except BadValueError as error:
            raise SourceError(f"{name}: {error}.\nNext: name other columns with {form.option}.") from error
    return form


class _Placeholders(dict[str, Any]):
    """A record with a text in every column, to see whether a form's columns are there."""

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__(dict.fromkeys(columns, "text"))


class ColumnText:
    """One column is the text."""

    option = "--text_column"

    def __init__(self, column: str | None) -> None:
        self.consumed: tuple[str, ...] = () if column is None else (column,)

    def texts(self, record: Mapping[str, Any]) -> list[RecordText]:
        if not self.consumed:
            self.consumed = (find_name(record, None, USUAL, self.option),)
        return [RecordText(_filled(record, self.consumed[0], self.option), [])]


class TemplateText:
    """Columns put into a template."""

    option = "--template"
    consumed: tuple[str, ...] = ()

    def __init__(self, template: str, column: str | None) -> None:
        """column: the one whose characters spans count. Raises SourceError for a template that is none."""
        try:
            parts = [(literal, name, form, turn) for literal, name, form, turn in Formatter().parse(template)]
        except ValueError as error:
            raise SourceError(f"--template {template!r}: {error}.\nNext: write a brace of the text twice.") from error
        odd = next((name for _, name, form, turn in parts if name is not None and (not name or form or turn)), None)
        self.parts = [(literal, name) for literal, name, _, _ in parts]
        names = [name for _, name in self.parts if name]
        if odd is not None or not names:
            raise SourceError(f"--template {template!r} needs columns as {{name}}, such as {{title}}.")
        if column is not None and names.count(column) != 1:
            raise SourceError(f"--text_column {column} must stand in --template once, as {{{column}}}.")
        self.column = column

    def texts(self, record: Mapping[str, Any]) -> list[RecordText]:
        text, start = "", 0
        for literal, name in self.parts:
            text += literal
            if name is not None:
                start = len(text) if name == self.column else start
                text += _written(record, name)
        if not text.strip():
            raise BadValueError("the template gives a blank text")
        return [RecordText(text, [], start)]


class TurnsText:
    """One column is a conversation."""

    option = "--messages_column"

    def __init__(self, column: str) -> None:
        self.consumed: tuple[str, ...] = (column,)

    def texts(self, record: Mapping[str, Any]) -> list[RecordText]:
        name = find_name(record, self.consumed[0], (), self.option)
        return [RecordText("", _turns(record[name], name))]


class PairText:
    """Two columns hold the two texts of a contrast pair."""

    option = "--pair_columns"

    def __init__(self, columns: tuple[str | bool, ...]) -> None:
        self.columns = columns
        self.consumed: tuple[str, ...] = ()

    def texts(self, record: Mapping[str, Any]) -> list[RecordText]:
        if not self.consumed:
            self.consumed = tuple(_spelled(column, record) for column in self.columns)
        return [RecordText(_filled(record, name, self.option), [], 0, name) for name in self.consumed]


def _spelled(column: str | bool, record: Mapping[str, Any]) -> str:
    """A column's name; YAML turns the words true and false into truth values."""
    if isinstance(column, str):
        return column
    return next((name for name in record if name.lower() in _WORDS[column]), str(column).lower())


def _filled(record: Mapping[str, Any], name: str, option: str) -> str:
    """A text with something in it, as it is: its characters are counted by spans."""
    text = string_of(record[find_name(record, name, (), option)], name)
    if not text.strip():
        raise BadValueError(f'"{name}" is blank')
    return text


def _written(record: Mapping[str, Any], name: str) -> str:
    """A value as a template writes it: text as it is, numbers and truth values as JSON does, nothing for null."""
    if name not in record:
        raise BadValueError(missing("key", name, record))
    value = record[name]
    if value is None:
        raise BadValueError(f'"{name}" is null')
    return json.dumps(value) if isinstance(value, bool | int | float) else string_of(value, name)


def _turns(value: Any, name: str) -> Turns:
    """Raises BadValueError for what is no conversation."""
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        with suppress(ValueError):  # a text that begins with brackets is a text
            value = json.loads(value)
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise BadValueError(f'"{name}" must be a list of turns, found {type(value).__name__}')
    for number, turn in enumerate(value):
        if not isinstance(turn, dict) or not isinstance(turn.get("role"), str) or "content" not in turn:
            raise BadValueError(f'"{name}", turn {number}: must have a role and a content')
        if turn["role"] not in _ROLES:
            raise BadValueError(f'"{name}", turn {number}: unknown role "{turn["role"]}" (known: {", ".join(_ROLES)})')
        if not string_of(turn["content"], f'{name}", turn {number}, "content').strip():
            raise BadValueError(f'"{name}", turn {number}: the content is blank')
    return [dict(turn) for turn in value]


def _unescaped(template: str) -> str:
    r"""A template as typed on a command line, where \n and \t stand for a newline and a tab, \\ for a backslash."""
    marks = {"n": "\n", "t": "\t", "\\": "\\"}
    text, rest = "", template
    while "\\" in rest:
        before, _, rest = rest.partition("\\")
        text += before + marks.get(rest[:1], "\\" + rest[:1])
        rest = rest[1:]
    return text + rest
