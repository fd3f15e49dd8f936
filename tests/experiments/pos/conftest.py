"""One toy run of study 5 up to the resampled prefixes, shared by the tests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE
from tests.experiments.pos.toy import toy_model, toy_treebank

SIZES = {"train": 400, "dev": 60, "test": 60}
EXACT = {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 3}


@dataclass(frozen=True)
class Toy:
    """Folders: the model, the treebank, the run of labelled words with its probe in it, the resampled prefixes."""

    model: Path
    treebank: Path
    tokens: Path
    resampled: Path

    @property
    def probe(self) -> Path:
        return self.tokens / "pos_probe"


def command(verb: str, exp: str, run: Path, **options: Any) -> list[str]:
    words = [f"--{key}={value}" for key, value in options.items()]
    device = ["--accelerator", "cpu"] if verb != "analyze" else []
    return [verb, "--exp", exp, "--run", str(run), *device, *words]


def run(verb: str, exp: str, folder: Path, **options: Any) -> int:
    return main(command(verb, exp, folder, **options))


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    folder = tmp_path_factory.mktemp("pos")
    runs = Toy(toy_model(folder / "model"), toy_treebank(folder / "bank", SIZES), folder / "run", folder / "resampled")
    assert run("collect", "pos_tokens", runs.tokens, model=runs.model, treebank=runs.treebank) == EXIT_DONE
    options = {"penalties": "[1e-4]", "folds": 2, "bootstraps": 200}
    assert run("train", "pos_probe", runs.tokens, **options) == EXIT_DONE
    options = {"model": runs.model, "probe": runs.probe, "num_samples": 96, **EXACT}
    assert run("collect", "pos_resample", runs.resampled, **options) == EXIT_DONE
    return runs
