"""Every architecture that is known, by its `model_type`: its layout, from the configuration alone.

Owns the table. Knows nothing of hooks or tensors; `selfcheck` proves every entry on the loaded model.
Adding an architecture is one entry here, and one tiny configuration in tests/lm.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from lit_experiments.lm.errors import model_error, nearest
from lit_experiments.lm.layouts import Layout, Point


def layout_of(config: Any, where: str) -> Layout:
    """The layout of a configuration's architecture; of a multimodal one, that of its text model.

    Raises ModelError naming `where` it is from and the known ones.
    """
    if config.model_type in AROUND_TEXT:
        return _below(layout_of(_text(config), where), AROUND_TEXT[config.model_type])
    family = _FAMILIES.get(config.model_type)
    if family is None:
        reason = _REFUSED.get(config.model_type)
        raise model_error(
            f"The sites of architecture {config.model_type!r} are not known: its blocks could not be found."
            if reason is None
            else f"Architecture {config.model_type!r} has no sites: {reason}.",
            where=where,
            allowed=", ".join(known_architectures()),
            next_step=f"{nearest(config.model_type, _FAMILIES)} (or add the architecture to lm/architectures.py)",
        )
    return family(config)


def known_architectures() -> list[str]:
    """The `model_type` names that `layout_of` knows."""
    return sorted([*_FAMILIES, *AROUND_TEXT])


def _output(module: str, scale: float = 1.0) -> Point:
    return Point(module, "output", scale)


_LLAMA = Layout(
    body="model",
    blocks="model.layers",
    norm="model.norm",
    attn_out=_output("self_attn"),
    mlp_out=_output("mlp"),
    resid_mid=Point("post_attention_layernorm", "input"),
)
_GPT2 = Layout(
    body="transformer",
    blocks="transformer.h",
    norm="transformer.ln_f",
    attn_out=_output("attn"),
    mlp_out=_output("mlp"),
    resid_mid=Point("ln_2", "input"),
)
# Gemma-2: what attention and MLP give is normalised before it is added.
_GEMMA2 = replace(
    _LLAMA,
    attn_out=_output("post_attention_layernorm"),
    mlp_out=_output("post_feedforward_layernorm"),
    resid_mid=Point("pre_feedforward_layernorm", "input"),
)
# OLMo 2: likewise, and nothing is normalised before attention and MLP read it.
_OLMO2 = replace(_GEMMA2, resid_mid=Point("mlp", "input"))
_GLM4 = replace(_LLAMA, attn_out=_output("post_self_attn_layernorm"), mlp_out=_output("post_mlp_layernorm"))
_OPT_BLOCK: dict[str, Any] = {"mlp_out": _output("fc2"), "resid_mid": Point("final_layer_norm", "input")}
_MIXER_MLP: dict[str, Any] = {"mlp_out": _output("feed_forward"), "resid_mid": Point("pre_ff_layernorm", "input")}
_HYBRID = replace(_LLAMA, attn_out=_output("self_attn|linear_attn"))
_EXPERTS = replace(_LLAMA, mlp_out=_output("block_sparse_moe"))


def _parallel(layout: Layout) -> Layout:
    return replace(layout, resid_mid=None, flow="parallel")


def _rescaled(layout: Layout) -> Layout:
    return replace(layout, resid_mid=None, flow="rescaled")


def _text(config: Any) -> Any:
    return config.get_text_config(decoder=True)


def _capped(layout: Layout, config: Any) -> Layout:
    return replace(layout, logit_cap=_text(config).final_logit_softcapping)


def _scaled_additions(layout: Layout, factor: float) -> Layout:
    """What attention and MLP give times `factor` is what is added to the stream."""
    attn, mlp = (point and replace(point, scale=factor) for point in (layout.attn_out, layout.mlp_out))
    return replace(layout, attn_out=attn, mlp_out=mlp)


def _below(layout: Layout, body: str) -> Layout:
    """The same model, its body elsewhere: multimodal checkpoints hold their text model one level deeper."""
    norm = layout.norm and layout.norm.replace(layout.body, body, 1)
    return replace(layout, body=body, blocks=layout.blocks.replace(layout.body, body, 1), norm=norm)


def _opt(config: Any) -> Layout:
    body = "model.decoder"
    projected = (f"{body}.project_out",) if config.word_embed_proj_dim != config.hidden_size else ()
    has_norm = config.do_layer_norm_before and not config._remove_final_layer_norm
    layout = Layout(
        body=body,
        blocks=f"{body}.layers",
        norm=f"{body}.final_layer_norm" if has_norm else None,
        attn_out=_output("self_attn"),
        after_norm=projected,
        **_OPT_BLOCK,
    )
    return layout if config.do_layer_norm_before else replace(layout, resid_mid=None, flow="post_norm")


def _gpt_neox(config: Any) -> Layout:
    layout = replace(_LLAMA, attn_out=_output("attention"))
    layout = replace(layout, body="gpt_neox", blocks="gpt_neox.layers", norm="gpt_neox.final_layer_norm")
    return _parallel(layout) if config.use_parallel_residual else layout


def _gpt_neox_japanese(config: Any) -> Layout:
    # The last block's attention has a bias that the block adds itself; the others have none.
    body = "gpt_neox_japanese"
    layout = replace(_LLAMA, attn_out=None, body=body, blocks=f"{body}.layers")
    return replace(layout, norm=f"{body}.final_layer_norm")


def _stablelm(config: Any) -> Layout:
    return _parallel(_LLAMA) if config.use_parallel_residual else _LLAMA


def _cohere(config: Any) -> Layout:
    return replace(_parallel(_LLAMA), logit_scale=_text(config).logit_scale)


def _falcon(config: Any) -> Layout:
    layout = replace(_GPT2, attn_out=_output("self_attention"), resid_mid=Point("post_attention_layernorm", "input"))
    return _parallel(layout) if config.new_decoder_architecture or config.parallel_attn else layout


def _bloom(config: Any) -> Layout:
    # Both modules add the stream themselves; what they add to it is their last matrix's output.
    layout = replace(
        _GPT2,
        attn_out=_output("self_attention.dense"),
        mlp_out=_output("mlp.dense_4h_to_h"),
        resid_mid=Point("post_attention_layernorm", "input"),
    )
    return _rescaled(layout) if config.apply_residual_connection_post_layernorm else layout


def _mpt(config: Any) -> Layout:
    layout = replace(_GPT2, mlp_out=_output("ffn.down_proj"), resid_mid=Point("norm_2", "input"))
    return replace(layout, blocks="transformer.blocks", norm="transformer.norm_f")


def _granite(config: Any, layout: Layout = _LLAMA) -> Layout:
    text = _text(config)
    return replace(_scaled_additions(layout, text.residual_multiplier), logit_scale=1 / text.logits_scaling)


def _granite_moe(config: Any) -> Layout:
    return _granite(config, _EXPERTS)


def _granite_shared(config: Any) -> Layout:
    # Routed and shared experts are added up by the block.
    hybrid = replace(_LLAMA, attn_out=_output("mamba|self_attn"), mlp_out=None)
    return _granite(config, hybrid)


def _hyperclovax(config: Any) -> Layout:
    layout = replace(_LLAMA, attn_out=_output("post_norm1"), mlp_out=_output("post_norm2"))
    return replace(_scaled_additions(layout, config.residual_multiplier), logit_scale=config.logits_scaling)


def _inkling(config: Any) -> Layout:
    layout = replace(_LLAMA, attn_out=_output("attn_sconv"), mlp_out=_output("mlp_sconv"))
    return replace(layout, logit_scale=1 / config.logits_mup_width_multiplier)


def _minicpm3(config: Any) -> Layout:
    factor = config.scale_depth / config.num_hidden_layers**0.5
    return replace(_scaled_additions(_LLAMA, factor), logit_scale=1 / config.logits_scaling)


def _gemma4(config: Any) -> Layout:
    # Every block ends by scaling the stream, and may add embeddings of its own.
    return _rescaled(_capped(_GEMMA2, config))


def _recurrent_gemma(config: Any) -> Layout:
    layout = replace(
        _LLAMA,
        norm="model.final_norm",
        attn_out=_output("temporal_block"),
        mlp_out=_output("mlp_block"),
        resid_mid=Point("channel_pre_norm", "input"),
    )
    return replace(layout, logit_cap=config.logits_soft_cap)


def _falcon_h1(config: Any) -> Layout:
    # Attention and a state space side by side, added up by the block.
    layout = replace(_LLAMA, norm="model.final_layernorm", attn_out=None, **_MIXER_MLP)
    return replace(layout, logit_scale=config.lm_head_multiplier)


def _mixers(body: str, norm: str) -> Layout:
    """Blocks of one part each."""
    return Layout(body, f"{body}.layers", f"{body}.{norm}", None, None, None, "mixer")


def _always(layout: Layout, names: Sequence[str]) -> dict[str, Callable[[Any], Layout]]:
    return {name: lambda config: layout for name in names}


# Attention and MLP one after the other, under Llama's names.
_AS_LLAMA = [
    "arcee",
    "axk1",
    "axk2",
    "bitnet",
    "cwm",
    "deepseek_v2",
    "deepseek_v3",
    "deepseek_v32",
    "diffllama",
    "dots1",
    "ernie4_5",
    "ernie4_5_moe",
    "exaone_moe",
    "flint",
    "gemma",
    "glm",
    "glm4_moe",
    "glm4_moe_lite",
    "glm_moe_dsa",
    "gpt_oss",
    "helium",
    "hunyuan_v1_dense",
    "hunyuan_v1_moe",
    "hy_v3",
    "internlm3",
    "iquestcoder",
    "jais2",
    "kimi_linear",
    "laguna",
    "llama",
    "mellum",
    "mimo_v2_flash",
    "minimax_m2",
    "ministral",
    "ministral3",
    "mistral",
    "mixtral",
    "nemotron",
    "olmo",
    "olmoe",
    "phi3",
    "phimoe",
    "qwen2",
    "qwen2_moe",
    "qwen3",
    "qwen3_moe",
    "seed_oss",
    "smollm3",
    "solar_open",
    "starcoder2",
    "youtu",
    "aria_text",
    "bailing_hybrid",
    "minimax_m3_vl_text",
    "qwen2_vl_text",
    "qwen2_5_vl_text",
    "qwen3_vl_text",
]

_FAMILIES: dict[str, Callable[[Any], Layout]] = {
    **_always(_LLAMA, _AS_LLAMA),
    **_always(_GPT2, ("gpt2", "gpt_bigcode", "gpt_neo")),
    **_always(_parallel(_GPT2), ("codegen", "gptj")),
    **_always(_OLMO2, ("exaone4", "flex_olmo", "olmo2", "olmo3")),
    **_always(_GLM4, ("glm4", "kolibri1")),
    **_always(_HYBRID, ("qwen3_5", "qwen3_5_moe", "qwen3_5_moe_text", "qwen3_5_text", "qwen3_next")),
    **_always(replace(_LLAMA, mlp_out=_output("feed_forward")), ("llama4_text",)),
    **_always(replace(_LLAMA, resid_mid=Point("feedforward_layernorm", "input")), ("apertus",)),
    **_always(replace(_LLAMA, attn_out=_output("self_attention")), ("jetmoe",)),
    **_always(replace(_LLAMA, norm="model.final_layernorm"), ("persimmon",)),
    **_always(_rescaled(_LLAMA), ("doge", "minimax")),
    "afmoe": lambda config: replace(
        _LLAMA,
        attn_out=_output("post_attention_layernorm"),
        mlp_out=_output("post_mlp_layernorm"),
        resid_mid=Point("pre_mlp_layernorm", "input"),
    ),
    "bamba": lambda config: replace(
        _LLAMA, norm="model.final_layernorm", attn_out=_output("mamba|self_attn"), **_MIXER_MLP
    ),
    "biogpt": lambda config: Layout(
        "biogpt", "biogpt.layers", "biogpt.layer_norm", attn_out=_output("self_attn"), **_OPT_BLOCK
    ),
    "beam": lambda config: _rescaled(_capped(_GEMMA2, config)),
    "bloom": _bloom,
    "cohere": _cohere,
    "cohere2": _cohere,
    "cohere2_moe": _cohere,
    "falcon": _falcon,
    "falcon_h1": _falcon_h1,
    "falcon_mamba": lambda config: _mixers("backbone", "norm_f"),
    "gemma2": lambda config: _capped(_GEMMA2, config),
    "gemma3_text": lambda config: _capped(_GEMMA2, config),
    "gemma4_text": _gemma4,
    "gpt_neox": _gpt_neox,
    "gpt_neox_japanese": _gpt_neox_japanese,
    "granite": _granite,
    "granite_swa": _granite,
    "granitemoe": _granite_moe,
    "granitemoe_swa": _granite_moe,
    "granitemoehybrid": _granite_shared,
    "granitemoeshared": _granite_shared,
    "hyperclovax": _hyperclovax,
    "inkling_text": _inkling,
    "jamba": lambda config: replace(
        _LLAMA, norm="model.final_layernorm", attn_out=_output("mamba|self_attn"), **_MIXER_MLP
    ),
    "lfm2": lambda config: replace(
        _LLAMA,
        norm="model.embedding_norm",
        attn_out=_output("conv|self_attn"),
        mlp_out=_output("feed_forward"),
        resid_mid=Point("ffn_norm", "input"),
    ),
    "lfm3": lambda config: replace(
        _LLAMA,
        norm="model.embedding_norm",
        attn_out=_output("post_operator_norm"),
        mlp_out=_output("post_ffn_norm"),
        resid_mid=Point("ffn_norm", "input"),
    ),
    "mamba": lambda config: _mixers("backbone", "norm_f"),
    "mamba2": lambda config: _mixers("backbone", "norm_f"),
    "minicpm3": _minicpm3,
    "mpt": _mpt,
    "nemotron_h": lambda config: _mixers("model", "norm_f"),
    "olmo_hybrid": lambda config: replace(
        # Attention blocks as in OLMo 3, the others as in Llama: what lies in the middle is read at no one module.
        _LLAMA,
        attn_out=_output("linear_attn|post_attention_layernorm"),
        mlp_out=_output("post_feedforward_layernorm|mlp"),
        resid_mid=None,
    ),
    "openai-gpt": lambda config: replace(_GPT2, norm=None, resid_mid=None, flow="post_norm"),
    "opt": _opt,
    "phi": lambda config: replace(_parallel(_LLAMA), norm="model.final_layernorm"),
    "recurrent_gemma": _recurrent_gemma,
    "stablelm": _stablelm,
    "vaultgemma": lambda config: _capped(
        replace(_LLAMA, resid_mid=Point("pre_feedforward_layernorm", "input")), config
    ),
    "xglm": lambda config: replace(_LLAMA, norm="model.layer_norm", attn_out=_output("self_attn"), **_OPT_BLOCK),
}
# A text model next to towers for pictures or sound: where its body lies.
AROUND_TEXT = {
    **dict.fromkeys(
        ("gemma3", "gemma4", "internvl", "llava", "mistral3", "qwen2_5_vl", "qwen2_vl", "qwen3_vl"),
        "model.language_model",
    ),
    "llama4": "language_model.model",
}
# What has been looked at and has no single residual stream to read.
_REFUSED = {
    "deepseek_v4": "its blocks mix several residual streams (hyper-connections)",
    "gemma3n_text": "its blocks mix several residual streams (AltUp)",
    "hy_v4": "its blocks mix several residual streams (hyper-connections)",
    "hrm_text": "it runs two stacks of blocks in turn, each several times",
    "nanochat": "its first norm is also its last, and is no module of its own",
    "longcat_flash": "its blocks hold two attentions and two MLPs each",
    "rwkv": "it halves the stream every few blocks",
}
