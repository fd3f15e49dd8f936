"""Language models whose distributions are known exactly, saved as ordinary Hugging Face folders."""

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

IMPOSSIBLE = -1e4  # the logit of a token that never comes


def bigram_model(folder: Path, transition: np.ndarray, words: list[str], window: int = 256) -> Path:
    """A Llama that reads only the current token: row i of `transition` is the next-token distribution after word i.

    Attention and MLP weights are zero, so the residual stream stays the token's embedding, a one-hot vector; the final
    norm scales it to sqrt(hidden), and the unembedding holds the log transition matrix over that.
    """
    size = len(words)
    hidden = 16
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=hidden,
        intermediate_size=hidden,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=window,
        rms_norm_eps=1e-12,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    with np.errstate(divide="ignore"):
        logits = np.maximum(np.log(transition), IMPOSSIBLE)
    with torch.no_grad():
        for parameter in model.model.layers.parameters():
            parameter.zero_()
        model.model.embed_tokens.weight.zero_()
        model.model.embed_tokens.weight[:, :size] = torch.eye(size)
        model.model.norm.weight.fill_(1.0)
        model.lm_head.weight.zero_()
        model.lm_head.weight[:, :size] = torch.tensor(logits.T / np.sqrt(hidden), dtype=torch.float32)
    model.save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel({w: i for i, w in enumerate(words)}, unk_token=words[0]))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder
