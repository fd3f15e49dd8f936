"""Language models whose distributions are known exactly, saved as ordinary Hugging Face folders."""

from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import ByteLevel, WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM, PreTrainedTokenizerFast

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


def random_llama(folder: Path, seed: int, window: int = 256, **overrides: int) -> Path:
    """A small Llama with random weights, large enough to give varied distributions, and a byte-level tokenizer."""
    torch.manual_seed(seed)
    settings = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
    config = LlamaConfig(
        vocab_size=256,
        max_position_embeddings=window,
        num_key_value_heads=2,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=None,
        initializer_range=0.3,
        **{**settings, **overrides},
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    vocabulary = {symbol: i for i, symbol in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Tokenizer(BPE(vocabulary, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder


def parity_model(folder: Path, gain: float = 0.1, window: int = 64) -> Path:
    """An OPT over the words w0, w1, ..., w39 that writes more odd words the larger dimension 0 of its stream is.

    Its blocks add nothing and its head reads the stream without a norm. Dimension 0 of a word's embedding is 1 for odd
    words and -1 for even ones; the head reads it alone: into odd words with weight `gain`, into even ones with -gain.
    The other 31 dimensions are random and unread. No word ends a text.
    """
    torch.manual_seed(0)
    words = 40
    config = OPTConfig(
        vocab_size=words,
        hidden_size=32,
        word_embed_proj_dim=32,
        ffn_dim=8,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=window,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    config._remove_final_layer_norm = True
    model = OPTForCausalLM(config)
    parity = (torch.arange(words) % 2 * 2 - 1).float()
    with torch.no_grad():
        for parameter in (*model.model.decoder.layers.parameters(), model.model.decoder.embed_positions.weight):
            parameter.zero_()
        model.model.decoder.embed_tokens.weight.normal_()
        model.model.decoder.embed_tokens.weight[:, 0] = parity
        model.lm_head.weight.zero_()
        model.lm_head.weight[:, 0] = gain * parity
    model.save_pretrained(folder)
    tokenizer = Tokenizer(WordLevel({f"w{i}": i for i in range(words)}, unk_token="w0"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder
