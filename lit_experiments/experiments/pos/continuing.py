"""Many continuations of each prefix, drawn from the one cache that reading it made.

Owns: the options of drawing, what a row holds of the draws. Does not know: which prefixes, or why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch

from lit_experiments.collecting.records import PlannedCollector
from lit_experiments.experiments.pos.resample_schema import make_schema
from lit_experiments.lm.continuations import Continuations
from lit_experiments.lm.errors import NonFiniteStateError
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.ranges import at_least, seeds
from stores import Schema

_DRAWING = ("num_samples", "temperature", "top_p", "max_new_tokens", "seed", "too_long")
_OF_A_PIECE = ("token_ids", "log_probs", "lengths", "stopped")


class ContinuingCollector(PlannedCollector):
    """Reads prefixes once and draws what follows, many times each."""

    def __init__(
        self,
        spec: ModelSpec,
        num_samples: int,
        temperature: float,
        top_p: float,
        max_new_tokens: int,
        seed: int,
        too_long: Literal["error", "skip"],
    ) -> None:
        """Checks the settings; reads nothing but the model's configuration and tokenizer.

        Args:
            num_samples: Continuations of each prefix.
            temperature: Of the continuations.
            top_p: Of the continuations.
            max_new_tokens: Tokens of a continuation at most; end of text ends it earlier.
            seed: Seed of the sampling and of the scan's order.
            too_long: What to do with prefixes that leave no room in the model's window: error, or skip (and count).

        Raises:
            UserError: settings that cannot be.
        """
        super().__init__(spec)
        at_least(1, num_samples=num_samples, max_new_tokens=max_new_tokens)
        seeds(seed=seed)
        self.num_samples, self.temperature, self.top_p = num_samples, temperature, top_p
        self.max_new_tokens, self.seed, self.too_long = max_new_tokens, seed, too_long
        self.sampling = Sampling(temperature=temperature, top_p=top_p, top_k=0)
        self._most: int | None = None

    @property
    def room(self) -> int | None:
        """Tokens that a prefix may have; None for a model without a limit."""
        return None if self.info.window is None else self.info.window - self.max_new_tokens

    def settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _DRAWING}

    def schema(self) -> Schema:
        return make_schema(self.num_samples, self.max_new_tokens)

    def draw(self, prefixes: Sequence[list[int]], sample_ids: Sequence[str]) -> dict[str, np.ndarray]:
        """The fields of the schema, [prefix, draw, step] or [prefix, draw]: every prefix continued `num_samples` times.

        What is drawn depends on (seed, prefix, draw) alone, so drawing in pieces, as memory asks for, changes nothing
        but memory and time. Later batches begin with pieces of the size that fitted.

        Raises:
            NonFiniteStateError: the model computed no numbers; its index is that of the prefix.
        """
        decoder = self.engine.decoder((), self.stop_check)
        state = decoder.prefill(prefixes)

        def piece(part: list[tuple[int, StreamKey]]) -> Continuations:
            rows, keys = [row for row, _ in part], [key for _, key in part]
            ends, steps = self.info.eos_ids, self.max_new_tokens
            try:
                return decoder.sample(state.select(rows), steps, self.sampling, keys, stop_ids=ends, feed_last=False)
            except NonFiniteStateError as error:  # it names a row of the piece, the caller knows samples
                raise NonFiniteStateError(str(error), rows[error.index], error.site, error.position) from error

        draws = range(self.num_samples)
        keys = [(row, StreamKey(self.seed, name, draw)) for row, name in enumerate(sample_ids) for draw in draws]
        size, halvings = self._most or len(keys), self.halvings
        pieces = [p for start in range(0, len(keys), size) for p in self.in_pieces(keys[start : start + size], piece)]
        if self.halvings > halvings:
            self._most = max(len(p.lengths) for p in pieces)
        tokens, log_probs, lengths, ended = (
            torch.cat([getattr(p, name).cpu() for p in pieces]).numpy() for name in _OF_A_PIECE
        )
        shape = (len(prefixes), self.num_samples)
        return {
            "token_ids": tokens.astype(np.int32).reshape(*shape, -1),
            "log_probs": log_probs.reshape(*shape, -1),
            "completion_length": lengths.astype(np.int32).reshape(shape),
            "ended": ended.reshape(shape),
        }
