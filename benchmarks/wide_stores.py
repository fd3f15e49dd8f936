"""Runs with the states of a wide model, and that model: what `probe_memory.py --whole` trains on.

The model is a Llama of as many hidden dims and layers as are asked for, whose attention and MLP are 16 and 8 wide: it
loads and reads like any, so that random-weights twins are made and read, at a cost that the probes outweigh. The states
are not its own: noise, with planted directions in the middle layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import stores
from lit_experiments.experiments.introspection.schema import COLUMNS, make_schema
from stores import Column, Field, PartWriter, Records, Schema

TEXT_TOKENS = 12
BLOCK = 100
"""Rows written at a time."""
LETTERS = {"mcq": "ABCD", "self_confidence": "STUVWXYZ", "other_confidence": "STUVWXYZ"}


def wide_model(folder: Path, layers: int, hidden: int) -> Path:
    """A Llama with random weights and a byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=256,
        hidden_size=hidden,
        intermediate_size=8,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=64,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer = Tokenizer(BPE({symbol: i for i, symbol in enumerate(sorted(ByteLevel.alphabet()))}, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder


def write_texts(run: Path, model: Path, rows: int, layers: int, hidden: int) -> None:
    """As `collect --exp activations` writes it: labels `kind` (two classes) and `size` (a number), both planted."""
    sites = [f"resid_post.{i}" for i in range(layers)]
    field = Field("hidden_last", ("site", "sample", "hidden"), (layers, None, hidden), "float16", "", "states")
    columns = (
        Column("text", "string", ""),
        Column("input_ids", "list<int64>", ""),
        Column("kind", "string", ""),
        Column("size", "float64", ""),
    )
    _create(run, Schema((field,), columns, {"site": sites}), model)
    with PartWriter(run / "store", 0, 10**9, 60) as writer:
        for numbers, rng in _blocks(rows):
            kind, size = rng.random(len(numbers)) < 0.4, rng.normal(size=len(numbers))
            states = _states(rng, layers, len(numbers), hidden)
            states[layers // 2, :, :32] += np.float16(1) * kind[:, None]
            states[layers // 2, :, 32:64] += size[:, None].astype(np.float16)
            ids = rng.integers(1, 256, (len(numbers), TEXT_TOKENS))
            values = [
                {
                    "sample_id": f"t{n}",
                    "sample_index": n,
                    "text": " ".join(map(str, row)),
                    "input_ids": row,
                    "kind": ["no", "yes"][int(k)],
                    "size": float(s),
                }
                for n, row, k, s in zip(numbers, ids.tolist(), kind, size, strict=True)
            ]
            exponents = np.zeros((layers, len(numbers)), np.int8)
            writer.append(Records(values, {"hidden_last": states}, {}, {"hidden_last": exponents}))


def write_questions(run: Path, model: Path, questions: int, layers: int, hidden: int) -> None:
    """As `collect --exp introspection` writes it, three passes, the answer position stored; confidences are planted."""
    _create(run, make_schema([f"resid_post.{i}" for i in range(layers)], hidden), model)
    with PartWriter(run / "store", 0, 10**9, 60) as writer:
        for place, kind in enumerate(LETTERS):
            for numbers, rng in _blocks(questions, place + 1):
                writer.append(_records(kind, place * questions, numbers, rng, layers, hidden))


def _records(kind: str, start: int, numbers: list[int], rng: np.random.Generator, layers: int, hidden: int) -> Records:
    count, choices = len(numbers), len(LETTERS[kind])
    feature = rng.normal(size=count)
    states = _states(rng, layers, count, hidden)
    states[layers // 2, :, :32] += feature[:, None].astype(np.float16)
    probs = rng.dirichlet(np.ones(choices), count)
    rows = []
    for i, n in enumerate(numbers):
        words = np.random.default_rng((n, 7)).integers(1, 10**6, TEXT_TOKENS).tolist()
        letter = LETTERS[kind][int(probs[i].argmax())]
        row: dict[str, Any] = {column.name: None for column in COLUMNS} | {
            "sample_id": f"q{n}:{kind}",
            "sample_index": start + n,
            "question_id": f"q{n}",
            "question_text": " ".join(f"w{word}" for word in words),
            "prompt_type": kind,
            "input_ids": [word % 255 + 1 for word in words],
            "positions": [TEXT_TOKENS - 1],
            "answer_position": TEXT_TOKENS - 1,
            "letters": list(LETTERS[kind]),
            "probs": probs[i].tolist(),
            "entropy": float(-(probs[i] * np.log(probs[i])).sum()),
            "parsed_answer": letter,
            "char_length": sum(len(str(word)) for word in words),
            "token_length": TEXT_TOKENS,
        }
        if kind == "mcq":
            row |= {"is_correct": bool(feature[i] > 0), "logit_margin": float(rng.normal())}
        else:
            row[kind] = float(50 + 12 * feature[i])
        rows.append(row)
    arrays: dict[str, NDArray[Any]] = {
        "resid_post": states,
        "letter_logits": np.log(probs).ravel().astype(np.float32),
        "letter_probs": probs.ravel(),
    }
    lengths = {"token": np.ones(count, np.int64), "choice": np.full(count, choices)}
    return Records(rows, arrays, lengths, {"resid_post": np.zeros((layers, count), np.int8)})


def _create(run: Path, schema: Schema, model: Path) -> None:
    from lit_experiments.lm.info import read_info
    from lit_experiments.lm.spec import ModelSpec

    spec = ModelSpec(str(model), None, None, "float32", "sdpa")
    identity = {"model": read_info(spec).fingerprint()}
    options = {"model": str(model), "revision": None, "adapter": None}
    stores.create_store(run / "store", schema, identity, {"config": {"options": options}}, "zarr")


def _blocks(rows: int, seed: int = 0) -> Iterator[tuple[list[int], np.random.Generator]]:
    for start in range(0, rows, BLOCK):
        yield list(range(start, min(rows, start + BLOCK))), np.random.default_rng((seed, start))


def _states(rng: np.random.Generator, layers: int, rows: int, hidden: int) -> NDArray[np.float16]:
    """[layer, row, hidden]"""
    return rng.standard_normal((layers, rows, hidden), np.float32).astype(np.float16)
