"""Pages of study 5 made from one to five documents: sentences stand in for too few, and the page says so."""

from pathlib import Path

import pytest

from lit_experiments.errors import EXIT_DONE
from tests.experiments.pos.conftest import EXACT, Toy, run
from tests.experiments.pos.toy import toy_treebank
from tests.intervals import check

FIT = {"penalties": "[1e-4]", "folds": 2, "bootstraps": 100, "shuffles": 1}
SAID = ("it is above", "it is below", "it is not seen to differ", "The probe is closer", "The probe is further")


@pytest.mark.parametrize("documents", [1, 2, 4, 5])
def test_probes_tested_on_few_documents(documents: int, toy: Toy, tmp_path: Path) -> None:
    """Every word is tagged as often by its type: the probe is right whenever the baseline is."""
    sizes = {"train": 100, "dev": 5 * documents, "test": 5 * documents}
    folder, bank = tmp_path / "run", toy_treebank(tmp_path / "bank", sizes)
    assert run("collect", "pos_tokens", folder, model=toy.model, treebank=bank) == EXIT_DONE
    assert run("train", "pos_probe", folder, **FIT) == EXIT_DONE
    out = folder / "pos_probe"
    check(out, 5 * documents)
    page = (out / "RESULTS.md").read_text()
    assert any(sentence in page for sentence in SAID)
    assert ("Too few documents to resample" in page) == (documents < 5)


@pytest.mark.parametrize("documents", [1, 2])
def test_continuations_of_few_documents(documents: int, toy: Toy, tmp_path: Path) -> None:
    sizes = {"train": 100, "dev": 5 * documents, "test": 5 * documents}
    folder, bank = tmp_path / "run", toy_treebank(tmp_path / "bank", sizes)
    assert run("collect", "pos_tokens", folder, model=toy.model, treebank=bank) == EXIT_DONE
    assert run("train", "pos_probe", folder, **FIT) == EXIT_DONE
    again = tmp_path / "resampled"
    options = {"model": toy.model, "probe": folder / "pos_probe", "num_samples": 32, **EXACT}
    assert run("collect", "pos_resample", again, **options) == EXIT_DONE
    quick = {"permutations": 20, "simulations": 20, "bootstraps": 50, "examples": 2, "min_draws": 8}
    assert run("analyze", "pos_ambiguity", again, **quick) == EXIT_DONE
    check(again / "pos_ambiguity", 5 * documents)
    page = (again / "pos_ambiguity" / "RESULTS.md").read_text()
    assert "Too few documents to resample" in page
