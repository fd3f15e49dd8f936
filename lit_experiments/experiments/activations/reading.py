"""One pass over the user's records: what the model will read of each, and what is to be said of all of them.

Owns: texts through the tokenizer (or the chat template), spans to tokens, what fits the window, repeated texts, ids.
Does not know: the model's weights, stores.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from lit_experiments.errors import UserError
from lit_experiments.experiments.activations.columns import UserColumns
from lit_experiments.experiments.activations.spans import SpanTokens, parse_spans, span_tokens
from lit_experiments.experiments.activations.text_encoder import EncodedText, TextEncoder
from lit_experiments.experiments.activations.text_table import TextRow, TextTable
from lit_experiments.lm.info import ModelInfo
from lit_experiments.sources.files import TEXT
from lit_experiments.sources.given_responses import GivenResponses
from lit_experiments.sources.records import RecordStream
from lit_experiments.sources.texts import PairText, RecordText, TextForm
from lit_experiments.sources.values import BadValueError, is_blank, number_or_text, string_of

_NAMED = 5  # texts that are too long, in a message
_AHEAD = 64  # records that go through the tokenizer together


@dataclass(frozen=True)
class ReadingOptions:
    """id_column, span_column: of the user's table, None for none. responses: to the texts, where they are given."""

    id_column: str | None
    span_column: str | None
    responses: GivenResponses | None = None


