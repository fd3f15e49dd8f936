"""Where a batch of texts stands while it is being continued: what was read, the cache, the next token's logits.

Owns `State` and how caches are forked, thinned and shortened. Hugging Face's dynamic cache layers never write into a
tensor that they hold, they replace it; so two states may share tensors, and none is changed by what another does.
Knows nothing of sampling.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from lit_experiments.lm.errors import ModelError, model_error


@dataclass
class State:
    """N rows of text, each fed to the model up to its last token.

    ids: every row's token ids. logits: float32 [N, V], for the token after the last one fed. captured: {site: [N,
    hidden]} in the model's dtype, at the last token fed, that is, the state that predicts the next token. mask: bool
    [N, columns of the cache], False at padding. finished: True once the last token was sampled but not fed;
    such a state can no longer be continued.
    """

    ids: list[list[int]]
    logits: Tensor
    captured: dict[str, Tensor]
    cache: DynamicCache
    mask: Tensor
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
            cache=_select_cache(self.cache, index),
            mask=self.mask[index],
        )

    def require_open(self) -> None:
        """Raises ModelError once the last sampled token was not fed."""
        if self.finished:
            raise model_error(
                "This state ended with a token that was not fed, so it cannot be continued or forked.",
                next_step="sample with feed_last=True",
            )


def new_cache(config: object) -> DynamicCache:
    """An empty cache for a model of this configuration. Raises ModelError for layers that cannot be forked."""
    cache = DynamicCache(config=config)
    kinds = {type(layer) for layer in cache.layers} - {DynamicLayer, DynamicSlidingWindowLayer}
    if kinds:
        raise ModelError(f"This model's cache cannot be forked: {', '.join(kind.__name__ for kind in kinds)}.")
    return cache


def cropped_cache(cache: DynamicCache, columns: int) -> DynamicCache | None:
    """A copy without the last columns, so that `columns` remain; None where a sliding window has already let go of
    what would be needed again."""
    held = cache.get_seq_length()
    full = [layer for layer in cache.layers if layer.is_sliding and held >= layer.sliding_window]
    if full and columns < held:
        return None
    shorter = shallow_copy(cache)
    shorter.crop(columns - held)
    return shorter


def _select_cache(cache: DynamicCache, index: Tensor) -> DynamicCache:
    chosen = shallow_copy(cache)
    chosen.batch_select_indices(index)
    return chosen


def shallow_copy(cache: DynamicCache) -> DynamicCache:
    """A cache that shares every tensor; what is fed to it leaves the first one as it is."""
    twin = copy.copy(cache)
    twin.layers = [copy.copy(layer) for layer in cache.layers]
    return twin
