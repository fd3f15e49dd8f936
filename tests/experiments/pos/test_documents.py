"""Documents in study 5: too few of them make no group to draw from, and the report says what was drawn instead."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import stores
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.pos.groups import Place, groups_of, origin
from lit_experiments.statistics import LEAST_GROUPS
from tests.experiments.pos.conftest import EXACT, Toy, run
from tests.experiments.pos.toy import toy_treebank

FIT = {"penalties": "[1e-3]", "folds": 3, "bootstraps": 100, "shuffles": 1}


def documentless(bank: Path) -> Path:
    """Takes out every `# newdoc`: the ids are then "train-0", "train-1", ..., one document per file."""
    for path in bank.glob("*.conllu"):
        path.write_text(re.sub(r"# newdoc id = .*\n", "", path.read_text()))
    return bank


def pages(folder: Path) -> tuple[dict[str, Any], str]:
    return json.loads((folder / "result.json").read_text()), (folder / "RESULTS.md").read_text()


def trained(toy: Toy, bank: Path, folder: Path, **options: Any) -> tuple[dict[str, Any], str]:
    assert run("collect", "pos_tokens", folder, model=toy.model, treebank=bank, **options) == EXIT_DONE
    assert run("train", "pos_probe", folder, **FIT) == EXIT_DONE
    return pages(folder / "pos_probe")


def test_sentences_are_groups_where_a_part_has_too_few_documents() -> None:
    few = [Place("train", f"d{i % 4}", "newdoc", f"s{i}") for i in range(12)]
    many = [Place("test", f"d{i}", "newdoc", f"s{i}") for i in range(LEAST_GROUPS)]
    groups = groups_of(few)
    assert (groups.unit, groups.count, groups.documents, groups.scarce) == ("sentences", 12, 4, True)
    assert groups.names[0] == "train/s0"
    assert (groups_of(many).unit, groups_of(many).scarce, groups_of(many).names[0]) == ("documents", False, "test/d0")
    alone = groups_of([Place("test", "s1", "none", "s1")])
    assert (alone.unit, alone.scarce, str(alone)) == ("sentences", False, "1 sentence")
    assert groups_of([]).scarce is False
    assert origin([("newdoc", "a"), ("newdoc", "a"), ("none", "b")]) in (
        "1 by # newdoc, 1 by each sentence is its own",
        "1 by each sentence is its own, 1 by # newdoc",
    )


def test_one_document_per_file_gives_intervals_over_sentences_and_says_so(toy: Toy, tmp_path: Path) -> None:
    """Before, each part was one group: every interval had no width, and whatever was above by chance was "above"."""
    bank = documentless(toy_treebank(tmp_path / "bank", {"train": 60, "dev": 20, "test": 20}))
    metrics, page = trained(toy, bank, tmp_path / "run")
    assert metrics["units"] == dict.fromkeys(("train", "test", "validation"), "sentences")
    assert metrics["groups"] == {"train": "60 sentences", "test": "20 sentences", "validation": "20 sentences"}
    assert metrics["documents"] == {"train": 1, "test": 1, "validation": 1}
    for estimate in (metrics["test"]["accuracy"], metrics["validation"]["log_loss"], metrics["baseline"]["accuracy"]):
        assert estimate["low"] < estimate["value"] < estimate["high"]
        assert estimate["n"] == 20
    assert "is above the commonest tag" not in page
    assert "Too few documents to resample (train 1, test 1, validation 1): sentences are split" in page
    assert "Documents: 3 by sent_id without its last number." in page
    assert "intervals over sentences" in page.replace("\n", " ")
    assert "folds of training sentences" in page.replace("\n", " ")


def test_sentences_by_themselves_give_the_numbers_of_one_document_per_file(toy: Toy, tmp_path: Path) -> None:
    bank = documentless(toy_treebank(tmp_path / "bank", {"train": 60, "test": 20}))
    first, _ = trained(toy, bank, tmp_path / "auto")
    for rule in ("none", "file"):
        again, page = trained(toy, bank, tmp_path / rule, document_from=rule)
        assert again["test"] == first["test"]
        assert again["layers"] == first["layers"]
        assert ("Too few documents" in page) == (rule == "file")
    store = stores.open_store(tmp_path / "none" / "store")
    assert set(store.table(["doc_from"]).column(0).to_pylist()) == {"none"}
    assert store.fingerprint["settings"]["document_from"] == "none"


@pytest.mark.parametrize("parts", [{"dev": 60}, {"dev": 20, "test": 60}, {"train": 60}])
def test_without_a_training_part_or_documents_sentences_are_drawn(
    toy: Toy, tmp_path: Path, parts: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    metrics, page = trained(toy, documentless(toy_treebank(tmp_path / "bank", parts)), tmp_path / "run")
    assert metrics["groups"]["train"] == "45 sentences"
    assert metrics["groups"]["test"] == "15 sentences"
    assert (metrics["validation"] is not None) == (len(parts) == 2)
    assert "Too few documents to resample (" in page
    assert "25% of the sentences, drawn at random, are the test" in page
    assert ("has a validation part alone" in page) == (parts == {"dev": 60})
    assert metrics["test"]["accuracy"]["low"] < metrics["test"]["accuracy"]["high"]


def test_the_comparison_resamples_sentences_too_and_needs_a_training_part_for_its_own_tagger(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = documentless(toy_treebank(tmp_path / "bank", {"train": 80, "dev": 20, "test": 20}))
    trained(toy, bank, tmp_path / "run")
    options = {"model": toy.model, "probe": tmp_path / "run" / "pos_probe", "num_samples": 24, **EXACT}
    assert run("collect", "pos_resample", tmp_path / "more", **options) == EXIT_DONE
    assert run("analyze", "pos_ambiguity", tmp_path / "more", permutations=20, bootstraps=100) == EXIT_DONE
    metrics, page = pages(tmp_path / "more" / "pos_ambiguity")
    assert (metrics["unit"], metrics["documents"]) == ("sentences", 1)
    share = metrics["probe"]["share"]
    assert share["low"] < share["value"] < share["high"]
    assert share["n"] == metrics["prefixes_used"] > 5
    assert metrics["shuffled"]["pairs"] > 0
    assert metrics["tagger_test"]["groups"] == "20 sentences"
    assert "Too few documents to resample (prefixes 1)" in page
    assert "the continuations of a prefix of another sentence" in page.replace("\n", " ")
    alone = documentless(toy_treebank(tmp_path / "alone", {"dev": 60}))
    trained(toy, alone, tmp_path / "alone-run")
    options |= {"probe": tmp_path / "alone-run" / "pos_probe", "num_samples": 2}
    assert run("collect", "pos_resample", tmp_path / "alone-more", **options) == EXIT_DONE
    capsys.readouterr()
    assert run("analyze", "pos_ambiguity", tmp_path / "alone-more") == EXIT_USER
    stderr = capsys.readouterr().err
    assert "has no training part to train the CRF on; it has: validation" in stderr
    assert "--tagger spacy:MODEL" in stderr
