"""Collects study 2: for each paragraph and condition the continuation, the states that reading it makes, its surprise.

Texts and readers. `--model` writes: it continues the prompts, and its tokenizer decides which paragraphs fit. It reads
its own texts as the very token ids that it wrote. `--reader` names another model to read the same texts, which a first
run holds (`--generations`); nothing is generated then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Literal

from lit_experiments.collecting.plan import Sample
from lit_experiments.errors import UserError
from lit_experiments.experiments.prefill_dynamics.conditions import conditions
from lit_experiments.experiments.prefill_dynamics.export import export_json
from lit_experiments.experiments.prefill_dynamics.generations import for_reader, load_generations
from lit_experiments.experiments.prefill_dynamics.paragraph_split import Counts, Limits, described, split_paragraphs
from lit_experiments.experiments.prefill_dynamics.read import ReadingCollector
from lit_experiments.experiments.prefill_dynamics.readings import Reading, generated, readings, sample
from lit_experiments.experiments.prefill_dynamics.summary import compare, describe
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.spec import ENGINES, ModelSpec
from lit_experiments.ranges import at_least
from lit_experiments.sources.paragraphs import Paragraphs, read_paragraphs
from lit_experiments.sources.selection import fit
from stores import Records


class PrefillDynamicsCollector(ReadingCollector):
    """For each paragraph and condition: generate the continuation if the condition needs it, then one prefill."""

    version: ClassVar[int] = 1
    engines: ClassVar[tuple[str, ...]] = ENGINES
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
        **kwargs: Any,
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
            temperatures: Sampled conditions next to the greedy one; 0.7 gives the condition model-temp07.
            shuffled: Also read the human continuation's tokens in random order.

        Raises:
            UserError: settings that contradict each other, too few paragraphs, generations of another making.
        """
        super().__init__(spec, **kwargs)
        self.n_samples, self.selection = n_samples, selection
        self.limits = Limits(min_tokens, max_tokens, max_new_tokens)
        at_least(1, **asdict(self.limits), n_samples=n_samples)
        if min_tokens > max_tokens:
            raise UserError(f"min_tokens {min_tokens} is above max_tokens {max_tokens}: nothing can fit.")
        self.shuffled, self.temperatures = shuffled, [float(t) for t in temperatures]
        self.conditions = conditions(self.temperatures, shuffled)
        self._source = read_paragraphs(paragraphs, text_column, self.malformed, self.quoting)
        self._generator: dict[str, Any] = self.writer.fingerprint()
        self._stop_ids = list(self.writer.eos_ids)
        self._texts_digest: str | None = None
        texts = self._new() if self.generations is None else self._reused(self.generations)
        self._samples = [sample(text, index, max_new_tokens, self.states) for index, text in texts]

    def settings(self) -> dict[str, Any]:
        return {
            **self._text_settings(),
            "states": self.states,
            "generator": self._generator,
            "generations": self._texts_digest,
            "paragraph_counts": asdict(self._counts),  # what the report says was passed over
        }

    def collect(self, batch: Sequence[Sample]) -> Records:
        texts: list[Reading] = [s.payload for s in batch]
        if texts[0].to_generate:  # a batch is of one stage, that is of one condition
            texts = self._generated(texts)
        return self.read(batch, texts)

    def _generated(self, texts: list[Reading]) -> list[Reading]:
        """The same with their continuations, which depend on seed, sample and model, not on the batch."""
        temperature = texts[0].temperature
        assert temperature is not None, "generated text has one"
        decoder = self.engine.decoder((), self.stop_check)
        new = decoder.sample(
            decoder.prefill([t.ids for t in texts]),
            self.limits.max_new_tokens,
            Sampling(temperature=temperature, top_p=1.0, top_k=0),
            [StreamKey(self.seed, t.sample_id, 0) for t in texts],
            stop_ids=self._stop_ids,
            feed_last=False,
        )
        written = zip(texts, new.token_ids.tolist(), new.lengths.tolist(), new.stopped.tolist(), strict=True)
        return [generated(text, ids[: n - ended], ended, self.info.tokens) for text, ids, n, ended in written]

    def _new(self) -> list[tuple[int, Reading]]:
        """Every paragraph under every condition, paragraph by paragraph, so that --limit keeps whole ones."""
        seed = self.seed if self.selection == "random" else None
        chosen, self._counts = split_paragraphs(self._source, self.info, self.limits, self.n_samples, seed)
        names = f"{len(chosen)} paragraphs, each under {len(self.conditions)} conditions: {', '.join(self.conditions)}"
        self._notes = [*_read(self._source), described(self._counts), names]
        return list(enumerate(r for p in chosen for r in readings(p, self.conditions, self.info.tokens, self.seed)))

    def _reused(self, run: str) -> list[tuple[int, Reading]]:
        """The texts of another run that fit this reader's window."""
        code = {"name": type(self).__name__, "version": self.version}
        writer = {key: self._generator[key] for key in ("model", "adapter")}
        stored = load_generations(run, code, self._text_settings(), writer)
        self._generator, self._texts_digest = stored.settings["generator"], stored.digest
        self._counts = Counts(**stored.settings["paragraph_counts"])
        texts = for_reader(stored.readings, self.writer.tokens, self.info.tokens)
        form = "as the very token ids" if texts[0].read_as == "ids" else "as text, tokenised anew"
        reads = f"{self.info.name} reads the texts of {self.writer.name} {form}"
        self._notes = [*_read(self._source), described(self._counts), stored.note(), reads]
        planned = self._counts.chosen * len(self.conditions)
        if len(texts) < planned:
            self._notes.append(f"{run} holds the first {len(texts)} of its {planned} texts (--limit)")
        fitting = fit(enumerate(texts), self.info.window, lambda t: len(t[1].ids), lambda t: t[1].sample_id)
        if fitting.long:
            left = ", ".join(name for name, _ in fitting.long)
            self._notes.append(f"too long for the reader's window, left out: {len(fitting.long)} texts: {left}")
        return fitting.records

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


def _read(source: Paragraphs) -> list[str]:
    passed = f"{source.headings} headings and {source.blank} empty lines passed over"
    lines = [f"{source.name}: {len(source.records)} paragraphs, {passed}"]
    if source.skipped.count:
        lines.append(source.skipped.note())
    return [*lines, *source.notes]
