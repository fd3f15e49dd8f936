"""States that no store holds: the model reads a store's texts again whenever they are wanted.

A collection with `--store_states false` keeps texts, columns and the names of sites and positions. Here its fields are
filled in: a batch of the collection's own plan is read whole, as it would have been when collecting, and rounded to
float16 as a store would have it, so that every number is the one that would have been stored. Owns: which batch holds
which row, and the last batch that was read. Does not know: probes.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from lit_experiments.collecting.plan import plan_batches
from lit_experiments.collecting.positions import Position, parse_positions, prefix_length
from lit_experiments.collecting.samples import Columns, ColumnSamples, Sample
from lit_experiments.errors import RunFailed, UserError
from lit_experiments.lm.capture import Captured, capture_together
from lit_experiments.lm.errors import NonFiniteStateError
from lit_experiments.lm.float16 import decode_rows
from lit_experiments.lm.info import ModelInfo, read_info
from lit_experiments.lm.load import load
from lit_experiments.lm.model import LanguageModel
from lit_experiments.tasks.recorded_model import recorded_spec
from stores import Field, FieldView, Store

Ints = NDArray[np.int64]
_OPTIONS = ("model", "adapter", "revision", "batch_tokens", "batch_size")


def with_states(store: Store) -> Store:
    """The store with the fields that its collection left out; any other store as it is.

    Raises:
        UserError: what the model's name stands for now is not the model that the collection names.
    """
    if store.fingerprint.get("settings", {}).get("store_states", True):
        return store
    return LiveStore(store, LiveStates(store))


class LiveStates:
    """Reads the texts of a whole store.

    Attributes:
        device: where the model is loaded, when the first state is wanted.
        batch, place: int64 [row], the batch that holds a row, and where in it.
    """

    def __init__(self, store: Store) -> None:
        settings, options = store.fingerprint["settings"], store.provenance["config"]["options"]
        known = store.fingerprint["model"]
        assert all(name in options for name in _OPTIONS)
        self.info: ModelInfo = read_info(recorded_spec(options, known))
        if self.info.fingerprint() != known:
            raise UserError(
                f"What {self.info.name!r} names now is not the model that {store.path} was made for.\n"
                "Next: bring the model back, or collect the texts again: --restart."
            )
        self.positions = {p.field: p for p in parse_positions(settings["positions"], True, True)}
        self.sites: list[str] = settings["sites"]
        self.device = torch.device("cpu")
        self._texts = _Texts.of(store, self.info.tokens.prefix or ())
        limits = (int(options["batch_tokens"]), options["batch_size"])
        self._batches = self._texts.batches((settings["response"] or {}).get("tokens"), *limits)
        self.batch, self.place = (np.empty(len(store), np.int64) for _ in range(2))
        for number, rows in enumerate(self._batches):
            self.batch[rows], self.place[rows] = number, np.arange(len(rows))
        self._lm: LanguageModel | None = None
        self._read: tuple[tuple[int, str, tuple[str, ...]], Captured] | None = None

    def fields(self) -> tuple[Field, ...]:
        """As a store of states would declare them."""
        return tuple(position.declared(self.sites, self.info.d_model) for position in self.positions.values())

    def lengths(self, name: str) -> Ints:
        """[row] entries of a field."""
        position, texts = self.positions[name], self._texts
        if position.tail is not None:
            return np.minimum(position.tail, texts.sizes)
        of_dim = {"token": texts.sizes, "span_token": texts.span_tokens, "response_token": texts.response_tokens}
        return of_dim[position.dim] if position.dim in of_dim else np.ones(len(texts.sizes), np.int64)

    def read(self, name: str, batch: Ints, entry: Ints, sites: list[str]) -> NDArray[np.float32]:
        """[site, n, hidden] states of entries [n] of whole batches [n]; batch by batch, in the order of `entry`."""
        out = np.empty((len(sites), len(entry), self.info.d_model), np.float32)
        for number in dict.fromkeys(batch.tolist()) if sites else ():
            members, captured = np.flatnonzero(batch == number), self._captured(number, name, sites)
            index = torch.from_numpy(entry[members])
            out[:, members] = decode_rows(captured.values[:, index], captured.exponents[:, index]).numpy()
        return out

    def first_entries(self, name: str) -> Ints:
        """[row] entries of a field before a row's own, in its batch."""
        lengths, out = self.lengths(name), np.empty(len(self.batch), np.int64)
        for rows in self._batches:
            out[rows] = np.cumsum(lengths[rows]) - lengths[rows]
        return out

    def _captured(self, number: int, name: str, sites: list[str]) -> Captured:
        key = (number, name, tuple(sites))
        if self._read is None or self._read[0] != key:
            self._read = None  # let go of the batch before the next one is read
            self._read = (key, self._capture(self._batches[number], self.positions[name], sites))
        return self._read[1]

    def _capture(self, rows: Ints, position: Position, sites: list[str]) -> Captured:
        if self._lm is None:
            self._lm = load(self.info.spec, self.device)
        sequences, reading = self._texts.reading(rows, position)
        try:
            return capture_together(self._lm, sequences, sites, {position.field: reading})[position.field]
        except NonFiniteStateError as error:
            raise RunFailed(f"Sample {self._texts.names[int(rows[error.index])].as_py()}: {error}") from error


