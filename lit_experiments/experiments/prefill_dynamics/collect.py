"""Collects study 2: for each paragraph and condition the continuation, the states that reading it makes, its surprise.

Texts and readers. `--model` writes: it continues the prompts, and its tokenizer decides which paragraphs fit. It reads
its own texts as the very token ids that it wrote. `--reader` names another model to read the same texts, which a first
run holds (`--generations`); nothing is generated then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar, Literal

import torch

from lit_experiments.collecting.collector import Collector
from lit_experiments.collecting.plan import Sample
from lit_experiments.errors import UserError
from lit_experiments.experiments.prefill_dynamics.conditions import conditions
from lit_experiments.experiments.prefill_dynamics.export import export_json
from lit_experiments.experiments.prefill_dynamics.generations import for_reader, load_generations
from lit_experiments.experiments.prefill_dynamics.openings import Counts, Limits, described, openings
from lit_experiments.experiments.prefill_dynamics.readings import Reading, generated, readings, row, sample
from lit_experiments.experiments.prefill_dynamics.schema import make_schema
from lit_experiments.experiments.prefill_dynamics.summary import compare, describe
from lit_experiments.lm.capture import capture
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.info import read_info
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.ranges import at_least, seeds
from lit_experiments.sources.paragraphs import Paragraphs, read_paragraphs
from stores import Records, Schema


class PrefillDynamicsCollector(Collector):
    """For each paragraph and condition: generate the continuation if the condition needs it, then one prefill."""

    version: ClassVar[int] = 1
    describe = staticmethod(describe)
    compare = staticmethod(compare)
    export_json = staticmethod(export_json)

    def __init__(
        self,
        spec: ModelSpec,
        paragraphs: str,
        text_column: str | None,
        n_samples: int | None,
        selection: Literal["random", "first"],
        min_tokens: int,
        max_tokens: int,
        max_new_tokens: int,
        temperatures: list[float],
        shuffled: bool,
        reader: str | None,
        reader_adapter: str | None,
        reader_revision: str | None,
        generations: str | None,
        states: Literal["continuation", "all"],
        seed: int,
        malformed: Literal["stop", "skip"],
        quoting: Literal["auto", "standard", "none"],
    ) -> None:
        """Checks the settings; reads the paragraphs and the models' configurations and tokenizers, no weights.

        Args:
            paragraphs: Text file, folder of them, data file, dataset folder, Hub id (NAME[@CONFIG][:SPLIT]), or
                "embedded".
            text_column: Key or column that holds the text, for everything but text files.
            n_samples: How many paragraphs of those that fit; null takes all.
            selection: Which ones: drawn at random, or the first in the source's order.
            min_tokens: Fewest tokens of a paragraph, in the generating model's tokenizer.
            max_tokens: Most tokens of a paragraph.
            max_new_tokens: Most tokens that the model writes after a prompt; it stops earlier at end of text.
            temperatures: Sampled conditions beside the greedy one; 0.7 gives the condition model-temp07.
            shuffled: Also read the human continuation's tokens in random order.
            reader: Another model to read the texts of an earlier run (--generations); null is --model itself.
            reader_adapter: PEFT adapter of the reader.
            reader_revision: Branch, tag or commit of the reader on the Hub.
            generations: Run whose texts are read again instead of generating any, e.g. runs/prefill_dynamics.
            states: Whose states are stored: those of the continuation's tokens, or of all tokens.
            seed: Seed of drawing paragraphs, sampling and shuffling.
            malformed: What to do with records that cannot be read: stop at the first, or skip (and count).
            quoting: Of CSV and TSV files: standard (quotes enclose fields), none (quotes belong to the text), or auto.

        Raises:
            UserError: settings that contradict each other, too few paragraphs, generations of another making.
        """
        other_reader = any(part is not None for part in (reader, reader_adapter, reader_revision))
        super().__init__(_reader_spec(spec, reader, reader_adapter, reader_revision) if other_reader else spec)
        self.n_samples, self.selection, self.seed, self.states = n_samples, selection, seed, states
        self.limits = Limits(min_tokens, max_tokens, max_new_tokens)
        self.shuffled, self.temperatures = shuffled, [float(t) for t in temperatures]
        self._check(other_reader, generations)
        self.conditions = conditions(self.temperatures, shuffled)
        self._writer = read_info(spec) if other_reader else self.info
        self._source = read_paragraphs(paragraphs, text_column, malformed, quoting)
        self._notes: list[str] = []
        self._generator: dict[str, Any] = self._writer.fingerprint()
        self._stop_ids = list(self._writer.eos_ids)
        self._generations: str | None = None
        self._sites = [f"resid_post.{layer}" for layer in range(self.info.n_layers)]
        self._counts: dict[str, int] = {}
        found = self._own() if generations is None else self._reused(generations)
        self._samples = [sample(reading, i, max_new_tokens, states) for i, reading in found]

    def samples(self) -> Sequence[Sample]:
        return self._samples

    def notes(self) -> list[str]:
        return self._notes

    def settings(self) -> dict[str, Any]:
        return {
            **self._text_settings(),
            "states": self.states,
            "generator": self._generator,
            "generations": self._generations,
            "paragraph_counts": self._counts,  # what the report says was passed over
        }

    def schema(self) -> Schema:
        return make_schema(self._sites, self.info.d_model)

    def collect(self, batch: Sequence[Sample]) -> Records:
        texts: list[Reading] = [s.payload for s in batch]
        if texts[0].to_generate:  # a batch is of one stage, that is of one condition
            texts = self._generated(texts)
        starts = [0 if self.states == "all" else t.boundary for t in texts]
        found = capture(
            self.lm,
            [t.ids for t in texts],
            self._sites,
            [list(range(start, len(t.ids))) for start, t in zip(starts, texts, strict=True)],
            log_probs=True,
        )
        assert found.log_probs is not None, "asked for above"
        names = {"reader": self.info.name, "generator": self._writer.name}
        rows = [
            {"sample_id": s.sample_id, "sample_index": s.index, **row(t, self.info.tokens, self.states), **names}
            for s, t in zip(batch, texts, strict=True)
        ]
        arrays = {"resid_post": found.values.numpy(), "ce": -torch.cat(found.log_probs).numpy()}
        lengths = {
            "token": found.lengths.numpy(),
            "predicted": torch.tensor([len(scores) for scores in found.log_probs]).numpy(),
        }
        return Records(rows, arrays, lengths, {"resid_post": found.exponents.numpy()})

    def _generated(self, texts: list[Reading]) -> list[Reading]:
        """The same with their continuations, which depend on seed, sample and model, not on the batch."""
        temperature = texts[0].temperature
        assert temperature is not None, "generated text has one"
        decoder = Decoder(self.lm, (), self.stop_check)
        state = decoder.prefill([t.ids for t in texts])
        drawn = decoder.sample(
            state,
            self.limits.max_new_tokens,
            Sampling(temperature=temperature, top_p=1.0, top_k=0),
            [StreamKey(self.seed, t.sample_id, 0) for t in texts],
            stop_ids=self._stop_ids,
            feed_last=False,
        )
        written = zip(texts, drawn.token_ids.tolist(), drawn.lengths.tolist(), drawn.stopped.tolist(), strict=True)
        return [generated(text, ids[: n - ended], ended, self.info.tokens) for text, ids, n, ended in written]

    def _own(self) -> list[tuple[int, Reading]]:
        """Every paragraph under every condition, paragraph by paragraph, so that --limit keeps whole ones."""
        seed = self.seed if self.selection == "random" else None
        chosen, counts = openings(self._source, self.info, self.limits, self.n_samples, seed)
        self._counts = asdict(counts)
        self._notes = [*_read(self._source), described(counts), _planned(len(chosen), self.conditions)]
        every = [r for o in chosen for r in readings(o, self.conditions, self.info.tokens, self.seed)]
        return list(enumerate(every))

    def _reused(self, run: str) -> list[tuple[int, Reading]]:
        """The texts of another run that fit this reader's window."""
        identity = {key: self._generator[key] for key in ("model", "adapter")}
        found = load_generations(run, self._code(), self._text_settings(), identity)
        self._generator, self._generations = found.settings["generator"], found.digest
        self._counts = found.settings["paragraph_counts"]
        texts = list(enumerate(for_reader(found.readings, self._writer.tokens, self.info.tokens)))
        fitting = [(i, t) for i, t in texts if self.info.window is None or len(t.ids) <= self.info.window]
        self._notes = [*_read(self._source), described(Counts(**self._counts)), found.note(), self._reads(texts)]
        planned = self._counts["chosen"] * len(self.conditions)
        if len(texts) < planned:
            self._notes.append(f"{run} holds the first {len(texts)} of its {planned} texts (--limit)")
        if len(fitting) < len(texts):
            left = ", ".join(t.sample_id for _, t in texts if len(t.ids) > (self.info.window or 0))
            self._notes.append(f"too long for the reader's window, left out: {len(texts) - len(fitting)} texts: {left}")
        return fitting

    def _reads(self, texts: list[tuple[int, Reading]]) -> str:
        how = "as the very token ids" if texts[0][1].read_as == "ids" else "as text, tokenised anew"
        return f"{self.info.name} reads the texts of {self._writer.name} {how}"

    def _code(self) -> dict[str, Any]:
        """Name and version of this study's code, as in a fingerprint."""
        return {"name": type(self).__name__, "version": self.version}

    def _text_settings(self) -> dict[str, Any]:
        return {
            "paragraphs": self._source.digest,
            "n_samples": self.n_samples,
            # Runs from before there was a choice drew at random; their fingerprints stay theirs.
            **({} if self.selection == "random" else {"selection": self.selection}),
            **asdict(self.limits),
            "temperatures": self.temperatures,
            "shuffled": self.shuffled,
            "stop_ids": self._stop_ids,
            "seed": self.seed,
        }

    def _check(self, other_reader: bool, generations: str | None) -> None:
        if other_reader and generations is None:
            raise UserError(
                "--reader reads texts that an earlier run holds, so that both models read the same.\n"
                "Next: collect them first without --reader, then add --generations RUN, "
                "e.g. --generations runs/prefill_dynamics."
            )
        at_least(1, **asdict(self.limits), n_samples=self.n_samples)
        seeds(seed=self.seed)
        if self.limits.min_tokens > self.limits.max_tokens:
            raise UserError(
                f"min_tokens {self.limits.min_tokens} is above max_tokens {self.limits.max_tokens}: nothing can fit."
            )


def _reader_spec(spec: ModelSpec, reader: str | None, adapter: str | None, revision: str | None) -> ModelSpec:
    """The reader in the generator's precision; an adapter alone goes onto the generator's base model."""
    same = reader is None
    return replace(
        spec,
        model=spec.model if reader is None else reader,
        adapter=adapter,
        revision=spec.revision if same and revision is None else revision,
    )


def _read(source: Paragraphs) -> list[str]:
    passed = f"{source.headings} headings and {source.blank} empty lines passed over"
    lines = [f"{source.name}: {len(source.records)} paragraphs, {passed}"]
    if source.skipped.count:
        lines.append(source.skipped.note())
    return [*lines, *source.notes]


def _planned(paragraphs: int, names: dict[str, float | None]) -> str:
    return f"{paragraphs} paragraphs, each under {len(names)} conditions: {', '.join(names)}"
