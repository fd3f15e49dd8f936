"""The tiny models of `tiny_models`, saved and loaded once per test session."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_models import ARCHITECTURES, random_model, save, spec

from lit_experiments.lm.load import load
from lit_experiments.lm.model import LanguageModel


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """architecture name -> folder of its tiny model, made on first use."""
    root = tmp_path_factory.mktemp("models")

    def make(name: str) -> Path:
        folder = root / name
        if not folder.exists():
            save(random_model(*ARCHITECTURES[name]), folder)
        return folder

    return make


@pytest.fixture(scope="session")
def lm_of(folder_of: Callable[[str], Path]) -> Callable[..., LanguageModel]:
    """architecture name (and dtype) -> its tiny model, loaded on first use."""
    loaded: dict[tuple[str, str], LanguageModel] = {}

    def get(name: str, dtype: str = "float32") -> LanguageModel:
        if (name, dtype) not in loaded:
            loaded[name, dtype] = load(spec(folder_of(name), dtype), "cpu")
        return loaded[name, dtype]

    return get
