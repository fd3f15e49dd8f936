"""What a model's folder may hold, and what each file and each key of its settings means here: as data, in one place.

Every file is read and part of the model's identity, or known to decide nothing here, or refused by name; whatever is
none of these is named at the start of a run. The same for the keys of config.json and generation_config.json. Owns the
lists and their checks; knows no tensors. What the keys that an architecture declares do is Transformers' own code.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lit_experiments.lm.errors import ModelError, model_error

# Read by Transformers or by us; their content is part of the identity of a local folder (`hashing.py`).
TOKENIZER_FILES = (
    "tokenizer*.json",
    "tokenizer*.model",  # tokenizer.model.v3 and the like come with a tokenizer.json
    "tokenizer.model.*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "vocabulary.*",
    "merges.txt",
    "spiece.model",
    "sentencepiece*.model",
    "spm.model",
    "*.tiktoken",
    "tekken.json",
    "chat_template*.jinja",
    "additional_chat_templates/*.jinja",
    "chat_templates/*.jinja",
)
SETTINGS_FILES = ("config.json", "generation_config.json")
WEIGHT_FILES = ("model*.safetensors", "pytorch_model*.bin", "*.index.json")

# Decide nothing here: other programs' copies of the weights, what training left behind, papers, pictures.
UNREAD_FILES = (
    *("README*", "LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*", "*.md", "*.txt", "*.pdf", "*.png", "*.jpg", "*.gif"),
    *(".git*", ".cache", ".DS_Store", "*.yml", "*.yaml", "*.csv", "*.lock", "SHA256*", "*.sha256"),
    *("tf_model*", "flax_model*", "rust_model*", "*.msgpack", "*.h5", "*.ot", "*.gguf", "*.onnx", "*.onnx_data"),
    *("*.mlmodel", "*.tflite", "consolidated*", "params.json", "original", "onnx", "coreml", "openvino", "figures"),
    *("assets", "images", "logs", "runs", "eval*", "checkpoint-*", "events.out.*", "*.log"),
    *("optimizer.pt", "scheduler.pt", "rng_state*", "trainer_state.json", "training_args*", "all_results.json"),
    *("train_results.json", "*_metrics.json", "latest", "zero_to_fp32.py", "global_step*", "handler.py"),
    *("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json", "image_processor*"),
    "chat_template.json",  # processors of pictures read it; tokenizers read chat_template.jinja
    "*.py",  # code of the repository's own: Transformers' code for the architecture is run, this is not
)

# Change what is computed in a way that is not read here.
REFUSED_FILES = {
    "adapter_config.json": "an adapter lies in the model's folder, and Transformers would put it into the model "
    "(give it with --adapter, and the model without it with --model)",
    "quantize_config.json": "the weights are quantised (GPTQ); name the unquantised model",
    "quant_config.json": "the weights are quantised (AWQ); name the unquantised model",
    "hf_quant_config.json": "the weights are quantised (ModelOpt); name the unquantised model",
    "modules.json": "a sentence-transformers model, whose pooling is no language model's",
}

# Keys of config.json that change what is computed in a way that is not read here: what makes them do so, and why.
_ALWAYS, _TRUE, _FALSE = "set", "true", "false"
REFUSED_KEYS = {
    "quantization": (_ALWAYS, "the weights are quantised (MLX); name the unquantised model"),
    "compression_config": (_ALWAYS, "the weights are compressed; name the uncompressed model"),
    "pruned_heads": (_ALWAYS, "heads are to be pruned at loading, which Transformers no longer does"),
    "is_encoder_decoder": (_TRUE, "the model reads its text with an encoder"),
    "add_cross_attention": (_TRUE, "the model expects an encoder's states"),
    "use_bidirectional_attention": (_TRUE, "tokens see what comes after them"),
    "is_causal": (_FALSE, "tokens see what comes after them"),
}

# Quantised checkpoints that are read: what `quant_method` may be in config.json's quantization_config.
READ_QUANTIZATIONS = ("bitsandbytes", "torchao")

# Keys that our own options or calls decide, whatever the file says.
OVERRIDDEN_KEYS = {
    "dtype": "--precision",
    "torch_dtype": "--precision",
    "attn_implementation": "--attn",
    "_attn_implementation": "--attn",
    "use_cache": "set for every model: how outputs are handed over",
    "return_dict": "set for every model: how outputs are handed over",
    "use_return_dict": "set for every model: how outputs are handed over",
    "output_hidden_states": "hidden states are read by hooks",
    "output_attentions": "set for every model: attention is not read",
    "output_router_logits": "set for every model: no loss is computed",
    "tie_last_hidden_states": "hidden states are read by hooks",
}

# Special tokens' ids, which the tokenizer has too, and what is switched off outside of training.
_INERT_ENDINGS = ("_token_id", "dropout", "_pdrop", "_coef", "_noise", "initializer_range", "init_std")

# Keys that describe files, training or other tasks, and those that Transformers reads under a name of its own.
INERT_KEYS = frozenset(
    (
        *(
            "_name_or_path",
            "name_or_path",
            "_commit_hash",
            "transformers_version",
            "transformers_weights",
            "model_type",
        ),
        *("architectures", "auto_map", "custom_pipelines", "onnx_export", "torchscript"),
        *("task_specific_params", "finetuning_task", "problem_type", "id2label", "label2id", "num_labels", "prefix"),
        *("cache_implementation", "_cache_implementation", "kv_cache_dtype", "chunk_size_feed_forward"),
        *(
            "gradient_checkpointing",
            "use_bfloat16",
            "fp16",
            "bf16",
            "pretraining_tp",
            "unsloth_version",
            "unsloth_fixed",
        ),
        *("tokenizer_class", "bos_token", "eos_token", "pad_token", "predict_special_tokens"),
        *("n_ctx", "seq_length", "model_max_length", "max_sequence_length", "original_max_position_embeddings"),
        *(
            "rope_theta",
            "rope_scaling",
            "rope_local_base_freq",
            "partial_rotary_factor",
            "rotary_pct",
            "rotary_emb_base",
        ),
        *("layer_types", "per_layer_config", "tie_word_embeddings"),
    )
)

# generation_config.json: what ends a text is read; everything else is Transformers' sampler's, and ours takes none.
GENERATION_READ = frozenset({"eos_token_id"})
GENERATION_INERT = frozenset(
    (
        *("_from_model_config", "transformers_version", "bos_token_id", "pad_token_id", "decoder_start_token_id"),
        *("max_length", "max_new_tokens", "use_cache", "cache_implementation", "chat_format"),
        *("output_attentions", "output_hidden_states", "output_scores", "output_logits", "return_dict_in_generate"),
    )
)


def check_folder(folder: Path, name: str) -> None:
    """Raises ModelError, naming it, for a file that would change the model in a way that is not read here."""
    for path in sorted(folder.iterdir()):
        reason = REFUSED_FILES.get(path.name)
        if reason is not None:
            raise model_error(
                f"{path.name} in the folder of {name!r} is not read here: {reason}.",
                where=str(path),
                next_step="name another model, or take the file out of the folder if it does not belong to the model",
            )


def check_config(raw: dict[str, Any], path: Path) -> None:
    """Raises ModelError, naming it, for a key that would change the model in a way that is not read here."""
    for place, values in _levels(raw):
        for key, (when, reason) in REFUSED_KEYS.items():
            value = values.get(key)
            if value is None or (when == _TRUE and not value) or (when == _FALSE and value) or value in ({}, []):
                continue
            raise _refused_key(f"{place}{key}", value, reason, path)
        quantization = values.get("quantization_config") or {}
        method = quantization.get("quant_method", "bitsandbytes" if "load_in_4bit" in quantization else None)
        if quantization and method not in READ_QUANTIZATIONS:
            reason = f"weights quantised by {' and '.join(READ_QUANTIZATIONS)} are read; name the unquantised model"
            raise _refused_key(f"{place}quantization_config", quantization, reason, path)


def unread(folder: Path, raw: dict[str, Any], config: Any) -> list[str]:
    """Lines that say what of the folder takes no part: files that nobody knows, keys without a use, sampling settings,
    code."""
    lines: list[str] = []
    known = (
        *TOKENIZER_FILES,
        *SETTINGS_FILES,
        *WEIGHT_FILES,
        *UNREAD_FILES,
        *("additional_chat_templates", "chat_templates"),
    )
    strange = [p.name for p in sorted(folder.iterdir()) if not _matches(p.name, known)]
    if strange:
        lines.append(f"Files of the model's folder that are not read: {_listed(strange)}.")
    if "auto_map" in raw:
        lines.append("The repository's own code (auto_map) is not run: the architecture is computed by Transformers.")
    unknown = _unknown_keys(raw, config)
    if unknown:
        lines.append(f"Keys of config.json that {type(config).__name__} has no use for: {_listed(unknown)}.")
    sampling = _sampling_keys(folder, raw)
    if sampling:
        lines.append(f"Sampling follows the study's options alone; the model's own are not used: {_listed(sampling)}.")
    return lines


def _levels(raw: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The configuration and those nested in it (`text_config`), each with the prefix of its keys."""
    nested = [(f"{key}.", value) for key, value in raw.items() if key.endswith("_config") and isinstance(value, dict)]
    return [("", raw), *nested]


