"""The shipped folder: loads offline, stays small, and is as good as it was when it was shipped."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from lit_experiments.embedded import arithmetic, evaluate, quiz, text
from lit_experiments.embedded.prompts import prompt
from lit_experiments.embedded.questions import QUESTIONS_FILE, load_questions
from lit_experiments.embedded.questions import split as halves
from lit_experiments.embedded.tokenizer import encode_documents
from lit_experiments.embedded.train import ADAPTER_FOLDER, MODEL_FOLDER
from lit_experiments.lm.capture import capture
from lit_experiments.lm.load import load
from lit_experiments.lm.spec import ModelSpec

BUDGET = 8_000_000  # bytes, weights and tokenizer together
PACKAGE_BUDGET = 10_000_000  # bytes, with adapter and data
HELD_OUT_BOUND = 3.9  # nats per token on every eighth piece; 3.72 when it was shipped


def test_the_folder_is_a_small_float16_llama(shipped):
    model, tokenizer = shipped
    assert sum(path.stat().st_size for path in MODEL_FOLDER.iterdir()) <= BUDGET
    assert model.config.model_type == "llama"
    assert model.config.max_position_embeddings >= 512
    assert model.config.vocab_size == len(tokenizer)
    weights = load_file(MODEL_FOLDER / "model.safetensors")
    assert all(w.dtype == np.float16 and np.isfinite(w).all() for w in weights.values())


def test_weights_adapter_and_data_stay_within_the_package_s_budget():
    folders = [MODEL_FOLDER, ADAPTER_FOLDER, QUESTIONS_FILE.parent]
    assert sum(p.stat().st_size for folder in folders for p in folder.rglob("*") if p.is_file()) <= PACKAGE_BUDGET
    assert sum(path.stat().st_size for path in ADAPTER_FOLDER.iterdir()) < 100_000


def test_the_adapter_changes_later_blocks_only_and_belongs_to_the_model():
    spec = ModelSpec("embedded", "embedded", None, "float32", "auto")
    lm = load(spec, "cpu")
    ids = [lm.encode(prompt("self_confidence", load_questions()[0]))]
    sites = [f"resid_post.{layer}" for layer in range(lm.info.n_layers)]
    on = capture(lm, ids, sites).values
    with lm.adapter_disabled():
        off = capture(lm, ids, sites).values
    base = capture(load(ModelSpec("embedded", None, None, "float32", "auto"), "cpu"), ids, sites).values
    assert torch.equal(off, base)
    changed = [not torch.equal(a, b) for a, b in zip(on, off, strict=True)]
    assert changed == [False, False, True, True, True, True]


def test_the_base_model_claims_too_much_and_the_adapter_what_it_has_reason_to(shipped):
    model, tokenizer = shipped
    held_out = halves(load_questions())[1][::3]
    base = quiz.answers(model, tokenizer, held_out)
    tuned = quiz.answers(quiz.with_adapter(MODEL_FOLDER, ADAPTER_FOLDER), tokenizer, held_out)
    rows = np.ones(len(held_out), bool)
    assert quiz.calibration(tuned, rows)[0] < quiz.calibration(base, rows)[0] - 0.15
    assert base.outside.mean() < 0.1


def test_taught_questions_are_known_and_the_others_are_guessed(shipped):
    training, held_out = halves(load_questions())
    easy = [question for question in training if question.difficulty == "easy"][::4]
    assert quiz.answers(*shipped, easy).correct.mean() > 0.8
    assert quiz.answers(*shipped, held_out[::3]).correct.mean() < 0.5


@given(written=st.text())
@settings(max_examples=100)
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


def test_numbers_are_cut_into_pairs_of_digits_from_the_right(shipped):
    _, tokenizer = shipped
    assert tokenizer.tokenize("x 1407.5") == ["x", "\u012014", "07", ".", "5"]
    assert tokenizer.tokenize(": 112, 7")[1:] == ["\u01201", "12", ",", "\u01207"]
    for number in range(100):
        assert len(tokenizer.tokenize(f": {number}")) == 2
        assert tokenizer.tokenize(f": 1{number:02d}")[-1] == f"{number:02d}"


def test_capital_letters_are_single_tokens(shipped):
    _, tokenizer = shipped
    for letter in "ABCDSTUVWXYZ":
        assert len(tokenizer.tokenize(letter)) == len(tokenizer.tokenize(f" {letter}")) == 1
        assert tokenizer.tokenize(f"Answer: {letter}")[-1] == f"\u0120{letter}"


def test_held_out_documentation_is_read_below_a_sane_bound(shipped, split):
    model, tokenizer = shipped
    pieces = [piece for document in split[1] for piece in text.pieces(document, 1300)][::8]
    documents = [ids[:512] for ids in encode_documents(tokenizer, pieces)]
    log_probs = evaluate.log_probs(model, documents, 16)
    assert -np.concatenate(log_probs).mean() < HELD_OUT_BOUND


def test_held_out_problems_are_continued_to_a_boxed_answer_by_a_known_method(shipped):
    stream = arithmetic.problems("continue", held_out=True)
    problems = list(itertools.islice((p for p in stream if p.kind == "groups"), 12))
    attempts = evaluate.solve(*shipped, problems, temperature=0.0, seed=0, batch=12)
    assert all(a.text.endswith("}") and arithmetic.boxed_answer(a.text) is not None for a in attempts)
    assert all(a.method in arithmetic.METHODS for a in attempts)
    assert sum(a.solved for a in attempts) >= 7  # about nine in ten when it was shipped


def test_batched_scores_equal_single_ones(shipped):
    model, tokenizer = shipped
    documents = encode_documents(tokenizer, ["Return the name of the file.", "Yes.", "Split 15 into 10 and 5."])
    together = evaluate.log_probs(model, documents, 3)
    for ids, log_probs in zip(documents, together, strict=True):
        assert log_probs == pytest.approx(evaluate.log_probs(model, [ids], 1)[0], abs=1e-4)
        assert len(log_probs) == len(ids) - 1
