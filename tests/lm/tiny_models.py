"""Tiny random-weight models of every known architecture, with a small tokenizer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from lit_experiments.lm.spec import ModelSpec

VOCAB, WINDOW = 97, 64
REAL_MODEL = Path(__file__).parents[3] / "shared" / "models" / "stories260K-hf"

_COMMON = {"vocab_size": VOCAB, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "initializer_range": 0.3}
_LLAMA = {
    **_COMMON,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": WINDOW,
}
_GPT2 = {**_COMMON, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": WINDOW}
_OPT = {
    **_COMMON,
    "bos_token_id": 1,
    "hidden_size": 32,
    "word_embed_proj_dim": 32,
    "ffn_dim": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": WINDOW,
    "init_std": 0.3,
}
_NEOX = {**_LLAMA, "tie_word_embeddings": False}
_GEMMA = {**_LLAMA, "head_dim": 8}
_SLIDING = {**_GEMMA, "num_hidden_layers": 4, "sliding_window": 5}
_MOE = {**_LLAMA, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}

# name -> (configuration class, arguments)
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2Config", _GPT2),
    "gpt_bigcode": ("GPTBigCodeConfig", _GPT2),
    "gpt_neo": (
        "GPTNeoConfig",
        {
            **_COMMON,
            "hidden_size": 32,
            "num_layers": 2,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 1]],
            "max_position_embeddings": WINDOW,
            "window_size": 5,
        },
    ),
    "gptj": ("GPTJConfig", {**_GPT2, "rotary_dim": 4}),
    "opt": ("OPTConfig", _OPT),
    "opt-post-norm": ("OPTConfig", {**_OPT, "do_layer_norm_before": False, "word_embed_proj_dim": 24}),
    "gpt_neox": ("GPTNeoXConfig", _NEOX),
    "gpt_neox-sequential": ("GPTNeoXConfig", {**_NEOX, "use_parallel_residual": False}),
    "llama": ("LlamaConfig", _LLAMA),
    "mistral": ("MistralConfig", {**_LLAMA, "sliding_window": 5}),
    "mixtral": ("MixtralConfig", {**_LLAMA, "num_local_experts": 4}),
    "qwen2": ("Qwen2Config", _LLAMA),
    "qwen2_moe": ("Qwen2MoeConfig", {**_MOE, "shared_expert_intermediate_size": 16}),
    "qwen3": ("Qwen3Config", {**_LLAMA, "head_dim": 8}),
    "qwen3_moe": ("Qwen3MoeConfig", {**_MOE, "head_dim": 8}),
    "gemma": ("GemmaConfig", _GEMMA),
    "gemma2": ("Gemma2Config", {**_SLIDING, "query_pre_attn_scalar": 8}),
    "gemma3_text": (
        "Gemma3TextConfig",
        {
            **_SLIDING,
            "query_pre_attn_scalar": 8,
            "final_logit_softcapping": 20.0,
            "layer_types": ["sliding_attention", "full_attention"] * 2,
        },
    ),
    "phi": ("PhiConfig", _LLAMA),
    "phi3": ("Phi3Config", {**_LLAMA, "sliding_window": None}),
    "stablelm": ("StableLmConfig", _LLAMA),
    "stablelm-parallel": ("StableLmConfig", {**_LLAMA, "use_parallel_residual": True}),
    "olmo": ("OlmoConfig", _LLAMA),
    "olmo2": ("Olmo2Config", _LLAMA),
    "olmo3": ("Olmo3Config", {**_LLAMA, "sliding_window": 5}),
    "cohere": ("CohereConfig", {**_LLAMA, "logit_scale": 0.5}),
    "nemotron": ("NemotronConfig", {**_LLAMA, "head_dim": 8}),
    "smollm3": ("SmolLM3Config", _LLAMA),
    "starcoder2": ("Starcoder2Config", {**_LLAMA, "sliding_window": 5}),
}
# The ones the studies use, where a test would be slow or tell nothing new on all of them.
MAIN = ("gpt2", "opt", "gpt_neox", "llama", "mistral", "qwen2", "gemma2", "gemma3_text")


def make_tokenizer(adds_bos: bool) -> PreTrainedTokenizerFast:
    """Words `w2` .. `w96` and the ids 0 (`<s>`) and 1 (`</s>`)."""
    vocabulary = {"<s>": 0, "</s>": 1, **{f"w{i}": i for i in range(2, VOCAB)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="</s>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def random_model(config_class: str, arguments: dict[str, Any], seed: int = 0) -> Any:
    """A model whose weights are all random, the norms' too, so that no site equals another by accident."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(getattr(transformers, config_class)(**arguments))
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
        elif "embed_positions" in name or "wpe" in name:
            parameter.data.normal_(0, 0.3)
    return model


def save(model: Any, folder: Path, adds_bos: bool = True) -> Path:
    """Writes model and tokenizer as a folder that `load` takes."""
    model.save_pretrained(folder)
    make_tokenizer(adds_bos).save_pretrained(folder)
    return folder


def spec(folder: Path | str, dtype: str = "float32", adapter: Path | None = None, attn: str = "auto") -> ModelSpec:
    return ModelSpec(str(folder), None if adapter is None else str(adapter), None, dtype, attn)


def random_sequences(lengths: Sequence[int], seed: int = 0) -> list[list[int]]:
    """Token ids with the pad and end-of-text id (1) among them."""
    generator = torch.Generator().manual_seed(seed)
    sequences = [torch.randint(0, VOCAB, (length,), generator=generator).tolist() for length in lengths]
    for sequence in sequences:
        sequence[len(sequence) // 2] = 1
    return sequences
