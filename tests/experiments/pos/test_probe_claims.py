"""The claim of the part-of-speech probe: what the word tells is the word's, what states alone tell is theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE
from tests.experiments.pos.conftest import run
from tests.stores.forge import forge
from tests.toys import random_llama

FIT = {"penalties": "[1e-3]", "folds": 2, "bootstraps": 100, "shuffles": 1, "permutations": 99, "twins": 2}
TAGS = ("NOUN", "VERB", "ADJ")


def treebank(folder: Path, by_word: bool, copies: int = 0) -> Path:
    """A document is a sentence of six words; a tag follows from its word's second letter, or from nothing.

    copies: of test sentences that stand in the training part too.
    """
    folder.mkdir()
    rng = np.random.default_rng(0)
    written: list[list[str]] = []
    for part, count in (("train", 60), ("test", 24)):
        lines = []
        for number in range(count):
            words = [a + b for a, b in zip(rng.choice(list("abcdef"), 6), rng.choice(list("xyz"), 6), strict=True)]
            tags = [TAGS["xyz".index(word[1])] if by_word else str(rng.choice(TAGS)) for word in words]
            rows = [f"{i}\t{w}\t_\t{t}\tT\t_\t_\t_\t_\t_" for i, w, t in zip(range(1, 7), words, tags, strict=True)]
            sentence = [f"# text = {' '.join(words)}", *rows, ""]
            if part == "test" and number < copies:
                sentence = written[number]
            written.append(sentence)
            lines += [f"# newdoc id = {part}{number}", f"# sent_id = {part}-{number}", *sentence]
        (folder / f"{part}.conllu").write_text("\n".join([*lines, ""]))
    return folder


def collected(folder: Path, **about: Any) -> Path:
    model, bank = random_llama(folder / "model", seed=1), treebank(folder / "bank", **about)
    assert run("collect", "pos_tokens", folder / "run", model=model, treebank=bank, sites="[resid_post.0]") == EXIT_DONE
    return folder / "run"


def claim_of(folder: Path) -> dict[str, Any]:
    assert run("train", "pos_probe", folder, **FIT) == EXIT_DONE
    (claim,) = json.loads((folder / "pos_probe" / "result.json").read_text())["claims"]
    return dict(claim)


def test_a_tag_that_the_word_tells_is_explained_by_the_surface(tmp_path: Path) -> None:
    folder = collected(tmp_path, by_word=True)
    claim = claim_of(folder)
    assert claim["verdict"]["word"] == "surface-explained"
    (surface,) = claim["evidence"]["controls"]
    assert surface["score"]["value"] > 0.95
    assert claim["evidence"]["twins"]["kind"] == "random weights"
    assert claim["claim"]["beyond"] == ["surface", "random weights"]
    assert claim["verdict"]["sentence"] in (folder / "pos_probe" / "RESULTS.md").read_text()
    assert main(["audit", str(folder)]) == EXIT_DONE
    (audited,) = json.loads((folder / "audit" / "audit.json").read_text())["claims"]
    assert (audited["id"], audited["verdict"]) == ("pos_probe/upos", "surface-explained")


@pytest.mark.parametrize(("planted", "verdicts"), [(True, {"supported"}), (False, {"not supported", "underpowered"})])
def test_a_tag_that_states_alone_tell_is_theirs(tmp_path: Path, planted: bool, verdicts: set[str]) -> None:
    """The words tell nothing of the tags; planted: each state is made to follow its tag."""
    folder = collected(tmp_path, by_word=False)
    rng = np.random.default_rng(1)

    def plant(held: stores.Records) -> None:
        tags = [TAGS.index(tag) for row in held.rows for tag in row["upos"]]
        states = held.arrays["resid_post"]
        states[...] = rng.normal(size=states.shape)
        states[:, np.arange(len(tags)), tags] += 4

    if planted:
        (tmp_path / "forged").mkdir()
        forge(folder / "store", tmp_path / "forged" / "store", plant)
        folder = tmp_path / "forged"
    claim = claim_of(folder)
    assert claim["verdict"]["word"] in verdicts, claim["verdict"]["sentence"]
    assert claim["evidence"]["apart"] is None
    assert (claim["evidence"]["controls"][0]["gain"]["low"] > 0) == planted


def test_words_of_copied_sentences_are_looked_at_apart(tmp_path: Path) -> None:
    """Eight of 24 test sentences stand in the training part too, with the same tags."""
    claim = claim_of(collected(tmp_path, by_word=False, copies=8))
    assert claim["evidence"]["grouping"]["neighbours"] == 8 * 6
    assert claim["evidence"]["apart"]["n"] == 16
    assert "without copies" in claim["verdict"]["claims"]
