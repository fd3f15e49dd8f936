"""Exactly one beginning-of-sequence token where the model uses one, none where it does not."""

import json

import pytest
from tiny_models import ARCHITECTURES, REAL_MODEL, random_model, save, spec

from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.info import read_info
from lit_experiments.lm.spec import ModelSpec

needs_real_model = pytest.mark.skipif(not REAL_MODEL.is_dir(), reason="the folder ../shared is not there")


@pytest.fixture
def info_with(tmp_path):
    """A tiny model's facts, with or without a tokenizer that adds BOS, and with an explicit setting or none."""

    def make(architecture, adds_bos, setting=None):
        folder = tmp_path / "model"
        save(random_model(*ARCHITECTURES[architecture]), folder, adds_bos)
        path = folder / "tokenizer_config.json"
        content = json.loads(path.read_text())
        content.pop("add_bos_token", None)
        path.write_text(json.dumps(content if setting is None else {**content, "add_bos_token": setting}))
        return read_info(spec(folder))

    return make


@pytest.mark.parametrize(
    ("architecture", "adds_bos", "setting", "policy"),
    [
        ("llama", True, None, "tokenizer"),
        ("opt", True, None, "tokenizer"),
        ("llama", False, True, "added"),
        ("opt", False, None, "added"),
        ("gemma2", False, None, "added"),
        ("gemma3_text", False, None, "added"),
        ("gpt2", False, None, "none"),
        ("gpt_neox", False, None, "none"),
        ("llama", False, None, "none"),  # Llama weights with a GPT-2 tokenizer (SmolLM2 is one) use none
        ("gemma2", False, False, "none"),
    ],
)
def test_the_policy_follows_tokenizer_setting_and_architecture(info_with, architecture, adds_bos, setting, policy):
    tokens = info_with(architecture, adds_bos, setting).tokens
    assert tokens.bos_policy == policy
    assert tokens.encode("w5 w6") == ([5, 6] if policy == "none" else [0, 5, 6])
    assert tokens.encode("") == ([] if policy == "none" else [0])
    assert tokens.decode(tokens.encode("w5 w6")).endswith("w5 w6")


def test_ids_equal_the_tokenizers_own_where_it_adds_bos(info_with):
    tokens = info_with("llama", True).tokens
    assert tokens.encode("w5 w6 w7") == tokens.tokenizer("w5 w6 w7")["input_ids"]


@pytest.mark.parametrize(("architecture", "adds_bos"), [("llama", True), ("opt", False)])
def test_a_text_that_brings_its_own_bos_gets_no_second_one(info_with, architecture, adds_bos):
    """A rendered chat template begins with it."""
    assert info_with(architecture, adds_bos).tokens.encode("<s> w5") == [0, 5]


@pytest.mark.parametrize(("architecture", "adds_bos"), [("llama", True), ("opt", False), ("gpt2", False)])
def test_two_in_a_row_are_refused(info_with, architecture, adds_bos):
    with pytest.raises(ModelError, match="two beginning-of-sequence tokens"):
        info_with(architecture, adds_bos).tokens.encode("<s> <s> w5")


def test_the_policy_is_part_of_the_fingerprint(info_with):
    assert info_with("llama", True).fingerprint()["bos_policy"] == "tokenizer"


@pytest.mark.parametrize(("architecture", "adds_bos"), [("llama", True), ("gemma2", False), ("gpt2", False)])
def test_spans_say_which_characters_a_token_stands_for(info_with, architecture, adds_bos):
    tokens = info_with(architecture, adds_bos).tokens
    ids, spans = tokens.encode_with_spans("w5 w16 w7")
    assert ids == tokens.encode("w5 w16 w7")
    assert spans[-3:] == [(0, 2), (3, 6), (7, 9)]
    assert spans[:-3] == [(0, 0)] * (tokens.bos_id is not None)


def test_pieces_are_the_text_of_single_tokens(info_with):
    tokens = info_with("gpt2", False).tokens
    assert tokens.pieces(tokens.encode("w5 w16")) == ["w5", "w16"]
    assert tokens.pieces([]) == []


@needs_real_model
def test_pieces_of_a_sentencepiece_tokenizer_keep_their_spaces():
    tokens = read_info(spec(REAL_MODEL)).tokens
    ids = tokens.encode("Once upon a time, there was")
    assert "".join(tokens.pieces(ids)[1:]) == " Once upon a time, there was"


def test_spans_say_which_characters_a_token_covers_and_a_bos_covers_none(info_with):
    tokens = info_with("llama", True).tokens
    assert tokens.encode_with_spans("w5  w61") == ([0, 5, 61], [(0, 0), (0, 2), (4, 7)])
    assert info_with("gpt2", False).tokens.encode_with_spans("w5 w6") == ([5, 6], [(0, 2), (3, 5)])


@pytest.mark.parametrize("model", ["embedded", pytest.param(str(REAL_MODEL), marks=needs_real_model)])
def test_a_continuation_keeps_its_leading_space_and_completes_characters(model):
    """Decoded alone, a SentencePiece continuation loses the space that tells "book" + " s" from "book" + "s"."""
    tokens = read_info(ModelSpec(model, None, None, "float32", "auto")).tokens
    text = "The dog saw a \U0001f600 and a co-op."
    ids, spans = tokens.encode_with_spans(text)
    for cut in range(1, len(ids)):
        added = tokens.decode_after(ids[:cut], ids[cut:])
        assert added.endswith(text[spans[cut][1] :])
        assert tokens.decode(ids[:cut]).rstrip("\ufffd") + added == tokens.decode(ids)
    start = next(at for at, (_, end) in enumerate(spans) if end == len("The dog")) + 1
    assert tokens.decode_after(ids[:start], ids[start : start + 1]).startswith(" ")
