"""Tokens in their text: each in its place, multiword tokens never beside their words, and nothing guessed."""

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.treebank import Sentence, read_treebank

PARTS = {"tokens": ["Vie", "des", "de", "les", "rois"], "upos": ["NOUN", "_", "ADP", "DET", "NOUN"]}


def sentence(path: Path, **record: Any) -> Sentence:
    path.write_text(json.dumps(record) + "\n")
    return read_treebank(str(path)).sentences[0]


def forms(parsed: Sentence) -> list[tuple[str, str]]:
    return [(word.form, parsed.text[word.start : word.end]) for word in parsed.words]


def test_the_text_tells_which_words_a_multiword_token_stands_for(tmp_path: Path) -> None:
    parsed = sentence(tmp_path / "t.jsonl", **PARTS, text="Vie des  rois")
    assert forms(parsed) == [("Vie", "Vie"), ("de", "des"), ("les", "des"), ("rois", "rois")]
    assert [word.multiword for word in parsed.words] == [None, (2, 3), (2, 3), None]
    assert [word.part for word in parsed.words] == [(0, 3), None, None, (9, 13)]


def test_without_a_text_a_multiword_token_that_is_not_spelled_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match='line 1: token 2, "des", has no tag and is not spelled by the next ones'):
        sentence(tmp_path / "t.jsonl", **PARTS)
    parsed = sentence(tmp_path / "t.jsonl", tokens=["cannot", "can", "not", "go"], upos=["_", "AUX", "PART", "VERB"])
    assert (parsed.text, forms(parsed)) == ("cannot go", [("can", "cannot"), ("not", "cannot"), ("go", "go")])


def test_multiword_tokens_may_be_listed_apart(tmp_path: Path) -> None:
    record = {"tokens": ["Vie", "de", "les", "rois"], "upos": ["NOUN", "ADP", "DET", "NOUN"]}
    for text in ("Vie des rois", None):
        parsed = sentence(tmp_path / "t.jsonl", **record, mwt=[{"id": "2-3", "form": "des"}], text=text)
        assert (parsed.text, forms(parsed)[1:3]) == ("Vie des rois", [("de", "des"), ("les", "des")])
    with pytest.raises(SourceError, match='"mwt" must hold an id such as 2-3'):
        sentence(tmp_path / "t.jsonl", **record, mwt=[{"id": "2", "form": "des"}])
    with pytest.raises(SourceError, match="stands for words 4-9 of 4"):
        sentence(tmp_path / "t.jsonl", **record, mwt=[{"id": "4-9", "form": "des"}])


def test_empty_nodes_are_no_words(tmp_path: Path) -> None:
    tags = ["PROPN", "VERB", "VERB", "NOUN"]
    for text in ("Ann likes tea", None):
        parsed = sentence(
            tmp_path / "t.jsonl",
            tokens=["Ann", "likes", "likes", "tea"],
            upos=tags,
            head=["2", "0", "None", "2"],
            text=text,
        )
        assert (parsed.text, len(parsed.words)) == ("Ann likes tea", 3)


def test_untagged_words_that_hold_no_others_stay_words(tmp_path: Path) -> None:
    for record in (
        {"tokens": ["x", "y"], "upos": ["_", "NOUN"]},
        {"tokens": ["x", "y", "z"], "upos": ["_", "_", "NOUN"]},
        {"tokens": ["x", "y", "z"], "upos": ["_", "VERB", "NOUN"], "text": "x y z"},
    ):
        assert [word.form for word in sentence(tmp_path / "t.jsonl", **record).words] == record["tokens"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "Vie (des) rois",
            'token 2, "des", is not in the text where it belongs, at character 4: "(des) rois" stands there',
        ),
        (
            "Vie des reines",
            'token 5, "rois", is not in the text where it belongs, at character 8: "reines" stands there',
        ),
        ("Vie des rois!", 'the text goes on with "!" after the last token, at character 12'),
    ],
)
def test_a_text_that_holds_anything_else_is_refused_with_the_place(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(SourceError) as caught:
        sentence(tmp_path / "t.jsonl", **PARTS, text=text)
    assert reason in str(caught.value)


def test_characters_composed_otherwise_are_told_apart_and_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="the same characters, composed otherwise"):
        sentence(tmp_path / "t.jsonl", tokens=["cafe\u0301"], upos=["NOUN"], text="caf\u00e9")


def test_a_token_that_could_hold_different_words_is_refused(tmp_path: Path) -> None:
    tokens, tags = ["z", *"aaaaaaa"], ["_", "X", "X", "X", "_", "X", "X", "X"]
    with pytest.raises(SourceError, match='token 1, "z", has no tag, and it can be told in 2 ways'):
        sentence(tmp_path / "t.jsonl", tokens=tokens, upos=tags, text="z a a a a a")


def test_a_text_that_ends_early_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r'token 2, "rois", is not in the text .*, at character 3: the text ends there'
    ):
        sentence(tmp_path / "t.jsonl", tokens=["des", "rois"], upos=["DET", "NOUN"], text="des")


def test_the_hub_s_layout_with_class_numbers_is_read_from_parquet(tmp_path: Path) -> None:
    text = datasets.Value("string")
    tags = datasets.ClassLabel(names=["NOUN", "ADP", "DET", "_"])
    features = datasets.Features(
        {"idx": text, "text": text, "tokens": datasets.Sequence(text), "upos": datasets.Sequence(tags)}
    )
    row = {"idx": "s1", "text": "Vie des rois", "tokens": PARTS["tokens"], "upos": [0, 3, 1, 2, 0]}
    datasets.Dataset.from_list([row], features=features).to_parquet(tmp_path / "train.parquet")
    (parsed,) = read_treebank(str(tmp_path / "train.parquet")).sentences
    assert (parsed.sent_id, parsed.split, [word.upos for word in parsed.words]) == (
        "s1",
        "train",
        ["NOUN", "ADP", "DET", "NOUN"],
    )


def test_compressed_conllu_is_read_and_tables_are_refused(tmp_path: Path) -> None:
    line = b"1\tGo\tgo\tVERB\t_\t_\t0\troot\t_\t_\n"
    (tmp_path / "xx-ud-train.conllu.gz").write_bytes(gzip.compress(line))
    assert read_treebank(str(tmp_path)).splits == ("train",)
    assert read_treebank(str(tmp_path / "xx-ud-train.conllu.gz")).splits == ("train",)
    (tmp_path / "t.csv").write_text("tokens,upos\nGo,VERB\n")
    with pytest.raises(SourceError, match="holds no lists of tokens and tags"):
        read_treebank(str(tmp_path / "t.csv"))
