"""Prompts are the tokenizer's own: special tokens in front; chat templates with options and a fixed time."""

import json
import re

import pytest
from tiny_models import ARCHITECTURES, VOCAB, make_tokenizer, random_model, save, spec
from tokenizers import processors

from lit_experiments.lm.chat import Chat, Clock, chat_settings
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.info import read_info
from lit_experiments.lm.spec import ModelSpec

THINKING = (
    "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}"
    "{% if enable_thinking is defined and not enable_thinking %}w7 {% endif %}w8"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}w5"
DEAF = "{{ messages[-1].content }} w9"
CLOCK = "{{ strftime_now('%Y-%m-%d %H:%M:%S') }} {{ messages[0].content }}"
DATED = "{% if not date_string is defined %}{% set date_string = 'w20' %}{% endif %}{{ date_string }} w5"


@pytest.fixture
def tokens_with(tmp_path, folder_of):
    """The tokens of a tiny model whose tokenizer the test has changed."""

    def make(change=None, template=None, architecture="llama", **settings):
        folder = tmp_path / "model"
        save(random_model(*ARCHITECTURES[architecture]), folder)
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        tokenizer = make_tokenizer(True)
        if change is not None:
            change(tokenizer)
        tokenizer.chat_template = template
        tokenizer.save_pretrained(folder)
        path = folder / "tokenizer_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))
        return read_info(spec(folder)).tokens

    return make


def around(front, behind=()):
    """Makes a tokenizer put these ids in front of a text and behind it."""

    def change(tokenizer):
        name = tokenizer.convert_ids_to_tokens
        single = " ".join([*name(list(front)), "$A", *name(list(behind))])
        special = [(name(token), token) for token in {*front, *behind}]
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single=single, special_tokens=special
        )

    return change


@pytest.mark.parametrize("front", [(), (0,), (1,), (0, 9), (9, 0), (5, 6, 7)])
@pytest.mark.parametrize("text", ["w11 w12", "", "w12"])
def test_the_ids_are_the_tokenizers_own(tokens_with, front, text):
    """End-of-text in front, or two special tokens, were dropped."""
    tokens = tokens_with(around(front))
    assert tokens.encode(text) == tokens.tokenizer(text)["input_ids"]
    assert tokens.bos_policy == ("tokenizer" if front else "none")
    ids, spans = tokens.encode_with_spans(text)
    assert ids == tokens.encode(text)
    assert spans[: len(front)] == [(0, 0)] * len(front)


@pytest.mark.parametrize(("front", "behind"), [((0,), (1,)), ((), (1,)), ((0,), (9, 1))])
def test_a_tokenizer_that_ends_every_text_is_refused(tokens_with, front, behind):
    with pytest.raises(ModelError, match="ends every text with a special token"):
        tokens_with(around(front, behind))


def test_what_stands_in_front_is_not_put_there_twice(tokens_with):
    tokens = tokens_with(around((1, 9)))
    assert tokens.encode("</s> w9 w4") == [1, 9, 4]
    assert tokens.encode("</s> w4") == [1, 4]


def test_a_tokenizer_of_a_larger_model_is_refused_at_once(tmp_path):
    """It was said after all texts had been tokenised."""
    name, arguments = ARCHITECTURES["llama"]
    folder = save(random_model(name, {**arguments, "vocab_size": 60}), tmp_path / "model")
    with pytest.raises(ModelError, match=r"more tokens than the model has embeddings(.|\n)*37 ordinary tokens"):
        read_info(spec(folder))


def test_added_tokens_beyond_the_embedding_are_said_at_the_start_and_refused_in_a_text(tmp_path):
    folder = save(random_model(*ARCHITECTURES["llama"]), tmp_path / "model")
    tokenizer = make_tokenizer(True)
    tokenizer.add_tokens(["<pad>", "<tool>"], special_tokens=True)
    tokenizer.save_pretrained(folder)
    info = read_info(spec(folder))
    assert any("<pad>, <tool>" in line for line in info.notes)
    assert info.tokens.encode("w5") == [0, 5]
    with pytest.raises(ModelError, match=rf"'<tool>' \({VOCAB + 1}\)"):
        info.tokens.encode("w5 <tool>")


