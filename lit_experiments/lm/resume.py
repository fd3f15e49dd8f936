"""Starts a forward pass at a later block, from what an earlier pass over the same batch computed up to there.

Owns how blocks are left out: their modules are still called, so that hooks at a block's output fire, but compute
nothing. Only bodies that hand one state from block to block may be resumed like this. Knows neither what is changed
afterwards nor why.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lit_experiments.lm.batching import Batch
from lit_experiments.lm.hooks import ForwardComplete
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.sites import Site

_MISSING = object()


@dataclass(frozen=True)
class Reached:
    """count: how many blocks have been computed. output: what the last of them returned, None before the first."""

    count: int
    output: Any


START = Reached(0, None)


def blocks_before(site: Site, n_layers: int) -> int:
    """How many blocks a change at `site` leaves as they are: all that are finished where it acts."""
    if site.kind == "embed":
        return 0
    if site.kind == "final_norm":
        return n_layers
    assert site.layer is not None, "only embed and final_norm belong to no block"
    return site.layer + (site.kind == "resid_post")


@contextmanager
def resumed(lm: LanguageModel, reached: Reached) -> Iterator[None]:
    """Inside, the first blocks hand on what was reached and compute nothing; nor do they fill a cache."""
    with ExitStack() as stack:
        for block in _blocks(lm)[: reached.count]:
            stack.callback(_restore, block, block.__dict__.get("forward", _MISSING))
            block.forward = lambda *_args, **_kwargs: reached.output
        yield


@torch.no_grad()
def reach(lm: LanguageModel, batch: Batch, cache: object, count: int, before: Reached = START) -> Reached:
    """What the first `count` blocks make of a batch; `before`: what is known of it, at most as far."""
    if count == before.count:
        return before
    outputs: list[Any] = []

    def keep(_module: nn.Module, _args: Any, output: Any) -> None:
        outputs.append(output)
        raise ForwardComplete

    handle = _blocks(lm)[count - 1].register_forward_hook(keep)
    try:
        with resumed(lm, before), suppress(ForwardComplete):
            lm.read(batch, cache)
    finally:
        handle.remove()
    return Reached(count, outputs[0])


def _blocks(lm: LanguageModel) -> list[nn.Module]:
    return list(lm.model.get_submodule(lm.info.layout.blocks).children())


def _restore(block: nn.Module, forward: Any) -> None:
    if forward is _MISSING:
        del block.forward
    else:
        block.forward = forward
