"""Tiny random-weight models of the architectures beyond `tiny_models`, and what can be done with each of them.

`python tests/lm/further_models.py docs/architectures.md` writes the table of both.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from reading_anew import keys, read_anew
from tiny_models import ARCHITECTURES, VOCAB, WINDOW, random_model, random_sequences, save, spec
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from lit_experiments.lm.architectures import known_architectures
from lit_experiments.lm.attribution import attribute
from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.load import load
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.score import next_token_logits
from tests.tolerance import assert_close

# What configurations call their sizes; each class takes those that it has.
_SIZES: dict[str, Any] = {
    "vocab_size": VOCAB,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
    "initializer_range": 0.3,
    "max_position_embeddings": WINDOW,
    "n_positions": WINDOW,
    "max_seq_len": WINDOW,
    "sliding_window": 5,
    "hidden_size": 32,
    "n_embd": 32,
    "d_model": 32,
    "intermediate_size": 48,
    "intermediate_size_mlp": 48,
    "ffn_dim": 48,
    "num_hidden_layers": 4,
    "n_layer": 4,
    "n_layers": 4,
    "num_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "n_head": 4,
    "n_heads": 4,
    "attention_heads": 4,
    "num_heads": 4,
    "head_dim": 8,
    "rotary_dim": 4,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "moe_k": 2,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "n_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4,
    "qk_head_dim": 8,
    "v_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_num_heads": 4,
    "linear_head_dim": 8,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_d_state": 8,
    "mamba_n_groups": 1,
    "mamba_num_heads": 8,
    "mamba_head_dim": 8,
    "mamba_dt_rank": 4,
    "ssm_state_size": 8,
    "state_size": 8,
    "n_groups": 1,
    "hidden_size_per_layer_input": 8,
    "vocab_size_per_layer_input": VOCAB,
}
# model_type -> what it takes other values of; None: left at the class's own default.
_LATENT: dict[str, Any] = {"head_dim": None, "qk_head_dim": None, "num_key_value_heads": 4}
_VISION = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
FURTHER: dict[str, dict[str, Any]] = {
    **{
        name: {}
        for name in [
            "afmoe",
            "apertus",
            "arcee",
            "aria_text",
            "bailing_hybrid",
            "bamba",
            "beam",
            "biogpt",
            "bitnet",
            "bloom",
            "codegen",
            "cohere2",
            "cohere2_moe",
            "cwm",
            "diffllama",
            "doge",
            "dots1",
            "ernie4_5",
            "ernie4_5_moe",
            "exaone4",
            "exaone_moe",
            "falcon_mamba",
            "flex_olmo",
            "flint",
            "gemma4_text",
            "glm",
            "glm4",
            "glm4_moe",
            "gpt_neox_japanese",
            "gpt_oss",
            "granite",
            "granite_swa",
            "granitemoe",
            "granitemoe_swa",
            "granitemoehybrid",
            "granitemoeshared",
            "helium",
            "hunyuan_v1_dense",
            "hunyuan_v1_moe",
            "hy_v3",
            "hyperclovax",
            "inkling_text",
            "internlm3",
            "iquestcoder",
            "jais2",
            "jamba",
            "jetmoe",
            "kimi_linear",
            "kolibri1",
            "laguna",
            "lfm2",
            "lfm3",
            "llama4_text",
            "mamba",
            "mellum",
            "mimo_v2_flash",
            "minimax",
            "minimax_m2",
            "minimax_m3_vl_text",
            "ministral",
            "ministral3",
            "mpt",
            "nemotron_h",
            "olmo_hybrid",
            "olmoe",
            "openai-gpt",
            "persimmon",
            "phimoe",
            "qwen3_5_moe_text",
            "qwen3_5_text",
            "qwen3_next",
            "recurrent_gemma",
            "seed_oss",
            "solar_open",
            "vaultgemma",
            "xglm",
        ]
    },
    **dict.fromkeys(
        ("axk1", "deepseek_v3", "glm4_moe_lite", "minicpm3", "youtu", "axk2", "deepseek_v32", "glm_moe_dsa"), _LATENT
    ),
    "deepseek_v2": {"num_key_value_heads": 4},
    "falcon": {"head_dim": None},
    "falcon-sequential": {"head_dim": None, "parallel_attn": False},
    "falcon-alibi": {"head_dim": None, "alibi": True, "parallel_attn": False},
    "falcon_h1": {"mamba_d_ssm": 64},
    "mamba2": {"num_heads": 8, "head_dim": 8, "expand": 2},
}
_MROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}}
_QWEN_VISION = {"depth": 1, "hidden_size": 16, "out_hidden_size": 32, "num_heads": 2}
# Multimodal models around a text model: model_type -> (the text model's, its changes, what the tower takes).
AROUND: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "llava": ("llama", {}, _VISION),
    "mistral3": ("mistral", {}, _VISION),
    "internvl": ("qwen2", {}, _VISION),
    "qwen2_vl": ("qwen2_vl_text", _MROPE, {"depth": 1, "embed_dim": 16, "hidden_size": 32, "num_heads": 2}),
    "qwen2_5_vl": ("qwen2_5_vl_text", _MROPE, _QWEN_VISION),
    "qwen3_vl": ("qwen3_vl_text", {}, _QWEN_VISION),
    "llama4": ("llama4_text", {}, _VISION),
    "qwen3_5": ("qwen3_5_text", {}, _QWEN_VISION),
    "gemma3": ("gemma3_text", {}, _VISION),
}


def model_type(name: str) -> str:
    """Of an entry of FURTHER, whose variants have a word behind a dash."""
    return name if name in transformers.CONFIG_MAPPING else name.rpartition("-")[0]


def configuration(kind_of_model: str, changes: dict[str, Any]) -> Any:
    """A tiny configuration: the sizes that its class has, changed as `changes` says."""
    kind = transformers.CONFIG_MAPPING[kind_of_model]
    assert is_dataclass(kind)
    names = {field.name for field in fields(kind)} | set(kind.attribute_map.values())
    values = {name: value for name, value in _SIZES.items() if name in names} | changes
    return kind(**{name: value for name, value in values.items() if value is not None})


def further_model(name: str, seed: int = 0) -> Any:
    """A model of one of FURTHER or AROUND, all weights random."""
    torch.manual_seed(seed)
    if name in AROUND:
        model = AutoModelForImageTextToText.from_config(_around(name, *AROUND[name]))
    else:
        model = AutoModelForCausalLM.from_config(configuration(model_type(name), FURTHER[name]))
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model.float()


def _around(name: str, text: str, changes: dict[str, Any], vision: dict[str, Any]) -> Any:
    kind = transformers.CONFIG_MAPPING[name]
    defaults = kind()
    tower = type(defaults.vision_config)(**vision)
    return kind(text_config=configuration(text, changes).to_dict(), vision_config=tower.to_dict())


@dataclass(frozen=True)
class Abilities:
    """What a model can do: "yes", or why not."""

    sites: str
    decoding: str
    branches: str
    attribution: str


def abilities(lm: LanguageModel) -> Abilities:
    """Tries everything on a loaded model. Raises AssertionError for a wrong number."""
    _states_are_hugging_faces(lm)
    kinds = list(dict.fromkeys(site.partition(".")[0] for site in lm.info.sites))
    return Abilities(", ".join(kinds), _or_why(_decodes, lm), _or_why(_branches, lm), _or_why(_attributes, lm))


def _or_why(check: Callable[[LanguageModel], None], lm: LanguageModel) -> str:
    try:
        check(lm)
    except ModelError as error:
        return str(error).splitlines()[0]
    return "yes"


@torch.no_grad()
def _states_are_hugging_faces(lm: LanguageModel) -> None:
    """Read in one batch, padded, they equal those of each text alone; so do the logits."""
    sequences = random_sequences([4, 11, 7])
    sites = [f"resid_post.{layer}" for layer in range(lm.info.n_layers - 1)]
    states = exact_states(lm, sequences, sites)
    start = 0
    for row, ids in enumerate(sequences):
        alone = lm.model(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False)
        for layer, site in enumerate(sites):
            # Most count the embedding as the first of them; Mamba does not.
            state = states[site][start : start + len(ids)]
            theirs = [alone.hidden_states[layer + shift][0] for shift in (0, 1)]
            assert_close(state, min(theirs, key=lambda other: float((other - state).abs().max())))
        assert_close(next_token_logits(lm, sequences)[row], alone.logits[0, -1])
        start += len(ids)


def _decodes(lm: LanguageModel) -> None:
    greedy, prompts = Sampling(temperature=0, top_p=1.0, top_k=0), random_sequences([3, 9, 1])
    decoder = Decoder(lm)
    out = decoder.sample(decoder.prefill(prompts), 8, greedy, keys(3))
    for row, prompt in enumerate(prompts):
        assert out.token_ids[row].tolist() == read_anew(lm, prompt, 8, greedy, None)[0]


def _branches(lm: LanguageModel) -> None:
    greedy, prompts = Sampling(temperature=0, top_p=1.0, top_k=0), random_sequences([8, 9])
    decoder = Decoder(lm)
    shorter = decoder.branch(decoder.prefill(prompts, keep_past=True), [5, 7])
    out = decoder.sample(shorter, 4, greedy, keys(2))
    for row, length in enumerate((5, 7)):
        assert out.token_ids[row].tolist() == read_anew(lm, prompts[row][:length], 4, greedy, None)[0]


def _attributes(lm: LanguageModel) -> None:
    parts = attribute(lm, random_sequences([6, 9]), [(3, 4), (5, 6)])
    assert parts.residual.abs().max() < 1e-3 * parts.difference.abs().max()


def main(path: str) -> None:
    """Writes the table of every architecture."""
    lines = [
        "# Architectures",
        "",
        "Made by `python tests/lm/further_models.py docs/architectures.md`, which builds a tiny model of each with",
        "random weights and tries everything on it: the self-check at loading, states and logits of a padded batch",
        "against Hugging Face's own, decoding with a forked cache and branching against reading anew, and attribution",
        "against the logits. What an architecture cannot have is refused with the reason in the table.",
        "",
        f"transformers {transformers.__version__}, {len(known_architectures())} architectures.",
        "",
        "| architecture | sites | decoding | branches | attribution |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name in sorted([*ARCHITECTURES, *FURTHER, *AROUND]):
            model = random_model(*ARCHITECTURES[name]) if name in ARCHITECTURES else further_model(name)
            result = abilities(load(spec(save(model, Path(folder) / name)), "cpu"))
            cells = (name, result.sites, result.decoding, result.branches, result.attribution)
            lines.append("| " + " | ".join(cells) + " |")
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