def test_a_smaller_tokenizer_is_fine(tmp_path):
    name, arguments = ARCHITECTURES["llama"]
    folder = save(random_model(name, {**arguments, "vocab_size": 128}), tmp_path / "model")
    assert read_info(spec(folder)).notes == ()


def test_options_and_a_system_turn_reach_the_template(tokens_with):
    tokens = tokens_with(template=THINKING)
    assert tokens.prompt("w3", Chat())[0] == "user w3 w8"
    assert tokens.prompt("w3", Chat({"enable_thinking": False}))[0] == "user w3 w7 w8"
    text, ids = tokens.prompt("w3", Chat({"enable_thinking": True}, "w2"))
    assert text == "system w2 user w3 w8"
    assert ids[0] == 0
    assert tokens.prompt("w3", None) == ("w3", [0, 3])


@pytest.mark.parametrize("name", ["enable_thinkin", "messages", "add_generation_prompt", "strftime_now", "bos_token"])
def test_options_that_the_template_does_not_read_are_refused(tokens_with, name):
    tokens = tokens_with(template=THINKING)
    with pytest.raises(ModelError, match=rf"does not read '{name}'(.|\n)*enable_thinking"):
        tokens.prompt("w3", Chat({name: False}))


@pytest.mark.parametrize(
    ("template", "reason"), [(NO_SYSTEM, "System role not supported"), (DEAF, "leaves the system")]
)
def test_a_template_without_a_place_for_a_system_turn_is_one_message(tokens_with, template, reason):
    tokens = tokens_with(template=template)
    assert tokens.prompt("w3", Chat())[0].startswith(("w5", "w3"))
    with pytest.raises(ModelError, match=rf"takes no system turn(.|\n)*{reason}(.|\n)*--system_prompt"):
        tokens.prompt("w3", Chat(system="w2"))


def test_a_template_that_fails_is_one_message(tokens_with):
    with pytest.raises(ModelError, match="refuses this prompt"):
        tokens_with(template="{{ raise_exception('only w6') }}").prompt("w3", Chat())
    with pytest.raises(ModelError, match="no chat template"):
        tokens_with().prompt("w3", Chat())


def test_the_time_stands_still_and_is_the_one_given(tokens_with):
    tokens = tokens_with(template=CLOCK)
    first = tokens.prompt("w3", Chat())[0]
    assert first == f"{tokens.clock.moment.replace('T', ' ')} w3"
    folder = tokens.tokenizer.name_or_path
    again = read_info(ModelSpec(str(folder), None, None, "float32", "auto", started="2001-02-03T04:05:06")).tokens
    assert again.prompt("w3", Chat())[0] == "2001-02-03 04:05:06 w3"
    assert again.clock.was_read
    assert not tokens_with(template=DATED).clock.was_read


def test_a_date_may_be_given_where_the_template_has_a_default(tokens_with):
    tokens = tokens_with(template=DATED)
    assert tokens.prompt("w3", Chat())[0] == "w20 w5"
    assert tokens.prompt("w3", Chat({"date_string": "w30"}))[0] == "w30 w5"


def test_a_clock_has_whole_seconds_and_repeats_itself():
    clock = Clock()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", clock.moment)
    assert Clock(clock.moment).strftime("%c") == clock.strftime("%c")


def test_chat_options_need_the_template():
    assert chat_settings(False, {}, None) is None
    assert chat_settings(True, {"a": 1}, "be brief") == Chat({"a": 1}, "be brief")
    for options, system in (({"a": 1}, None), ({}, "be brief")):
        with pytest.raises(ModelError, match="--chat_template true"):
            chat_settings(False, options, system)
