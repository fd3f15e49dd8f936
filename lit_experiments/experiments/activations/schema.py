"""What a row of a collection of texts holds, and how it is made from the table's row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lit_experiments.collecting.positions import Position
from lit_experiments.experiments.activations.columns import StoredNames, cast, stored_names
from lit_experiments.experiments.activations.reading import Texts
from lit_experiments.experiments.activations.text_table import TextRow
from stores import Column, Schema
from stores.schema import RESERVED_COLUMNS

PAIR, PAIR_LABEL = "pair", "pair_label"
_TEXT = (
    Column("text", "string", "what the model read, as text; special tokens in front are not in it"),
    Column("input_ids", "list<int64>", "exactly what the model read"),
    Column("char_start", "list<int64>", "each token's first character in text; tokens in front have none: 0, 0"),
    Column("char_end", "list<int64>", "the character after each token's last"),
)
_PAIR = (
    Column(PAIR, "string", "the record that both texts of a contrast pair come from; one group"),
    Column(PAIR_LABEL, "string", "the column that the text comes from"),
)
_RESPONSE = (
    Column("response", "string", "what the model wrote after the text, without its stop token; or what was given"),
    Column("response_ids", "list<int64>", "its token ids, the stop token included"),
    Column("response_log_probs", "list<float64>", "log-probability of each, nats, before temperature, top_p and top_k"),
    Column("stop_reason", "string", "eos, length where the response is cut, or given"),
)


def _span_columns(numeric: bool) -> tuple[Column, ...]:
    labels = "list<float64>" if numeric else "list<string>"
    return (
        Column("span_positions", "list<int64>", "the spans' tokens, span by span, as indices into input_ids"),
        Column("span_of", "list<int64>", "for each of them, which span it belongs to"),
        Column("span_label", labels, "for each of them, the span's label"),
    )


@dataclass(frozen=True)
class RowLayout:
    """The columns of a row. types: of the user's columns, by their own names; stored: what these are called here."""

    texts: Texts
    stored: StoredNames
    types: dict[str, str]
    pairs: bool
    spans: bool
    answers: bool

    @property
    def given(self) -> frozenset[str]:
        """Columns as they are stored that come from the user's table, labels of spans included."""
        return frozenset({*(self.stored.names[name] for name in self.types), *(["span_label"] if self.spans else [])})

    def schema(self, positions: Sequence[Position], sites: Sequence[str], width: int) -> Schema:
        """Fields [site, stacking dim, hidden], one per position, and all columns."""
        fields = tuple(position.declared(sites, width) for position in positions)
        names = self.stored.names
        users = [Column(names[name], kind, _described(name, names[name])) for name, kind in self.types.items()]
        return Schema(
            fields,
            (*_own_columns(self.pairs, self.spans, self.answers, self.texts), *users),
            {"site": [*sites]} if fields else {},
        )

    def values(self, row: TextRow, base: str) -> dict[str, Any]:
        """A row's columns, apart from its response. base: the id of its record."""
        spelled, names = self.texts.columns.spelled, self.stored.names
        users = {names[name]: cast(row.values.get(name), kind, spelled) for name, kind in self.types.items()}
        return {
            "text": row.text,
            "input_ids": row.ids,
            "char_start": row.starts or None,
            "char_end": row.ends or None,
            **({PAIR: base, PAIR_LABEL: row.label} if self.pairs else {}),
            **(self._span_values(row) if self.spans else {}),
            **users,
        }

    def _span_values(self, row: TextRow) -> dict[str, Any]:
        labels = row.span_labels
        if not self.texts.numeric_labels:  # 1.0 next to texts is a text
            labels = [str(label) if isinstance(label, float) else label for label in labels]
        return {"span_positions": row.span_positions, "span_of": row.span_owners, "span_label": labels}


def row_layout(
    texts: Texts, pairs: bool, span_column: str | None, answers: bool, reserved: Sequence[str] = ()
) -> tuple[RowLayout, list[str]]:
    """The layout, and what is to be said of the user's columns: renamed, mixed, left out. reserved: names of columns
    that come on top of the layout's."""
    types = texts.columns.types()
    if span_column in types:
        types[span_column] = "json"
    left_out = [name for name, kind in types.items() if kind is None]
    usable = {name: kind for name, kind in types.items() if kind is not None}
    taken = [column.name for column in _own_columns(pairs, span_column is not None, answers, texts)]
    stored = stored_names(list(usable), {*taken, *reserved, *RESERVED_COLUMNS, "input_digest"})
    notes = list(stored.notes)
    notes += [
        f'column "{name}" holds texts as well as numbers, and is stored as text' for name in texts.columns.mixed()
    ]
    notes += [f'column "{name}" holds raw bytes, and is left out' for name in left_out]
    return RowLayout(texts, stored, usable, pairs, span_column is not None, answers), notes


def _own_columns(pairs: bool, spans: bool, answers: bool, texts: Texts) -> tuple[Column, ...]:
    return (
        *_TEXT,
        *(_PAIR if pairs else ()),
        *(_span_columns(texts.numeric_labels) if spans else ()),
        *(_RESPONSE if answers else ()),
    )


def _described(name: str, stored: str) -> str:
    return "the user's column" if name == stored else f'the user\'s column "{name}"'
