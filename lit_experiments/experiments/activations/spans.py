"""Labelled character spans of a text, and the tokens that they are read at. Knows no tokenizer.

A token belongs to a span if the two share a character. A span's characters are counted in the text column, from 0, its
end not included.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lit_experiments.sources.values import BadValueError

Label = str | float | None


@dataclass(frozen=True)
class TextSpan:
    """Characters [start, end) of a text, and what they are called."""

    start: int
    end: int
    label: Label


@dataclass(frozen=True)
class SpanTokens:
    """The tokens of all spans of a text, span by span. positions: indices into the text's ids; owners: which span;
    labels: what it is called. Overlapping spans repeat the tokens that they share."""

    positions: list[int]
    owners: list[int]
    labels: list[Label]


def parse_spans(value: Any, name: str, length: int) -> list[TextSpan]:
    """The spans in a column: [{start, end, label}, ...] or [[start, end, label], ...], also as JSON; null is none.

    Raises:
        BadValueError: anything else, or a span outside the text, which has `length` characters.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else None
        except ValueError as error:
            raise BadValueError(f'"{name}" must be a list of spans, found text that is no JSON ({error})') from error
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadValueError(f'"{name}" must be a list of spans, found {type(value).__name__}')
    return [_span(entry, f'"{name}", span {number}', length) for number, entry in enumerate(value)]


def span_tokens(spans: Sequence[TextSpan], offsets: Sequence[tuple[int, int]], shift: int, name: str) -> SpanTokens:
    """The tokens of every span.

    Args:
        offsets: characters [start, end) of every token in what the model reads; empty for special tokens.
        shift: where the text column's first character lies in that.
        name: of the column, for messages.

    Raises:
        BadValueError: a span shares no character with any token.
    """
    starts, ends = (np.array(side, np.int64) for side in zip(*offsets, strict=True))
    tokens = SpanTokens([], [], [])
    for number, span in enumerate(spans):
        inside = (starts < span.end + shift) & (ends > span.start + shift) & (ends > starts)
        positions = np.flatnonzero(inside).tolist()
        if not positions:
            raise BadValueError(f'"{name}", span {number} (characters {span.start} to {span.end}) reads no token')
        tokens.positions.extend(positions)
        tokens.owners.extend([number] * len(positions))
        tokens.labels.extend([span.label] * len(positions))
    return tokens


def _span(entry: Any, place: str, length: int) -> TextSpan:
    start: Any
    end: Any
    if isinstance(entry, dict):
        start, end, label = entry.get("start"), entry.get("end"), entry.get("label")
    elif isinstance(entry, list) and len(entry) in (2, 3):
        start, end, label = (*entry, None)[:3]
    else:
        raise BadValueError(f"{place} must be {{start, end, label}} or [start, end, label], found {entry!r:.60}")
    if not all(isinstance(edge, int) and not isinstance(edge, bool) for edge in (start, end)):
        raise BadValueError(f"{place} must begin and end at whole numbers, found {start!r:.20} and {end!r:.20}")
    if not 0 <= start < end <= length:
        raise BadValueError(f"{place} holds characters {start} to {end} of a text that has {length}")
    return TextSpan(start, end, _label(label, place))


def _label(label: Any, place: str) -> Label:
    if isinstance(label, bool):
        return json.dumps(label)
    if label is None or isinstance(label, str):
        return label
    if isinstance(label, int | float):
        return float(label) if math.isfinite(label) else None
    raise BadValueError(f"{place} has a label that is neither text nor a number: {label!r:.40}")
