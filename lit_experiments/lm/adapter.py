"""PEFT adapters: loaded into the model's layers, switched on and off, never merged.

Owns the check that an adapter belongs to the model. Imported only when there is one. Knows no sites.
"""

import json
from typing import Any

from peft import PeftModel, get_peft_model_state_dict
from peft.utils import load_peft_weights

from lit_experiments.lm.errors import ModelError, first_line, model_error
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.locate import HUB_ID, Located


def load_adapter(model: Any, info: ModelInfo) -> Any:
    """Puts the adapter of `info` into `model`, in place and switched on; returns the PEFT model around it.

    Raises ModelError when the adapter was made for another model or feeds tokens instead of changing layers.
    """
    adapter = info.adapter
    assert adapter is not None, "called only with an adapter"
    described = json.loads((adapter.folder / "adapter_config.json").read_text(encoding="utf-8"))
    _refuse_other_base(described.get("base_model_name_or_path"), info, adapter)
    try:
        peft = PeftModel.from_pretrained(model, str(adapter.folder), is_trainable=False)
    except (ValueError, RuntimeError, KeyError, TypeError, OSError) as error:
        raise _other_model(info, adapter, first_line(error)) from error
    if peft.active_peft_config.is_prompt_learning:
        raise model_error(
            f"Adapter {adapter.name!r} is of type {described.get('peft_type')}, which feeds extra tokens to the model.",
            allowed="adapters inside the model's layers, such as LoRA",
            next_step="train a LoRA adapter",
        )
    stored = set(load_peft_weights(str(adapter.folder), device="cpu")) - _embedding_keys(model)
    held = set(get_peft_model_state_dict(peft, save_embedding_layers=False))
    if stored != held:
        raise _other_model(info, adapter, f"{len(stored ^ held)} of its weights have no counterpart")
    return peft


def _embedding_keys(model: Any) -> set[str]:
    """Keys under which an adapter may bring the base's resized embeddings along, besides its own weights."""
    embeddings = (model.get_input_embeddings(), model.get_output_embeddings())
    names = [name for name, module in model.named_modules() if any(module is one for one in embeddings)]
    return {f"base_model.model.{name}.weight" for name in names}


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
