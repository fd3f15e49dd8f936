"""Which document a sentence is of: what the treebank says, or a rule with a name."""

import json
from pathlib import Path

import pytest

from lit_experiments.sources.documents import RULES, SOURCES, Document, document_of
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.treebank import read_treebank

ROW = "1\tWort\twort\tNOUN\t_\t_\t0\troot\t_\t_"


def treebank(path: Path, *comments: str) -> str:
    path.write_text("".join(f"{lines}{ROW}\n\n" for lines in comments), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("sent_id", "document"),
    [
        ("weblog-juan_2004-0007", "weblog-juan_2004"),
        ("train-s12", "train"),
        ("ln94200_109-p2s1", "ln94200_109"),
        ("fr-ud-dev_00031", "fr-ud-dev"),
        ("annodis.er_00001", "annodis.er"),
        ("CESS-CAST-A-20000217-4-s3", "CESS-CAST-A-20000217-4"),
        ("book:3:sent14", "book:3"),
        ("dev-s12b", "dev"),
    ],
)
def test_an_id_without_its_sentence_number_names_the_document(sent_id: str, document: str) -> None:
    assert document_of("auto", sent_id, "file", None) == Document(document, "sent_id")


@pytest.mark.parametrize("sent_id", ["7", "n01001011", "prologue", "-1", "a-b"])
def test_an_id_that_ends_in_no_number_of_its_own_names_none(sent_id: str) -> None:
    assert document_of("sent_id", sent_id, "file", None) == Document(sent_id, "none")


def test_each_rule_and_what_it_is_called_in_reports(tmp_path: Path) -> None:
    lines = ["# newdoc id = D\n# sent_id = a-1\n", "# sent_id = a-2\n", "# newdoc\n# sent_id = b-1\n"]
    path = treebank(tmp_path / "some.conllu", *lines)
    documents = {}
    for rule in RULES:
        sentences = read_treebank(path, document_from=rule).sentences
        documents[rule] = [(sentence.doc_id, sentence.doc_from) for sentence in sentences]
    assert documents == {
        "auto": [("D", "newdoc"), ("D", "newdoc"), ("some-doc3", "newdoc")],
        "sent_id": [("a", "sent_id"), ("a", "sent_id"), ("b", "sent_id")],
        "file": [("some", "file")] * 3,
        "none": [("a-1", "none"), ("a-2", "none"), ("b-1", "none")],
    }
    assert {source for pairs in documents.values() for _, source in pairs} <= set(SOURCES)


def test_the_rule_fills_in_where_newdoc_begins_late_and_nothing_is_made_of_missing_ids(tmp_path: Path) -> None:
    path = treebank(tmp_path / "x.conllu", "# sent_id = a-1\n", "", "# newdoc id = D\n", "")
    documents = [(sentence.doc_id, sentence.doc_from) for sentence in read_treebank(path).sentences]
    assert documents == [("a", "sent_id"), ("x-2", "none"), ("D", "newdoc"), ("D", "newdoc")]


def test_a_data_set_says_it_in_a_column_or_in_its_ids(tmp_path: Path) -> None:
    record = {"tokens": ["Wort"], "upos": ["NOUN"]}
    records = [record | {"sent_id": "a-1", "doc_id": "D"}, record | {"sent_id": "a-2"}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, records)))
    for rule, names in (("auto", ["D", "a"]), ("none", ["a-1", "a-2"]), ("file", ["all", "all"])):
        assert [s.doc_id for s in read_treebank(str(tmp_path / "t.jsonl"), document_from=rule).sentences] == names


def test_another_rule_is_another_treebank_and_an_unknown_one_a_mistake(tmp_path: Path) -> None:
    path = treebank(tmp_path / "x.conllu", "# sent_id = a-1\n", "# sent_id = a-2\n")
    assert read_treebank(path).digest == read_treebank(path, document_from="sent_id").digest
    assert read_treebank(path).digest != read_treebank(path, document_from="none").digest
    with pytest.raises(SourceError, match="is not one of: auto, sent_id, file, none"):
        read_treebank(path, document_from="newpar")
