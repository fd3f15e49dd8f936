"""Collects the hidden states of any texts at any sites and positions, and what the model answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from lit_experiments.collecting.committed import committed_rows
from lit_experiments.collecting.extending import bare_rows, sites_in, united
from lit_experiments.collecting.plan import Sample
from lit_experiments.collecting.positions import Position, parse_positions
from lit_experiments.errors import UserError
from lit_experiments.experiments.activations.responses import Answering, Response, given_responses
from lit_experiments.experiments.activations.samples import TextSamples
from lit_experiments.experiments.activations.summary import describe, summary
from lit_experiments.experiments.activations.table_collector import TextsCollector
from lit_experiments.experiments.activations.text_table import TextRow
from lit_experiments.lm.capture import Captured
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.sites import resolve_sites
from lit_experiments.lm.spec import ENGINES, ModelSpec
from lit_experiments.ranges import at_least, seeds, share
from lit_experiments.sources.given_responses import GivenResponses
from stores import Records, Schema, Store


class ActivationsCollector(TextsCollector):
    """For each text: its response if there is to be one, then one forward pass over both, and the states."""

    version: ClassVar[int] = 1
    engines: ClassVar[tuple[str, ...]] = ENGINES
    growing: ClassVar[frozenset[str]] = frozenset({"sites", "positions"})
    describe = staticmethod(describe)

    def __init__(
        self,
        spec: ModelSpec,
        generate: int | None,
        temperature: float,
        top_p: float,
        top_k: int,
        seed: int,
        *,
        sites: str | list[str] | None = None,
        positions: str | list[str] = "last",
        completions: str | None = None,
        store_states: bool = True,
        **texts: Any,
    ) -> None:
        """Checks the settings; reads the texts and the model's configuration and tokenizer, no weights.

        Args:
            sites: Where hidden states are read: names or patterns, such as resid_post.*, *.3, resid_*.0; null reads
                resid_post of every layer.
            positions: Whose states are stored, one or several of: last, first, mean, max (over the text's own tokens,
                in float32), all, last_K, spans (the tokens of the labelled spans), and of the response: response (all
                its tokens), response_mean, response_last.
            store_states: Whether the states are stored; false stores the texts and their columns alone, from which
                train --exp linear_probes computes the states anew whenever it needs them.
            completions: Responses that are read behind the texts in place of generated ones: the column that holds
                them, or a file with one for every text, in their order. A token across the border is the response's.
            generate: Most tokens that the model writes after each text; null for none.
            temperature: Of the response; 0 takes the most probable token.
            top_p: Of the response.
            top_k: Of the response; 0 takes all tokens.
            seed: Seed of the response's sampling.

        Raises:
            UserError: settings that contradict each other, texts that cannot be read.
        """
        super().__init__(spec, **texts)
        at_least(1, generate=generate)
        at_least(0, temperature=temperature, top_k=top_k)
        share(top_p=top_p)
        seeds(seed=seed)
        if generate is not None and completions is not None:
            raise UserError("--generate lets the model answer, --completions gives the answers: leave one of them out.")
        answers = generate is not None or completions is not None
        self.positions = parse_positions(positions, answers, self.span_column is not None)
        names = [sites] if isinstance(sites, str) else sites
        if names == []:
            raise UserError("sites must name at least one site, such as resid_post.*, found [].")
        self.sites = resolve_sites(names or ["resid_post.*"], self.info.layout, self.info.n_layers)
        self.store_states = store_states
        self.answering: Answering | None = None
        if generate is not None:
            self._require_room(generate)
            self.answering = Answering(generate, Sampling(temperature, top_p, top_k), seed)
        self.responses = None if completions is None else GivenResponses(completions, self.stream, self.quoting)
        self.read_texts(generate or 0, responses=self.responses)

    def samples(self) -> Sequence[Sample]:
        return TextSamples(self.texts, self._stored, self._to_write)

    def model_input(self, sample: Sample) -> list[int]:
        """With the given response, where there is one."""
        return [i for name in ("ids", "response_ids") for i in self.texts.table.value(name, sample.payload)]

    def settings(self) -> dict[str, Any]:
        answering = self.answering
        response = None
        if answering is not None:
            sampling = {name: getattr(answering.sampling, name) for name in ("temperature", "top_p", "top_k")}
            response = {"tokens": answering.tokens, "stop_ids": list(self.info.eos_ids), **sampling}
            response |= {} if answering.sampling.greedy else {"seed": answering.seed}
        positions = [position.name for position in self.positions]
        left_out: dict[str, Any] = {} if self.store_states else {"store_states": False}
        left_out |= {} if self.responses is None else {"completions": "given"}
        return {**super().settings(), "sites": self.sites, "positions": positions, "response": response, **left_out}

    def widen(self, stored: Mapping[str, Any]) -> None:
        """An existing run keeps its sites and positions."""
        super().widen({name: values for name, values in stored.items() if name != "positions"})
        if "positions" in stored:
            names = united(stored["positions"], [position.name for position in self.positions])
            self.positions = parse_positions(names, self.layout.answers, self.span_column is not None)

    def schema(self) -> Schema:
        return self.layout.schema(self._stored, self.sites, self.info.d_model)

    def load_model(self, device: torch.device) -> None:
        """Where the model neither reads nor writes anything, its weights are not needed."""
        if self.store_states or self.answering is not None or self.responses is not None:
            super().load_model(device)

    def summary(self, store: Store) -> list[str]:
        return summary(store, self.declarations)

    def collect(self, batch: Sequence[Sample]) -> Records:
        rows = [self.texts.table.row(sample.payload) for sample in batch]
        responses = self._responses(rows, [sample.sample_id for sample in batch])
        captured = self._captured(batch, rows, [response.ids for response in responses], self.sites, self._stored)
        columns = [
            {"sample_id": sample.sample_id, "sample_index": sample.index}
            | self.layout.values(row, sample.group)
            | (response.values(self.info) if self.answering is not None or self.responses is not None else {})
            for sample, row, response in zip(batch, rows, responses, strict=True)
        ]
        return Records(
            columns,
            {name: states.values.numpy() for name, states in captured.items()},
            {p.dim: np.asarray(captured[p.field].lengths) for p in self._stored if p.dim != "sample"},
            {name: states.exponents.numpy() for name, states in captured.items()},
        )

    def collect_more(self, batch: Sequence[Sample], pieces: Sequence[int], store: Store) -> list[Records]:
        """States alone, in one pass over the texts and the responses that the store has."""
        rows = [self.texts.table.row(sample.payload) for sample in batch]
        schemas = [self.pieces[number] for number in pieces]
        read = [(field.name, sites_in(schema, field.name)) for schema in schemas for field in schema.fields]
        named, fields = {site for _, sites in read for site in sites}, {name for name, _ in read}
        sites, positions = [s for s in self.sites if s in named], [p for p in self._stored if p.field in fields]
        captured = self._captured(batch, rows, self._stored_responses(batch, rows, store), sites, positions)
        return [self._piece(batch, schema, captured, sites) for schema in schemas]

    def _piece(
        self, batch: Sequence[Sample], schema: Schema, captured: Mapping[str, Captured], sites: Sequence[str]
    ) -> Records:
        """The rows of one piece. captured: by field, its states at `sites`."""
        places = {f.name: [sites.index(site) for site in sites_in(schema, f.name)] for f in schema.fields}
        ragged = {f.stacking: np.asarray(captured[f.name].lengths) for f in schema.fields if f.ragged}
        return Records(
            bare_rows(batch),
            {name: captured[name].values.numpy()[at] for name, at in places.items()},
            ragged,
            {name: captured[name].exponents.numpy()[at] for name, at in places.items()},
        )

    def _captured(
        self,
        batch: Sequence[Sample],
        rows: Sequence[TextRow],
        responses: Sequence[list[int]],
        sites: Sequence[str],
        positions: Sequence[Position],
    ) -> dict[str, Captured]:
        """By field, the states [site, token, hidden] of texts and responses (their token ids)."""
        sequences = [[*row.ids, *response] for row, response in zip(rows, responses, strict=True)]
        sizes, spans = [len(row.ids) for row in rows], [row.span_positions for row in rows]
        prefixes = [int(self.texts.table.prefix[sample.payload]) for sample in batch]
        ends = [len(ids) for ids in sequences]
        readings = {p.field: p.reading(sizes, spans, prefixes, ends) for p in positions}
        return self.engine.capture_together(sequences, sites, readings) if readings else {}

    def _stored_responses(self, batch: Sequence[Sample], rows: Sequence[TextRow], store: Store) -> list[list[int]]:
        """The token ids behind each text, as they were read when its row was made."""
        if self.answering is None:
            return [row.response_ids for row in rows] if self.responses is not None else [[] for _ in rows]
        written: dict[int, list[int]] = {}
        for places, table in committed_rows(store, batch, ["response_ids"]):
            written |= dict(zip(places.tolist(), table.column(0).to_pylist(), strict=True))
        return [written[place] for place in range(len(batch))]

    @property
    def _stored(self) -> list[Position]:
        return self.positions if self.store_states else []

    @property
    def _to_write(self) -> int:
        return 0 if self.answering is None else self.answering.tokens

    def _responses(self, rows: Sequence[TextRow], sample_ids: list[str]) -> list[Response]:
        if self.responses is not None:
            return given_responses(self.engine, rows)
        if self.answering is None:
            return [Response([], [], False) for _ in rows]
        prompts = [row.ids for row in rows]
        return self.answering.responses(
            self.engine.decoder((), self.stop_check), prompts, self.info.eos_ids, sample_ids
        )

    def _require_room(self, generate: int) -> None:
        window = self.info.window
        if window is not None and generate >= window:
            raise UserError(f"generate {generate} leaves no room for a text: {self.info.name} holds {window} tokens.")
