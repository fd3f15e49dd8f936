"""The loaded language model: Hugging Face's own modules plus the facts that every other file here needs.

Owns `LanguageModel`: body and head apart, text to ids, adapter on and off, checks of what goes in. Knows no files.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from lit_experiments.lm.batching import Batch
from lit_experiments.lm.buffers import BufferPool
from lit_experiments.lm.errors import model_error
from lit_experiments.lm.float16 import RowEncoder
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.rope import RotaryByRow
from lit_experiments.lm.sequences import check_sequences

CACHE_ARGUMENTS = ("cache", "past_key_values")
"""Names of the cache in forward passes: from Transformers 5.24 on, and before."""


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model on one device, in evaluation mode, without gradients.

    `model` is Hugging Face's model (an adapter, if any, lives inside it and is on); `peft` is that adapter, or None;
    `rope` turns every row by its own length where lengths matter, None where they do not; `buffers` is the host memory
    that captured states go to, `encoder` casts them. One forward pass at a time.
    """

    model: Any
    info: ModelInfo
    device: torch.device
    peft: Any | None
    rope: RotaryByRow | None = field(default=None, repr=False)
    buffers: BufferPool = field(default_factory=BufferPool, repr=False)
    encoder: RowEncoder = field(default_factory=RowEncoder, repr=False)

    @property
    def tokenizer(self) -> Any:
        return self.info.tokenizer

    @property
    def dtype(self) -> torch.dtype:
        return getattr(torch, self.info.spec.dtype)

    @property
    def body(self) -> nn.Module:
        """The part that computes the last hidden state, without the output embedding."""
        return self.model.get_submodule(self.info.layout.body)

    @cached_property
    def _arguments(self) -> frozenset[str]:
        """Those of the body's forward pass."""
        return frozenset(inspect.signature(type(self.body).forward).parameters)

    def read(self, batch: Batch, cache: object = None) -> Tensor:
        """The body's output [batch, token, hidden]. cache: what was read before, and takes in what is read now.

        Raises ModelError for a cache with an architecture that keeps none.
        """
        kept = {} if cache is None else {self._cache_argument(): cache}
        with nullcontext() if self.rope is None else self.rope.reading(batch.lengths):
            return self.body(
                input_ids=batch.ids,
                attention_mask=batch.mask,
                use_cache=cache is not None,
                return_dict=True,
                **self.positions(batch.positions),
                **kept,
            ).last_hidden_state

    def _cache_argument(self) -> str:
        """What the body's forward pass calls its cache."""
        for name in CACHE_ARGUMENTS:
            if name in self._arguments:
                return name
        raise model_error(f"Architecture {self.info.model_type!r} keeps no cache: it cannot continue texts here.")

    def positions(self, positions: Tensor) -> dict[str, Tensor]:
        """The argument that tells the body the tokens' positions; none for bodies that only know their order."""
        return {"position_ids": positions} if "position_ids" in self._arguments else {}

    def head(self, hidden: Tensor) -> Tensor:
        """Logits [..., vocabulary] from the body's output [..., hidden], scaled and capped as the model does."""
        logits = self.model.get_output_embeddings()(hidden).to(hidden.device)
        scale, cap = self.info.layout.logit_scale, self.info.layout.logit_cap
        if scale != 1:
            logits = logits * scale
        return logits if cap is None else torch.tanh(logits / cap) * cap

    def encode(self, text: str) -> list[int]:
        """Token ids with exactly one BOS if the model uses one (`tokens.py`)."""
        return self.info.tokens.encode(text)

    def decode(self, ids: list[int]) -> str:
        """The text of token ids."""
        return self.info.tokens.decode(ids)

    @contextmanager
    def adapter_disabled(self) -> Iterator[None]:
        """The base model, bit for bit: the same object with its adapter switched off. Nothing is ever merged.

        Raises ModelError for an adapter that added tokens, which the base does not have.
        """
        with nullcontext() if self.peft is None else self.peft.disabled():
            yield

    def check_sequences(self, sequences: Sequence[Sequence[int]], room: int | Sequence[int] = 0) -> None:
        """Refuses what the model cannot read, see `sequences.check_sequences`. Raises SequenceError."""
        check_sequences(self.info, sequences, room)
