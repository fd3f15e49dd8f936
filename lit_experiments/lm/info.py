"""What is known of a model without its weights: sizes, sites, tokenizer, attention, identity.

Owns `ModelInfo` and `read_info`, which reads configuration and tokenizer only. Knows nothing of modules or devices.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from lit_experiments.lm.architectures import AROUND_TEXT, layout_of
from lit_experiments.lm.errors import ModelError, model_error
from lit_experiments.lm.folder import check_config, check_folder, unread
from lit_experiments.lm.hashing import adapter_identity, model_identity
from lit_experiments.lm.layouts import Layout
from lit_experiments.lm.locate import Located, has_tokenizer, locate_adapter, locate_model
from lit_experiments.lm.placement import placing, quantized
from lit_experiments.lm.rope import LengthRope, length_rope
from lit_experiments.lm.sites import available_sites
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.lm.tokens import Tokens, added_beyond, load_tokens
from lit_experiments.lm.transformers_log import overheard
from lit_experiments.lm.vllm_engine.identity import identity


@dataclass(frozen=True)
class ModelInfo:
    """A model's facts. `window`: most tokens it can read, None if it sets no limit. `attn`: the attention
    implementation in use, never `auto`. `rope`: how rotary frequencies depend on a text's length, None where they do
    not. `sites`: every site name it has. `notes`: what to say of the model before a run.
    `quantization`: in which few bits its weights are loaded, as a config.json says it; None as they are stored."""

    spec: ModelSpec
    located: Located
    adapter: Located | None
    config: Any
    layout: Layout
    tokens: Tokens
    attn: str
    rope: LengthRope | None
    model_type: str
    n_layers: int
    d_model: int
    vocab_size: int
    window: int | None
    sites: tuple[str, ...]
    notes: tuple[str, ...]
    quantization: dict[str, Any] | None

    @property
    def name(self) -> str:
        """As the user named it, with the adapter behind a plus sign."""
        return self.spec.model if self.spec.adapter is None else f"{self.spec.model}+{self.spec.adapter}"

    @property
    def tokenizer(self) -> Any:
        return self.tokens.tokenizer

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """The tokens that end a text, by the model's configuration, its settings for generation and its tokenizer;
        empty if it has none."""
        declared = [self.config.get_text_config(decoder=True).eos_token_id, self.tokens.tokenizer.eos_token_id]
        path = self.located.folder / "generation_config.json"  # where a chat model names its end of turn
        if path.is_file():
            declared.append(json.loads(path.read_text(encoding="utf-8")).get("eos_token_id"))
        ids = [i for value in declared for i in (value if isinstance(value, list) else [value])]
        return tuple(sorted({i for i in ids if i is not None}))

    @property
    def bos_policy(self) -> str:
        return self.tokens.bos_policy

    def fingerprint(self) -> dict[str, Any]:
        """All of the model that shapes numbers, JSON-ready. Hashes a local folder's weights (cached), so not cheap."""
        return {
            "model": model_identity(self.located),
            "adapter": None if self.adapter is None else adapter_identity(self.adapter),
            "dtype": self.spec.dtype,
            "attn": self.attn,
            "bos_policy": self.bos_policy,
            "prefix": list(self.tokens.prefix or ()),
            **({} if self.quantization is None else {"quantization": self.quantization}),
            # Stores of the transformers engine are older than the choice, and keep their fingerprints.
            **({} if self.spec.engine == "transformers" else {"engine": identity(self.spec)}),
        }


def read_info(spec: ModelSpec) -> ModelInfo:
    """Configuration and tokenizer of a model; downloads no weights. Raises ModelError."""
    located = locate_model(spec.model, spec.revision, with_weights=False)
    check_folder(located.folder, spec.model)
    adapter = None if spec.adapter is None else locate_adapter(spec.adapter)
    with overheard() as warnings:
        config, raw = _read_config(located.folder)
        text_config = config.get_text_config(decoder=True)
        vocabulary = _vocabulary(text_config.vocab_size, adapter)
        spelling = located.folder if adapter is None or not has_tokenizer(adapter.folder) else adapter.folder
        tokens = load_tokens(spelling, config.model_type, vocabulary, spec.started)
    layout = layout_of(config, str(located.folder))
    placing(spec)  # what is wrong with it is said before anything is loaded
    quantization = quantized(spec)
    if getattr(config, "quantization_config", None):
        _compute_in(spec, config, located.folder)
    rope = length_rope(config)
    return ModelInfo(
        spec=spec,
        located=located,
        adapter=adapter,
        config=config,
        layout=layout,
        tokens=tokens,
        attn=_attention(spec, config),
        rope=rope,
        model_type=config.model_type,
        n_layers=text_config.num_hidden_layers,
        d_model=text_config.hidden_size,
        vocab_size=vocabulary,
        window=None if rope is not None and rope.dynamic else getattr(text_config, "max_position_embeddings", None),
        sites=tuple(available_sites(layout, text_config.num_hidden_layers)),
        notes=(
            *unread(located.folder, raw, config),
            *_tokenizer_notes(tokens, vocabulary, spelling != located.folder),
            *(f"Transformers: {line}" for line in warnings),
        ),
        quantization=None if quantization is None else json.loads(json.dumps(quantization.to_dict())),
    )


