"""Rotary position embeddings whose frequencies depend on how long the text is: longrope and dynamic NTK.

Hugging Face takes the longest position of a batch and lets it decide for all rows. Here every token is turned by the
frequencies that it would get if its row were read alone: those for the length that the row's text had when the token
was read (`Batch.lengths`). The rotary modules themselves compute the angles, called once for each length that matters.

Owns `LengthRope` (what a configuration says about it) and `RotaryByRow` (what is put into the loaded model). With a
cache, tokens keep the frequencies of their time, as in `generate`; Phi-3's `generate` reads the whole text anew when it
outgrows the original window (`reread_at`). Knows no texts and no sampling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lit_experiments.lm.errors import model_error

# Architectures whose `prepare_inputs_for_generation` drops the cache one token beyond the original window.
_REREADING = ("phi3",)


@dataclass(frozen=True)
class LengthRope:
    """Which lengths share their frequencies.

    limits: for each kind of layer ("" where all are alike) its type of rope and the most tokens up to which lengths
    make no difference. reread_at: the length at which decoding reads the text anew, None where it never does.
    """

    limits: dict[str, tuple[str, int]]
    reread_at: int | None

    @property
    def dynamic(self) -> bool:
        """Whether some frequencies grow with every token beyond the limit."""
        return any(kind == "dynamic" for kind, _ in self.limits.values())

    @property
    def shortest_limit(self) -> int:
        return min(limit for _, limit in self.limits.values())

    def same(self, one: int, other: int) -> bool:
        """Whether texts of these two lengths get the same frequencies."""
        return all(regime(kind, limit, one) == regime(kind, limit, other) for kind, limit in self.limits.values())


def regime(kind: str, limit: int, length: int) -> int:
    """A number that lengths have in common when they share their frequencies."""
    if length <= limit:
        return limit
    return length if kind == "dynamic" else limit + 1


def length_rope(config: Any) -> LengthRope | None:
    """What a configuration says; None for frequencies that are the same whatever the length."""
    text = config.get_text_config(decoder=True)
    parameters = getattr(text, "rope_parameters", None) or {}
    nested = {key: value for key, value in parameters.items() if isinstance(value, dict)}
    limits = {
        key: (kind, _limit(kind, values, text))
        for key, values in (nested or {"": parameters}).items()
        if (kind := _kind(values.get("rope_type", "default"))) is not None
    }
    if not limits:
        return None
    rereads = config.model_type in _REREADING
    return LengthRope(limits, text.original_max_position_embeddings + 1 if rereads else None)


def _kind(rope_type: str) -> str | None:
    if "dynamic" in rope_type:
        return "dynamic"
    return "longrope" if rope_type == "longrope" else None


def _limit(kind: str, values: dict[str, Any], text: Any) -> int:
    original = values.get("original_max_position_embeddings", getattr(text, "original_max_position_embeddings", None))
    return int(text.max_position_embeddings if kind == "dynamic" or original is None else original)


class RotaryByRow:
    """The rotary modules of a loaded model, each made to turn every row by its own length."""

    def __init__(self, body: nn.Module, rope: LengthRope, name: str) -> None:
        """Changes the modules below `body`. Raises ModelError when there are none."""
        self.rope = rope
        self._lengths: Tensor | None = None
        modules = [module for module in body.modules() if hasattr(module, "rope_type")]
        if not modules:
            raise model_error(
                f"The rotary embeddings of {name!r} depend on the text's length, but cannot be given row by row.",
                actual=", ".join(sorted({kind for kind, _ in rope.limits.values()})),
                next_step="name a model whose rope_parameters do not depend on the length",
            )
        for module in modules:
            module.forward = partial(self._forward, module, module.forward)

    @contextmanager
    def reading(self, lengths: Tensor) -> Iterator[None]:
        """For one forward pass over tokens that were read when their text had `lengths` [batch, token or 1] tokens."""
        self._lengths = lengths
        try:
            yield
        finally:
            self._lengths = None

    def _forward(
        self,
        module: nn.Module,
        original: Callable[..., Any],
        x: Tensor,
        position_ids: Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        key = kwargs.get("layer_type", args[0] if args else None) or ""
        if self._lengths is None or key not in self.rope.limits:
            return original(x, position_ids, *args, **kwargs)
        shape = torch.broadcast_shapes(position_ids.shape, self._lengths.shape)
        lengths = self._lengths.expand(shape).reshape(-1)
        # What lies beyond a row's end is padding.
        positions = torch.minimum(position_ids.expand(shape).reshape(-1), lengths - 1)
        kind, limit = self.rope.limits[key]
        parts = _by_length(lambda chosen: original(x[:1], chosen, *args, **kwargs), positions, lengths, kind, limit)
        return tuple(part.view(*shape, -1) for part in parts)


def _by_length(
    compute: Callable[[Tensor], Any], positions: Tensor, lengths: Tensor, kind: str, limit: int
) -> list[Tensor]:
    """cos and sin [token, width] of `positions` [token], those of one regime in one call of `compute`."""
    regimes = lengths.clamp(min=limit)
    if kind != "dynamic":
        regimes = regimes.clamp(max=limit + 1)
    parts: list[Tensor] = []
    for one in regimes.unique().tolist():
        chosen = (regimes == one).nonzero()[:, 0]
        compute(positions.new_zeros(1, 1))  # dynamic NTK remembers the longest text so far until it sees a short one
        longest = lengths[chosen].max()[None] - 1  # the last position is what the module judges the length by
        cos_sin = compute(torch.cat([positions[chosen], longest])[None])
        if not parts:
            parts = [part.new_empty(len(positions), part.shape[-1]) for part in cos_sin]
        for whole, part in zip(parts, cos_sin, strict=True):
            whole[chosen] = part[0, :-1]
    return parts
