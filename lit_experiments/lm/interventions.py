"""What can be done to a hidden state: replace it, move it along a direction, remove it along a direction.

Owns `Patch`, `Steer`, `Ablate`: what the user writes, the check of it against a batch, and the formula on rows
[row, hidden]. Knows no hooks; `intervene` puts the changed rows into a forward pass.

`positions` mean the same as in `capture`: `all` (real tokens), `last` (each sequence's own last token), or per sequence
a list of token indices (negative ones count from its end). Rows are in `capture`'s order: the chosen positions of the
first sequence, then those of the second, and so on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lit_experiments.lm.batching import Positions
from lit_experiments.lm.errors import ModelError, model_error

Change = Callable[[Tensor], Tensor]  # [row, hidden] before -> [row, hidden] after, in the same dtype


@dataclass(frozen=True)
class Target:
    """Where an intervention acts: the site's stored name, how many positions of each sequence, and the model's own
    width, device and dtype."""

    site: str
    counts: list[int]
    width: int
    device: torch.device
    dtype: torch.dtype


@dataclass(frozen=True, eq=False)
class Patch:
    """Replaces the state at `site` by `vectors`.

    vectors: [row, hidden], one for every chosen position ([sequence, hidden] where each sequence has one), or
    [sequence, position, hidden] where all sequences have equally many. A state that is to be put back exactly comes
    from `exact_states`; `capture` rounds to float16.
    """

    site: str
    vectors: Tensor
    positions: Positions

    def bind(self, target: Target) -> Change:
        """The change for one batch. Raises ModelError for vectors that do not fit it."""
        given = torch.as_tensor(self.vectors)
        shapes: list[tuple[int, ...]] = [(sum(target.counts), target.width)]
        if len(set(target.counts)) == 1:
            shapes.append((len(target.counts), target.counts[0], target.width))
        if tuple(given.shape) not in shapes:
            raise _misfit("Patch", target, "vectors", given, shapes)
        rows = on_device("Patch", target, "vectors", given, target.dtype).reshape(shapes[0])
        return lambda before: rows.to(before.dtype)


@dataclass(frozen=True, eq=False)
class Steer:
    """Adds `amount` times the unit vector along `direction` to the state at `site`, in float32.

    direction: [hidden], of any length but zero. amount: in units of the hidden state, a number or one per sequence.
    """

    site: str
    direction: Tensor
    amount: float | Sequence[float] | Tensor
    positions: Positions

    def bind(self, target: Target) -> Change:
        """The change for one batch. Raises ModelError for a direction or amounts that do not fit it."""
        unit = unit_direction("Steer", target, self.direction)
        given = torch.as_tensor(self.amount, dtype=torch.float32)
        n = len(target.counts)
        if given.shape not in ((), (n,)):
            raise _misfit("Steer", target, "amount", given, [(), (n,)])
        amounts = on_device("Steer", target, "amount", given, torch.float32).expand(n)
        shift = amounts.repeat_interleave(torch.tensor(target.counts, device=target.device))[:, None] * unit
        return lambda before: (before.float() + shift).to(before.dtype)


@dataclass(frozen=True, eq=False)
class Ablate:
    """Takes the part along `direction` out of the state at `site`: h - (h.u)u with u the unit vector, in float32.

    direction: [hidden], of any length but zero. What is left along it is the rounding of the model's dtype.
    """

    site: str
    direction: Tensor
    positions: Positions

    def bind(self, target: Target) -> Change:
        """The change for one batch. Raises ModelError for a direction that does not fit it."""
        unit = unit_direction("Ablate", target, self.direction)
        # Multiplied and summed, because a matrix product may run in TF32 on a GPU.
        return lambda before: without(before.float(), unit).to(before.dtype)


Intervention = Patch | Steer | Ablate


def without(h: Tensor, unit: Tensor) -> Tensor:
    """h [row, hidden] without its part along unit, [hidden] or [row, hidden]; both float32."""
    return h - (h * unit).sum(-1, keepdim=True) * unit


def unit_direction(kind: str, target: Target, direction: Tensor) -> Tensor:
    """The unit vector float32 [hidden] along `direction`, on the target's device. Raises ModelError for one that does
    not fit, or has no length."""
    given = torch.as_tensor(direction)
    if tuple(given.shape) != (target.width,):
        raise _misfit(kind, target, "direction", given, [(target.width,)])
    # Divided in float64, where the square of no float32 is zero or infinite.
    wide = on_device(kind, target, "direction", given, torch.float32).double()
    if not bool(wide.any()):
        raise model_error(
            f"{kind} at {target.site}: the direction is zero.", next_step="give a direction of some length"
        )
    return (wide / wide.norm()).float()


def on_device(kind: str, target: Target, what: str, given: Tensor, dtype: torch.dtype) -> Tensor:
    """`given` on the model's device, in memory of its own, without gradient; refuses what is no number in `dtype`."""
    placed = given.detach().to(target.device, dtype, copy=True)
    broken = int((~placed.isfinite()).sum())
    if broken:
        raise model_error(
            f"{kind} at {target.site}: the {what} must be finite numbers in {str(dtype).removeprefix('torch.')}.",
            actual=f"{broken} of {placed.numel()} values are NaN, infinite, or too large for it",
        )
    return placed


def _misfit(kind: str, target: Target, what: str, given: Tensor, allowed: Sequence[tuple[int, ...]]) -> ModelError:
    return model_error(
        f"{kind} at {target.site}: the {what} does not fit the batch.",
        actual=f"shape {tuple(given.shape)}",
        allowed=" or ".join(str(shape) for shape in allowed)
        + f" for {len(target.counts)} sequences with {sum(target.counts)} chosen positions and a hidden size of "
        + f"{target.width}",
    )
