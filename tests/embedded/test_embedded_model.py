"""The shipped folder: loads offline, stays small, and is as good as it was when it was shipped."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from lit_experiments.embedded import arithmetic, evaluate, text
from lit_experiments.embedded.tokenizer import encode_documents
from lit_experiments.embedded.train import MODEL_FOLDER

BUDGET = 8_000_000  # bytes, weights and tokenizer together
HELD_OUT_BOUND = 4.0  # nats per token on every eighth piece; 3.90 when it was shipped


def test_the_folder_is_a_small_float16_llama(shipped):
    model, tokenizer = shipped
    assert sum(path.stat().st_size for path in MODEL_FOLDER.iterdir()) <= BUDGET
    assert model.config.model_type == "llama"
    assert model.config.max_position_embeddings >= 512
    assert model.config.vocab_size == len(tokenizer)
    weights = load_file(MODEL_FOLDER / "model.safetensors")
    assert all(w.dtype == np.float16 and np.isfinite(w).all() for w in weights.values())


@given(written=st.text())
@settings(max_examples=100, deadline=None)
def test_any_text_comes_back_from_its_tokens(shipped, written):
    _, tokenizer = shipped
    # split_special_tokens: "</s>" typed by a user is text
    ids = tokenizer(written, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert tokenizer.decode(ids) == written


def test_exactly_one_start_token_and_distinct_specials(shipped):
    _, tokenizer = shipped
    ids = tokenizer("Return the value.")["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert ids.count(tokenizer.bos_token_id) == 1
    assert tokenizer.eos_token_id not in ids
    assert len({tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}) == 3


def test_digits_and_capital_letters_are_single_tokens(shipped):
    _, tokenizer = shipped
    assert tokenizer.tokenize("x 1407.5") == ["x", "\u01201", "4", "0", "7", ".", "5"]
    for letter in "ABCDSTUVWXYZ":
        assert len(tokenizer.tokenize(letter)) == len(tokenizer.tokenize(f" {letter}")) == 1
        assert tokenizer.tokenize(f"Answer: {letter}")[-1] == f"\u0120{letter}"


def test_held_out_documentation_is_read_below_a_sane_bound(shipped, split):
    model, tokenizer = shipped
    pieces = [piece for document in split[1] for piece in text.pieces(document, 1300)][::8]
    documents = [ids[:512] for ids in encode_documents(tokenizer, pieces)]
    found = evaluate.log_probs(model, documents, 16)
    assert -np.concatenate(found).mean() < HELD_OUT_BOUND


def test_held_out_problems_are_continued_to_a_boxed_answer_by_a_known_method(shipped):
    stream = arithmetic.problems("continue", held_out=True)
    problems = list(itertools.islice((p for p in stream if p.kind == "groups"), 12))
    attempts = evaluate.solve(*shipped, problems, temperature=0.0, seed=0, batch=12)
    assert all(a.text.endswith("}") and arithmetic.boxed_answer(a.text) is not None for a in attempts)
    assert all(a.method in arithmetic.METHODS for a in attempts)
    assert sum(a.solved for a in attempts) >= 6  # about four in five when it was shipped


def test_batched_scores_equal_single_ones(shipped):
    model, tokenizer = shipped
    documents = encode_documents(tokenizer, ["Return the name of the file.", "Yes.", "Split 15 into 10 and 5."])
    together = evaluate.log_probs(model, documents, 3)
    for ids, found in zip(documents, together, strict=True):
        assert found == pytest.approx(evaluate.log_probs(model, [ids], 1)[0], abs=1e-4)
        assert len(found) == len(ids) - 1
