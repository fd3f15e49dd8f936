"""What the model writes after texts. Owns the random streams' names and where a response ends; knows no store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling


@dataclass(frozen=True)
class Response:
    """ids: what the model wrote, its stop token included; log_probs: of each, in nats, as the model has them; stopped:
    whether it ended by itself."""

    ids: list[int]
    log_probs: list[float]
    stopped: bool

    def values(self, info: ModelInfo) -> dict[str, Any]:
        """The row's columns."""
        return {
            "response": info.tokens.decode(self.ids[:-1] if self.stopped else self.ids),
            "response_ids": self.ids,
            "response_log_probs": self.log_probs,
            "stop_reason": "eos" if self.stopped else "length",
        }


@dataclass(frozen=True)
class Answering:
    """How responses are written: at most `tokens` of them; one stream of randomness per (seed, sample id)."""

    tokens: int
    sampling: Sampling
    seed: int

    def responses(self, decoder: Decoder, prompts: Sequence[list[int]], sample_ids: Sequence[str]) -> list[Response]:
        """One response per prompt, which depends on nothing else in the batch (see `Decoder`)."""
        stop_ids = decoder.lm.info.eos_ids
        keys = [StreamKey(self.seed, name, 0) for name in sample_ids]
        state = decoder.prefill(prompts)
        written = decoder.sample(state, self.tokens, self.sampling, keys, stop_ids=stop_ids, feed_last=False)
        rows = zip(
            written.token_ids.tolist(),
            written.log_probs.double().tolist(),
            written.lengths.tolist(),
            written.stopped.tolist(),
            strict=True,
        )
        return [Response(ids[:n], scores[:n], stopped) for ids, scores, n, stopped in rows]
