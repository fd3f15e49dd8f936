"""A real language model with a planted direction of confidence that its unembedding reads, and one that it does not.

An OPT without a norm before its head. Each question names two levels, `a` and `b`, by one character each. Block 0's
attention averages the characters' noise; block 1's writes the level a along `READ` and the level b along `UNREAD`;
block 2 adds nothing. The head reads READ into the letters S to Z (the higher, the surer), noise into A to D, and UNREAD
into nothing. So at resid_post.0 no level has reached the answer position, from resid_post.1 on both are there alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import OPTConfig, OPTForCausalLM, PreTrainedTokenizerFast

A_LEVELS, B_LEVELS, NOISE = "abcdefghijkl", "mnopqrstuvwx", 8
HIDDEN, GAIN, CONSTANT = 32, 8.0, 3.0
TEMPLATES = {
    "mcq": "{question}{A}{B}{C}{D}:",
    "self_confidence": "{question}{A}{B}{C}{D}?",
    "other_confidence": "{question}{A}{B}{C}{D}!",
}


def basis() -> torch.Tensor:
    """[hidden, hidden - 1] orthonormal columns that sum to 0, so that layer norms only scale: level a, level b,
    constant, READ, UNREAD, noise."""
    drawn = torch.randn(HIDDEN, HIDDEN, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    drawn[:, 0] = 1.0
    return torch.linalg.qr(drawn).Q[:, 1:].float()


READ, UNREAD = (basis()[:, at].double().numpy() for at in (3, 4))


def write_model(folder: Path) -> Path:
    """The model and its tokenizer, one token per character, as a Hugging Face folder."""
    symbols = sorted(ByteLevel.alphabet())
    ids = {symbol: i for i, symbol in enumerate(symbols)}
    size = {"vocab_size": len(symbols), "hidden_size": HIDDEN, "word_embed_proj_dim": HIDDEN, "ffn_dim": 8}
    config = OPTConfig(
        **size,
        num_hidden_layers=3,
        num_attention_heads=1,
        max_position_embeddings=64,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    config._remove_final_layer_norm = True
    model = OPTForCausalLM(config)
    with torch.no_grad():
        _plant(model, ids)
    model.save_pretrained(folder)
    tokenizer = Tokenizer(BPE(ids, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder


def _plant(model: OPTForCausalLM, ids: dict[str, int]) -> None:
    decoder, q = model.model.decoder, basis()
    for name, parameter in [*decoder.layers.named_parameters(), *decoder.embed_positions.named_parameters()]:
        if "layer_norm" not in name:
            parameter.zero_()
    level_a, level_b, constant, read, unread = q[:, :5].T
    noise = q[:, 5 : 5 + NOISE]
    generator = torch.Generator().manual_seed(3)
    drawn = torch.randn(len(ids), NOISE, generator=generator)
    embed = CONSTANT * constant + drawn @ noise.T
    for levels, direction in ((A_LEVELS, level_a), (B_LEVELS, level_b)):
        for at, letter in enumerate(levels):
            embed[ids[letter]] = CONSTANT * constant + (2 * at / (len(levels) - 1) - 1) * direction
    decoder.embed_tokens.weight.copy_(embed)
    first, second = (decoder.layers[at].self_attn for at in (0, 1))
    for attention in (first, second):
        attention.v_proj.weight.copy_(torch.eye(HIDDEN))
    first.out_proj.weight.copy_(noise @ noise.T)
    second.out_proj.weight.copy_(GAIN * (torch.outer(read, level_a) + torch.outer(unread, level_b)))
    model.lm_head.weight.zero_()
    for at, letter in enumerate("STUVWXYZ"):
        model.lm_head.weight[ids[letter]] = 2 * constant + 0.12 * (at - 3.5) * read
    for letter in "ABCD":
        model.lm_head.weight[ids[letter]] = 2 * constant + noise @ torch.randn(NOISE, generator=generator)


def write_questions(path: Path) -> Path:
    """Every pair of levels once, so that the two are not related; options and three more characters are noise."""
    rng = np.random.default_rng(0)
    lines = []
    for a in A_LEVELS:
        for b in B_LEVELS:
            filler = "".join(rng.choice(list("0123456789"), 3))
            options = [str(option) for option in rng.permutation(10)[:4]]
            answer = "ABCD"[rng.integers(4)]
            lines.append(json.dumps({"question": f"{a}{b}{filler}", "options": options, "answer": answer}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def levels(texts: Iterable[str], characters: str) -> np.ndarray:
    """[question] the level that each question's text names, from -1 to 1."""
    places = [next(characters.index(c) for c in text if c in characters) for text in texts]
    return 2 * np.array(places) / (len(characters) - 1) - 1
