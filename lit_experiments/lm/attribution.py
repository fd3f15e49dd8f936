"""Which layers prefer one next token to another: the logit difference as a sum over embedding, layers and biases.

Owns the decomposition (direct logit attribution; Elhage et al. 2021, "A Mathematical Framework for Transformer
Circuits"). With u = W_U[first] - W_U[second] and h_l the residual stream behind block l, at the last token:

    raw      u . (h_l - h_{l-1})
    frozen   u . J (h_l - h_{l-1}), J the final norm with its statistics held at the values they have for h_last

The frozen contributions of embedding and layers, and those of the biases of norm and head, sum to the difference of the
logits before any soft cap. What the model applies between norm and head (a projection) and to the logits (a scale)
is linear and belongs to u. Rows N, layers L. Knows no store and no decoding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.frozen_norm import FrozenNorm
from lit_experiments.lm.model import LanguageModel


@dataclass(frozen=True)
class Contributions:
    """Parts of a difference, float64 on the host. embed: [N]; layers, attention, mlp: [N, L]; rest: [N, L], what a
    layer adds besides attention and MLP: rounding, or the norms of blocks that normalise the stream itself."""

    embed: Tensor
    layers: Tensor
    attention: Tensor
    mlp: Tensor

    @property
    def rest(self) -> Tensor:
        return self.layers - self.attention - self.mlp

    @property
    def total(self) -> Tensor:
        """[N], embedding and layers."""
        return self.embed + self.layers.sum(1)


@dataclass(frozen=True)
class LogitAttribution:
    """The decomposition for N texts, float64 on the host.

    difference: [N] of the two logits, before the soft cap if the model has one; capped: [N] after it (the same without
    one). bias: [N], of the final norm and the head. residual: [N], difference less all frozen parts.
    """

    raw: Contributions
    frozen: Contributions
    bias: Tensor
    difference: Tensor
    capped: Tensor

    @property
    def residual(self) -> Tensor:
        return self.difference - self.frozen.total - self.bias


@torch.no_grad()
def attribute(
    lm: LanguageModel, sequences: Sequence[Sequence[int]], pairs: Sequence[tuple[int, int]]
) -> LogitAttribution:
    """Attributes logit[first] - logit[second] of the token that follows each sequence, for its pair (first, second).

    Raises ModelError for sequences that the model cannot read, tokens it does not have, and a final norm that is
    neither a LayerNorm nor an RMSNorm.
    """
    _check(lm, sequences, pairs)
    kinds = [f"{kind}.{layer}" for layer in range(lm.info.n_layers) for kind in ("attn_out", "mlp_out", "resid_post")]
    states = exact_states(lm, sequences, ["embed", *kinds], "last")
    path = lm.info.layout.norm
    norm = FrozenNorm(None if path is None else lm.model.get_submodule(path), states[kinds[-1]])
    states = {site: state.double() for site, state in states.items()}
    read_out = _ReadOut(lm, pairs)
    logits = read_out.logits(norm.output)
    return LogitAttribution(
        raw=_parts(states, read_out.direction, lm.info.n_layers),
        frozen=_parts(states, norm.pull_back(read_out.direction), lm.info.n_layers),
        bias=(read_out.bias + read_out.direction @ norm.bias).cpu(),
        difference=_between(logits).cpu(),
        capped=_between(read_out.capped(logits)).cpu(),
    )


class _ReadOut:
    """The rows of head and projection that two tokens read, in float64. direction: [N, hidden]; bias: [N]."""

    def __init__(self, lm: LanguageModel, pairs: Sequence[tuple[int, int]]) -> None:
        scale, self.cap = lm.info.layout.logit_scale, lm.info.layout.logit_cap
        ids = torch.tensor(pairs, device=lm.device)
        rows, offsets = _rows_of(lm.model.get_output_embeddings(), ids, lm.dtype)  # [N, 2, width], [N, 2]
        self.rows, self.offsets = (part.double() * scale for part in (rows, offsets))
        for path in reversed(lm.info.layout.after_norm):
            linear = lm.model.get_submodule(path)
            if type(linear) is not nn.Linear:
                raise ModelError(f"An adapter changes {path}, which the attribution takes for a matrix.")
            rows, offsets = _matrix(linear, lm.device)
            self.offsets = self.offsets + self.rows @ offsets.double()
            self.rows = self.rows @ rows.double()
        self.direction = self.rows[:, 0] - self.rows[:, 1]
        self.bias = _between(self.offsets)

    def logits(self, final: Tensor) -> Tensor:
        """[N, 2] of the two tokens, before the soft cap, from the normalised states [N, hidden]."""
        return (self.rows * final[:, None]).sum(-1) + self.offsets

    def capped(self, logits: Tensor) -> Tensor:
        return logits if self.cap is None else torch.tanh(logits / self.cap) * self.cap


def _rows_of(head: nn.Module, ids: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The rows and biases of an output embedding for `ids` [N, 2]: [N, 2, width], [N, 2].

    Of one that an adapter changes, or whose weight lies elsewhere or in few bits, they are what its logits change by:
    their gradient, and their value at zero.
    """
    if type(head) is nn.Linear and head.weight.device == ids.device:
        return head.weight[ids], head.weight.new_zeros(ids.shape) if head.bias is None else head.bias[ids]
    width = next(head.parameters()).shape[-1]
    with torch.inference_mode(False), torch.enable_grad():
        zero = torch.zeros(*ids.shape, width, dtype=dtype, device=ids.device, requires_grad=True)
        logits = head(zero).gather(-1, ids.clone()[..., None])[..., 0]
        (rows,) = torch.autograd.grad(logits.sum(), zero)
    return rows, logits.detach()


def _matrix(linear: nn.Linear, device: torch.device) -> tuple[Tensor, Tensor]:
    """Weight [out, in] and bias [out] of a matrix, which is called instead of read: its weight may lie on the disk."""
    inputs = torch.eye(linear.in_features, dtype=linear.weight.dtype, device=device)
    bias = linear(torch.zeros_like(inputs[:1]))[0]
    return (linear(inputs) - bias).T, bias


def _check(lm: LanguageModel, sequences: Sequence[Sequence[int]], pairs: Sequence[tuple[int, int]]) -> None:
    lm.check_sequences(sequences)
    if len(pairs) != len(sequences):
        raise ModelError(f"{len(sequences)} sequences need as many pairs of tokens: {len(pairs)} given.")
    foreign = [token for pair in pairs for token in pair if not 0 <= token < lm.info.vocab_size]
    if foreign:
        raise ModelError(f"{lm.info.name!r} has no token {foreign[0]}, only 0 to {lm.info.vocab_size - 1}.")


def _between(pair: Tensor) -> Tensor:
    return pair[:, 0] - pair[:, 1]


def _parts(states: dict[str, Tensor], direction: Tensor, n_layers: int) -> Contributions:
    """Inner products of what is added to the stream with `direction` [N, hidden]."""
    project = lambda state: (state * direction).sum(1).cpu()  # noqa: E731
    stream = [states["embed"], *(states[f"resid_post.{i}"] for i in range(n_layers))]
    return Contributions(
        embed=project(stream[0]),
        layers=torch.stack([project(after - before) for before, after in pairwise(stream)], 1),
        attention=torch.stack([project(states[f"attn_out.{i}"]) for i in range(n_layers)], 1),
        mlp=torch.stack([project(states[f"mlp_out.{i}"]) for i in range(n_layers)], 1),
    )
