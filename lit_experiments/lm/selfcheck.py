"""Proof, on short forward passes, that every site of a loaded model is what its name says.

Owns the identities that must hold: shapes, resid_post.L = resid_pre.L+1, the sums along the residual stream, and
head(final_norm(resid_post.last)) = logits. Where rotary frequencies depend on the length, also beyond the length at
which they change, and for a row next to a shorter one. Values that are not finite are left to `capture`, which names
them.
"""

import torch
from torch import Tensor

from lit_experiments.lm.batching import Batch
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.hooks import Tap, tapped
from lit_experiments.lm.model import LanguageModel

TOKENS = 4
# Largest difference allowed, relative to the largest magnitude: one addition's or one matrix product's rounding.
TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


def check_sites(lm: LanguageModel) -> None:
    """Raises ModelError if a site of `lm` does not hold what its name promises."""
    logits = _check_reading(lm, first=0)
    if lm.info.rope is not None:
        beyond = max(1, lm.info.rope.shortest_limit - TOKENS // 2)
        _check_company(lm, beyond, torch.cat([logits, _check_reading(lm, beyond)]))


def _check_reading(lm: LanguageModel, first: int) -> Tensor:
    """Checks the sites in a pass over a few tokens, the first at position `first`; returns the model's own logits."""
    states, logits = _forward(lm, first)
    last = lm.info.n_layers - 1
    for layer in range(lm.info.n_layers):
        _check_block(lm, states, layer)
    _equal(lm, "embed", states["embed"], states["resid_pre.0"])
    hidden = states[f"resid_post.{last}"]
    if lm.info.layout.norm is not None:
        hidden = lm.model.get_submodule(lm.info.layout.norm)(hidden)
        _equal(lm, "final_norm", states["final_norm"], hidden)
    for path in lm.info.layout.after_norm:
        hidden = lm.model.get_submodule(path)(hidden)
    _equal(lm, "head(final_norm)", lm.head(hidden), logits)
    return logits


@torch.inference_mode()
def _check_company(lm: LanguageModel, beyond: int, alone: Tensor) -> None:
    """Reads the same tokens at positions 0.. and at `beyond`.. in one batch; alone: the logits of either by itself."""
    column = torch.arange(TOKENS, device=lm.device)
    ids = (column % lm.info.vocab_size).expand(2, -1)
    positions = torch.stack([column, column + beyond])
    batch = Batch(ids, positions, torch.ones_like(ids, dtype=torch.bool), positions[:, -1:] + 1)
    _equal(lm, "a row next to a longer one", lm.head(lm.read(batch)), alone)


@torch.inference_mode()
def _forward(lm: LanguageModel, first: int) -> tuple[dict[str, Tensor], Tensor]:
    sites = lm.info.sites
    states: dict[str, Tensor] = {}
    shape = (1, TOKENS, lm.info.d_model)
    tap = Tap(shape, len(sites), lambda k, state: states.__setitem__(sites[k], state.clone()), stop_when_complete=False)
    column = torch.arange(TOKENS, device=lm.device)[None]
    ids, mask = column % lm.info.vocab_size, torch.ones_like(column, dtype=torch.bool)
    with tapped(lm.model, lm.info.layout, sites, tap):
        logits = lm.model(
            input_ids=ids, attention_mask=mask, use_cache=False, return_dict=True, **lm.positions(column + first)
        ).logits
    return states, logits


def _check_block(lm: LanguageModel, states: dict[str, Tensor], layer: int) -> None:
    pre, post = states[f"resid_pre.{layer}"], states[f"resid_post.{layer}"]
    attn, mlp = states.get(f"attn_out.{layer}"), states.get(f"mlp_out.{layer}")
    if f"resid_pre.{layer + 1}" in states:
        _equal(lm, f"resid_post.{layer} = resid_pre.{layer + 1}", post, states[f"resid_pre.{layer + 1}"])
    middle = states.get(f"resid_mid.{layer}")
    adds_up = lm.info.layout.flow in ("sequential", "parallel")
    if adds_up and middle is None and attn is not None and mlp is not None:
        _equal(lm, f"resid_post.{layer} = resid_pre + attn_out + mlp_out", post, pre + attn + mlp)
    if adds_up and middle is not None:
        if attn is not None:
            _equal(lm, f"resid_mid.{layer} = resid_pre + attn_out", middle, pre + attn)
        if mlp is not None:
            _equal(lm, f"resid_post.{layer} = resid_mid + mlp_out", post, middle + mlp)


def _equal(lm: LanguageModel, claim: str, value: Tensor, expected: Tensor) -> None:
    both = value.isfinite() & expected.isfinite()
    if not both.any():
        return
    difference = (value.float() - expected.float())[both].abs().max()
    size = expected.float()[both].abs().max()
    if difference > TOLERANCE[lm.dtype] * (size + 1e-6):
        raise ModelError(
            f"The sites of {lm.info.name!r} ({lm.info.model_type}) are not where lm/architectures.py says: "
            f"{claim} is off by {float(difference):.3g} (largest value {float(size):.3g})."
        )