@dataclass(frozen=True, eq=False)
class _Texts:
    """What the model reads of every row, as the store has it; Arrow columns, [row]. sizes, span_tokens,
    response_tokens, prefixes: int64 [row]."""

    names: pa.Array
    ids: pa.Array
    spans: pa.Array | None
    responses: pa.Array | None
    sizes: Ints
    span_tokens: Ints
    response_tokens: Ints
    prefixes: Ints

    @classmethod
    def of(cls, store: Store, prefix: tuple[int, ...]) -> _Texts:
        """prefix: ids that the tokenizer puts in front of every text."""

        names, ids, spans, responses = (
            store.table([name]).column(0).combine_chunks() if name in store.column_names else None
            for name in ("sample_id", "input_ids", "span_positions", "response_ids")
        )
        first = pc.list_slice(ids, 0, max(1, len(prefix)))
        prefixes = np.array([prefix_length(row, prefix) for row in first.to_pylist()], np.int64)
        sizes, span_tokens, response_tokens = (_lengths(part, len(store)) for part in (ids, spans, responses))
        return cls(names, ids, spans, responses, sizes, span_tokens, response_tokens, prefixes)

    def batches(self, to_write: int | None, batch_tokens: int, batch_size: int | None) -> list[Ints]:
        """The collection's plan: rows of every batch, in its order. to_write: most tokens of a response, where the
        model wrote it."""
        tokens = self.sizes + (self.response_tokens if to_write is None else to_write)
        packing = plan_batches(_Sized(tokens), batch_tokens, batch_size).packing
        edges = itertools.pairwise(packing.starts.tolist())
        return [packing.order[start:stop].astype(np.int64) for start, stop in edges]

    def reading(self, rows: Ints, position: Position) -> tuple[list[list[int]], Any]:
        """(token ids of the rows with their responses, what is read of them)."""
        texts, answers, spans = (_lists(part, rows) for part in (self.ids, self.responses, self.spans))
        sequences = [[*ids, *written] for ids, written in zip(texts, answers, strict=True)]
        sizes, prefixes, ends = self.sizes[rows].tolist(), self.prefixes[rows].tolist(), list(map(len, sequences))
        return sequences, position.reading(sizes, spans, prefixes, ends)


def _lists(column: pa.Array | None, rows: Ints) -> list[list[int]]:
    return [[] for _ in rows] if column is None else [row or [] for row in column.take(pa.array(rows)).to_pylist()]


def _lengths(column: pa.Array | None, rows: int) -> Ints:
    if column is None:
        return np.zeros(rows, np.int64)
    return pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)


class _Sized(ColumnSamples):
    """Rows by what the plan needs of them, their sizes."""

    def __init__(self, tokens: Ints) -> None:
        self._tokens = tokens

    def __len__(self) -> int:
        return len(self._tokens)

    def sample(self, number: int) -> Sample:
        return Sample(str(number), number, int(self._tokens[number]), None)

    def columns(self, start: int, stop: int) -> Columns:
        numbers = np.arange(start, stop)
        return Columns([str(number) for number in numbers], numbers, self._tokens[start:stop], {})


class LiveField(FieldView):
    """A field that the model fills in when it is read; a segment is a batch of the plan."""

    states: LiveStates

    def _located(self, rows: Ints | slice) -> tuple[Ints, Ints, Ints]:
        name = self.field.name
        return self.states.batch[rows], self.states.first_entries(name)[rows], self.states.lengths(name)[rows]

    def _gather(self, places: Any, picks: tuple[Any, ...], raw: bool) -> NDArray[Any]:
        site, hidden = picks
        chosen = np.array(self.states.sites)[site]
        sites = [str(chosen)] if chosen.ndim == 0 else chosen.tolist()
        values = self.states.read(self.field.name, places.segment, places.entry, sites)[..., hidden]
        return values[0] if chosen.ndim == 0 else values


class LiveStore(Store):
    """A store of texts with its states."""

    def __init__(self, store: Store, states: LiveStates) -> None:
        vars(self).update(vars(store))
        self.states = states
        self.schema = replace(store.schema, fields=states.fields(), coords={"site": [*states.sites]})

    @property
    def rows(self) -> Ints:
        """[row] their numbers in the whole store."""
        return np.arange(len(self)) if self._rows is None else self._rows

    def field(self, name: str) -> FieldView:
        view = LiveField(self._index, self._rows, self.schema.field(name))
        view.states = self.states
        return view
