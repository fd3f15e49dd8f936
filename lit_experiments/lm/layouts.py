"""Where the residual stream runs in each architecture's own modules: names only, from the configuration alone.

Owns the table of architectures. Knows nothing of hooks or tensors; `selfcheck` proves every entry on the loaded model.
Adding an architecture is one function here and one tiny configuration in tests/lm.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from lit_experiments.lm.errors import model_error, nearest

Flow = Literal["sequential", "parallel", "post_norm"]


@dataclass(frozen=True)
class Point:
    """One side of one module: `module` is a path below the block, `side` tells its input from its output."""

    module: str
    side: Literal["input", "output"]


@dataclass(frozen=True)
class Layout:
    """Module paths of one architecture.

    body: below the model, computes the last hidden state. blocks: below the model, the list of blocks. norm: below
    the model, the final norm, None where there is none. after_norm: what the body still applies between the norm and
    the head. attn_out, mlp_out: what is *added* to the residual stream (after Gemma-2's extra norms). resid_mid: the
    residual stream between the two additions, None where there is no such moment.
    flow: `sequential` (attention, then MLP), `parallel` (both read the block's input), `post_norm` (the stream is
    normalised after each addition, so it is no running sum).
    """

    body: str
    blocks: str
    norm: str | None
    attn_out: Point
    mlp_out: Point
    resid_mid: Point | None
    flow: Flow = "sequential"
    after_norm: tuple[str, ...] = ()


def layout_of(config: Any, where: str) -> Layout:
    """The layout of a configuration's architecture. Raises ModelError naming `where` it is from and the known ones."""
    family = _FAMILIES.get(config.model_type)
    if family is None:
        raise model_error(
            f"The sites of architecture {config.model_type!r} are not known: its blocks could not be found.",
            where=where,
            allowed=", ".join(sorted(_FAMILIES)),
            next_step=f"{nearest(config.model_type, _FAMILIES)} (or add the architecture to lm/layouts.py)",
        )
    return family(config)


def known_architectures() -> list[str]:
    """The `model_type` names that `layout_of` knows."""
    return sorted(_FAMILIES)


_LLAMA = Layout(
    body="model",
    blocks="model.layers",
    norm="model.norm",
    attn_out=Point("self_attn", "output"),
    mlp_out=Point("mlp", "output"),
    resid_mid=Point("post_attention_layernorm", "input"),
)
_GPT2 = Layout(
    body="transformer",
    blocks="transformer.h",
    norm="transformer.ln_f",
    attn_out=Point("attn", "output"),
    mlp_out=Point("mlp", "output"),
    resid_mid=Point("ln_2", "input"),
)


def _parallel(layout: Layout) -> Layout:
    return replace(layout, resid_mid=None, flow="parallel")


def _llama(config: Any) -> Layout:
    return _LLAMA


def _gpt2(config: Any) -> Layout:
    return _GPT2


def _gptj(config: Any) -> Layout:
    return _parallel(_GPT2)


def _opt(config: Any) -> Layout:
    body = "model.decoder"
    projected = (f"{body}.project_out",) if config.word_embed_proj_dim != config.hidden_size else ()
    has_norm = config.do_layer_norm_before and not config._remove_final_layer_norm
    layout = Layout(
        body=body,
        blocks=f"{body}.layers",
        norm=f"{body}.final_layer_norm" if has_norm else None,
        attn_out=Point("self_attn", "output"),
        mlp_out=Point("fc2", "output"),
        resid_mid=Point("final_layer_norm", "input"),
        after_norm=projected,
    )
    return layout if config.do_layer_norm_before else replace(layout, resid_mid=None, flow="post_norm")


def _gpt_neox(config: Any) -> Layout:
    layout = Layout(
        body="gpt_neox",
        blocks="gpt_neox.layers",
        norm="gpt_neox.final_layer_norm",
        attn_out=Point("attention", "output"),
        mlp_out=Point("mlp", "output"),
        resid_mid=Point("post_attention_layernorm", "input"),
    )
    return _parallel(layout) if config.use_parallel_residual else layout


def _gemma2(config: Any) -> Layout:
    return replace(
        _LLAMA,
        attn_out=Point("post_attention_layernorm", "output"),
        mlp_out=Point("post_feedforward_layernorm", "output"),
        resid_mid=Point("pre_feedforward_layernorm", "input"),
    )


def _gemma3(config: Any) -> Layout:
    # The multimodal checkpoints hold the same text model one level deeper.
    body = "model.language_model"
    return replace(_gemma2(config), body=body, blocks=f"{body}.layers", norm=f"{body}.norm")


def _olmo2(config: Any) -> Layout:
    return replace(
        _LLAMA,
        attn_out=Point("post_attention_layernorm", "output"),
        mlp_out=Point("post_feedforward_layernorm", "output"),
        resid_mid=Point("mlp", "input"),
    )


def _phi(config: Any) -> Layout:
    return replace(_parallel(_LLAMA), norm="model.final_layernorm")


def _cohere(config: Any) -> Layout:
    return _parallel(_LLAMA)


def _stablelm(config: Any) -> Layout:
    return _parallel(_LLAMA) if config.use_parallel_residual else _LLAMA


_FAMILIES: dict[str, Callable[[Any], Layout]] = {
    "cohere": _cohere,
    "gemma": _llama,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "gemma3_text": _gemma2,
    "gpt2": _gpt2,
    "gpt_bigcode": _gpt2,
    "gpt_neo": _gpt2,
    "gpt_neox": _gpt_neox,
    "gptj": _gptj,
    "llama": _llama,
    "mistral": _llama,
    "mixtral": _llama,
    "nemotron": _llama,
    "olmo": _llama,
    "olmo2": _olmo2,
    "olmo3": _olmo2,
    "opt": _opt,
    "phi": _phi,
    "phi3": _llama,
    "qwen2": _llama,
    "qwen2_moe": _llama,
    "qwen3": _llama,
    "qwen3_moe": _llama,
    "smollm3": _llama,
    "stablelm": _stablelm,
    "starcoder2": _llama,
}
