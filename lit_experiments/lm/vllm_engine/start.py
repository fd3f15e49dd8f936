"""Starts vLLM for a `ModelSpec`, and proves its sites before anything is collected.

Owns what vLLM is told: in this process, without compiled graphs (which no hook sees into), in float32 where that is
what is asked for, with our sampler. What cannot be done is refused by name before weights are loaded.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
import warnings as python_warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lit_experiments.lm.errors import first_line, model_error
from lit_experiments.lm.info import ModelInfo, read_info
from lit_experiments.lm.locate import locate_model
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.lm.vllm_engine.engine import VllmEngine
from lit_experiments.lm.vllm_engine.identity import vllm_version
from lit_experiments.lm.vllm_engine.selfcheck import check_states, reference

_EXTENSION = "lit_experiments.lm.vllm_engine.worker.StateWorker"
_PROCESSOR = "lit_experiments.lm.vllm_engine.sampling:RaceProcessor"
_ENVIRONMENT = {
    # The scheduler in this process: texts that reach it one by one would be packed as they come in.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_USE_V2_MODEL_RUNNER": "0",  # knows no logits processors
    "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",  # room for the one token that vLLM writes behind a text of the whole window
}
_PREFERRED = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # or it takes a core for itself, whoever else is on the machine
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}
_BLOCK = 32  # tokens in a block of the cache, the smallest that is quick on CPUs: whole blocks of a prefix are shared
_TEXTS_AT_ONCE = 512  # twice vLLM's own default: small models pay by the step
_SHARE = 4  # of the memory that is free, the cache takes this part at most, on a CPU


def start(spec: ModelSpec, device: torch.device) -> VllmEngine:
    """The model of `spec` in vLLM, its states proven on short texts. Raises ModelError."""
    vllm_version()
    info = read_info(spec)
    _refuse(info, device)
    info = replace(info, located=locate_model(spec.model, spec.revision, with_weights=True))
    expected = reference(info)  # first, so that both models need not fit at once
    for name, value in (*_ENVIRONMENT.items(), *((n, os.environ.get(n, v)) for n, v in _PREFERRED.items())):
        os.environ[name] = value
    engine = VllmEngine(info, *_load(info, device))
    check_states(engine, expected)
    return engine


def _refuse(info: ModelInfo, device: torch.device) -> None:
    """Raises ModelError for what this engine cannot do."""
    spec = info.spec
    if not sys.platform.startswith("linux"):
        raise model_error("The vLLM engine hands states over in memory that only Linux has.", actual=sys.platform)
    if info.rope is not None:
        raise model_error(
            f"{info.name!r} turns every text by its own length, which vLLM's engine does not do here.",
            next_step="--engine transformers",
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and device.type != "cpu":
        raise model_error(
            "One process per GPU cannot hold a vLLM engine each: it chooses its devices itself.",
            actual=f"{os.environ['WORLD_SIZE']} processes",
            next_step=f"--devices 1 --tensor_parallel {os.environ['WORLD_SIZE']}, or --shard for several runs",
        )
    if info.adapter is not None and _trains_embeddings(info.adapter.folder):
        raise model_error(
            f"Adapter {spec.adapter!r} changes more than the blocks' matrices, which this engine does not read.",
            next_step="--engine transformers",
        )


def _trains_embeddings(folder: Path) -> bool:
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    targets = config.get("target_modules") or []
    return bool(config.get("modules_to_save")) or bool({"lm_head", "embed_tokens"} & set(targets))


def _load(info: ModelInfo, device: torch.device) -> tuple[Any, Any]:
    """vLLM's `LLM`, and its `LoRARequest`, None without an adapter."""
    from vllm import LLM
    from vllm.platforms import current_platform

    if current_platform.device_type != device.type:
        raise model_error(
            f"The vLLM that is installed computes on {current_platform.device_type!r}, not on {device.type!r}.",
            next_step=f"--accelerator {'cpu' if current_platform.device_type == 'cpu' else 'gpu'}",
        )
    logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"])
    try:
        with python_warnings.catch_warnings():  # of what vLLM and torch mean to change
            python_warnings.simplefilter("ignore", FutureWarning)
            llm, lora = LLM(**_arguments(info, device)), _lora(info)
            # Before the interpreter goes: workers that are left to its end complain of shared memory that is lost.
            atexit.register(llm.llm_engine.engine_core.shutdown)
            if lora is not None:
                llm.llm_engine.add_lora(lora)
            return llm, lora
    except (ValueError, RuntimeError, OSError, NotImplementedError, AssertionError) as error:
        raise model_error(
            f"vLLM cannot load {info.name!r}.",
            where=str(info.located.folder),
            actual=f"{type(error).__name__}: {first_line(error)}",
            next_step="--engine transformers, or what the line above says",
        ) from error


def _arguments(info: ModelInfo, device: torch.device) -> dict[str, Any]:
    """Of vLLM's `LLM`."""
    spec = info.spec
    window = {} if info.window is None else {"max_model_len": info.window + 1}
    adapter: dict[str, Any] = {}
    if info.adapter is not None:
        adapter = {"enable_lora": True, "max_loras": 1, "max_lora_rank": _rank(info.adapter.folder)}
    return {
        "model": str(info.located.folder),
        "skip_tokenizer_init": True,
        "dtype": spec.dtype,
        "enforce_eager": True,
        "tensor_parallel_size": spec.tensor_parallel,
        "enable_prefix_caching": True,
        "block_size": _BLOCK,
        "max_num_seqs": _TEXTS_AT_ONCE,
        "async_scheduling": False,
        "logprobs_mode": "raw_logprobs",
        "logits_processors": [_PROCESSOR],
        "worker_extension_cls": _EXTENSION,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        **({"kv_cache_memory_bytes": _cache_bytes(info)} if device.type == "cpu" else {}),
        **window,
        **adapter,
    }


def _cache_bytes(info: ModelInfo) -> int:
    """Keys and values of as many texts as are read at once, or what a share of the free memory holds; per worker."""
    import psutil

    config = info.config.get_text_config(decoder=True)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or info.d_model // config.num_attention_heads
    token = 2 * info.n_layers * heads * width * torch.empty(0, dtype=getattr(torch, info.spec.dtype)).element_size()
    enough = _TEXTS_AT_ONCE * (info.window or 4096) * token
    return int(min(enough, psutil.virtual_memory().available // _SHARE) // info.spec.tensor_parallel)


def _rank(folder: Path) -> int:
    """vLLM allows these ranks only, and takes smaller adapters."""
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    most = max([config["r"], *config.get("rank_pattern", {}).values()])
    return next((rank for rank in (8, 16, 32, 64, 128, 256, 320, 512) if rank >= most), most)


def _lora(info: ModelInfo) -> Any:
    if info.adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest(str(info.spec.adapter), 1, str(info.adapter.folder))
