"""The texts that rows were made from, as a store holds them. Does not know: splits, features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from lit_experiments.errors import UserError
from stores import Store

if TYPE_CHECKING:
    import pyarrow as pa

_TEXTS = 1 << 14
"""Texts that are objects at a time."""
TEXTS = ("text", "prompt_text", "starting_point", "context", "prompt", "question", "question_text", "sentence")
IDS = ("input_ids", "starting_point_ids")
POSITIONS = ("positions", "span_positions")
"""Columns with the tokens whose states are stored, as indices into the ids."""


@dataclass(frozen=True, eq=False)
class Texts:
    """What each row's model read, as text. origin: the column that it comes from; ids where only token ids are there,
    which then stand as words."""

    values: Sequence[str]
    origin: str


class StoredTexts(Sequence[str]):
    """A column of texts as Arrow holds it: a text becomes an object when it is looked at."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            return [self[row] for row in range(*place.indices(len(self)))]
        return self._column[place].as_py() or ""

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _TEXTS):
            yield from (text or "" for text in self._column.slice(start, _TEXTS).to_pylist())


def texts_of(store: Store, column: str | None) -> Texts | None:
    """The text of every row; None where the store holds neither text nor ids.

    Raises:
        UserError: a column that is not there, or that holds no text.
    """
    kinds = {c.name: c.type for c in store.schema.columns}
    if column is not None and kinds.get(column) != "string":
        held = f"it holds {kinds[column]} values" if column in kinds else "there is no such column"
        textual = ", ".join(name for name, kind in kinds.items() if kind == "string") or "none"
        raise UserError(f"--text_column {column}: {held} in {store.path}. Columns of text: {textual}.")
    name = column or next((name for name in TEXTS if kinds.get(name) == "string"), None)
    if name is not None:
        return Texts(StoredTexts(store.table([name]).column(0)), name)
    ids = next((name for name in IDS if kinds.get(name) == "list<int64>"), None)
    if ids is None:
        return None
    return Texts([" ".join(map(str, row or ())) for row in store.table([ids]).column(0).to_pylist()], ids)
