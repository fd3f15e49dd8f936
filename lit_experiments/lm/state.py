"""Where a batch of texts stands while it is being continued: what was read, the cache, the next token's logits.

Owns `State` and how it is forked and thinned. Knows nothing of sampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from lit_experiments.lm.cache import selected
from lit_experiments.lm.errors import model_error
from lit_experiments.lm.steering import RowChanges


@dataclass
class State:
    """N rows of text, each fed to the model up to its last token.

    ids: every row's token ids. logits: float32 [N, V], for the token after the last one fed. captured: {site: [N,
    hidden]} in the model's dtype, at the last token fed, that is, the state that predicts the next token. mask: bool
    [N, columns of the cache], False at padding. whole: how many tokens every row's text had when it was last read as a
    whole and not token by token. changes: what is done to the rows' states, None for nothing. finished: True once the
    last token was sampled but not fed; such a state can no longer be continued.
    """

    ids: list[list[int]]
    logits: Tensor
    captured: dict[str, Tensor]
    cache: DynamicCache
    mask: Tensor
    whole: list[int]
    changes: RowChanges | None = None
    finished: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def fork(self, n: int) -> "State":
        """Each row `n` times, one after the other; independent of this state."""
        return self.select([row for row in range(len(self)) for _ in range(n)])

    def select(self, rows: Sequence[int]) -> "State":
        """The given rows, in that order (repeats allowed), as a new state independent of this one."""
        self.require_open()
        index = torch.as_tensor(rows, dtype=torch.long, device=self.logits.device)
        return State(
            ids=[list(self.ids[row]) for row in rows],
            logits=self.logits[index],
            captured={site: state[index] for site, state in self.captured.items()},
            cache=selected(self.cache, index),
            mask=self.mask[index],
            whole=[self.whole[row] for row in rows],
            changes=self.changes_of(rows),
        )

    def changes_of(self, rows: Sequence[int]) -> RowChanges | None:
        """What is done to the states of these rows."""
        if self.changes is None:
            return None
        return self.changes.select(torch.as_tensor(rows, dtype=torch.long, device=self.logits.device))

    def require_open(self) -> None:
        """Raises ModelError once the last sampled token was not fed."""
        if self.finished:
            raise model_error(
                "This state ended with a token that was not fed, so it cannot be continued or forked.",
                next_step="sample with feed_last=True",
            )
