"""Letters as tokens in context, and the distribution over them."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from lit_experiments.experiments.introspection.letters import distribution, letter_in, margin
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.info import read_info
from lit_experiments.lm.letters import resolve_letters
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.lm.tokens import Tokens
from tests.toys import random_llama


def tokens_of(vocabulary: list[str], merges: list[tuple[str, str]]) -> Tokens:
    """A byte-pair tokenizer with the given merges; a space is part of the word behind it."""
    symbols = [*dict.fromkeys([*vocabulary, *(a + b for a, b in merges)])]
    tokenizer = Tokenizer(models.BPE({s: i for i, s in enumerate(symbols)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?[A-Za-z]+|\S"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return Tokens(PreTrainedTokenizerFast(tokenizer_object=tokenizer), "none", None)


def test_both_spellings_count_where_both_are_tokens() -> None:
    tokens = read_info(ModelSpec("embedded", None, None, "float32", "auto")).tokens
    prompt = "Question: why?\nAnswer:"
    spellings = resolve_letters(tokens, prompt, tokens.encode(prompt), "ABCD")
    names = [tokens.tokenizer.convert_ids_to_tokens(spelled) for spelled in spellings]
    assert names == [[f"\u0120{letter}", letter] for letter in "ABCD"]


def test_a_spelling_that_is_no_single_token_does_not_count(tmp_path: Path) -> None:
    tokens = read_info(ModelSpec(str(random_llama(tmp_path, seed=0)), None, None, "float32", "auto")).tokens
    # Tokens are bytes: a space is a token of its own.
    spellings = resolve_letters(tokens, "Answer:", tokens.encode("Answer:"), "ABCD")
    assert [tokens.decode(spelled) for spelled in spellings] == list("ABCD")


def test_a_letter_that_joins_the_prompt_s_last_word_does_not_count() -> None:
    tokens = tokens_of([*"xAB :"], [(" ", "A"), (" ", "B"), ("x", "A"), ("x", "B")])
    spellings = resolve_letters(tokens, "x", tokens.encode("x"), "AB")
    assert [tokens.decode(spelled) for spelled in spellings] == [" A", " B"]


def test_a_letter_without_a_token_is_an_error_that_says_which() -> None:
    tokens = tokens_of([*"xAB :"], [(" ", "A"), ("x", "A"), ("x", "B")])
    with pytest.raises(ModelError, match=re.escape("no token of its own for B after the prompt 'x'")):
        resolve_letters(tokens, "x", tokens.encode("x"), "AB")


def test_uniform_letters_have_the_entropy_of_four_and_logits_add_up() -> None:
    uniform = distribution(np.zeros(100, np.float32), [[1], [2], [3], [4]])
    assert uniform.entropy == pytest.approx(math.log(4))
    assert uniform.outside == pytest.approx(0.96)
    double = distribution(np.zeros(100, np.float32), [[1, 5], [2, 6], [3, 7], [4, 8]])
    assert double.logits == pytest.approx([math.log(2)] * 4)
    assert double.outside == pytest.approx(0.92)


def test_a_certain_letter_leaves_nothing_outside_and_no_nan() -> None:
    logits = np.full(50, -1e4, np.float32)
    logits[7] = 40
    certain = distribution(logits, [[7], [8], [9], [10]])
    assert certain.probs == pytest.approx([1, 0, 0, 0])
    assert certain.entropy == pytest.approx(0)
    assert certain.outside == pytest.approx(0)


def test_margin_is_against_the_best_wrong_letter() -> None:
    assert margin(np.array([1.0, 3.0, 2.5, 0.0]), 1) == pytest.approx(0.5)
    assert margin(np.array([1.0, 3.0, 2.5, 0.0]), 3) == pytest.approx(-3)


@pytest.mark.parametrize(
    ("text", "letter"), [(" B", "B"), ("B) rain", "B"), ("The answer is C.", "C"), ("Banana", None), ("", None)]
)
def test_a_letter_in_a_text_stands_alone(text: str, letter: str | None) -> None:
    assert letter_in(text, "ABCD") == letter
