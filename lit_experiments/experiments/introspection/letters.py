"""The distribution over answer letters at the answer position.

Owns: the numbers made of the letters' logits. Does not know: what the letters mean, which tokens they are
(`lm.letters`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Distribution:
    """Over the letters at one position. logits: log of the summed exp of a letter's tokens' logits, [letter]; probs:
    softmax over the letters alone, [letter]; entropy: of probs, nats; outside: probability of all other tokens.
    """

    logits: Floats
    probs: Floats
    entropy: float
    outside: float


def distribution(logits: NDArray[np.float32], spellings: Sequence[Sequence[int]]) -> Distribution:
    """From next-token logits [vocabulary] and each letter's tokens."""
    wide = logits.astype(np.float64)
    by_letter = np.array([np.logaddexp.reduce(wide[list(spelled)]) for spelled in spellings])
    everything, among = np.logaddexp.reduce(wide), np.logaddexp.reduce(by_letter)
    log_probs = by_letter - among
    probs = np.exp(log_probs)
    # -expm1 keeps what lies outside exact when almost nothing does.
    outside = max(0.0, float(-np.expm1(among - everything)))
    return Distribution(by_letter, probs, float(-(probs @ log_probs)), outside)


class LetterTable:
    """The letters' tokens of a batch of prompts, to make `distribution`'s numbers of many batches of logits quickly.

    spellings: per prompt, each letter's tokens; equally many letters everywhere.
    """

    def __init__(self, spellings: Sequence[Sequence[Sequence[int]]], device: torch.device) -> None:
        widest = max(len(spelled) for prompt in spellings for spelled in prompt)
        padded = [[[*spelled, *[-1] * (widest - len(spelled))] for spelled in prompt] for prompt in spellings]
        ids = torch.tensor(padded, device=device)
        self.absent, self.shape = ids < 0, ids.shape
        self.ids = ids.clamp(min=0).flatten(1)

    def letter_logits(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """(float64 [prompt, letter], the log of the summed exp of all logits [prompt]) of logits [prompt, vocab]."""
        wide = logits.double()
        by_token = wide.gather(1, self.ids).view(self.shape).masked_fill(self.absent, -torch.inf)
        return by_token.logsumexp(-1), wide.logsumexp(-1)


def margin(logits: Floats, key: int) -> float:
    """Logit of the right letter minus that of the best wrong one."""
    return float(logits[key] - np.delete(logits, key).max())


def letter_in(text: str, letters: str) -> str | None:
    """The first of `letters` that stands alone as a word in `text`."""
    match = re.search(rf"(?<![A-Za-z])([{letters}])(?![A-Za-z])", text)
    return match.group(1) if match else None
