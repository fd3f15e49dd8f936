"""Logits behind texts and log-probabilities of their tokens, computed in the workers where the final states are.

Owns `Scorer` and `head_of`. Knows no requests: it is told which pieces of which texts a pass computes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lit_experiments.lm.score import CHUNK_BYTES
from lit_experiments.lm.vllm_engine.regions import Plan, Views
from lit_experiments.lm.vllm_engine.taps import Piece

Head = Callable[[Tensor], Tensor]


def head_of(model: Any) -> Head:
    """From final states [token, hidden] to raw logits [token, vocabulary].

    vLLM's wrapper for adapters expects the rows of a sampling step; adapters that change the head are refused, so what
    it wraps gives the same.
    """
    wrapper = getattr(model, "logits_processor", None)
    base = getattr(wrapper, "base_layer", None)
    if base is None:
        plain: Head = model.compute_logits
        return plain

    def logits_of(states: Tensor) -> Tensor:
        model.logits_processor = base
        try:
            logits: Tensor = model.compute_logits(states)
        finally:
            model.logits_processor = wrapper
        return logits

    return logits_of


class Scorer:
    """Fills `next_logits` and `log_probs` of a plan, pass by pass.

    Where matrices are split over devices a head takes all of them: so every worker computes, and `writes` says whether
    this one keeps what comes out.
    """

    def __init__(self, plan: Plan, held: Views, logits_of: Head, writes: bool) -> None:
        self.plan, self.held, self.logits_of, self.writes = plan, held, logits_of, writes
        self.chunk = max(1, CHUNK_BYTES // (4 * plan.vocabulary))
        self.first = np.cumsum([0, *(len(ids) - 1 for ids in plan.sequences)])
        self.ends: list[tuple[int, int]] = []
        self.scored: list[np.ndarray] = []

    def begin(self, pieces: Sequence[Piece]) -> None:
        """A pass over these pieces of texts begins."""
        texts = self.plan.sequences
        last = [piece for piece in pieces if piece.start + piece.count == len(texts[piece.row])]
        self.ends = [(piece.row, piece.offset + piece.count - 1) for piece in last] if self.plan.next_logits else []
        self.scored = [self._targets(piece) for piece in pieces] if self.plan.log_probs else []

    def _targets(self, piece: Piece) -> np.ndarray:
        """Of every token of the piece that has a successor: its place in the pass, the successor, and where it goes."""
        targets = np.array(self.plan.sequences[piece.row][piece.start + 1 : piece.start + piece.count + 1], np.int64)
        steps = np.arange(len(targets))
        return np.stack([piece.offset + steps, targets, self.first[piece.row] + piece.start + steps])

    def take(self, state: Tensor) -> None:
        """The packed final states [token, hidden] of this pass."""
        for start in range(0, len(self.ends), self.chunk):
            rows, places = zip(*self.ends[start : start + self.chunk], strict=True)
            logits = self.logits_of(state[list(places)]).float()
            if self.writes:
                self.held.next_logits[list(rows)] = logits.cpu()
        if self.scored:
            self._score(state, torch.from_numpy(np.concatenate(self.scored, axis=1)))

    def _score(self, state: Tensor, scored: Tensor) -> None:
        for part in scored.split(self.chunk, dim=1):
            source, targets, goes = part[0].to(state.device), part[1].to(state.device), part[2]
            logits = self.logits_of(state[source]).float()
            chosen = logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(-1)
            if self.writes:
                self.held.log_probs[goes] = chosen.cpu()
