"""Our own rule of sampling inside vLLM: the race that `lm/sampling.py` decides, with the noise of `lm/noise.py`.

Owns `RaceProcessor`, a logits processor: it sees the model's raw logits, chooses, notes the choice's log-probability
and whether it was close, and leaves vLLM's greedy sampler no other token to take. Runs in the engine's workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality

from lit_experiments.lm.noise import NoiseAhead, StreamKey
from lit_experiments.lm.sampling import Sampling, choose
from lit_experiments.lm.vllm_engine.regions import Views

RACE = "lit_race"  # in a request's `extra_args`: what `race_arguments` makes


def race_arguments(row: int, key: StreamKey, sampling: Sampling, margin: float) -> dict[str, Any]:
    """What a request carries, as plain values. row: which of the plan's texts it is; margin: see `choose`."""
    rule = [sampling.temperature, sampling.top_p, sampling.top_k]
    return {RACE: {"row": row, "key": [key.seed, key.sample_id, key.draw], "rule": rule, "margin": margin}}


@dataclass
class _Racer:
    """One request. steps: most tokens to be written; written: vLLM's own running list of those that there are."""

    row: int
    key: StreamKey
    rule: tuple[Sampling, float]
    prompt_length: int
    steps: int
    written: list[int]


class RaceProcessor(LogitsProcessor):
    """scores: where log-probabilities and close choices go, None in workers that only take part in computing."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self.racers: dict[int, _Racer] = {}
        self.scores: Views | None = None
        self.noise: NoiseAhead | None = None

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        if batch_update is None:
            return
        for index in batch_update.removed:
            self.racers.pop(index, None)
        for index, params, prompt, written in batch_update.added:
            self.racers.pop(index, None)
            racer = _racer(params, prompt, written)
            if racer is not None:
                self.racers[index] = racer
        for one, other, direction in batch_update.moved:
            first, second = self.racers.pop(one, None), self.racers.pop(other, None)
            if first is not None:
                self.racers[other] = first
            if second is not None and direction == MoveDirectionality.SWAP:
                self.racers[one] = second

    def apply(self, logits: Tensor) -> Tensor:
        """Raw logits float32 [request, vocabulary]; returns them with each of our rows' choice above all others."""
        by_rule: dict[tuple[Sampling, float], list[int]] = {}
        for index in sorted(self.racers):
            by_rule.setdefault(self.racers[index].rule, []).append(index)
        for (sampling, margin), indices in by_rule.items():
            self._race(logits, indices, sampling, margin)
        return logits

    def _race(self, logits: Tensor, indices: list[int], sampling: Sampling, margin: float) -> None:
        racers = [self.racers[index] for index in indices]
        everyone = indices == list(range(len(logits)))
        chosen = logits if everyone else logits[indices]
        noise = None if sampling.greedy else self._drawn(racers, chosen)
        tokens, close = choose(chosen, noise, sampling, margin)
        if self.scores is not None:
            log_probs = chosen.gather(1, tokens[:, None])[:, 0] - chosen.logsumexp(-1)
            rows, steps = [racer.row for racer in racers], [len(racer.written) for racer in racers]
            self.scores.token_log_probs[rows, steps] = log_probs.cpu()
            self.scores.close[rows, steps] = close.cpu()
        # Above whatever a model gives: argmax has no choice. Where there is no number, the score says so.
        logits[torch.tensor(indices, device=logits.device), tokens] = torch.finfo(logits.dtype).max

    def _drawn(self, racers: Sequence[_Racer], logits: Tensor) -> Tensor:
        if self.noise is None:
            self.noise = NoiseAhead(logits.shape[1])
        positions = [racer.prompt_length + len(racer.written) for racer in racers]
        last = all(len(racer.written) + 1 >= racer.steps for racer in racers)
        return self.noise.draw([racer.key for racer in racers], positions, last).to(logits.device)


def _racer(params: SamplingParams, prompt: list[int] | None, written: list[int]) -> _Racer | None:
    race = (params.extra_args or {}).get(RACE)
    if race is None:
        return None
    assert prompt is not None, "texts are given as token ids"
    seed, sample_id, draw = race["key"]
    temperature, top_p, top_k = race["rule"]
    rule = (Sampling(temperature, top_p, int(top_k)), float(race["margin"]))
    key = StreamKey(seed, sample_id, draw)
    return _Racer(race["row"], key, rule, len(prompt), params.max_tokens or 0, written)
