"""Paragraphs cut in two, tokenised once: where the boundary lies, what is used, what is counted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedTokenizerFast

from lit_experiments.errors import UserError
from lit_experiments.experiments.prefill_dynamics.conditions import conditions, usual_pairs
from lit_experiments.experiments.prefill_dynamics.paragraph_split import Limits, cut, split_paragraphs, tokenised
from lit_experiments.experiments.prefill_dynamics.readings import readings
from lit_experiments.lm.info import ModelInfo, read_info
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.lm.tokens import Tokens
from lit_experiments.sources.paragraphs import Paragraph, Paragraphs, read_paragraphs
from lit_experiments.sources.records import Skipped
from tests.toys import random_llama


def byte_tokens(merges: list[tuple[str, str]]) -> Tokens:
    """A byte-level tokenizer with these merges, which may cross words."""
    symbols = sorted(ByteLevel.alphabet()) + ["".join(pair) for pair in merges]
    tokenizer = Tokenizer(BPE({symbol: i for i, symbol in enumerate(symbols)}, merges))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = ByteLevelDecoder()
    return Tokens(PreTrainedTokenizerFast(tokenizer_object=tokenizer), "none", None)


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> ModelInfo:
    folder = random_llama(tmp_path_factory.mktemp("llama"), seed=0)
    return read_info(ModelSpec(str(folder), None, None, "float32", "auto"))


def source(*texts: str) -> Paragraphs:
    records = tuple(Paragraph(f"line-{i:06d}", text, i) for i, text in enumerate(texts))
    return Paragraphs(records, "lines", 0, 0, "test", "digest", Skipped())


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("The cat sat down. Then it left.", ("The cat sat down.", " Then it left.")),
        ("Mr. Fox ran off. He hid.", ("Mr. Fox ran off.", " He hid.")),
        ("0123456789. Ten before it.", ("0123456789.", " Ten before it.")),
        ("012345678. Nine before it. Rest", ("012345678. Nine before it.", " Rest")),
        ("It had a role in The Bill . It was so .", ("It had a role in The Bill .", " It was so .")),
        ("No end of a sentence here", None),
        ("Ends with a full stop only.", None),
        ("日本語には別の句点がある。次の文。", None),
        ("Кошка сидела тихо. Потом ушла.", ("Кошка сидела тихо.", " Потом ушла.")),
    ],
)
def test_the_first_sentence_ends_at_a_full_stop_and_space_behind_ten_characters(text, parts):
    assert cut(text) == parts


def test_the_boundary_is_where_the_characters_part():
    prompt, rest = "The cat sat down.", " Then it left."
    ids, boundary, straddles = tokenised(prompt, rest, byte_tokens([]))
    assert (len(ids), boundary, straddles) == (len(prompt + rest), len(prompt), False)


def test_a_token_across_the_boundary_belongs_to_the_continuation():
    prompt, rest = "The cat sat down.", " Then it left."
    tokens = byte_tokens([(".", "\u0120")])  # one token for ". "
    ids, boundary, straddles = tokenised(prompt, rest, tokens)
    assert (boundary, straddles) == (len(prompt) - 1, True)
    assert tokens.decode(ids[boundary:]) == ". Then it left."
    assert tokens.decode(ids) == prompt + rest


def test_characters_of_several_tokens_do_not_move_the_boundary():
    prompt, rest = "Кошка сидела тихо.", " 猫は去った. Ende."
    tokens = byte_tokens([])
    ids, boundary, straddles = tokenised(prompt, rest, tokens)
    assert tokens.decode(ids[:boundary]) == prompt
    assert not straddles


def test_every_paragraph_is_used_or_counted(info):
    fine = "This is one sentence. And this is another."
    texts = [
        fine,
        fine,
        "no end",
        "Short one here. x",
        "A long sentence. " + "y" * 90,
        "<unk> is one sentence. And this too is.",
    ]
    chosen, counts = split_paragraphs(source(*texts), info, Limits(30, 60, 20), 2, seed=0)
    assert [o.paragraph_id for o in chosen] == ["line-000000", "line-000005"]
    counted = {name: count for name, count in dataclasses.asdict(counts).items() if count}
    used = {"usable": 2, "chosen": 2, "with_unknown": 1}
    assert counted == used | {"paragraphs": 6, "duplicates": 1, "no_sentence_end": 1, "too_short": 1, "too_long": 1}


def test_what_would_outgrow_the_window_is_left_out(info):
    long_prompt = "x" * 180 + ". And then."
    chosen, counts = split_paragraphs(
        source(long_prompt, "y" * 100 + ". And then."), info, Limits(1, 256, 100), None, seed=0
    )
    assert [o.paragraph_id for o in chosen] == ["line-000001"]
    assert counts.outgrow_window == 1


def test_too_few_paragraphs_say_how_many_and_what_to_widen(info):
    texts = ["This is one sentence. And another.", *(f"A sentence number {i}. " + "y" * (40 + i) for i in range(5))]
    with pytest.raises(UserError, match="1 paragraphs are usable, 3 were asked for") as raised:
        split_paragraphs(source(*texts), info, Limits(20, 40, 20), 3, seed=0)
    message = str(raised.value)
    assert "raise --max_tokens (now 40): 5 are longer" in message
    assert "--n_samples 1" in message
    assert "min_tokens (" not in message


def test_drawing_is_seeded_and_keeps_the_order(info):
    texts = [f"This is sentence {i:02d}. And another." for i in range(30)]

    def drawn(seed):
        return [o.place for o in split_paragraphs(source(*texts), info, Limits(1, 99, 5), 8, seed)[0]]

    assert drawn(1) == drawn(1) == sorted(drawn(1))
    assert drawn(1) != drawn(2)


def test_shuffled_text_holds_the_human_tokens_in_an_order_of_the_paragraph_and_seed(info):
    texts = [f"This is sentence {i}. And another follows it." for i in range(2)]
    chosen, _ = split_paragraphs(source(*texts), info, Limits(1, 99, 5), None, seed=0)
    read = [readings(o, conditions([], True), info.tokens, seed) for o in chosen for seed in (0, 0, 1)]
    orders = []
    for human, model, shuffled in read:
        at = human.boundary
        assert shuffled.ids[:at] == human.ids[:at]
        assert sorted(shuffled.ids[at:]) == sorted(human.ids[at:])
        assert shuffled.ids[at:] != human.ids[at:]
        assert model.to_generate
        assert model.ids == human.ids[:at]
        orders.append(shuffled.ids[at:])
    assert orders[0] == orders[1] != orders[2]
    assert orders[0][4:] != orders[3][4:]


def test_conditions_and_pairs_have_names():
    assert conditions([0.7, 1.0], True) == {
        "human": None, "model": 0.0, "model-temp07": 0.7, "model-temp1": 1.0, "shuffled": None,
    }  # fmt: skip
    pairs = usual_pairs(list(conditions([0.7], True)))
    assert pairs == [("human", "model"), ("human", "model-temp07"), ("model", "model-temp07"), ("human", "shuffled")]
    assert usual_pairs(["human", "shuffled"]) == [("human", "shuffled")]
    with pytest.raises(UserError, match="above 0"):
        conditions([0.0], True)
    with pytest.raises(UserError, match="two of them would be the condition model-temp07"):
        conditions([0.7, 0.7], True)


def test_wikitext_headings_and_blank_lines_are_no_paragraphs(tmp_path: Path, info):
    path = tmp_path / "wiki.txt"
    path.write_text(" = Title = \n \n The first sentence is <unk> . Another one . \n \n = = Part = = \n \n It is . \n")
    chosen, counts = split_paragraphs(read_paragraphs(str(path)), info, Limits(1, 99, 5), None, seed=0)
    assert [o.prompt for o in chosen] == ["The first sentence is <unk> ."]
    assert (counts.paragraphs, counts.no_sentence_end, counts.with_unknown) == (2, 1, 1)
