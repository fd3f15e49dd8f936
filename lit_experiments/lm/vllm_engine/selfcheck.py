"""Proof, on a few short texts, that what vLLM computes at every site is what the transformers engine computes there.

Owns the texts and the comparison. Where the model does not fit a second time, in memory of the host, what must hold
inside of the engine is checked instead: the sums along the residual stream, and that the logits behind the final norm
are those that vLLM chose its token by.
"""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lit_experiments.lm.errors import model_error
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.selfcheck import TOLERANCE

if TYPE_CHECKING:
    from lit_experiments.lm.vllm_engine.engine import VllmEngine

_LENGTHS = (5, 2, 9)
_SHARE = 4  # a model whose weights take more than this part of the free memory is not loaded twice
_WEIGHTS = ("*.safetensors", "*.bin")

Expected = tuple[Tensor, Tensor]


def reference(info: ModelInfo) -> Expected | None:
    """States float32 [site, token, hidden] and logits [text, vocabulary] by the transformers engine on the host; None
    where the model is quantised or too large for that."""
    import psutil

    files = [path for pattern in _WEIGHTS for path in info.located.folder.glob(pattern)]
    size = sum(path.stat().st_size for path in files)
    if size * _SHARE > psutil.virtual_memory().available or getattr(info.config, "quantization_config", None):
        return None
    from lit_experiments.lm.load import load
    from lit_experiments.lm.transformers_engine import TransformersEngine

    spec = replace(info.spec, engine="transformers", tensor_parallel=1)
    exact = TransformersEngine(load(spec, "cpu")).unrounded()
    captured = exact.capture(_texts(info), info.sites, nonfinite="record", next_logits=True)
    assert captured.next_logits is not None, "next_logits=True"
    result = captured.values.clone(), captured.next_logits.clone()
    del exact, captured
    gc.collect()
    return result


def check_states(engine: VllmEngine, expected: Expected | None) -> None:
    """Raises ModelError for a site of vLLM's that does not hold what its name promises."""
    captured = engine.unrounded().capture(_texts(engine.info), engine.info.sites, nonfinite="record", next_logits=True)
    assert captured.next_logits is not None, "next_logits=True"
    states = dict(zip(engine.info.sites, captured.values, strict=True))
    if expected is not None:
        for k, (name, state) in enumerate(states.items()):
            _equal(engine.info, name, state, expected[0][k])
        _equal(engine.info, "logits", captured.next_logits, expected[1])
        return
    for layer in range(engine.info.n_layers):
        _check_sums(engine.info, states, layer)
    _check_logits(engine, captured.next_logits)


def _texts(info: ModelInfo) -> list[list[int]]:
    longest = max(_LENGTHS) if info.window is None else min(max(_LENGTHS), info.window)
    return [[(7 * k + n) % info.vocab_size for k in range(min(n, longest))] for n in _LENGTHS]


def _check_sums(info: ModelInfo, states: dict[str, Tensor], layer: int) -> None:
    pre, post = states[f"resid_pre.{layer}"], states[f"resid_post.{layer}"]
    attn, mlp = states.get(f"attn_out.{layer}"), states.get(f"mlp_out.{layer}")
    if f"resid_pre.{layer + 1}" in states:
        _equal(info, f"resid_post.{layer} = resid_pre.{layer + 1}", post, states[f"resid_pre.{layer + 1}"])
    if info.layout.flow in ("sequential", "parallel") and attn is not None and mlp is not None:
        _equal(info, f"resid_post.{layer} = resid_pre + attn_out + mlp_out", post, pre + attn + mlp)


def _check_logits(engine: VllmEngine, logits: Tensor) -> None:
    """The token that vLLM itself takes, and its log-probability, by these logits."""
    decoder, texts = engine.decoder(), _texts(engine.info)
    keys = [StreamKey(0, "selfcheck", k) for k in range(len(texts))]
    taken = decoder.sample(decoder.prefill(texts), 1, Sampling(0, 1, 0), keys, feed_last=False)
    scores = logits.log_softmax(-1).gather(1, taken.token_ids)
    _equal(engine.info, "log-probability by head(final_norm)", scores, taken.log_probs)


def _equal(info: ModelInfo, claim: str, value: Tensor, expected: Tensor) -> None:
    both = value.isfinite() & expected.isfinite()
    if not both.any():
        return
    difference = float((value.float() - expected.float())[both].abs().max())
    size = float(expected.float()[both].abs().max())
    if difference > TOLERANCE[getattr(torch, info.spec.dtype)] * (size + 1e-6):
        raise model_error(
            f"What vLLM computes for {info.name!r} ({info.model_type}) is not what transformers computes: {claim} is "
            f"off by {difference:.3g} (largest value {size:.3g}).",
            next_step="--engine transformers",
        )
