"""PEFT adapters: loaded into the model's layers as plain PEFT loads them, switched on and off, never merged.

Owns the check that an adapter belongs to the model, and the way back to the base model where an adapter replaced
weights of it (biases, embeddings). Imported only when there is one. Knows no sites.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from torch import Tensor

from lit_experiments.lm.adapter_files import base_name, embedding_rows, shapes
from lit_experiments.lm.errors import ModelError, first_line, model_error
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.locate import HUB_ID, Located

# Settings that make an adapter more than a change inside the layers, and why.
_REFUSED_SETTINGS = {
    "layer_replication": "which gives the model more blocks than its configuration says",
    "alora_invocation_tokens": "which switches it on in the middle of a text, by the tokens that were read",
    "use_qalora": "which needs quantised weights",
}


class Adapted:
    """An adapter inside a model. model: the PEFT model around it."""

    def __init__(self, model: Any, base: dict[torch.nn.Parameter, Tensor], obstacle: str | None) -> None:
        """base: the values that parameters had before the adapter replaced them. obstacle: why there is no way back to
        the base, None if there is one."""
        self.model, self._base, self._obstacle = model, base, obstacle

    def get_base_model(self) -> Any:
        """The model that the adapter lies in."""
        return self.model.get_base_model()

    @contextmanager
    def disabled(self) -> Iterator[None]:
        """The base model, bit for bit. Raises ModelError where the adapter left no way back to it."""
        if self._obstacle is not None:
            raise model_error(
                f"The adapter {self._obstacle}, so it cannot be switched off.",
                next_step="load the base model without the adapter",
            )
        adapted = {parameter: parameter.data for parameter in self._base}
        with self.model.disable_adapter():
            try:
                for parameter, value in self._base.items():
                    parameter.data = value
                yield
            finally:
                for parameter, value in adapted.items():
                    parameter.data = value


def load_adapter(model: Any, info: ModelInfo) -> Adapted:
    """Puts the adapter of `info` into `model`, in place and switched on.

    Raises ModelError when the adapter was made for another model, feeds tokens instead of changing layers, or leaves
    some of its own weights or of the tokens that it adds undetermined.
    """
    adapter = info.adapter
    assert adapter is not None, "called only with an adapter"
    described = json.loads((adapter.folder / "adapter_config.json").read_text(encoding="utf-8"))
    _refuse_other_base(described.get("base_model_name_or_path"), info, adapter)
    _refuse_kind(described, info, adapter)
    added = _make_room(model, adapter)
    before = _replaceable(model, adapter)
    marks = {name: (parameter, _mark(parameter)) for name, parameter in model.named_parameters()}
    try:
        peft = PeftModel.from_pretrained(model, str(adapter.folder), is_trainable=False)
        # Once more, for what it says: the keys that went nowhere, and the places that got none.
        report = peft.load_adapter(str(adapter.folder), "default", is_trainable=False)
    except (ValueError, RuntimeError, KeyError, TypeError, OSError) as error:
        raise _other_model(info, adapter, first_line(error)) from error
    homeless = [*_homeless(report.unexpected_keys, model, adapter), *report.missing_keys]
    if homeless:
        raise _other_model(info, adapter, f"{len(homeless)} of its weights have no counterpart, such as {homeless[0]}")
    _refuse_unfilled(model, info, adapter, added)
    changed = {parameter: value for parameter, value in before.items() if not torch.equal(parameter.data, value)}
    held = {base_name(name): parameter for name, parameter in model.named_parameters()}
    same = {name: parameter for name, (parameter, _) in marks.items() if name in held and held[name] is parameter}
    untouched = {name for name, parameter in same.items() if _mark(parameter) == marks[name][1]}
    lost = [name for name, (parameter, _) in marks.items() if name not in untouched and parameter not in before]
    return Adapted(peft, changed, _obstacle(added, lost))


def _mark(parameter: torch.nn.Parameter) -> float:
    """What changes when a parameter's values do, also where they are written past PyTorch's own count of versions."""
    return float(parameter.detach().sum(dtype=torch.float64))


def _obstacle(added: int, lost: list[str]) -> str | None:
    if added:
        return f"adds {added} tokens to the vocabulary"
    if lost:  # by initialisations such as PiSSA, which take a part of the base's weights into the adapter
        return f"changed {len(lost)} weights of the base when it was put in ({lost[0]}, ...)"
    return None


def _homeless(unexpected: list[str], model: Any, adapter: Located) -> list[str]:
    """The keys that PEFT found no place for, without those that it saves twice and reads once."""
    held = shapes(adapter.folder).keys()
    tied = model.config.get_text_config(decoder=True).tie_word_embeddings
    return [
        key
        for key in unexpected
        if not (".modules_to_save." in key and key.replace(".modules_to_save.", ".") in held)
        and not (tied and key.endswith(".token_adapter.trainable_tokens_delta"))
    ]


def _refuse_kind(described: dict[str, Any], info: ModelInfo, adapter: Located) -> None:
    """Raises ModelError for adapters that do not work inside the layers, or that change how many there are."""
    try:
        config = PeftConfig.from_pretrained(str(adapter.folder))
    except (ValueError, KeyError, TypeError) as error:
        raise model_error(
            f"Adapter {adapter.name!r} is of a kind that this version of PEFT does not know.",
            where=str(adapter.folder / "adapter_config.json"),
            actual=f"peft_type {described.get('peft_type')!r}: {first_line(error)}",
            next_step="upgrade peft, or name another --adapter",
        ) from error
    if config.is_prompt_learning or config.is_adaption_prompt:
        raise model_error(
            f"Adapter {adapter.name!r} is of type {described.get('peft_type')}, which feeds extra tokens to the model.",
            allowed="adapters inside the model's layers, such as LoRA",
            next_step="train a LoRA adapter",
        )
    for key, why in _REFUSED_SETTINGS.items():
        if described.get(key):
            raise model_error(
                f"Adapter {adapter.name!r} sets {key}, {why}.",
                where=str(adapter.folder / "adapter_config.json"),
                actual=f"{key}: {json.dumps(described[key])}",
                next_step="name another --adapter",
            )


def _make_room(model: Any, adapter: Located) -> int:
    """Gives the embeddings as many rows as the adapter's have, NaN where it will have to fill them in; how many."""
    held = model.get_input_embeddings().weight.shape[0]
    rows = embedding_rows(adapter.folder) or held
    if rows <= held:
        return 0
    model.resize_token_embeddings(rows, mean_resizing=False)
    with torch.no_grad():
        for module in (model.get_input_embeddings(), model.get_output_embeddings()):
            module.weight[held:] = torch.nan
            if getattr(module, "bias", None) is not None:
                module.bias[held:] = torch.nan
    return rows - held


