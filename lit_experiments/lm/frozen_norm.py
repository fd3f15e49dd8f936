"""A final norm with its statistics held fixed: an affine map that equals the norm at the states it was frozen at.

Owns how such a map is found: not from the names of a module's parameters, which differ (Gemma multiplies by 1 + weight,
others have no weight), but from what the module answers to a few probes. What it finds is held against the module's own
output, so a norm of another kind is an error and not a wrong number. Rows N, hidden D.
"""

import torch
from torch import Tensor, nn

from lit_experiments.lm.errors import ModelError

_LARGE = 1e3  # length of the probe's entries: its statistics drown the norm's epsilon
_UNCHANGED = 1e-2  # of the answer to a probe: a norm that takes the mean away changes less than this under a shift
_TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


class FrozenNorm:
    """`norm` (LayerNorm or RMSNorm, None for no norm at all) frozen at `states` [N, D].

    weight, bias: float64 [D]. centred: whether it takes the mean away. scale: float64 [N], one over the statistic.
    output: float64 [N, D], what the module itself makes of the states.
    """

    def __init__(self, norm: nn.Module | None, states: Tensor) -> None:
        """Raises ModelError if the module is no such map."""
        held = states.double()
        self.weight, self.bias = torch.ones_like(held[0]), torch.zeros_like(held[0])
        self.centred, self.scale, self.output = False, torch.ones_like(held[:, 0]), held
        if norm is not None:
            self._probe(norm, states)
            self.output = _answer(norm, states)
            self._fit(held, type(norm).__name__, _TOLERANCE[states.dtype])

    def __call__(self, parts: Tensor) -> Tensor:
        """The map without its bias, [N, D] -> [N, D]: parts that sum to the states become parts of output - bias."""
        return self.scale[:, None] * self.weight * self._centre(parts)

    def pull_back(self, directions: Tensor) -> Tensor:
        """The directions [N, D] at the states whose inner product is that of `directions` at the output, bias apart."""
        return self._centre(self.scale[:, None] * self.weight * directions)

    def _centre(self, rows: Tensor) -> Tensor:
        return rows - rows.mean(-1, keepdim=True) if self.centred else rows

    def _probe(self, norm: nn.Module, states: Tensor) -> None:
        signs = torch.ones_like(states[0])
        signs[1::2] = -1
        signs -= signs.mean()
        probe = _LARGE * signs[None]
        plus, minus, shifted = (_answer(norm, vector)[0] for vector in (probe, -probe, probe + _LARGE))
        unit = signs.double() / signs.double().square().mean().sqrt()
        self.bias = (plus + minus) / 2
        self.weight = (plus - minus) / 2 / unit
        self.centred = bool((shifted - plus).abs().max() < _UNCHANGED * (plus - self.bias).abs().max())

    def _fit(self, held: Tensor, name: str, tolerance: float) -> None:
        without = self.weight * self._centre(held)
        answer = self.output - self.bias
        self.scale = (answer * without).sum(1) / without.square().sum(1)
        off = (answer - self.scale[:, None] * without).abs().amax()
        if not off <= tolerance * answer.abs().amax():
            raise ModelError(f"The final norm {name} is no LayerNorm and no RMSNorm: frozen, it is off by {off:.3g}.")


def _answer(norm: nn.Module, states: Tensor) -> Tensor:
    """float64 [N, D]."""
    return norm(states[None])[0].double()
