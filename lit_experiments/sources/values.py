"""Taking values out of records: by a given name or the first usual one, as text, with what is wrong in words.

Owns: the wording for a value that is missing or of the wrong type. Does not know: where records come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lit_experiments.sources.records import RecordStream, missing


class BadValueError(ValueError):
    """A record cannot be used; the message is the reason, without its place. The reader knows what to do with it."""


def find_name(record: Mapping[str, Any], given: str | None, usual: Sequence[str], option: str) -> str:
    """The given name, or the first of the usual ones that the record has a value for.

    Args:
        option: the command line option that gives the name; empty if there is none.

    Raises:
        BadValueError: neither.
    """
    if given is not None:
        if record.get(given) is None:
            absent = missing("key", given, record)
            raise BadValueError(f'"{given}" is null' if given in record else absent)
        return given
    for name in usual:
        if record.get(name) is not None:
            return name
    keys = ", ".join(map(str, record)) or "nothing"
    names = " or ".join(usual if len(usual) <= 3 else (*usual[:3], "the like"))
    raise BadValueError(f"no {names}; it has: {keys}{f' ({option} names the right one)' if option else ''}")


def has(record: Mapping[str, Any], given: str | None, usual: Sequence[str]) -> str | None:
    """The given name or the first of the usual ones that the record has a value for; None if there is none."""
    names = usual if given is None else (given,)
    return next((name for name in names if record.get(name) is not None), None)


def text_of(value: Any, name: str) -> str:
    """A value that must be text with something in it, surrounding white space removed.

    Raises:
        BadValueError: another type, or blank.
    """
    text = string_of(value, name).strip()
    if not text:
        raise BadValueError(f'"{name}" is blank')
    return text


def is_blank(value: Any) -> bool:
    """Whether a value is none at all: null, not a number (pandas' empty cell), or text without a visible character."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def number_or_text(value: Any, name: str) -> str:
    """A value that may be a number where the source has types, as text.

    Raises:
        BadValueError: another type, or blank.
    """
    if is_blank(value):
        raise BadValueError(f'"{name}" is blank')
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return text_of(value, name)


def text_values(stream: RecordStream, column: str) -> Iterator[tuple[int, str]]:
    """(place, text) of one column, blank ones included.

    Raises:
        SourceError: a record without text there, if malformed records stop the reading.
    """
    for place, record in stream:
        if column not in record:
            stream.reject(missing("key", column, record), "correct it, or name another key with --text_column")
            continue
        try:
            yield place, string_of(record[column], column)
        except BadValueError as error:
            stream.reject(str(error))


def string_of(value: Any, name: str) -> str:
    """A value that must be text, as it is.

    Raises:
        BadValueError: another type, or text that UTF-8 cannot spell.
    """
    if not isinstance(value, str):
        raise BadValueError(f'"{name}" must be text, found {type(value).__name__}')
    half = next((c for c in value if "\ud800" <= c <= "\udfff"), None)
    if half is not None:  # JSON can spell it, UTF-8 and tokenizers cannot
        raise BadValueError(f'"{name}" holds half a character (\\u{ord(half):04x} of a surrogate pair)')
    return value


def identifier(record: Mapping[str, Any], given: str | None, usual: Sequence[str], default: str) -> str:
    """The record's own id (text or whole number) or the default.

    Raises:
        BadValueError: an id of another type, blank, or the given column has none.
    """
    name = find_name(record, given, (), "") if given is not None else has(record, None, usual)
    if name is None:
        return default
    value = record[name]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_of(value, name)
