"""One model reads texts: its states at every layer and the surprise of every token, one row per text.

Owns: which model reads, what a row holds. Does not know: where the texts come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch

from lit_experiments.collecting.plan import Sample
from lit_experiments.collecting.records import RecordsCollector
from lit_experiments.errors import UserError
from lit_experiments.experiments.prefill_dynamics.readings import Reading, row
from lit_experiments.lm.info import read_info
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.ranges import seeds
from stores import Column, Field, Records, Schema


class ReadingCollector(RecordsCollector):
    """Reads texts with the model that wrote them, or with another one.

    Attributes:
        writer: what is known of the model whose tokenizer and text the conditions come from.
        sites: the residual stream after every block.
        generations, states, seed: as asked for.
    """

    given: ClassVar[frozenset[str]] = frozenset({"temperature"})

    def __init__(
        self,
        spec: ModelSpec,
        reader: str | None,
        reader_adapter: str | None,
        reader_revision: str | None,
        generations: str | None,
        states: Literal["continuation", "all"],
        seed: int,
        **kwargs: Any,
    ) -> None:
        """Reads the models' configurations and tokenizers, no weights.

        Args:
            reader: Another model to read the texts of an earlier run (--generations); null is --model itself.
            reader_adapter: PEFT adapter of the reader.
            reader_revision: Branch, tag or commit of the reader on the Hub.
            generations: Run whose texts are read again instead of generating any, e.g. runs/prefill_dynamics.
            states: Whose states are stored: those of the continuation's tokens, or of all tokens.
            seed: Seed of drawing paragraphs, sampling and shuffling.

        Raises:
            UserError: another reader without texts to read.
        """
        other_reader = any(part is not None for part in (reader, reader_adapter, reader_revision))
        super().__init__(
            _reader_spec(spec, reader, reader_adapter, reader_revision) if other_reader else spec, **kwargs
        )
        if other_reader and generations is None:
            raise UserError(
                "--reader reads texts that an earlier run holds, so that both models read the same.\n"
                "Next: collect them first without --reader, then add --generations RUN, "
                "e.g. --generations runs/prefill_dynamics."
            )
        seeds(seed=seed)
        self.writer = read_info(spec) if other_reader else self.info
        self.generations, self.states, self.seed = generations, states, seed
        self.sites = [f"resid_post.{layer}" for layer in range(self.info.n_layers)]

    def schema(self) -> Schema:
        return make_schema(self.sites, self.info.d_model)

    def read(self, batch: Sequence[Sample], texts: Sequence[Reading]) -> Records:
        """The rows of samples whose texts are these, in one prefill."""
        starts = [0 if self.states == "all" else text.boundary for text in texts]
        positions = [list(range(start, len(text.ids))) for start, text in zip(starts, texts, strict=True)]
        captured = self.engine.capture([text.ids for text in texts], self.sites, positions, log_probs=True)
        assert captured.log_probs is not None, "log_probs=True"
        names = {"reader": self.info.name, "generator": self.writer.name}
        rows = [
            {"sample_id": s.sample_id, "sample_index": s.index, **row(t, self.info.tokens, self.states), **names}
            for s, t in zip(batch, texts, strict=True)
        ]
        arrays = {"resid_post": captured.values.numpy(), "ce": -torch.cat(captured.log_probs).numpy()}
        predicted = torch.tensor([len(scores) for scores in captured.log_probs])
        lengths = {"token": captured.lengths.numpy(), "predicted": predicted.numpy()}
        return Records(rows, arrays, lengths, {"resid_post": captured.exponents.numpy()})


def _reader_spec(spec: ModelSpec, reader: str | None, adapter: str | None, revision: str | None) -> ModelSpec:
    """The reader in the generator's precision; an adapter alone goes onto the generator's base model."""
    if reader is None:
        return replace(spec, adapter=adapter, revision=spec.revision if revision is None else revision)
    return replace(spec, model=reader, adapter=adapter, revision=revision)


def make_schema(sites: Sequence[str], width: int) -> Schema:
    """States [layer, token, hidden] at the continuation's tokens (or all), and cross-entropy [predicted]."""
    resid = Field("resid_post", ("layer", "token", "hidden"), (len(sites), None, width), "float16", "", _STATES)
    ce = Field("ce", ("predicted",), (None,), "float32", "nats", _CE)
    return Schema((resid, ce), COLUMNS, {"layer": list(sites)})


_STATES = "residual stream after each block at the tokens input_ids[first_state:]"
_CE = "-log p of each token that has a predecessor: entry i belongs to input_ids[i + 1]"
COLUMNS = (
    Column("paragraph_id", "string", "the paragraph; its rows are one group"),
    Column("paragraph_place", "int64", "its line or row in the source, its number in the documentation"),
    Column("condition", "string", "human, model (greedy), model-tempXX (sampled) or shuffled"),
    Column("prompt", "string", "the paragraph's first sentence"),
    Column("continuation", "string", "what follows it in this condition"),
    Column("input_ids", "list<int64>", "exactly what the model read"),
    Column("tokens", "list<string>", "the text of each token"),
    Column("boundary", "int64", "index in input_ids of the continuation's first token"),
    Column("straddles", "bool", "whether that token holds the prompt's end too"),
    Column("continuation_length", "int64", "tokens of the continuation; 0 where the model ended at once"),
    Column("first_state", "int64", "index in input_ids of the first token whose state is stored"),
    Column("temperature", "float64", "of generated text, 0 is greedy"),
    Column("stop_reason", "string", "of generated text: end_of_text or max_new_tokens"),
    Column("read_as", "string", "ids: the very tokens; text: tokenised anew by a reader with another tokenizer"),
    Column("retokenises", "bool", "generated text: the tokenizer would give the same ids for it"),
    Column("reader", "string", "the model that read, its adapter behind a plus sign"),
    Column("generator", "string", "the model whose text and tokenizer the conditions come from"),
)
