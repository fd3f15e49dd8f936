"""The default tagger sees both sides, is trained once, and others say how they are installed."""

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from lit_experiments.errors import UserError
from lit_experiments.experiments.pos.features import features, shape
from lit_experiments.experiments.pos.tagger import CrfSettings, crf_tagger, other_tagger, tagger_accuracy
from lit_experiments.sources.treebank import read_treebank
from lit_experiments.statistics import GroupBootstrap
from tests.experiments.pos.toy import toy_treebank

SETTINGS = CrfSettings(0.1, 0.05, 60)


def boot(resamples: int) -> Callable[..., GroupBootstrap]:
    return partial(GroupBootstrap, resamples=resamples, level=0.95, seed=0)


def test_both_sides_decide(tmp_path: Path) -> None:
    """In the toy language nothing to the left of "duck" tells its tag, and the next word does."""
    bank = read_treebank(str(toy_treebank(tmp_path / "bank", {"train": 200, "test": 60})))
    tagger = crf_tagger(bank.split("train"), bank.digest, SETTINGS, tmp_path / "kept")
    assert tagger_accuracy(tagger, bank.split("test"), boot(50)).accuracy.value == 1
    sentences = [["they", "duck", "sleeps", "."], ["they", "duck", "fast", "."], []]
    assert [tags[1:2] for tags in tagger.tag(sentences)] == [["NOUN"], ["VERB"], []]


def test_trained_once_and_again_after_damage_with_the_same_result(tmp_path: Path) -> None:
    bank = read_treebank(str(toy_treebank(tmp_path / "bank", {"train": 60, "test": 10})))
    crf_tagger(bank.split("train"), bank.digest, SETTINGS, tmp_path / "kept")
    (model,) = (tmp_path / "kept").glob("*.crfsuite")
    first, made = model.read_bytes(), model.stat().st_mtime_ns
    crf_tagger(bank.split("train"), bank.digest, SETTINGS, tmp_path / "kept")
    assert model.stat().st_mtime_ns == made
    model.write_bytes(first[: len(first) // 2])
    crf_tagger(bank.split("train"), bank.digest, SETTINGS, tmp_path / "kept")
    assert model.read_bytes() == first
    crf_tagger(bank.split("train"), bank.digest, CrfSettings(0.1, 0.05, 5), tmp_path / "kept")
    assert len(list((tmp_path / "kept").glob("*.crfsuite"))) == 2


def test_the_embedded_treebank_is_tagged_well(tmp_path: Path) -> None:
    bank = read_treebank("embedded")
    tagger = crf_tagger(bank.split("train"), bank.digest, CrfSettings(0.1, 0.05, 80), tmp_path)
    scores = tagger_accuracy(tagger, bank.split("test"), boot(100))
    assert scores.words == 536
    assert scores.accuracy.low < scores.accuracy.value < scores.accuracy.high
    assert scores.accuracy.value > 0.84


def test_features_know_neighbours_and_edges() -> None:
    first, last = features(["He", "isn't"])
    assert {"w=he", "+w=isn't", "-none", "title"} <= set(first)
    assert {"-w=he", "+none", "s2='t", "p1=i"} <= set(last)
    assert shape("McDonald's-3000X") == "XxXx'x-9X"


@pytest.mark.parametrize(
    ("name", "message"),
    [("spacy:en_core_web_sm", "pip install spacy"), ("stanza:en", "pip install stanza"), ("nltk", "crf, spacy:MODEL")],
)
def test_other_taggers_say_what_they_lack(name: str, message: str) -> None:
    if importlib.util.find_spec(name.partition(":")[0]) is not None:
        pytest.skip(f"{name} is installed here")
    with pytest.raises(UserError, match=message):
        other_tagger(name)
