"""Runs interventions at the answer position and measures what they change. Knows no store and no statistics.

Shapes: N questions, C interventions, M measures (`MEASURES`), V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_experiments.experiments.introspection.letters import LetterTable
from lit_experiments.experiments.introspection.patching.choice import Prompts
from lit_experiments.experiments.introspection.prompts import MIDPOINTS
from lit_experiments.lm.intervene import Intervention
from lit_experiments.lm.last_token import LastTokenPasses, last_token_passes
from lit_experiments.lm.model import LanguageModel

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Make = Callable[[Rows], Intervention]  # an intervention for a batch of the questions
MEASURES = ("confidence", "entropy", "outside", "accuracy", "key")
"""Expected confidence (percent; confidence passes), entropy of the letters (nats), probability outside the letters
(percent), whether the most probable letter is the key (percent; mcq), the key's probability among the letters (percent;
mcq)."""


def groups(lengths: Sequence[int], batch_tokens: int) -> list[Rows]:
    """Places of the questions in batches of at most `batch_tokens` tokens, padding counted, by length."""
    order = np.argsort(lengths, kind="stable")[::-1]
    out: list[list[int]] = []
    for index in order:
        if not out or lengths[out[-1][0]] * (len(out[-1]) + 1) > batch_tokens:
            out.append([])
        out[-1].append(int(index))
    return [np.array(group, np.int64) for group in out]


class Bench:
    """Questions of one pass, ready to be answered again and again.

    clean: [slot, N, M] measures of the model as it is. cached: whether prompts are read only once.
    """

    def __init__(self, lm: LanguageModel, prompts: Prompts, batches: list[Rows], together: int) -> None:
        self.prompts, self.batches = prompts, batches
        self.tables = [LetterTable([prompts.spellings[i] for i in rows], lm.device) for rows in batches]
        self.passes: list[LastTokenPasses] = [
            last_token_passes(lm, [prompts.ids[i] for i in rows], together) for rows in batches
        ]
        self.cached = all(batch.cached for batch in self.passes)
        slots = max(batch.slots for batch in self.passes)
        self.clean = np.full((slots, len(prompts.ids), len(MEASURES)), np.nan)
        self.collected_difference = 0.0
        for rows, table, batch in zip(batches, self.tables, self.passes, strict=True):
            for slot, logits in enumerate(batch.clean()):
                self.clean[slot, rows] = self._measure(logits, table, rows)
                if slot == 0:
                    self._compare_with_store(logits, table, rows)

    def changes(self, interventions: Sequence[Make], done: Callable[[int], object]) -> Floats:
        """[C, N, M] measures under each intervention, minus those of the model as it is; `done` counts them."""
        out = np.full((len(interventions), *self.clean.shape[1:]), np.nan)
        for rows, table, batch in zip(self.batches, self.tables, self.passes, strict=True):
            batch_interventions = [make(rows) for make in interventions]
            for index, (slot, logits) in enumerate(batch.logits(batch_interventions)):
                out[index, rows] = self._measure(logits, table, rows) - self.clean[slot, rows]
                if rows is self.batches[-1]:
                    done(1)
        return out

    def states(self, site: str) -> Tensor:
        """[N, hidden] at the answer positions, unrounded."""
        by_batch = [batch.states(site)[0] for batch in self.passes]
        out = torch.empty(
            len(self.prompts.ids), by_batch[0].shape[-1], dtype=by_batch[0].dtype, device=by_batch[0].device
        )
        for rows, states in zip(self.batches, by_batch, strict=True):
            out[torch.as_tensor(rows, device=out.device)] = states
        return out

    def _measure(self, logits: Tensor, table: LetterTable, rows: Rows) -> Floats:
        """[N, M] from logits [N, V]."""
        by_letter, everything = table.letter_logits(logits)
        among = by_letter.logsumexp(-1)
        log_probs = by_letter - among[:, None]
        probs = log_probs.exp()
        entropy = -(probs * log_probs).sum(-1)
        outside = -100 * torch.expm1((among - everything).clamp(max=0))
        unknown = torch.full_like(entropy, torch.nan)
        if self.prompts.kind == "mcq":
            key = torch.as_tensor(self.prompts.key[rows], device=logits.device)
            right = 100 * (probs.argmax(-1) == key).double()
            columns = [unknown, entropy, outside, right, 100 * probs.gather(1, key[:, None])[:, 0]]
        else:
            expected = probs @ torch.tensor(MIDPOINTS, dtype=probs.dtype, device=probs.device)
            columns = [expected, entropy, outside, unknown, unknown]
        return torch.stack(columns, -1).cpu().numpy()

    def _compare_with_store(self, logits: Tensor, table: LetterTable, rows: Rows) -> None:
        then = self.prompts.logits[rows]
        difference = np.abs(table.letter_logits(logits)[0].cpu().numpy() - then).max() / np.abs(then).max()
        self.collected_difference = max(self.collected_difference, float(difference))
