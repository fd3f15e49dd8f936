"""Runs of every study that stores sites, asked for further ones: as if all had been asked for at once."""

from pathlib import Path
from typing import Any

import pytest

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE
from tests.toys import random_llama

GEOMETRY = {"num_problems": 3, "completions": 2, "latent_sampling_stride": 2}
# Options that keep a study small, and the one that names sites or layers.
STUDIES: dict[str, tuple[dict[str, Any], str]] = {
    "introspection": ({"num_questions": 6, "positions": "last_2", "max_new_tokens": 3}, "sites"),
    "tempnorm": ({"limit": 5, "gen_length": 6, "eval_lengths": "[6]", "gen_number": 2, "initial_wander": 2}, "sites"),
    "pos_tokens": ({"limit": 8}, "sites"),
    "sampling_variance": ({**GEOMETRY, "token_checkpoints": "[4, 8]"}, "variance_layers"),
    "clustering": ({**GEOMETRY, "max_new_tokens": 8}, "layers"),
    "manifold": ({**GEOMETRY, "max_new_tokens": 190}, "layers"),
}
FEWER = {"introspection", "tempnorm"}  # of which what the model writes needs no pass again


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_llama(tmp_path_factory.mktemp("llama"), seed=0, window=512)


@pytest.mark.parametrize("study", STUDIES)
def test_further_sites_join_the_rows_that_are_there(llama: Path, tmp_path: Path, passes: list[str], study: str) -> None:
    options, name = STUDIES[study]

    def collect(run: str, layers: list[int]) -> int:
        """Returns how many forward passes it took."""
        values = layers if name != "sites" else [f"resid_post.{layer}" for layer in layers]
        words = [f"--{key}={value}" for key, value in {**options, name: values, "model": llama}.items()]
        passes.clear()
        argv = ["collect", "--exp", study, "--accelerator", "cpu", "--run", str(tmp_path / run), *words]
        assert main([word.replace("'", "") for word in argv]) == EXIT_DONE
        return len(passes)

    needed = collect("once", [0, 1, 2])
    collect("grown", [1])
    parts = [path for path in (tmp_path / "grown" / "store" / "parts").rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in parts}
    assert (collect("grown", [0, 1, 2]) < needed) == (study in FEWER)
    assert collect("grown", [0, 2]) == 0
    assert {path: path.read_bytes() for path in parts} == before
    once, grown = (stores.certify(stores.open_store(tmp_path / run / "store")) for run in ("once", "grown"))
    assert grown.differences(once) == []
