"""Collects starting points, their hidden vectors, and the log-probabilities and log-tempnorms of continuations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np

from lit_experiments.collecting.extending import bare_rows, sites_in
from lit_experiments.collecting.plan import Sample
from lit_experiments.collecting.records import RecordsCollector
from lit_experiments.errors import UserError
from lit_experiments.experiments.tempnorm.export import jsonl_shape
from lit_experiments.experiments.tempnorm.formulas import (
    alike,
    entropy,
    log_one_step,
    log_tempnorm,
    over_continuations,
)
from lit_experiments.lm.continuations import Continuations
from lit_experiments.lm.engine import Continuer, Texts
from lit_experiments.lm.errors import NonFiniteStateError
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.sites import resolve_sites
from lit_experiments.lm.spec import ENGINES, ModelSpec
from lit_experiments.ranges import above, at_least, seeds
from lit_experiments.sources.contexts import read_contexts
from lit_experiments.sources.selection import fit
from stores import Column, Field, Records, Schema, Store

PURE = Sampling(temperature=1.0, top_p=1.0, top_k=0)
_SHAPING = ("gen_length", "eval_lengths", "gen_number", "alpha", "initial_wander", "stop_at_eos", "sites", "seed")


@dataclass(frozen=True)
class _Context:
    """A context, the place that it came from, and its tokens as the model reads them."""

    text: str
    place: int
    ids: list[int]


class TempnormCollector(RecordsCollector):
    """For each context: wander a little, record the hidden vector there, sample continuations, score them."""

    version: ClassVar[int] = 2
    engines: ClassVar[tuple[str, ...]] = ENGINES
    growing: ClassVar[frozenset[str]] = frozenset({"sites"})
    jsonl_shape = staticmethod(jsonl_shape)

    def __init__(
        self,
        spec: ModelSpec,
        contexts: str,
        text_column: str | None,
        gen_length: int,
        eval_lengths: list[int],
        gen_number: int,
        alpha: float,
        initial_wander: int,
        stop_at_eos: bool,
        sites: list[str],
        seed: int,
        too_long: Literal["error", "skip", "truncate"],
        **kwargs: Any,
    ) -> None:
        """Checks the settings; reads nothing but the model's configuration and tokenizer.

        Args:
            contexts: Text file with one context per line, .jsonl or other data file, dataset folder, Hub id
                (NAME[@CONFIG][:SPLIT]), or "embedded".
            text_column: Key or column that holds the text, for everything but text files.
            gen_length: Tokens in each continuation.
            eval_lengths: Lengths L at which log-tempnorm is evaluated, each at most gen_length.
            gen_number: Independent continuations of each starting point.
            alpha: Exponent of the sharpened distribution p^alpha.
            initial_wander: Tokens sampled after the context before the starting point.
            stop_at_eos: End a continuation at end-of-text; otherwise end-of-text is an ordinary token.
            sites: Where the hidden vector of the starting point's last token is read, e.g. final_norm, resid_post.3.
            seed: Seed of all sampling.
            too_long: What to do with contexts that do not fit the model's window: error, skip (and count), or
                truncate (keep the end).

        Raises:
            UserError: settings that contradict each other.
        """
        super().__init__(spec, **kwargs)
        self.gen_length, self.eval_lengths, self.gen_number = gen_length, eval_lengths, gen_number
        self.alpha, self.initial_wander, self.stop_at_eos = alpha, initial_wander, stop_at_eos
        self.sites, self.seed, self.too_long = sites, seed, too_long
        self._check()
        self._source = read_contexts(contexts, text_column, self.malformed, self.quoting)
        self._samples, self._notes = self._fitting()

    def settings(self) -> dict[str, Any]:
        shaping = {name: getattr(self, name) for name in (*_SHAPING, "too_long")}
        return {"contexts": self._source.digest} | shaping  # the digest of what is left when malformed ones are skipped

    def schema(self) -> Schema:
        draws, steps, lengths = self.gen_number, self.gen_length, len(self.eval_lengths)
        by_length, over = ("sample", "generation", "eval_length"), ("sample", "eval_length")
        hidden, by_step, step = ("layer", "sample", "hidden"), ("sample", "generation", "step"), (None, draws, steps)
        single = (None, draws, lengths)
        fields = (
            Field("starting_hidden", hidden, (len(self.sites), None, self.info.d_model), "float16", "", _HIDDEN),
            Field("token_ids", by_step, step, "int32", "", _TOKENS),
            Field("log_probs", by_step, step, "float32", "nats", _LOG_PROBS, "record"),
            Field("generation_length", ("sample", "generation"), (None, draws), "int32", "tokens", "tokens sampled"),
            Field("log_tempnorm", by_length, single, "float64", "nats", "(alpha-1) * sum of log p up to L"),
            Field("tempnorm", by_length, single, "float64", "", "exp(log_tempnorm); underflows for long L"),
            Field("tempnorm_mean", over, (None, lengths), "float64", "", "mean over the continuations"),
            Field("tempnorm_variance", over, (None, lengths), "float64", "", "variance over them, ddof 1", "record"),
            Field("log_tempnorm_mean", over, (None, lengths), "float64", "nats", "log of the mean (log-mean-exp)"),
            Field("log_tempnorm_variance", over, (None, lengths), "float64", "nats", "log of the variance", "record"),
        )
        return Schema(fields, _COLUMNS, {"layer": list(self.sites), "eval_length": list(self.eval_lengths)})

    def collect(self, batch: Sequence[Sample]) -> Records:
        decoder, state = self._start(batch, self.sites)
        next_token = state.logits.double().log_softmax(-1).cpu().numpy()
        hidden = self._hidden(state, self.sites)
        starts = [list(ids) for ids in state.ids]
        continuations = self._continue(decoder, state.fork(self.gen_number), batch)
        return self._records(batch, starts, hidden, next_token, continuations)

    def collect_more(self, batch: Sequence[Sample], pieces: Sequence[int], store: Store) -> list[Records]:
        """Starting points alone: their continuations are there."""
        of_pieces = [sites_in(self.pieces[number], "starting_hidden") for number in pieces]
        _, state = self._start(batch, list(dict.fromkeys(site for sites in of_pieces for site in sites)))
        rows = bare_rows(batch)
        return [Records(rows, {"starting_hidden": self._hidden(state, sites)}, {}, {}) for sites in of_pieces]

    def _start(self, batch: Sequence[Sample], sites: Sequence[str]) -> tuple[Continuer, Texts]:
        """The contexts, read and wandered away from, with the last token's states at `sites`."""
        decoder = self.engine.decoder(sites, self.stop_check)
        state = decoder.prefill([s.payload.ids for s in batch])
        if self.initial_wander:
            keys = [StreamKey(self.seed, f"{s.sample_id}/wander", 0) for s in batch]
            decoder.sample(state, self.initial_wander, PURE, keys)
        return decoder, state

    def _hidden(self, state: Texts, sites: Sequence[str]) -> np.ndarray:
        """float32 [site, sample, hidden] at the starting points."""
        return np.stack([state.captured[site].float().cpu().numpy() for site in sites])

    def _continue(self, decoder: Continuer, state: Texts, batch: Sequence[Sample]) -> Continuations:
        keys = [StreamKey(self.seed, s.sample_id, g) for s in batch for g in range(self.gen_number)]
        ends = self.info.eos_ids if self.stop_at_eos else ()
        try:
            return decoder.sample(state, self.gen_length, PURE, keys, stop_ids=ends, feed_last=False)
        except NonFiniteStateError as error:  # it names a row of the fork, the caller knows samples
            sample = error.index // self.gen_number
            raise NonFiniteStateError(str(error), sample, error.site, error.position) from error

    def _records(
        self,
        batch: Sequence[Sample],
        starts: list[list[int]],
        hidden: np.ndarray,
        next_token: np.ndarray,
        continuations: Continuations,
    ) -> Records:
        """hidden: [site, sample, hidden]; next_token: [sample, vocabulary] log-probabilities at the starting point."""
        by_context = (len(batch), self.gen_number, -1)
        tokens = continuations.token_ids.cpu().numpy().reshape(by_context)
        log_probs = alike(continuations.log_probs.cpu().numpy().reshape(by_context), tokens)
        lengths = continuations.lengths.cpu().numpy().reshape(by_context[:2])
        values = log_tempnorm(log_probs, self.eval_lengths, self.alpha)
        plain, summary = np.exp(values), over_continuations(values)
        arrays = {
            "starting_hidden": hidden,
            "token_ids": tokens.astype(np.int32),
            "log_probs": log_probs.astype(np.float32),
            "generation_length": lengths.astype(np.int32),
            "log_tempnorm": values,
            "tempnorm": plain,
            "tempnorm_mean": summary.mean,
            "tempnorm_variance": summary.variance,
            "log_tempnorm_mean": summary.log_mean,
            "log_tempnorm_variance": summary.log_variance,
        }
        rows = [
            {
                "sample_id": sample.sample_id,
                "sample_index": sample.index,
                "context": sample.payload.text,
                "context_place": sample.payload.place,
                "starting_point": self.info.tokens.decode(start),
                "starting_point_ids": start,
                "prefix_length": len(start),
                "generated_text": [
                    self.info.tokens.decode(t[:n].tolist()) for t, n in zip(tokens[i], lengths[i], strict=True)
                ],
                "next_token_entropy": float(entropy(next_token[i])),
                "log_one_step": float(log_one_step(next_token[i], self.alpha)),
                "underflows": int((plain[i] == 0).sum()),
            }
            for i, (sample, start) in enumerate(zip(batch, starts, strict=True))
        ]
        return Records(rows, arrays, {}, {})

    def _fitting(self) -> tuple[list[Sample], list[str]]:
        """(one sample per context that fits the window after wandering and generating; what was read and left out)."""
        source, room, encode = self._source, self._room(), self.info.tokens.encode
        contexts = [_Context(t, place, encode(t)) for t, place in zip(source.texts, source.places, strict=True)]
        fitting = fit(contexts, room, lambda context: len(context.ids), lambda context: f"line {context.place}")
        left, done = fitting.records, "left out"
        if self.too_long == "truncate" and room is not None:
            left = [replace(context, ids=self._end(context.ids, room)) for context in contexts]
            done = f"cut to their last {room} tokens"
        behind = self.initial_wander + self.gen_length
        samples = [
            Sample(f"context-{context.place:06d}", index, (len(context.ids) + behind) * self.gen_number, context)
            for index, context in enumerate(left)
        ]
        holds = f"{self.info.name} holds {self.info.window} tokens; {self.initial_wander} for wandering and "
        notes = fitting.notes(
            f"contexts in {source.name}",
            self.too_long,
            total=len(contexts),
            window=f"{holds}{self.gen_length} for generation leave {room}",
            remedy="--too_long skip leaves them out, --too_long truncate keeps their end",
            done=done,
        )
        skipped = [source.skipped.note()] if source.skipped.count else []
        read = f"{source.name}: {len(source.texts)} contexts, {source.blank} blank skipped"
        return samples, [read, *skipped, *source.notes, *notes]

    def _room(self) -> int | None:
        """Tokens that a context may have; None for a model without a limit."""
        return None if self.info.window is None else self.info.window - self.initial_wander - self.gen_length

    def _end(self, ids: list[int], room: int) -> list[int]:
        """The last `room` tokens of a context, counting the special tokens in front, which stay."""
        head = ids[: len(self.info.tokens.prefix or ())]
        return ids if len(ids) <= room else head + ids[len(ids) - room + len(head) :]

    def _check(self) -> None:
        at_least(1, gen_length=self.gen_length)
        if not self.eval_lengths or min(self.eval_lengths) < 1 or max(self.eval_lengths) > self.gen_length:
            raise UserError(
                f"eval_lengths must lie between 1 and gen_length {self.gen_length}, found {self.eval_lengths}.\n"
                f"Next: raise --gen_length, or give --eval_lengths '[1,2,{self.gen_length}]'."
            )
        if sorted(set(self.eval_lengths)) != self.eval_lengths:
            raise UserError(f"eval_lengths must rise without repeats, found {self.eval_lengths}.")
        at_least(1, gen_number=self.gen_number)
        at_least(0, initial_wander=self.initial_wander)
        above(1, alpha=self.alpha)  # 1 is the plain distribution
        seeds(seed=self.seed)
        if not self.sites:
            raise UserError("sites must name at least one site, found none.\nNext: --sites '[final_norm]'")
        resolve_sites(self.sites, self.info.layout, self.info.n_layers)
        room = self._room()
        if room is not None and room < 1:
            raise UserError(
                f"initial_wander {self.initial_wander} + gen_length {self.gen_length} leave no room for a context "
                f"in the window of {self.info.name} ({self.info.window} tokens).\nNext: lower --gen_length."
            )


_HIDDEN = "the sites' vectors at the starting point's last token"
_TOKENS = "sampled tokens; -1 after the end when stop_at_eos"
_LOG_PROBS = "log-probability of each sampled token under the model at temperature 1; NaN after the end"
_COLUMNS = (
    Column("context", "string", "the context as read"),
    Column("context_place", "int64", "its line (files, from 1) or row (datasets, from 0)"),
    Column("starting_point", "string", "context and wandering, as text"),
    Column("starting_point_ids", "list<int64>", "exactly what the model read"),
    Column("prefix_length", "int64", "tokens of the starting point"),
    Column("generated_text", "list<string>", "the continuations"),
    Column("next_token_entropy", "float64", "entropy of the next-token distribution at the starting point, nats"),
    Column("log_one_step", "float64", "log of sum p^alpha over the next token, nats"),
    Column("underflows", "int64", "tempnorm values of this row that are 0 in float64"),
)