@torch.no_grad()
def _refuse_unfilled(model: Any, info: ModelInfo, adapter: Located, added: int) -> None:
    if not added:
        return
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    weight = next(embedding.parameters())
    rows = torch.arange(info.vocab_size - added, info.vocab_size, device=weight.device)
    logits = head(weight.new_zeros(1, weight.shape[1]))
    if not bool(embedding(rows).isfinite().all() and logits.isfinite().all()):
        raise model_error(
            f"Adapter {adapter.name!r} adds {added} tokens and does not bring all of their embeddings along.",
            where=str(adapter.folder),
            next_step="save it again with save_embedding_layers=True",
        )


def _replaceable(model: Any, adapter: Located) -> dict[torch.nn.Parameter, Tensor]:
    """Copies of the parameters of the base that the adapter's file has values for."""
    held = dict(model.named_parameters(remove_duplicate=False))
    names = {base_name(key) for key in shapes(adapter.folder)}
    return {held[name]: held[name].data.clone() for name in sorted(names & held.keys())}


def _refuse_other_base(base: str | None, info: ModelInfo, adapter: Located) -> None:
    # A path says nothing about what the folder holds; two Hub ids that differ are two models.
    both_hub = base is not None and HUB_ID.fullmatch(base) is not None and info.located.commit is not None
    if both_hub and base != info.located.name:
        raise _other_model(info, adapter, f"it was made for {base}")


def _other_model(info: ModelInfo, adapter: Located, reason: str) -> ModelError:
    return model_error(
        f"Adapter {adapter.name!r} was made for another model than {info.spec.model!r}.",
        where=str(adapter.folder),
        actual=reason,
        next_step="name the base model of its adapter_config.json with --model, or another --adapter",
    )