class Texts:
    """What was read.

    Attributes:
        table: the texts, on disk.
        columns: the user's other columns.
        identified: whether every record has an id of its own in the id column.
        numeric_labels: whether all spans' labels are numbers.
        digest: sha256 of texts, ids and columns: the data's part of a fingerprint.
        notes: what is worth knowing of the source as a whole.
    """

    def __init__(
        self, stream: RecordStream, form: TextForm, encoder: TextEncoder, info: ModelInfo, options: ReadingOptions
    ) -> None:
        """Reads everything.

        Raises:
            SourceError: a record that cannot be used, if such records stop the reading; no usable record.
            UserError: texts that are too long for the model's window, unless they are to be skipped.
        """
        self._stream, self._form, self._encoder, self._options = stream, form, encoder, options
        self.columns = UserColumns(spelled=stream.kind == "csv")
        self.numeric_labels = True
        self._blank_lines, self._records = 0, 0
        self._long: list[str] = []
        self._texts, self._identities = array("q"), array("q")
        self._digest = hashlib.sha256()
        self.table = TextTable(self._rows(), info.tokens.prefix or ())
        stream.require_some(len(self.table), f"usable text{self._left_out()}")
        if self._long and encoder.too_long == "error":
            raise self._too_long(info)
        self.digest = self._digest.hexdigest()
        self.identified = options.id_column is not None and _distinct(self._identities) == len(self._identities)
        self.notes = self._described(info)

    def _rows(self) -> Iterator[TextRow]:
        for place, line, record, answered in self._looking_ahead():
            if self._stream.kind == TEXT and is_blank(record["text"]):
                self._blank_lines += 1
                continue
            number, self._records = self._records, self._records + 1
            place_name = f"{self._stream.unit} {place}"
            try:
                rows = self._rows_of(number, record, answered)
            except BadValueError as error:
                self._stream.reject(str(error), f"correct it, or name other columns with {self._form.option}", line)
                continue
            if not self._fits(rows, place_name):
                continue
            for row in rows:
                self._note(row)
                yield row

    def _looking_ahead(self) -> Iterator[tuple[int, str, Mapping[str, Any], Mapping[str, Any]]]:
        """(place, the same in words, record, what holds its response), a block at a time through the tokenizer."""
        records = ((p, self._stream.where, record, answer) for p, record, answer in self._records_with_responses())
        while block := list(islice(records, _AHEAD)):
            self._encoder.look_ahead(text for _, _, record, answer in block for text in self._plain(record, answer))
            yield from block

    def _plain(self, record: Mapping[str, Any], answered: Mapping[str, Any]) -> list[str]:
        """What will be tokenised of a record, where that can be told without a chat template."""
        responses = self._options.responses
        try:
            behind = "" if responses is None else responses.text(answered)
            return [text.text + behind for text in self._form.texts(record) if text.text]
        except BadValueError:
            return []  # it is rejected when its turn comes

    def _records_with_responses(self) -> Iterator[tuple[int, Mapping[str, Any], Mapping[str, Any]]]:
        responses = self._options.responses
        if responses is None:
            return ((place, record, record) for place, record in self._stream)
        return responses.paired(self._stream)

    def _rows_of(self, number: int, record: Mapping[str, Any], answered: Mapping[str, Any]) -> list[TextRow]:
        """The texts of one record. answered: what holds their response. Raises BadValueError for a record that cannot
        be used."""
        responses = self._options.responses
        response = None if responses is None else responses.text(answered)
        identity = self._identity(record)
        texts = self._form.texts(record)
        encoded = [self._encoder.encoded(text, response) for text in texts]
        spans = [self._spans(text, record, shown) for text, shown in zip(texts, encoded, strict=True)]
        consumed = {*self._form.consumed, *([responses.column] if responses is not None and responses.column else [])}
        values = self.columns.observe({n: value for n, value in record.items() if n not in consumed})
        return [
            TextRow(
                record=number,
                identity=identity,
                label=text.label,
                text=shown.text,
                ids=shown.ids,
                response=shown.response,
                response_ids=shown.response_ids,
                starts=[start for start, _ in shown.offsets],
                ends=[end for _, end in shown.offsets],
                span_positions=tokens.positions,
                span_owners=tokens.owners,
                span_labels=tokens.labels,
                values=values,
            )
            for text, shown, tokens in zip(texts, encoded, spans, strict=True)
        ]

    def _spans(self, text: RecordText, record: Mapping[str, Any], shown: EncodedText) -> SpanTokens:
        column = self._options.span_column
        if column is None:
            return SpanTokens([], [], [])
        if column not in record:
            raise BadValueError(f'no spans: there is no "{column}"')
        part = getattr(self._form, "column", None)  # of a template, the column whose characters count
        source = text.text if part is None else string_of(record[part], part)
        spans = parse_spans(record[column], column, len(source))
        tokens = span_tokens(spans, shown.offsets, text.start - shown.removed, column)
        self.numeric_labels &= all(isinstance(span.label, float | None) for span in spans)
        return tokens

    def _identity(self, record: Mapping[str, Any]) -> str:
        column = self._options.id_column
        if column is None:
            return ""
        if column not in record:
            raise BadValueError(f'no id: there is no "{column}"')
        return number_or_text(record[column], column)

    def _fits(self, rows: list[TextRow], place_name: str) -> bool:
        room = self._encoder.room
        longest = max(len(row.ids) + len(row.response_ids) for row in rows)
        if room is None or longest <= room:
            return True
        self._long.append(f"{place_name} ({longest:,} tokens)" if len(self._long) < _NAMED else "")
        return False

    def _note(self, row: TextRow) -> None:
        """Counts a text, and takes it into the digest."""
        self._texts.append(_hash(row.text))
        if row.label in ("", self._form.consumed[0] if self._form.consumed else ""):
            self._identities.append(_hash(row.identity))
        parts = [row.record, row.identity, row.label, row.text, row.span_positions, row.span_labels, row.values]
        parts += [row.response] if row.response else []
        self._digest.update(json.dumps(parts).encode() + b"\n")

    def _left_out(self) -> str:
        parts = [f"{self._blank_lines} blank lines"] if self._blank_lines else []
        parts += [f"{len(self._long)} too long for the model's window"] if self._long else []
        return f", but {' and '.join(parts)}" if parts else ""

    def _too_long(self, info: ModelInfo) -> UserError:
        return UserError(
            f"Too long for the model's window: {self._long_ones()}.\n{info.name} holds {info.window} tokens"
            f"{', its responses included' if self._encoder.answers else ''}. Nothing ran.\n"
            f"Next: --too_long skip leaves such texts out, counted; truncate_left or truncate_right cuts them."
        )

    def _long_ones(self) -> str:
        shown = [name for name in self._long if name]
        more = f" and {len(self._long) - len(shown):,} more" if len(self._long) > len(shown) else ""
        return f"{len(self._long):,} of {self._records:,} texts: {', '.join(shown)}{more}"

    def _described(self, info: ModelInfo) -> list[str]:
        records, tokens = len(np.unique(self.table.record)), int(self.table.tokens.sum())
        counted = f"{len(self.table):,} texts" + (f" of {records:,} pairs" if isinstance(self._form, PairText) else "")
        longest = int(self.table.tokens.max())
        lines = [
            f"{self._stream.name}: {counted}, {tokens:,} tokens, the longest text {longest:,}",
            *self._stream.notes,
        ]
        if self._blank_lines:
            lines.append(f"{self._blank_lines:,} blank lines passed over")
        if self._stream.skipped.count:
            lines.append(self._stream.skipped.note())
        if self._long:
            lines.append(f"too long for the window, left out: {self._long_ones()}")
        if self._encoder.truncated:
            side = "left" if self._encoder.too_long == "truncate_left" else "right"
            lines.append(f"{self._encoder.truncated:,} texts cut on the {side} to {self._encoder.room:,} tokens")
        distinct = _distinct(self._texts)
        if distinct < len(self._texts):
            lines.append(f"{distinct:,} distinct texts among {len(self._texts):,}")
        column = self._options.id_column
        if column is not None and not self.identified:
            lines.append(f'ids in "{column}" occur more than once: samples are numbered, and it is one of the columns')
        return lines


def _hash(text: str) -> int:
    """64 bits of a text; two of ten million texts have the same with a chance of one in 400,000."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def _distinct(hashes: array[int]) -> int:
    return len(np.unique(np.frombuffer(hashes, np.int64)))
