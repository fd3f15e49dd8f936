"""Where a model's blocks lie, and in how many bits: what `device_map` and `quantization` say to Transformers.

    device_map     `auto`, `balanced`, ...: accelerate spreads the blocks over GPUs, then the CPU, then the disk. A
                   file (YAML or JSON) says more: `{max_memory: {0: 20GB, cpu: 4GB}, offload_folder: DIR}`, or names the
                   device of every module: `{transformer.wte: 0, transformer.h.0: cpu, ...}`
    quantization   `4bit` (nf4) and `8bit` by bitsandbytes; a file with what `quantization_config` holds in a
                   config.json, for any other method that Transformers knows (torchao, ...)

Owns reading and checking both. Knows no modules.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import yaml

from lit_experiments.lm.errors import ModelError, first_line, model_error, nearest
from lit_experiments.lm.spec import ModelSpec

MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
BITS = ("4bit", "8bit")
_SETTINGS = {"device_map", "max_memory", "offload_folder"}


def placing(spec: ModelSpec) -> dict[str, Any]:
    """The arguments of `from_pretrained` for `spec.device_map`; none without one. Raises ModelError."""
    if spec.device_map is None:
        return {}
    return _device_map(spec.device_map)


def _device_map(text: str) -> dict[str, Any]:
    if text in MAPS:
        return {"device_map": text}
    content = _file("device_map", text, MAPS)
    if not set(content) <= _SETTINGS:
        return {"device_map": content}
    settings = {"device_map": "auto", **content}
    if isinstance(settings["device_map"], str) and settings["device_map"] not in MAPS:
        raise model_error(
            f"Unknown device_map {settings['device_map']!r}.", where=text, allowed=f"{', '.join(MAPS)}, or a mapping"
        )
    return settings


def quantized(spec: ModelSpec) -> Any:
    """The quantisation that `spec` asks for, as Transformers' configuration object; None without one.

    Raises ModelError for an unknown method, and for one whose package is missing.
    """
    if spec.quantization is None:
        return None
    from transformers.quantizers.auto import AutoQuantizationConfig

    try:
        return AutoQuantizationConfig.from_dict(_quantization(spec.quantization, spec.dtype))
    except (ImportError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise model_error(
            f"Quantization {spec.quantization!r} cannot be had.",
            actual=f"{type(error).__name__}: {first_line(error)}",
            next_step="pip install 'lit-experiments[quantized]', or check the file's keys",
        ) from error


def _quantization(text: str, dtype: str) -> dict[str, Any]:
    if text == "4bit":
        compute = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": dtype}
        return {"quant_method": "bitsandbytes", "load_in_4bit": True, **compute}
    if text == "8bit":
        return {"quant_method": "bitsandbytes", "load_in_8bit": True}
    return _file("quantization", text, BITS)


def _file(option: str, text: str, words: tuple[str, ...]) -> dict[str, Any]:
    path = Path(text).expanduser()
    if not path.is_file():
        raise model_error(
            f"{option} {text!r} is neither a known word nor a file.",
            where=str(path.absolute()),
            allowed=f"{', '.join(words)}, or a YAML or JSON file",
            next_step=nearest(text, words),
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise model_error(f"{option}'s file is not YAML.", where=str(path), actual=first_line(error)) from error
    if not isinstance(content, dict) or not content:
        raise ModelError(f"{option}'s file {path} holds no mapping.")
    return content


def quiet_bitsandbytes() -> None:
    """Keeps its notices off the screen: that 8-bit products are of float16, once per matrix, and that a faster kernel
    for the CPU is not installed."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
