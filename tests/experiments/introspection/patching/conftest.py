"""The planted model's run with its directions, and the interventions on it, computed once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE
from lit_experiments.experiments.introspection.passes import passes
from lit_experiments.experiments.introspection.patching.choice import Choice, choose, load_model
from lit_experiments.lm.model import LanguageModel
from stores import Store
from tests.experiments.introspection.patching.runs import SELF, analyze, copied
from tests.experiments.introspection.planted_model import TEMPLATES, write_model, write_questions


@pytest.fixture(scope="package")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The planted model's run, with its directions."""
    folder = tmp_path_factory.mktemp("planted")
    model, questions = write_model(folder / "model"), write_questions(folder / "questions.jsonl")
    where = ["--model", str(model), "--questions", str(questions), "--run", str(folder / "run")]
    templates = [f"--templates.{kind}={text}" for kind, text in TEMPLATES.items()]
    assert main(["collect", "--exp", "introspection", "--accelerator", "cpu", *where, *templates]) == EXIT_DONE
    few = ["--shuffles", "20", "--bootstraps", "50", "--run", str(folder / "run")]
    assert main(["analyze", "--exp", "introspection_directions", *few]) == EXIT_DONE
    return folder / "run"


@pytest.fixture(scope="package")
def patched(collected: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = copied(collected, tmp_path_factory.mktemp("patched"))
    assert analyze(run) == EXIT_DONE
    return run


@pytest.fixture(scope="package")
def store(collected: Path) -> Store:
    return stores.open_store(collected / "store")


@pytest.fixture(scope="package")
def rows(store: Store) -> pd.DataFrame:
    return passes(store)[SELF]


@pytest.fixture(scope="package")
def lm(store: Store) -> LanguageModel:
    return load_model(store, None, "cpu")


@pytest.fixture(scope="package")
def choice(store: Store, lm: LanguageModel) -> dict[str, Choice]:
    choices, statements = choose(store, lm, questions=24, pairs=8, seed=0)
    assert not statements
    return choices
