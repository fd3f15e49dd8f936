"""Which tokens' states are read: what --positions names, and what it is called in a store.

A text's own tokens are those behind the special tokens in front of it (BOS). A response's tokens are those that the
model wrote, its stop token included. Knows no model and no store.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lit_experiments.errors import UserError
from lit_experiments.lm.sinks import Pool
from stores import Field

_TAIL = re.compile(r"last_([1-9]\d{0,5})")
_DIMS = {
    "last": "sample",
    "first": "sample",
    "mean": "sample",
    "max": "sample",
    "all": "token",
    "spans": "span_token",
    "response": "response_token",
    "response_mean": "sample",
    "response_last": "sample",
}
_MEANING = {
    "last": "state of the last token read",
    "first": "state of the text's first own token",
    "mean": "mean of the states of the text's own tokens, in float32",
    "max": "largest value, per hidden dimension, among the text's own tokens",
    "all": "states of all tokens read, special ones in front included",
    "spans": "states of the tokens of the labelled spans (columns span_positions, span_of, span_label)",
    "response": "states of the response's tokens (column response_ids), each when it has been read",
    "response_mean": "mean of the states of the response's tokens, in float32",
    "response_last": "state of the response's last token",
}


@dataclass(frozen=True)
class Position:
    """One entry of --positions. name: as it is given; tail: K of last_K, None for the others."""

    name: str
    tail: int | None = None

    @property
    def field(self) -> str:
        return f"hidden_{self.name}"

    @property
    def dim(self) -> str:
        """The dim along which rows are stacked."""
        return "tail" if self.tail is not None else _DIMS[self.name]

    @property
    def meaning(self) -> str:
        return (
            _MEANING[self.name]
            if self.tail is None
            else f"states of the last {self.tail} tokens read (all of a shorter text)"
        )

    @property
    def of_response(self) -> bool:
        return self.name.startswith("response")

    def declared(self, sites: Sequence[str], width: int) -> Field:
        """The field of a store, over [site, rows or their entries, hidden]."""
        shape = (len(sites), None, width)
        return Field(self.field, ("site", self.dim, "hidden"), shape, "float16", "", self.meaning)

    def reading(
        self, sizes: Sequence[int], spans: Sequence[list[int]], prefixes: Sequence[int], ends: Sequence[int]
    ) -> list[list[int]] | Pool:
        """Token indices per text, or what is pooled over them.

        Args:
            sizes: tokens of each text, special ones in front included.
            spans: tokens of the labelled spans of each text.
            prefixes: special tokens in front of each text.
            ends: tokens of each text and its response together.
        """
        if self.name in ("mean", "max"):
            return Pool("mean" if self.name == "mean" else "max", list(zip(prefixes, sizes, strict=True)))
        if self.name == "response_mean":
            return Pool("mean", list(zip(sizes, ends, strict=True)))
        if self.name == "spans":
            return list(spans)
        ranges = {
            "last": [range(n - 1, n) for n in sizes],
            "first": [range(n, n + 1) for n in prefixes],
            "all": [range(n) for n in sizes],
            "response": [range(n, end) for n, end in zip(sizes, ends, strict=True)],
            "response_last": [range(end - 1, end) for end in ends],
        }
        if self.tail is not None:
            return [list(range(max(0, n - self.tail), n)) for n in sizes]
        return [list(tokens) for tokens in ranges[self.name]]


def prefix_length(ids: Sequence[int], prefix: tuple[int, ...]) -> int:
    """How many special tokens stand in front of a text's own. prefix: those that the tokenizer puts there."""
    return len(prefix) if prefix and tuple(ids[: len(prefix)]) == prefix else 0


def parse_positions(words: str | Sequence[str], answers: bool, spans: bool) -> list[Position]:
    """The entries of --positions.

    Args:
        answers: whether the model writes a response; spans: whether there is a column of spans.

    Raises:
        UserError: an unknown one, one twice, two last_K, or one of something that there is not.
    """
    names = [words] if isinstance(words, str) else list(words)
    positions = [_position(name) for name in names]
    if not positions or len(set(names)) < len(names):
        raise UserError(f"positions must name each of {_allowed()} at most once, and one of them, found {names}.")
    if sum(position.tail is not None for position in positions) > 1:
        raise UserError(f"positions: give one last_K, the largest, which holds the others; found {names}.")
    responses = [position.name for position in positions if position.of_response]
    if responses and not answers:
        raise UserError(f"--positions {responses[0]} needs a response.\nNext: --generate N, such as --generate 64.")
    if "spans" in names and not spans:
        raise UserError("--positions spans needs spans.\nNext: --span_column NAME, the column that holds them.")
    return positions


def _position(name: str) -> Position:
    match = _TAIL.fullmatch(name)
    if match is not None:
        return Position(name, int(match.group(1)))
    if name not in _DIMS:
        near = difflib.get_close_matches(name, _DIMS, n=1)
        hint = f' Nearest: "{near[0]}".' if near else ""
        raise UserError(f'positions: there is no "{name}"; allowed: {_allowed()}.{hint}')
    return Position(name)


def _allowed() -> str:
    return ", ".join([*_DIMS, "last_K (such as last_8)"])
