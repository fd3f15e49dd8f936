"""The texts of a collection on disk: read once, held as a memory-mapped Arrow file, one row per text.

In memory are only numbers: tokens and span tokens of each row, a few bytes a text. Everything else is looked up when a
batch needs it. The file lies in the system's folder for temporary files and has no name from the start, so it goes with
the process. Knows no model.
"""

from __future__ import annotations

import json
import tempfile
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lit_experiments.collecting.positions import prefix_length
from lit_experiments.errors import UserError

_ROWS = 256  # of a record batch: what is in memory while the table is read
_SCHEMA = pa.schema(
    [
        ("record", pa.int64()),
        ("identity", pa.string()),
        ("label", pa.string()),
        ("text", pa.string()),
        ("ids", pa.list_(pa.int32())),
        ("response", pa.string()),
        ("response_ids", pa.list_(pa.int32())),
        ("starts", pa.list_(pa.int32())),
        ("ends", pa.list_(pa.int32())),
        ("span_positions", pa.list_(pa.int32())),
        ("span_owners", pa.list_(pa.int32())),
        ("span_labels", pa.string()),
        ("values", pa.string()),
    ]
)


@dataclass(frozen=True)
class TextRow:
    """One text as the model reads it.

    Attributes:
        record: number of the record that it comes from, from 0, records that were left out counted.
        identity: the record's own id; "" where no column holds one.
        label: the column that it comes from, in a contrast pair; "" otherwise.
        text: what the model reads, as text, without the special tokens in front.
        ids: token ids, those in front included.
        response, response_ids: the given response, as text and as tokens behind `ids`; empty where there is none.
        starts, ends: each token's characters in `text`; empty for a tokenizer that does not know them.
        span_positions, span_owners, span_labels: see `spans.SpanTokens`.
        values: the user's other columns, as `columns.UserColumns.observe` gives them.
    """

    record: int
    identity: str
    label: str
    text: str
    ids: list[int]
    response: str = ""
    response_ids: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    span_positions: list[int] = field(default_factory=list)
    span_owners: list[int] = field(default_factory=list)
    span_labels: list[Any] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)


class TextTable:
    """Rows by number.

    Attributes:
        tokens, response_tokens: int32 [row], ids of each, and of its given response; record: int64 [row]; prefix: int8
            [row], special tokens in front; span_tokens: int32 [row].
    """

    def __init__(self, rows: Iterable[TextRow], prefix: tuple[int, ...]) -> None:
        """Writes the rows. prefix: ids that stand in front of every text.

        Raises:
            UserError: the folder for temporary files has no room; and what iterating over the rows raises.
        """
        numbers: dict[str, array[int]] = {
            "tokens": array("i"),
            "response_tokens": array("i"),
            "span_tokens": array("i"),
            "prefix": array("b"),
            "record": array("q"),
        }
        self._open: tuple[int, pa.RecordBatch] | None = None
        try:
            folder = tempfile.TemporaryDirectory(prefix="lit-experiments-")
            with folder:
                path = Path(folder.name) / "texts.arrow"
                with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
                    for batch in _batches(rows):
                        writer.write_batch(pa.RecordBatch.from_pylist([_written(row) for row in batch], _SCHEMA))
                        _count(batch, prefix, numbers)
                # The mapping outlives the folder: the disk's room is free again when the last row is let go.
                self._file = pa.ipc.open_file(pa.memory_map(str(path)))
        except OSError as error:
            raise UserError(
                f"Cannot keep the texts in {tempfile.gettempdir()}, the folder for temporary files: {error}.\n"
                f"Next: make room there, or name another folder by the environment variable TMPDIR."
            ) from error
        self.tokens: NDArray[np.int32] = np.frombuffer(numbers["tokens"], np.int32)
        self.response_tokens: NDArray[np.int32] = np.frombuffer(numbers["response_tokens"], np.int32)
        self.span_tokens: NDArray[np.int32] = np.frombuffer(numbers["span_tokens"], np.int32)
        self.prefix: NDArray[np.int8] = np.frombuffer(numbers["prefix"], np.int8)
        self.record: NDArray[np.int64] = np.frombuffer(numbers["record"], np.int64)

    def __len__(self) -> int:
        return len(self.tokens)

    def row(self, number: int) -> TextRow:
        """One text with all that belongs to it."""
        values = {name: self.value(name, number) for name in _SCHEMA.names}
        values["span_labels"] = json.loads(values["span_labels"])
        values["values"] = json.loads(values["values"])
        return TextRow(**values)

    def value(self, column: str, number: int) -> Any:
        """One column of a row, as it is written."""
        return self._batch(number).column(column)[number % _ROWS].as_py()

    def values(self, column: str, start: int, stop: int) -> list[Any]:
        """One column of consecutive rows, as it is written."""
        cells: list[Any] = []
        while start < stop:
            inside = start % _ROWS
            count = min(_ROWS - inside, stop - start)
            cells += self._batch(start).column(column).slice(inside, count).to_pylist()
            start += count
        return cells

    def _batch(self, number: int) -> pa.RecordBatch:
        """The record batch that holds a row; rows are mostly looked at in order."""
        place = number // _ROWS
        if self._open is None or self._open[0] != place:
            self._open = (place, self._file.get_batch(place))
        return self._open[1]


def _count(batch: Iterable[TextRow], prefix: tuple[int, ...], numbers: dict[str, array[int]]) -> None:
    for row in batch:
        numbers["tokens"].append(len(row.ids))
        numbers["response_tokens"].append(len(row.response_ids))
        numbers["span_tokens"].append(len(row.span_positions))
        numbers["prefix"].append(prefix_length(row.ids, prefix))
        numbers["record"].append(row.record)


def _batches(rows: Iterable[TextRow]) -> Iterable[list[TextRow]]:
    batch: list[TextRow] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _written(row: TextRow) -> dict[str, Any]:
    plain = {name: getattr(row, name) for name in _SCHEMA.names}
    return {**plain, "span_labels": json.dumps(row.span_labels), "values": json.dumps(row.values)}
