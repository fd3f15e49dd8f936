"""A local model as judge: its scores are the model's own, and a mere liking for a letter decides nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lit_experiments.experiments.geometry.judge import DIFFERENT, SAME, UNDECIDED
from lit_experiments.experiments.geometry.judge_local import LocalJudge
from lit_experiments.lm.load import load
from lit_experiments.lm.score import token_log_probs
from lit_experiments.lm.spec import ModelSpec
from tests.toys import bigram_model, random_llama

PROMPT = "{question} 1: {first} 2: {second}"


def test_the_verdict_is_the_models_own_score_over_both_letterings(tmp_path: Path) -> None:
    lm = load(ModelSpec(str(random_llama(tmp_path, seed=1, window=512)), None, None, "float32", "auto"), "cpu")
    judge, verdicts = LocalJudge(lm, PROMPT), set()
    for first, second in (("split", "count"), ("count", "split"), ("a", "b"), ("x", "yy"), ("10", "20")):
        odds = []
        for options in (
            "A) they use the same method\nB) they use different methods",
            "A) they use different methods\nB) they use the same method",
        ):
            text = f"q 1: {first} 2: {second}\n\n{options}\nReply with the letter alone.\nAnswer:"
            log_probs = {letter: float(token_log_probs(lm, [lm.encode(text + letter)])[0][-1]) for letter in "AB"}
            odds.append(log_probs["B"] - log_probs["A"])
        expected = (odds[0] - odds[1]) / 2
        opinion = judge("q", first, second)
        assert opinion.verdict == (DIFFERENT if expected > 0 else SAME)
        assert f"{expected:+.3f}"[:5] in opinion.reasons
        verdicts.add(opinion.verdict)
    assert verdicts == {SAME, DIFFERENT}


def test_a_model_that_only_likes_a_letter_decides_nothing(tmp_path: Path) -> None:
    words = ["[unk]", "Answer:", "A", "B"]
    folder = bigram_model(tmp_path, np.array([[0.25] * 4, [0.1, 0.1, 0.1, 0.7], [0.25] * 4, [0.25] * 4]), words)
    lm = load(ModelSpec(str(folder), None, None, "float32", "auto"), "cpu")
    opinion = LocalJudge(lm, PROMPT)("q", "one", "other")
    assert opinion.verdict == UNDECIDED
    assert "one way +1.946, the other -1.946" in opinion.reasons


def test_texts_beyond_the_window_are_not_judged(tmp_path: Path) -> None:
    lm = load(ModelSpec(str(random_llama(tmp_path, seed=1, window=64)), None, None, "float32", "auto"), "cpu")
    opinion = LocalJudge(lm, PROMPT)("q", "word " * 30, "other")
    assert opinion.verdict == UNDECIDED
    assert "not judged" in opinion.reasons
    assert "64" in opinion.reasons


@pytest.mark.parametrize("order", [("split it", "count it"), ("count it", "split it")])
def test_a_chat_template_is_used_where_there_is_one(tmp_path: Path, order: tuple[str, str]) -> None:
    lm = load(ModelSpec(str(random_llama(tmp_path, seed=1, window=512)), None, None, "float32", "auto"), "cpu")
    plain = LocalJudge(lm, PROMPT)("q", *order)
    lm.info.tokens.tokenizer.chat_template = "<u>{{ messages[0]['content'] }}</u>"
    assert LocalJudge(lm, PROMPT)("q", *order).reasons != plain.reasons
