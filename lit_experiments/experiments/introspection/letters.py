"""Answer letters as tokens, and the distribution over them at the answer position.

Owns: which tokens count as a letter after a given prompt (with and without a space in front, both summed), and the
numbers made of their logits. Does not know: what the letters mean.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_experiments.errors import UserError
from lit_experiments.lm.tokens import Tokens

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


def resolve_letters(tokens: Tokens, prompt: str, ids: Sequence[int], letters: str) -> list[list[int]]:
    """For each letter, the tokens that can follow `prompt` and are that letter, with or without a space in front.

    The letter is tokenised together with the prompt, since a tokenizer may join across the seam or split a letter off
    its space. Raises UserError when a letter has no token of its own here, or two letters share one.
    """
    found = [_spellings(tokens, prompt, list(ids), letter) for letter in letters]
    lost = [letter for letter, spelled in zip(letters, found, strict=True) if not spelled]
    shared = len({token for spelled in found for token in spelled}) < sum(map(len, found))
    if lost or shared:
        what = f"no token of its own for {', '.join(lost)}" if lost else "one token for several letters"
        raise UserError(
            f"This tokenizer has {what} after the prompt {prompt[-40:]!r}.\n"
            f"Next: end the template differently (for example with or without a space after the colon)."
        )
    return found


def _spellings(tokens: Tokens, prompt: str, ids: list[int], letter: str) -> list[int]:
    found: list[int] = []
    for text in (f"{prompt} {letter}", f"{prompt}{letter}"):
        longer = tokens.encode(text)
        added = longer[len(ids) :]
        if longer[: len(ids)] == ids and len(added) == 1 and added[0] not in found:
            found.append(added[0])
    return found


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
        found = wide.gather(1, self.ids).view(self.shape).masked_fill(self.absent, -torch.inf)
        return found.logsumexp(-1), wide.logsumexp(-1)


def margin(logits: Floats, key: int) -> float:
    """Logit of the right letter minus that of the best wrong one."""
    return float(logits[key] - np.delete(logits, key).max())


def letter_in(text: str, letters: str) -> str | None:
    """The first of `letters` that stands alone as a word in `text`."""
    match = re.search(rf"(?<![A-Za-z])([{letters}])(?![A-Za-z])", text)
    return match.group(1) if match else None
