"""What stands after texts: what the model writes, or what somebody else wrote. Owns the random streams' names and where
a response ends; knows no store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lit_experiments.experiments.activations.text_table import TextRow
from lit_experiments.lm.engine import Continuer, Engine
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling


@dataclass(frozen=True)
class Response:
    """ids: what the model wrote, its stop token included; log_probs: of each, in nats, as the model has them; stopped:
    whether it ended by itself; given_text: that of a response that somebody else wrote."""

    ids: list[int]
    log_probs: list[float]
    stopped: bool
    given_text: str | None = None

    def values(self, info: ModelInfo) -> dict[str, Any]:
        """The row's columns."""
        if self.given_text is not None:
            text, reason = self.given_text, "given"
        elif self.stopped:
            text, reason = info.tokens.decode(self.ids[:-1]), "eos"
        else:
            text, reason = info.tokens.decode(self.ids), "length"
        scores = self.log_probs
        return {"response": text, "response_ids": self.ids, "response_log_probs": scores, "stop_reason": reason}


def given_responses(engine: Engine, rows: Sequence[TextRow]) -> list[Response]:
    """The responses that come with the texts, with what the model makes of each of their tokens."""
    scores = engine.token_log_probs([[*row.ids, *row.response_ids] for row in rows])
    return [
        Response(row.response_ids, logs[len(row.ids) - 1 :].double().tolist(), False, row.response)
        for row, logs in zip(rows, scores, strict=True)
    ]


@dataclass(frozen=True)
class Answering:
    """How responses are written: at most `tokens` of them; one stream of randomness per (seed, sample id)."""

    tokens: int
    sampling: Sampling
    seed: int

    def responses(
        self, decoder: Continuer, prompts: Sequence[list[int]], stop_ids: Sequence[int], sample_ids: Sequence[str]
    ) -> list[Response]:
        """One response per prompt, which depends on nothing else in the batch (see `Decoder`)."""
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
