"""Treebanks as datasets: tokens and upos, in files and folders, with and without text, multiword tokens and labels."""

import json
from pathlib import Path

import pytest

from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.treebank import read_treebank

ONE = {"sent_id": "a", "tokens": ["I", "do", "n't", "."], "upos": ["PRON", "AUX", "PART", "PUNCT"], "text": "I don't."}
TWO = {"sent_id": "b", "tokens": ["Go", "!"], "upos": ["VERB", "PUNCT"], "xpos": ["VB", "."]}


def written(path: Path, *records: dict) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(record) for record in records))
    return str(path)


def test_words_lie_where_the_text_has_them(tmp_path: Path) -> None:
    bank = read_treebank(written(tmp_path / "mine.jsonl", ONE, TWO))
    one, two = bank.sentences
    assert (bank.splits, one.sent_id, one.doc_id, one.text) == (("all",), "a", "a", "I don't.")
    assert [one.text[slice(*w.part)] for w in one.words if w.part] == ["I", "do", "n't", "."]
    assert [w.upos for w in one.words] == ["PRON", "AUX", "PART", "PUNCT"]
    assert (two.text, [w.xpos for w in two.words]) == ("Go !", ["VB", "."])
    assert [(w.start, w.end) for w in two.words] == [(0, 2), (3, 4)]


def test_an_untagged_token_spelled_by_the_next_ones_is_a_multiword_token(tmp_path: Path) -> None:
    record = {"tokens": ["We", "can't", "ca", "n't", "go"], "upos": ["PRON", "_", "AUX", "PART", "VERB"]}
    (sentence,) = read_treebank(written(tmp_path / "x.jsonl", record)).sentences
    assert sentence.text == "We can't go"
    assert [(w.id, w.form, w.multiword) for w in sentence.words] == [
        (1, "We", None),
        (2, "ca", (2, 3)),
        (3, "n't", (2, 3)),
        (4, "go", None),
    ]
    assert [sentence.text[slice(*w.part)] for w in sentence.words if w.part] == ["We", "ca", "n't", "go"]
    assert {(w.start, w.end) for w in sentence.words[1:3]} == {(3, 8)}


def test_splits_come_from_files_and_from_what_datasets_saved(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
    from datasets import Sequence as ListOf

    for name, record in (("train", ONE), ("test", TWO)):
        written(tmp_path / "files" / f"{name}.jsonl", record)
    assert read_treebank(str(tmp_path / "files")).splits == ("train", "test")
    labels = ClassLabel(names=["PRON", "AUX", "PART", "PUNCT", "VERB"])
    features = Features({"idx": Value("string"), "tokens": ListOf(Value("string")), "upos": ListOf(labels)})
    rows = [{"idx": r["sent_id"], "tokens": r["tokens"], "upos": r["upos"]} for r in (ONE, TWO)]
    parts = {
        name: Dataset.from_list([row], features=features) for name, row in zip(("train", "dev"), rows, strict=True)
    }
    DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    bank = read_treebank(str(tmp_path / "saved"))
    assert bank.splits == ("train", "validation")
    assert [w.upos for w in bank.split("train")[0].words] == ONE["upos"]
    assert read_treebank(f"{tmp_path / 'saved'}:dev").splits == ("validation",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"upos": ["PRON"]}, "4 tokens, 1 upos"),
        ({"upos": ["PRON", "AUX", "PART", "DOT"]}, "upos DOT is not one of"),
        (
            {"text": "You do"},
            'token 1, "I", is not in the text where it belongs, at character 0: "You do" stands there',
        ),
        ({"tokens": "I do"}, '"tokens" must be a list of texts'),
        ({"tokens": None}, "no tokens or words"),
        ({"upos": [1, 2, 3, 4]}, "must hold texts, found 1"),
    ],
)
def test_a_malformed_record_stops_or_is_counted(tmp_path: Path, change: dict, reason: str) -> None:
    source = written(tmp_path / "x.jsonl", TWO, ONE | change)
    with pytest.raises(SourceError, match="line 2") as caught:
        read_treebank(source)
    assert reason in str(caught.value)
    bank = read_treebank(source, "skip")
    assert (len(bank.sentences), bank.skipped.count) == (1, 1)
    assert reason in bank.skipped.examples[0]


def test_two_sentences_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match='the id "a" occurs twice'):
        read_treebank(written(tmp_path / "x.jsonl", ONE, ONE))
