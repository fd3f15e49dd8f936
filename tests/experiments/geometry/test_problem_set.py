"""Which problems are asked, how, and what is refused."""

import json
from dataclasses import replace

import pytest

from lit_experiments.errors import UserError
from lit_experiments.experiments.geometry.problem_set import (
    ProblemSource,
    PromptSettings,
    layer_sites,
    read_problem_set,
)
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.info import read_info
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.problems import read_problems

INFO = read_info(ModelSpec("embedded", None, None, "float32", "auto"))
SOURCE = ProblemSource(
    problems="embedded",
    num_problems=6,
    columns=(None, None, None, None),
    seed=0,
    malformed="stop",
    quoting="auto",
)
PROMPTS = PromptSettings(prompt="Problem: {question} Solution:", chat=False, too_long="error")
SKIPPING = replace(PROMPTS, too_long="skip")


@pytest.fixture
def gsm8k(tmp_path):
    """Ten problems in GSM8K's layout, of growing length."""
    path = tmp_path / "problems.jsonl"
    lines = [
        {"question": "What is one more than " + "one more than " * i + "one?", "answer": f"Steps.\n#### {i}"}
        for i in range(10)
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return replace(SOURCE, problems=str(path), num_problems=None)


def test_the_template_is_what_the_embedded_model_was_trained_on():
    prompted = read_problem_set(SOURCE, PROMPTS, INFO, 100).prompted
    records = read_problems("embedded", generated=6, seed=0).records
    assert [one.prompt for one in prompted] == [record.prompt for record in records]
    assert [INFO.tokens.encode(record.prompt) for record in records] == [one.ids for one in prompted]


def test_problems_of_a_file_are_drawn_in_order_and_by_the_seed(gsm8k):
    everything = read_problem_set(gsm8k, PROMPTS, INFO, 10)
    assert [one.problem.answer for one in everything.prompted] == [str(i) for i in range(10)]
    drawn = read_problem_set(replace(gsm8k, num_problems=4), PROMPTS, INFO, 10)
    places = [one.problem.place for one in drawn.prompted]
    assert places == sorted(places)
    assert len(set(places)) == 4
    again = read_problem_set(replace(gsm8k, num_problems=4, seed=1), PROMPTS, INFO, 10)
    assert [one.problem.place for one in again.prompted] != places
    assert everything.settings != drawn.settings


def test_what_does_not_fit_the_window_is_an_error_or_left_out_and_counted(gsm8k):
    lengths = [len(one.ids) for one in read_problem_set(gsm8k, PROMPTS, INFO, 1).prompted]
    new_tokens = INFO.window - lengths[6]
    with pytest.raises(SourceError, match=r"3 of 10 problems: (?s:line-000008 .*)Next: lower --max_new_tokens"):
        read_problem_set(gsm8k, PROMPTS, INFO, new_tokens)
    left = read_problem_set(gsm8k, SKIPPING, INFO, new_tokens)
    assert len(left.prompted) == 7
    assert "left out: 3 of 10" in left.notes[-1]
    with pytest.raises(SourceError, match="10 of 10"):
        read_problem_set(gsm8k, SKIPPING, INFO, INFO.window)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": "Solve {problem}"}, "no other field, found: problem"),
        ({"prompt": "Solve it"}, "found: none"),
        ({"prompt": "{question} \\boxed{}"}, "no other field"),
        ({"prompt": "{question"}, "literal brace"),
        ({"num_problems": 0}, "at least 1"),
        ({"num_problems": None}, "how many embedded"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        replace(PROMPTS if "prompt" in change else SOURCE, **change)


def test_a_chat_template_must_be_there():
    with pytest.raises(ModelError, match="no chat template"):
        read_problem_set(SOURCE, replace(PROMPTS, chat=True), INFO, 10)


def test_layers():
    assert layer_sites(None, INFO, "--layers") == [f"resid_post.{i}" for i in range(6)]
    assert layer_sites([0, -1], INFO, "--layers") == ["resid_post.0", "resid_post.5"]
    with pytest.raises(UserError, match="--layers names no layer"):
        layer_sites([], INFO, "--layers")
    with pytest.raises(ModelError, match="lies outside"):
        layer_sites([6], INFO, "--layers")
