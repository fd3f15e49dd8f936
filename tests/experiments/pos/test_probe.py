"""Probes of the part of speech: labels that only one token can know, known probabilities, controls, what is written."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.probes.class_probe import load_class_probe
from tests.experiments.pos.conftest import Toy, run
from tests.experiments.pos.toy import NOUN, toy_treebank
from tests.toys import random_llama

FIT = {"penalties": "[1e-4]", "folds": 2, "bootstraps": 100, "shuffles": 1}


def metrics(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "pos_probe" / "result.json").read_text())


def test_the_toy_languages_probabilities_are_found(toy: Toy) -> None:
    """All words but two are certain; the best possible log-loss is that of the two."""
    result = metrics(toy.tokens)
    assert result["classes"] == ["ADV", "NOUN", "PRON", "PUNCT", "VERB"]
    assert result["validation"]["calibration_error"]["value"] < 0.03
    (layer,) = result["layers"]
    share = {"duck": 0.4 / 4, "fish": 0.3 / 4}  # of the words
    best = sum(share[w] * -(p * np.log(p) + (1 - p) * np.log(1 - p)) for w, p in NOUN.items())
    assert layer["test_log_loss"]["value"] == pytest.approx(best, abs=0.025)
    # The state is the word's identity, so the probe can know no more than the type's commonest tag, and no less of the
    # control task than everything.
    assert layer["above_baseline"]["value"] == pytest.approx(0, abs=0.01)
    assert layer["control_accuracy"]["value"] == 1
    assert layer["selectivity"]["value"] == pytest.approx(result["baseline"]["accuracy"]["value"] - 1, abs=1e-9)


def byte_treebank(folder: Path) -> Path:
    """Words of two letters whose second letter is the tag, so that a byte-level model's last token alone knows it."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", 60), ("dev", 20), ("test", 20)):
        lines = []
        for number in range(count):
            words = [a + b for a, b in zip(rng.choice(list("abc"), 6), rng.choice(list("xyz"), 6), strict=True)]
            lines += [f"# newdoc id = {part}{number}", f"# sent_id = {part}-{number}", f"# text = {' '.join(words)}"]
            tags = {"x": "NOUN", "y": "VERB", "z": "ADJ"}
            lines += [f"{i}\t{w}\t_\t{tags[w[1]]}\tT\t_\t_\t_\t_\t_" for i, w in enumerate(words, 1)] + [""]
        (folder / f"{part}.conllu").write_text("\n".join([*lines, ""]))
    return folder


def test_labels_that_only_the_last_token_can_know(tmp_path: Path) -> None:
    model, bank = random_llama(tmp_path / "model", seed=1), byte_treebank(tmp_path / "bank")
    accuracy = {}
    for position in ("last", "first"):
        folder = tmp_path / position
        options = {"model": model, "treebank": bank, "position": position, "sites": "[resid_post.0]"}
        assert run("collect", "pos_tokens", folder, **options) == EXIT_DONE
        assert run("train", "pos_probe", folder, **FIT) == EXIT_DONE
        accuracy[position] = metrics(folder)["test"]["accuracy"]
        assert metrics(folder)["shuffled"]["accuracy"][0] < 0.5
    assert accuracy["last"]["value"] > 0.99
    assert accuracy["last"]["low"] > 0.8  # all right: as many as 20 documents can show
    assert accuracy["first"]["low"] < 1 / 3 + 0.08
    assert accuracy["first"]["high"] < 0.55


def test_what_is_saved_names_model_layer_tags_and_what_was_left_out(toy: Toy) -> None:
    probe = load_class_probe(toy.probe, model=None, layer="resid_post.0", classes=None)
    assert probe.notes["excluded_tags"] == ["INTJ", "SYM", "_"]
    assert probe.notes["position"] == "last"
    assert set(probe.model) == {"model", "adapter", "dtype", "attn", "bos_policy", "prefix"}
    same = load_class_probe(toy.probe / "resid_post.0", model=None, layer=None, classes=None)
    np.testing.assert_array_equal(same.weights, probe.weights)
    written = {path.name for path in toy.probe.iterdir()} | {path.name for path in (toy.probe / "figures").iterdir()}
    assert {"report.html", "RESULTS.md", "accuracy_by_layer.png", "reliability.png", "confusion.png"} <= written


def test_parts_are_kept_apart(toy: Toy) -> None:
    split = json.loads((toy.probe / "split.json").read_text())
    assert {name: len(documents) for name, documents in split.items()} == {"train": 80, "test": 12, "validation": 12}
    assert all(document.startswith(f"{part}/") for part, documents in split.items() for document in documents)


def test_a_treebank_of_one_part_is_split_at_random_by_document(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = toy_treebank(tmp_path / "bank", {"train": 100})
    assert run("collect", "pos_tokens", tmp_path / "run", model=toy.model, treebank=bank) == EXIT_DONE
    assert run("train", "pos_probe", tmp_path / "run", **FIT) == EXIT_DONE
    assert "No words of part test: 25% of the documents" in capsys.readouterr().out
    result = metrics(tmp_path / "run")
    assert result["documents"] == {"train": 15, "test": 5, "validation": 0}
    assert result["validation"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "resid_post.7"}, "holds no layer resid_post.7; it has: resid_post.0"),
        ({"folds": 1}, "folds must be at least 2"),
        ({"bins": 0}, "bins must be at least 1"),
        ({"test_fraction": 1}, "between 0 and 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    toy: Toy, capsys: pytest.CaptureFixture[str], options: dict[str, Any], message: str
) -> None:
    assert run("train", "pos_probe", toy.tokens, **options) == EXIT_USER
    assert message in capsys.readouterr().err
