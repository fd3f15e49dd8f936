"""Sentence embeddings of a user's model, as a further control: the mean of its last hidden states over a text's tokens.

Any model that transformers' AutoModel loads from a folder or the Hub, as sentence-transformers keep them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lit_experiments.controls.labels import Floats
from lit_experiments.errors import UserError

_BATCH = 32


def embedded_texts(model: str, texts: Sequence[str]) -> Floats:
    """[text, dim] mean-pooled embeddings.

    Raises:
        UserError: the model or its tokenizer cannot be loaded.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
        network = AutoModel.from_pretrained(model, dtype=torch.float32).eval()
    except (OSError, ValueError) as error:
        raise UserError(
            f"--embedding_model {model} cannot be loaded: {' '.join(str(error).split())}\nNext: give a folder or Hub "
            "id of a model with its tokenizer, such as sentence-transformers/all-MiniLM-L6-v2."
        ) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    most = min(int(tokenizer.model_max_length), int(getattr(network.config, "max_position_embeddings", 512) or 512))
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    vectors: dict[str, Floats] = {}
    for start in range(0, len(distinct), _BATCH):
        batch = distinct[start : start + _BATCH]
        inputs = tokenizer(batch, padding=True, truncation=True, max_length=most, return_tensors="pt")
        with torch.inference_mode():
            states = network(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state
        mask = inputs["attention_mask"][..., None].to(states.dtype)
        pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        vectors |= dict(zip(batch, pooled.double().numpy(), strict=True))
    return np.stack([vectors[text] for text in texts])
