"""From a `ModelSpec` to a `LanguageModel`: weights straight onto the device in their dtype, adapter, self-check.

Owns every way in which loading can fail on a found folder. Knows nothing of the Hub (`locate`) or of sites (`layouts`).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from peft.utils import load_peft_weights
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from lit_experiments.lm.errors import ModelError, model_error
from lit_experiments.lm.info import ModelInfo, read_info
from lit_experiments.lm.locate import HUB_ID, Located, locate_model
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.selfcheck import check_sites
from lit_experiments.lm.spec import ModelSpec


def load(spec: ModelSpec, device: str | torch.device) -> LanguageModel:
    """The model of `spec` on `device`, its sites proven on one short forward pass. Raises ModelError."""
    info = read_info(spec)
    info = replace(info, located=locate_model(spec.model, spec.revision, with_weights=True))
    device = torch.device(device)
    model = _load_weights(info, device)
    peft = None if info.adapter is None else _load_adapter(model, info, info.adapter)
    model.eval().requires_grad_(False)
    lm = LanguageModel(model=model, info=info, device=device, peft=peft)
    check_sites(lm)
    return lm


def _load_weights(info: ModelInfo, device: torch.device) -> Any:
    try:
        with _quiet():
            model, report = AutoModelForCausalLM.from_pretrained(
                info.located.folder,
                config=info.config,
                dtype=getattr(torch, info.spec.dtype),
                attn_implementation=info.attn,
                local_files_only=True,
                output_loading_info=True,
                device_map={"": device} if device.type != "cpu" else None,
            )
    except torch.cuda.OutOfMemoryError as error:
        raise _too_large(info, device) from error
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise model_error(
            f"The weights of {info.spec.model!r} cannot be loaded.",
            where=str(info.located.folder),
            found=f"{type(error).__name__}: {_first_line(error)}",
            next_step="check that the download is complete and fits its config.json",
        ) from error
    _refuse_incomplete(info, report)
    return model


def _refuse_incomplete(info: ModelInfo, report: dict[str, Any]) -> None:
    """Transformers would fill missing weights with random numbers and only warn."""
    missing = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if missing:
        raise model_error(
            f"The weights of {info.spec.model!r} do not fill the model that its config.json describes.",
            where=str(info.located.folder),
            found=f"{len(missing)} missing or of another shape: {', '.join(missing[:4])}"
            + (", ..." if len(missing) > 4 else ""),
            next_step="use the config.json that belongs to these weights",
        )


def _load_adapter(model: Any, info: ModelInfo, adapter: Located) -> Any:
    described = json.loads((adapter.folder / "adapter_config.json").read_text(encoding="utf-8"))
    _refuse_other_base(described.get("base_model_name_or_path"), info, adapter)
    try:
        peft = PeftModel.from_pretrained(model, str(adapter.folder), is_trainable=False)
    except (ValueError, RuntimeError, KeyError, TypeError, OSError) as error:
        raise _other_model(info, adapter, _first_line(error)) from error
    if peft.active_peft_config.is_prompt_learning:
        raise model_error(
            f"Adapter {adapter.name!r} is of type {described.get('peft_type')}, which feeds extra tokens to the model.",
            allowed="adapters inside the model's layers, such as LoRA",
            next_step="train a LoRA adapter",
        )
    stored = set(load_peft_weights(str(adapter.folder), device="cpu"))
    held = set(get_peft_model_state_dict(peft))
    if stored != held:
        raise _other_model(info, adapter, f"{len(stored ^ held)} of its weights have no counterpart")
    return peft


def _refuse_other_base(base: str | None, info: ModelInfo, adapter: Located) -> None:
    # A path says nothing about what the folder holds; two Hub ids that differ are two models.
    both_hub = base is not None and HUB_ID.fullmatch(base) is not None and info.located.commit is not None
    if both_hub and base != info.located.name:
        raise _other_model(info, adapter, f"it was made for {base}")


def _other_model(info: ModelInfo, adapter: Located, found: str) -> ModelError:
    return model_error(
        f"Adapter {adapter.name!r} was made for another model than {info.spec.model!r}.",
        where=str(adapter.folder),
        found=found,
        next_step="name the base model of its adapter_config.json with --model, or another --adapter",
    )


def _too_large(info: ModelInfo, device: torch.device) -> ModelError:
    return model_error(
        f"{info.spec.model!r} does not fit on {device}.",
        found=f"dtype {info.spec.dtype}",
        next_step="use bfloat16, a smaller model, or a device with more memory",
    )


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no details")


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar and no load report on standard error: what matters in them is raised as an error."""
    level = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
