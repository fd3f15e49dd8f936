"""The samples of a table of texts, made one by one when they are looked at. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lit_experiments.collecting.positions import Position
from lit_experiments.collecting.samples import Columns, ColumnSamples, Sample
from lit_experiments.experiments.activations.reading import Texts


class TextSamples(ColumnSamples):
    """One sample per text; its payload is the number of its row in the table."""

    def __init__(self, texts: Texts, positions: Sequence[Position], to_write: int) -> None:
        """to_write: most tokens that the model writes after a text."""
        self._texts, self._table = texts, texts.table
        self._positions, self._to_write = positions, to_write

    def __len__(self) -> int:
        return len(self._table)

    def sample(self, number: int) -> Sample:
        columns = self.columns(number, number + 1)
        lengths = {dim: int(values[0]) for dim, values in columns.lengths.items()}
        group = columns.groups[0] if columns.groups is not None else ""
        return Sample(columns.ids[0], number, int(columns.tokens[0]), number, lengths, "", group)

    def columns(self, start: int, stop: int) -> Columns:
        tokens = self._table.tokens[start:stop].astype(np.int64)
        responses = self._table.response_tokens[start:stop].astype(np.int64)
        lengths = self._lengths(tokens, self._table.span_tokens[start:stop].astype(np.int64), responses)
        tokens = tokens + responses + self._to_write
        numbers = np.arange(start, stop)
        bases, labels = self._bases(start, stop), self._table.values("label", start, stop)
        if not any(labels):
            return Columns(bases, numbers, tokens, lengths)
        ids = [f"{base}:{label}" if label else base for base, label in zip(bases, labels, strict=True)]
        groups = [base if label else "" for base, label in zip(bases, labels, strict=True)]
        return Columns(ids, numbers, tokens, lengths, groups=groups)

    def _bases(self, start: int, stop: int) -> list[str]:
        """The ids of the records that rows come from: the user's, or their numbers."""
        if self._texts.identified:
            return [str(value) for value in self._table.values("identity", start, stop)]
        return [f"text-{record:06d}" for record in self._table.record[start:stop].tolist()]

    def _lengths(
        self, tokens: NDArray[np.int64], spans: NDArray[np.int64], responses: NDArray[np.int64]
    ) -> dict[str, NDArray[np.int64]]:
        """[row] entries along each ragged dim, of a response at most."""
        written = np.full(len(tokens), self._to_write) if self._to_write else responses
        lengths = {"token": tokens, "span_token": spans, "response_token": written}
        return {
            position.dim: np.minimum(position.tail, tokens) if position.tail is not None else lengths[position.dim]
            for position in self._positions
            if position.dim != "sample"
        }