def _compute_in(spec: ModelSpec, config: Any, folder: Path) -> None:
    """Makes a quantised checkpoint compute in the dtype asked for, which its own settings would override."""
    if spec.quantization is not None:
        raise model_error(
            f"The weights of {spec.model!r} are quantised already.",
            where=str(folder / "config.json"),
            actual=f"quantization_config, and --quantization {spec.quantization}",
            next_step="leave --quantization out",
        )
    if config.quantization_config.get("load_in_4bit"):
        config.quantization_config["bnb_4bit_compute_dtype"] = spec.dtype


def _vocabulary(base: int, adapter: Located | None) -> int:
    """How many ids the model has, with the tokens that an adapter adds."""
    if adapter is None:
        return base
    from lit_experiments.lm.adapter_files import embedding_rows

    return embedding_rows(adapter.folder) or base


def _tokenizer_notes(tokens: Tokens, vocabulary: int, of_adapter: bool) -> list[str]:
    lines = ["The tokenizer is the one in the adapter's folder."] if of_adapter else []
    beyond = added_beyond(tokens.tokenizer, vocabulary)
    if beyond:
        shown = ", ".join(beyond[:5]) + (f" and {len(beyond) - 5} more" if len(beyond) > 5 else "")
        lines.append(
            f"The tokenizer knows {len(beyond)} added tokens that the model has no embedding for, and texts with them "
            f"are refused: {shown}."
        )
    return lines


def _read_config(folder: Path) -> tuple[Any, dict[str, Any]]:
    """The configuration, and what stands in its file."""
    path = folder / "config.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise model_error("The model's configuration is not JSON.", where=str(path), actual=str(error)) from error
    if "model_type" not in raw:
        raise model_error("The model's configuration names no model_type.", where=str(path))
    if raw["model_type"] not in transformers.CONFIG_MAPPING:
        raise _unknown_type(raw["model_type"], path)
    check_config(raw, path)
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    if _model_class(config) is None:
        raise model_error(f"Architecture {config.model_type!r} is no causal language model.", where=str(path))
    for one in (config, config.get_text_config(decoder=True)):  # how outputs are handed over, not what they are
        one.return_dict, one.output_hidden_states, one.output_attentions = True, False, False
        if hasattr(one, "output_router_logits"):
            one.output_router_logits = False
    return config, raw


def auto_class(config: Any) -> Any:
    """What loads this kind of model: a causal language model, or a multimodal one around it."""
    return AutoModelForImageTextToText if config.model_type in AROUND_TEXT else AutoModelForCausalLM


def _model_class(config: Any) -> Any:
    """The class that `auto_class` picks, None where it knows none."""
    around = config.model_type in AROUND_TEXT
    mapping = transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING if around else transformers.MODEL_FOR_CAUSAL_LM_MAPPING
    return mapping.get(type(config), None)


def _unknown_type(model_type: str, path: Path) -> ModelError:
    return model_error(
        f"Architecture {model_type!r} is not known to transformers {transformers.__version__}.",
        where=str(path),
        next_step="upgrade transformers, or name another model",
    )


def _attention(spec: ModelSpec, config: Any) -> str:
    if spec.engine != "transformers":
        return spec.engine  # has its own
    soft_capped = getattr(config.get_text_config(decoder=True), "attn_logit_softcapping", None) is not None
    has_sdpa = _model_class(config)._supports_sdpa and not soft_capped
    if spec.attn == "auto":
        return "sdpa" if has_sdpa else "eager"
    if spec.attn == "sdpa" and not has_sdpa:
        reason = "soft-caps its attention scores" if soft_capped else "has no sdpa attention"
        raise model_error(
            f"Attention 'sdpa' would change what {config.model_type!r} computes: it {reason}.",
            next_step="use attn 'eager' (or 'auto', which picks it)",
        )
    return spec.attn
