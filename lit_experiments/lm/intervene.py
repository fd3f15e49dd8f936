"""Change hidden states during forward passes: patch, steer and ablate at named sites.

    with intervened(lm, [Steer("resid_post.3", direction, 4.0, "last")], sequences) as fired:
        logits = next_token_logits(lm, sequences)

Owns which positions interventions change in forward passes over whole sequences, and the count of their firings; how
they get into the model is `edits`' affair. Its conventions:
  * Interventions are bound to `sequences`, because what a position is depends on them. Every forward pass inside the
    block must read exactly these, padded on the right and without a cache, as `capture`, `exact_states`,
    `next_token_logits` and `token_log_probs` do; any other pass is refused, `Decoder`'s (padded on the left, cached)
    among them, which takes changes of its own (`steering.py`). With `cached` it is the other way round: `sequences` are
    then what is fed after a cache (`last_token.py` does that), and positions count in them.
  * Interventions at one site act in the order given, each on what the one before it left. Hooks run in the order in
    which they were set, so a capture inside the block sees the changed state at the same site.
  * A change at resid_mid is one of the residual stream: the MLP reads it, and so does the sum that leaves the block.
    A change at resid_pre.L leaves what `capture` shows as resid_post.L-1 untouched, though they are the same state.
  * The model's own tensors are never written to, and padding is never changed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from weakref import WeakSet

import torch
from torch import nn

from lit_experiments.lm.batching import chosen_rows, pad_right
from lit_experiments.lm.edits import Edit, hook_edits
from lit_experiments.lm.errors import ModelError, model_error
from lit_experiments.lm.interventions import Ablate, Intervention, Patch, Steer, Target
from lit_experiments.lm.model import CACHE_ARGUMENTS, LanguageModel
from lit_experiments.lm.sites import parse_site, resolve_sites

__all__ = ["Ablate", "Intervention", "Patch", "Steer", "intervened"]

_CHANGING: WeakSet[nn.Module] = WeakSet()  # the models inside an `intervened` block


@contextmanager
def intervened(
    lm: LanguageModel,
    interventions: Sequence[Intervention],
    sequences: Sequence[Sequence[int]],
    cached: bool = False,
) -> Iterator[list[int]]:
    """Changes hidden states in every forward pass inside the block; yields how often each intervention fired so far.

    sequences: the token ids that these passes read, in that order. cached: they are read after a cache.
    Raises ModelError for interventions that do not fit model or sequences, for a pass over anything else, inside
    another such block on the same model, and, after a block that ended well, for an intervention that never fired.
    """
    if lm.model in _CHANGING:
        raise model_error(
            f"{lm.info.name!r} is already inside an `intervened` block.", next_step="put all interventions in one list"
        )
    batch = _BoundBatch(lm, sequences, cached)
    fired = [0] * len(interventions)
    edits = [_bound(lm, intervention, batch, partial(_count, fired, k)) for k, intervention in enumerate(interventions)]
    with ExitStack() as stack:
        _CHANGING.add(lm.model)
        stack.callback(_CHANGING.discard, lm.model)
        stack.callback(lm.body.register_forward_pre_hook(batch.check, with_kwargs=True).remove)
        hook_edits(lm, edits, stack)
        yield fired
    silent = [edit.site.name for edit, count in zip(edits, fired, strict=True) if not count]
    if silent:
        raise model_error(
            f"An intervention never fired: {', '.join(silent)}.",
            actual="no forward pass inside the block reached its site (`capture` ends after the last site asked for)",
            next_step="run the model inside the block, or capture a later site",
        )


def _count(fired: list[int], k: int) -> None:
    fired[k] += 1


class _BoundBatch:
    """The sequences that the interventions are bound to, as the model must read them."""

    def __init__(self, lm: LanguageModel, sequences: Sequence[Sequence[int]], cached: bool) -> None:
        if not sequences:
            raise model_error("Interventions need the sequences that they act on: none given.")
        lm.check_sequences(sequences)
        self.sequences, self.name, self.cached = sequences, lm.info.name, cached
        self.ids = pad_right(sequences, lm.device).ids

    def check(self, _body: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Before each forward pass: refuses one over other tokens, or with a cache (without, if it is to have one)."""
        ids = args[0] if args else kwargs.get("input_ids")
        if any(kwargs.get(name) is not None for name in CACHE_ARGUMENTS) != self.cached:
            raise self._refusal(
                "a pass without a cache" if self.cached else "a pass that keeps a cache, as in `Decoder`"
            )
        if ids is None or ids.shape != self.ids.shape or not torch.equal(ids, self.ids):
            raise self._refusal(f"other tokens, of shape {None if ids is None else tuple(ids.shape)}")

    def _refusal(self, actual: str) -> ModelError:
        return model_error(
            f"This forward pass of {self.name!r} is not over the sequences that its interventions are bound to.",
            actual=actual,
            allowed=f"{len(self.sequences)} sequences of up to {self.ids.shape[1]} tokens, padded right, "
            + ("after a cache" if self.cached else "no cache"),
            next_step="give `intervened` the sequences of this pass, and read them with capture or next_token_logits",
        )


def _bound(lm: LanguageModel, intervention: Intervention, batch: _BoundBatch, fired: Callable[[], None]) -> Edit:
    """One intervention bound to one batch."""
    names = resolve_sites([intervention.site], lm.info.layout, lm.info.n_layers)
    if len(names) != 1:
        raise model_error(f"An intervention acts at one site, {intervention.site!r} is {len(names)}.")
    chosen = chosen_rows(batch.sequences, intervention.positions, batch.ids.shape[1])
    flat = [index for row in chosen for index in row]
    if not flat or len(set(flat)) < len(flat):
        problem = "none" if not flat else "a position of a sequence more than once"
        raise model_error(f"{names[0]}: an intervention needs different positions.", actual=problem)
    target = Target(names[0], [len(row) for row in chosen], lm.info.d_model, lm.device, lm.dtype)
    rows = torch.tensor(flat, device=lm.device)
    return Edit(parse_site(names[0]), rows, intervention.bind(target), fired, (batch.ids.numel(), lm.info.d_model))
