"""Responses that somebody else wrote: a column next to the texts, or a file of their own in the texts' order.

Owns: which of the two a name means, and that each text has its response. Does not know: tokenizers, models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from lit_experiments.sources.dialect import Quoting
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.records import RecordStream, open_records
from lit_experiments.sources.values import BadValueError, find_name, string_of

OPTION = "--completions"
USUAL = ("response", "completion", "answer", "output", "text")


class GivenResponses:
    """The responses to a source's texts. column: where they stand in its records; None where a file holds them."""

    def __init__(self, name: str, texts: RecordStream, quoting: Quoting) -> None:
        """name: a column of the texts, or a file with a record (of text files: a line) for every one of theirs.

        Raises:
            SourceError: no such column, or a file that cannot be read.
        """
        self.column: str | None = name
        self._file: RecordStream | None = None
        is_file = Path(name).expanduser().is_file()
        if (texts.columns is None or name not in texts.columns) and is_file:
            self.column, self._file = None, open_records(name, OPTION, "stop", quoting=quoting)
        else:
            texts.require_column(name, f"{OPTION} (which takes a file, too)")

    def paired(self, texts: RecordStream) -> Iterator[tuple[int, Mapping[str, Any], Mapping[str, Any]]]:
        """(place, record, the record that holds its response).

        Raises:
            SourceError: the file holds fewer or more of them than there are texts.
        """
        if self._file is None:
            yield from ((place, record, record) for place, record in texts)
            return
        for number, (text, answer) in enumerate(zip_longest(texts, self._file)):
            if text is None or answer is None:
                more = self._file.name if text is None else texts.name
                raise SourceError(
                    f"{OPTION} {self._file.name}: there must be one response per text of {texts.name}, in the same "
                    f"order; {more} holds more than {number:,}.\nNext: bring them to one length, or give a column of "
                    "the texts' own table."
                )
            yield text[0], text[1], answer[1]

    def text(self, record: Mapping[str, Any]) -> str:
        """A response as it stands in its record. Raises BadValueError for none."""
        name = find_name(record, self.column, USUAL, OPTION)
        text = string_of(record[name], name)
        if not text.strip():
            raise BadValueError(f'"{name}" is blank: there is no response')
        return text
