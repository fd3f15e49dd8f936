"""A language whose ambiguity is known: the continuations' tags have its proportions, and explain the probe whole."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.pos.outcomes import tag_outcomes
from lit_experiments.experiments.pos.resample_schema import Resampled
from lit_experiments.sources.treebank import read_treebank
from tests.experiments.pos.conftest import Toy, run
from tests.experiments.pos.toy import NOUN, toy_treebank

OPTIONS = {"permutations": 100, "simulations": 50, "bootstraps": 200, "examples": 3}


@pytest.fixture(scope="module")
def analyzed(toy: Toy) -> dict[str, Any]:
    assert run("analyze", "pos_ambiguity", toy.resampled, **OPTIONS) == EXIT_DONE
    out = toy.resampled / "pos_ambiguity"
    result = json.loads((out / "result.json").read_text())
    return result | {"each": json.loads((out / "prefixes.json").read_text()), "out": out}


@pytest.mark.parametrize("word", list(NOUN))
def test_the_empirical_distribution_is_the_languages_own(analyzed: dict[str, Any], word: str) -> None:
    draws = [prefix["draws"] for prefix in analyzed["each"] if prefix["word"] == word]
    nouns, verbs = (sum(d.get(tag, 0) for d in draws) for tag in ("NOUN", "VERB"))
    assert nouns + verbs == 96 * len(draws)
    assert binomtest(nouns, nouns + verbs, NOUN[word]).pvalue > 1e-3


def test_all_of_the_probes_uncertainty_is_explained(analyzed: dict[str, Any]) -> None:
    probe = analyzed["probe"]
    assert probe["share"]["value"] == pytest.approx(1, abs=0.03)
    assert probe["divergence"]["value"] < 2 * np.mean(analyzed["floor"])
    assert probe["calibration_error"]["value"] < 0.08
    assert analyzed["shuffled"]["pairs"] > 0
    assert np.mean(analyzed["shuffled"]["divergence"]) > 3 * probe["divergence"]["value"]
    assert analyzed["p"]["divergence"] == pytest.approx(1 / 101)
    # Which word it is, is all there is to know here: the type's prior is as good.
    assert analyzed["prior"]["share"]["value"] == pytest.approx(probe["share"]["value"], abs=0.02)
    assert analyzed["tagger_test"]["accuracy"]["value"] == 1
    assert analyzed["tagger_on_targets"]["value"] == 1
    assert analyzed["extended_share"] == 0


def test_the_report_shows_examples_figures_and_the_tagger(
    analyzed: dict[str, Any], toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (analyzed["out"] / "RESULTS.md").read_text()
    for part in ("The most explained", "The least explained", "they duck", "share explained", "CRF", "agreement.png"):
        assert part in page
    assert run("analyze", "pos_ambiguity", toy.resampled, **OPTIONS) == EXIT_DONE
    assert "is up to date" in capsys.readouterr().out
    assert list((toy.resampled / "pos_taggers").glob("*.crfsuite"))


class CountingTagger:
    """A tagger that says of every word how many words it was shown after it."""

    name = "asked"

    def __init__(self) -> None:
        self.sentences: list[list[str]] = []

    def tag(self, sentences: Any) -> list[list[str]]:
        self.sentences += [list(words) for words in sentences]
        return [[f"{word}+{len(words) - at - 1}" for at, word in enumerate(words)] for words in sentences]


def test_sentences_are_completed_with_gold_words_before_and_the_continuations_after(tmp_path: Path) -> None:
    bank = read_treebank(str(toy_treebank(tmp_path / "bank", {"train": 3})))
    sentences = {f"{s.split}/{s.sent_id}": s for s in bank.sentences}
    texts = [" sleeps here. They", "s fast", "\nNew", " sleeps here. And"]
    row = Resampled("train/train-0/2", "train", "d", "newdoc", "train-0", "duck", 2, "they duck", "VERB", "", [], texts)
    tagger = CountingTagger()
    outcomes = tag_outcomes([row], sentences, tagger, "exclude")
    assert tagger.sentences[:-1] == [["they", "duck", "sleeps", "here", "."], ["they", "duck"]], "the same once"
    assert dict(zip(outcomes.tags, outcomes.counts[0].tolist(), strict=True)) == {"duck+0": 1, "duck+3": 2}
    assert (outcomes.extended.tolist(), outcomes.draws) == ([1], 4)
    assert outcomes.examples[0]["duck+3"] == " sleeps here. They"
    longer = tag_outcomes([row], sentences, CountingTagger(), "tag")
    assert dict(zip(longer.tags, longer.counts[0].tolist(), strict=True))["ducks+1"] == 1


def test_another_treebank_is_refused_and_none_is_asked_for(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = toy_treebank(tmp_path / "other", {"train": 5, "dev": 5, "test": 5}, seed=9)
    shutil.copytree(toy.resampled / "store", tmp_path / "run" / "store")
    assert run("analyze", "pos_ambiguity", tmp_path / "run", treebank=other) == EXIT_USER
    assert "its content differs" in capsys.readouterr().err
    assert run("analyze", "pos_ambiguity", toy.tokens) == EXIT_USER
    assert "no store of pos_resample" in capsys.readouterr().err
    assert run("analyze", "pos_ambiguity", tmp_path / "run", tagger="nltk") == EXIT_USER
    assert "spacy:MODEL" in capsys.readouterr().err