def _refused_key(key: str, value: Any, reason: str, path: Path) -> ModelError:
    shown = json.dumps(value)
    return model_error(
        f"{key} in the model's config.json is not supported: {reason}.",
        where=str(path),
        actual=f"{key}: {shown if len(shown) <= 80 else shown[:77] + '...'}",
        next_step="name another model",
    )


def _unknown_keys(raw: dict[str, Any], config: Any) -> list[str]:
    declared = {one.name for one in dataclasses.fields(config)} | set(config.attribute_map)
    known = (
        declared
        | {"quantization_config"}
        | INERT_KEYS
        | OVERRIDDEN_KEYS.keys()
        | REFUSED_KEYS.keys()
        | set(_sampler_defaults())
    )
    return [key for key in raw if key not in known and not key.endswith(_INERT_ENDINGS)]


def _sampling_keys(folder: Path, raw: dict[str, Any]) -> list[str]:
    """`key=value` of the settings for Transformers' sampler in generation_config.json and, of old, config.json, apart
    from those that are its defaults."""
    defaults = _sampler_defaults()
    path = folder / "generation_config.json"
    given = {key: raw[key] for key in defaults if key in raw}
    if path.is_file():
        given |= json.loads(path.read_text(encoding="utf-8"))
    skipped = GENERATION_READ | GENERATION_INERT
    return [
        f"{key}={json.dumps(value)}"
        for key, value in given.items()
        if key not in skipped and value is not None and value != defaults.get(key)
    ]


def _sampler_defaults() -> dict[str, Any]:
    from transformers import GenerationConfig

    return GenerationConfig._get_default_generation_params()


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
