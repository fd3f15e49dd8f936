"""From a `ModelSpec` to a `LanguageModel`: weights straight onto the device in their dtype, or fresh ones; self-check.

Owns every way in which weights can fail to load from a found folder. Knows nothing of the Hub (`locate`) or of where
sites are (`architectures`).
"""

import logging
import pickle
import tempfile
import warnings as python_warnings
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from lit_experiments.lm.buffers import keep_freed_memory
from lit_experiments.lm.errors import ModelError, first_line, model_error
from lit_experiments.lm.info import ModelInfo, auto_class, read_info
from lit_experiments.lm.locate import locate_model
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.placement import placing, quantized, quiet_bitsandbytes
from lit_experiments.lm.rope import RotaryByRow
from lit_experiments.lm.selfcheck import check_sites
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.lm.transformers_log import overheard
from lit_experiments.lm.weights import refuse_misfit

_LOG = logging.getLogger(__name__)


def load(spec: ModelSpec, device: str | torch.device) -> LanguageModel:
    """The model of `spec` on `device`, its sites proven on one short forward pass. Raises ModelError."""
    info = read_info(spec)
    info = replace(info, located=locate_model(spec.model, spec.revision, with_weights=True))
    device = torch.device(device)
    model = _load_weights(info, device)
    peft = None if info.adapter is None else _load_adapter(model, info)
    return _ready(model, info, device, peft)


def load_untrained(spec: ModelSpec, device: str | torch.device, seed: int) -> LanguageModel:
    """The same architecture and configuration with weights drawn afresh as its own initialisation draws them.

    Drawn on the CPU, so that a seed gives the same weights on every device; the global generator is left as it was.
    An adapter of `spec` is left out: a fresh one changes nothing. Reads no trained weights. Raises ModelError.
    """
    info = read_info(replace(spec, adapter=None))
    device = torch.device(device)
    if spec.device_map is not None or spec.quantization is not None:
        return _load_drawn(info, device, seed)
    with overheard() as warnings, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = auto_class(info.config).from_config(
            info.config, dtype=getattr(torch, spec.dtype), attn_implementation=info.attn
        )
    _say(info, warnings)
    return _ready(model.to(device), info, device, peft=None)


def _load_drawn(info: ModelInfo, device: torch.device, seed: int) -> LanguageModel:
    """Fresh weights that go the way of trained ones: onto the disk, and from there to their places."""
    from lit_experiments.lm.untrained import write_untrained

    # Parts that stay on the disk are read from it again in every pass.
    folder = tempfile.TemporaryDirectory(prefix="lit_experiments_untrained_")
    dtype = getattr(torch, info.spec.dtype)
    write_untrained(auto_class(info.config), info.config, dtype, info.layout.blocks, seed, Path(folder.name))
    model = _load_weights(replace(info, located=replace(info.located, folder=Path(folder.name))), device)
    weakref.finalize(model, folder.cleanup)
    return _ready(model, info, device, peft=None)


def _ready(model: Any, info: ModelInfo, device: torch.device, peft: Any) -> LanguageModel:
    if device.type == "cpu":
        keep_freed_memory()
    body = model.get_submodule(info.layout.body)
    rope = None if info.rope is None else RotaryByRow(body, info.rope, info.name)
    lm = LanguageModel(model=model.eval().requires_grad_(False), info=info, device=device, peft=peft, rope=rope)
    check_sites(lm)
    return lm


def _load_weights(info: ModelInfo, device: torch.device) -> Any:
    where = _where(info.spec, device)
    try:
        with overheard() as warnings:
            model, report = auto_class(info.config).from_pretrained(
                info.located.folder,
                config=info.config,
                dtype=getattr(torch, info.spec.dtype),
                attn_implementation=info.attn,
                local_files_only=True,
                output_loading_info=True,
                **where,
            )
    except torch.cuda.OutOfMemoryError as error:
        raise _too_large(info, device) from error
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError, pickle.UnpicklingError) as error:
        raise model_error(
            f"The weights of {info.spec.model!r} cannot be loaded.",
            where=str(info.located.folder),
            actual=f"{type(error).__name__}: {first_line(error)}",
            next_step="check that the download is complete and fits its config.json",
        ) from error
    refuse_misfit(info, report, warnings)
    _say(info, warnings)
    return model


def _where(spec: ModelSpec, device: torch.device) -> dict[str, Any]:
    """Arguments of `from_pretrained` that say on which devices, and in how many bits."""
    quantization = quantized(spec)
    if quantization is not None:
        quiet_bitsandbytes()
    whole = {"device_map": {"": device}} if device.type != "cpu" or quantization is not None else {}
    return {**(placing(spec) or whole), **({} if quantization is None else {"quantization_config": quantization})}


def _say(info: ModelInfo, warnings: list[str]) -> None:
    for line in warnings:
        _LOG.warning("Transformers, of %s: %s", info.spec.model, line)


def _load_adapter(model: Any, info: ModelInfo) -> Any:
    quiet_bitsandbytes()  # PEFT imports it where it is installed
    # PEFT takes as long to import as everything else together, and most runs have no adapter.
    from lit_experiments.lm.adapter import load_adapter

    with python_warnings.catch_warnings():  # PEFT asks Transformers for things by names that are going out of use
        python_warnings.simplefilter("ignore", FutureWarning)
        return load_adapter(model, info)


def _too_large(info: ModelInfo, device: torch.device) -> ModelError:
    return model_error(
        f"{info.spec.model!r} does not fit on {device}.",
        actual=f"dtype {info.spec.dtype}",
        next_step="use bfloat16, a smaller model, or a device with more memory",
    )
