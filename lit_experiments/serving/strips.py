"""What of a row can be shown token by token: the text that was read, what was written after it, each draw, the words.

Owns how a row's columns become pieces of text. Knows no numbers: see numbers.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lit_experiments.controls.texts import IDS
from lit_experiments.serving.pieces import pieces_of_ids
from lit_experiments.serving.rows import Row
from lit_experiments.serving.states import entries_of

WRITTEN = ("response_ids", "oracle_ids", "baseline_ids")
"""Columns of ids that stand after the text that was read."""
DRAWN, DRAWN_JSON = "token_ids", "completion_ids"
MOST_DRAWS = 100
_TOKENS = "tokens"
_READ = "text that was read"


@dataclass(frozen=True)
class Strip:
    """Pieces in order. key: how addresses name it; read: whether it is what the model read; draw: which of several
    completions it is, None for others; exact: whether pieces are text, and not ids that nothing here decodes."""

    key: str
    label: str
    pieces: Sequence[str]
    read: bool = False
    draw: int | None = None
    exact: bool = True


def strips_of(row: Row) -> list[Strip]:
    """All of a row, what the model read first."""
    strips = [*_text_read(row), *_written(row), *_draws(row)]
    return [*strips, *_words(row, read=not strips)]


def _text_read(row: Row) -> Iterator[Strip]:
    columns = row.columns
    name = next((name for name in IDS if isinstance(columns.get(name), list)), None)
    if name is None:
        return
    tokens = columns.get(_TOKENS)
    if isinstance(tokens, list) and len(tokens) == len(columns[name]):
        yield Strip(name, _READ, tokens, read=True)
    elif isinstance(columns.get("char_end"), list) and isinstance(columns.get("text"), str):
        yield Strip(name, _READ, _spanned(row, columns[name]), read=True)
    else:
        yield _decoded(row, name, _READ, columns[name], read=True)


def _written(row: Row) -> Iterator[Strip]:
    for name in WRITTEN:
        if row.columns.get(name):
            yield _decoded(row, name, name.removesuffix("_ids"), row.columns[name])


def _draws(row: Row) -> Iterator[Strip]:
    """Completions: of a field of ids [sample, draw, step], -1 behind their ends, or of a column with lists of ids."""
    declared = next((field for field in row.part.schema.fields if field.name == DRAWN), None)
    draws: list[list[int]] = []
    if declared is not None and len(declared.dims) == 3 and not declared.ragged:
        draws = [ids[ids >= 0].tolist() for ids in row.part.field(DRAWN).read()[0]]
    elif isinstance(row.columns.get(DRAWN_JSON), str):
        draws = json.loads(row.columns[DRAWN_JSON])
    for draw, ids in enumerate(draws[:MOST_DRAWS]):
        yield _decoded(row, f"completion.{draw}", f"completion {draw + 1} of {len(draws)}", ids, draw=draw)


def _words(row: Row, read: bool) -> Iterator[Strip]:
    """Columns of texts with one for every entry of a ragged field: the words of a treebank, a store of one's own.

    read: they stand for what the model read, as the row has no ids; otherwise only those beside other tokens do.
    """
    fields = [field for field in row.part.schema.fields if field.ragged]
    lengths = {entries_of(row, field.name) for field in fields}
    for column in row.part.schema.columns:
        words = row.columns.get(column.name)
        if column.type != "list<string>" or not words or len(words) not in lengths:
            continue
        if read or (column.name == "forms" and "word" in row.part.schema.ragged_dims):
            yield Strip(column.name, column.name, _spaced([word or "" for word in words]), read=True)
            return


def _spaced(words: list[str]) -> list[str]:
    """Words with spaces between them, unless they bring their own."""
    if any(word[:1].isspace() or word[-1:].isspace() for word in words):
        return words
    return [*words[:1], *(f" {word}" for word in words[1:])]


def _decoded(row: Row, key: str, label: str, ids: Sequence[int], read: bool = False, draw: int | None = None) -> Strip:
    """Ids as text; where no tokenizer is at hand, as numbers."""
    pieces = pieces_of_ids(row.part, ids)
    if pieces is None:
        return Strip(key, label, [f" {token}" for token in ids], read, draw, exact=False)
    return Strip(key, label, pieces, read, draw)


def _spanned(row: Row, ids: Sequence[int]) -> list[str]:
    """The characters that each token stands for, with what lies between it and the one before. Tokens that stand for
    none, special ones in front, are decoded; further tokens of one character (its bytes) are empty."""
    text, starts, stops = row.columns["text"], row.columns["char_start"], row.columns["char_end"]
    specials = [place for place, stop in enumerate(stops) if stop == 0]
    names = dict(zip(specials, pieces_of_ids(row.part, [ids[place] for place in specials]) or (), strict=False))
    pieces, end = [], 0
    for place, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        if stop == 0:
            pieces.append(names.get(place, f"<{ids[place]}>"))
        else:
            pieces.append(text[min(start, end) if stop > end else stop : stop])
            end = max(end, stop)
    return pieces
