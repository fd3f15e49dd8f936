"""Oracle solutions: their tokens behind a prompt, and their latents, read by teacher forcing in one pass.

The same strided means as `lm.pool` takes while decoding: tokens of the solution are numbered from 1, the state of a
token is the one computed when it is read. Does not know: sampling, stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lit_experiments.experiments.geometry.problem_set import PromptedProblem
from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.errors import NonFiniteStateError
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.pool import Window
from lit_experiments.lm.tokens import Tokens


@dataclass(frozen=True)
class Oracle:
    """A problem with the tokens of its solution, as they follow its prompt."""

    prompted: PromptedProblem
    ids: list[int]

    def prefix(self, share: float) -> int:
        """How many tokens the first `share` of the solution is; at least one for a share above 0."""
        return max(round(share * len(self.ids)), 1) if share else 0


def oracle_tokens(tokens: Tokens, prompted: PromptedProblem, separator: str) -> list[int]:
    """The tokens of a problem's solution after its prompt and `separator`, without end-of-text.

    Tokenised together with the prompt, as the model met such texts; on its own where the tokenizer joins the two.
    """
    text = separator + (prompted.problem.solution or "")
    together = tokens.encode(prompted.prompt + text)
    if together[: len(prompted.ids)] == prompted.ids:
        return together[len(prompted.ids) :]
    return list(tokens.tokenizer(text, add_special_tokens=False)["input_ids"])


def oracle_latents(
    lm: LanguageModel, oracles: Sequence[Oracle], sites: Sequence[str], windows: Sequence[Sequence[Window]]
) -> NDArray[np.float32]:
    """Strided means [oracle, window, site, hidden] of each oracle's own `windows`, as many for each.

    NaN for a window that reaches beyond the solution's end.

    Raises:
        NonFiniteStateError: the model itself computed no numbers.
    """
    counted = [[_counted(window) for window in of_one] for of_one in windows]
    numbers = [
        sorted({n for numbered in of_one for n in numbered if n <= len(oracle.ids)})
        for oracle, of_one in zip(oracles, counted, strict=True)
    ]
    positions = [
        [len(oracle.prompted.ids) + n - 1 for n in of_one] for oracle, of_one in zip(oracles, numbers, strict=True)
    ]
    texts = [oracle.prompted.ids + oracle.ids for oracle in oracles]
    with torch.inference_mode():
        states = exact_states(lm, texts, sites, positions)
    rows = torch.stack([state.float().cpu() for state in states.values()], 1).split([len(of_one) for of_one in numbers])
    of_oracles = zip(rows, numbers, counted, strict=True)
    return np.stack([_means(*of_oracle, index) for index, of_oracle in enumerate(of_oracles)])


def _counted(window: Window) -> range:
    """Numbers of the tokens that a window counts."""
    return range(window.start + window.stride, window.start + window.length + 1, window.stride)


def _means(rows: torch.Tensor, numbers: list[int], windows: list[range], index: int) -> NDArray[np.float32]:
    """[window, site, hidden] from the states [token, site, hidden] of the tokens with these numbers."""
    if not rows.isfinite().all():
        token = numbers[int((~rows.isfinite()).any(-1).any(-1).nonzero()[0])]
        raise NonFiniteStateError(f"NaN or infinity at token {token} of the oracle solution.", index, "oracle", token)
    place = {number: row for row, number in enumerate(numbers)}
    nothing = torch.full(rows.shape[1:], torch.nan)
    means = [
        rows[[place[n] for n in window]].mean(0) if all(n in place for n in window) else nothing for window in windows
    ]
    return np.stack([mean.numpy() for mean in means]).astype(np.float32)
