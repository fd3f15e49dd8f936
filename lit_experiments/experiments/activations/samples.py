"""The samples of a table of texts, made one by one when they are looked at. Knows no model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from lit_experiments.collecting.plan import Sample
from lit_experiments.collecting.positions import Position
from lit_experiments.experiments.activations.reading import Texts


class TextSamples(Sequence[Sample]):
    """One sample per text; its payload is the number of its row in the table."""

    def __init__(self, texts: Texts, positions: Sequence[Position], to_write: int) -> None:
        """to_write: most tokens that the model writes after a text."""
        self._texts, self._table = texts, texts.table
        self._positions, self._to_write = positions, to_write

    def __len__(self) -> int:
        return len(self._table)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self._sample(number) for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return self._sample(index % len(self))

    def __iter__(self) -> Iterator[Sample]:
        return (self._sample(number) for number in range(len(self)))

    def base_id(self, number: int) -> str:
        """The id of the record that a row comes from: the user's, or its number."""
        if self._texts.identified:
            return str(self._table.value("identity", number))
        return f"text-{self._table.record[number]:06d}"

    def _sample(self, number: int) -> Sample:
        base, label = self.base_id(number), self._table.value("label", number)
        name = f"{base}:{label}" if label else base
        tokens = int(self._table.tokens[number] + self._table.response_tokens[number]) + self._to_write
        return Sample(name, number, tokens, number, self._lengths(number), "", base if label else "")

    def _lengths(self, number: int) -> dict[str, int]:
        """Entries along each ragged dim, of a response at most."""
        tokens, spans = int(self._table.tokens[number]), int(self._table.span_tokens[number])
        written = self._to_write or int(self._table.response_tokens[number])
        lengths = {"token": tokens, "span_token": spans, "response_token": written}
        return {
            position.dim: min(position.tail, tokens) if position.tail is not None else lengths[position.dim]
            for position in self._positions
            if position.dim != "sample"
        }
