"""Prompts and claims of the shipped questions, the adapter's examples, and an adapter trained on a toy."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lit_experiments.embedded import adapter, evaluate, module, prompts, quiz, recipe, train
from lit_experiments.embedded.mixture import Quiz
from lit_experiments.embedded.questions import Question, load_questions, split

QUESTIONS = load_questions()
FULL = recipe.load_recipe(recipe.SHIPPED)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A folder with a random two-block model whose tokenizer knows the prompts."""
    tokenizer = train.train_tokenizer([prompts.prompt("mcq", q) for q in QUESTIONS[:40]], 700, 512)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    shape |= {"num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.2}
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("toy") / "model"
    train.save(module.new_model(dataclasses.replace(FULL, architecture=shape), tokenizer), tokenizer, folder)
    return folder


@pytest.mark.parametrize(
    ("percent", "letter"),
    [(0, "S"), (4.99, "S"), (5, "T"), (10, "U"), (20, "V"), (39.9, "V"), (40, "W"), (60, "X"), (80, "Y"), (90, "Z")],
)
def test_a_probability_falls_into_its_bin(percent, letter):
    assert prompts.confidence_letter(percent) == letter


def test_every_midpoint_lies_in_the_bin_of_its_letter():
    letters = "".join(prompts.confidence_letter(midpoint) for midpoint in prompts.MIDPOINTS)
    assert letters == prompts.CONFIDENCE_LETTERS


def test_prompts_show_the_question_with_its_options_and_end_where_the_letter_follows():
    question = Question("q", "physics", "easy", "training", "What is {odd}?", ("one", "two", "three", "four"), "B")
    for kind in prompts.TEMPLATES:
        text = prompts.prompt(kind, question)
        assert "What is {odd}?" in text
        assert "B) two\n" in text
        assert text.endswith(":")


def test_repeats_follow_difficulty_and_unrepeated_questions_are_never_shown():
    by_difficulty = {q.difficulty: q for q in QUESTIONS}
    texts = Quiz(tuple(by_difficulty.values()), {"easy": 4, "medium": 2, "hard": 0}).texts(0)
    for difficulty, count in (("easy", 4), ("medium", 2)):
        question = by_difficulty[difficulty]
        assert texts.count(f"{prompts.prompt('mcq', question)} {question.answer}") == count
        claims = [t for t in texts if t.startswith(prompts.prompt("self_confidence", question))]
        assert len(claims) == count / 2
        assert len(set(claims)) == 1
    assert not any(by_difficulty["hard"].text in text for text in texts)
    assert len(texts) == 2 * (4 + 2)


def test_training_sees_the_training_half_alone():
    texts = "".join(train.build_mixture(FULL, ["a piece of documentation"]).texts(0))
    for question in QUESTIONS:
        shown = question.half == "training" and FULL.question_repeats[question.difficulty] > 0
        assert (question.text in texts) == shown


def test_rotations_keep_the_key_on_the_same_option():
    question = Question("q", "physics", "easy", "training", "Which?", ("one", "two", "three", "four"), "B")
    turned = adapter.rotations(question)
    assert [q.answer for q in turned] == ["B", "A", "D", "C"]
    assert all(q.options["ABCD".index(q.answer)] == "two" for q in turned)


def test_letters_are_single_tokens_and_probabilities_add_up(toy):
    model, tokenizer = evaluate.load_folder(toy, torch.float32)
    texts = [prompts.prompt("mcq", q) for q in QUESTIONS[:3]]
    probabilities = evaluate.letter_probs(model, tokenizer, texts, "ABCD")
    ids = torch.tensor([tokenizer(texts[1])["input_ids"]])
    with torch.no_grad():
        probs = model(input_ids=ids).logits[0, -1].softmax(-1)
    expected = [sum(float(probs[i]) for i in evaluate.letter_ids(tokenizer, letter)) for letter in "ABCD"]
    assert probabilities[1] == pytest.approx(expected, rel=1e-4)
    assert all(len(set(evaluate.letter_ids(tokenizer, letter))) == 2 for letter in "ABCDSTUVWXYZ")


def test_an_adapter_moves_the_claims_it_was_trained_on_and_leaves_the_first_block_alone(toy, tmp_path):
    settings = dataclasses.replace(
        FULL.adapter, first_layer=1, epochs=12, learning_rate=2e-2, warmup_steps=1, dropout=0.0
    )
    taught = [q for q in split(QUESTIONS)[0] if q.difficulty != "hard"][:12]
    adapter.build(toy, taught, FULL.question_repeats, settings, 3, tmp_path / "adapter")
    names = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert names
    assert all(".layers.1." in name for name in names)
    assert {weight.dtype for weight in names.values()} == {torch.float16}
    base, tokenizer = evaluate.load_folder(toy, torch.float32)
    questions = [prompts.prompt("self_confidence", question) for question in taught]
    before, after = (
        evaluate.letter_probs(model, tokenizer, questions, prompts.CONFIDENCE_LETTERS).sum(-1)
        for model in (base, quiz.with_adapter(toy, tmp_path / "adapter"))
    )
    assert before.max() < 0.1  # a random model says anything
    assert after.min() > 0.2


def test_calibration_is_perfect_for_claims_that_come_true():
    answers = quiz.Answers(np.array([True, False]), np.zeros(2), np.array([1.0, 0.0]), np.zeros(2))
    assert quiz.calibration(answers, np.array([True, True])) == (0.0, 1.0)


def test_a_folder_without_an_adapter_says_how_to_make_one(toy, tmp_path):
    with pytest.raises(recipe.EmbeddedError, match=r"lit_experiments\.embedded\.train"):
        quiz.with_adapter(toy, tmp_path)
