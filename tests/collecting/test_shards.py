"""A collection in parts that know nothing of each other, merged: the store that one run would have made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import stores
from lit_experiments.cli.main import main
from lit_experiments.collecting.ended import not_ended
from lit_experiments.collecting.plan import plan_batches
from lit_experiments.collecting.shards import Shard, missing_shards
from lit_experiments.errors import EXIT_DONE
from tests.collecting.test_growth import samples, sizes, together
from tests.toys import random_llama


@given(sizes, st.integers(1, 5), st.integers(1, 120))
def test_shards_divide_the_samples_and_change_nobody_s_company(lengths: list[int], count: int, budget: int) -> None:
    everyone = samples(lengths)
    batches = plan_batches(everyone, budget, None)
    parts = [Shard(number, count).of(batches) for number in range(1, count + 1)]
    assert np.array_equal(np.sum([part.selected for part in parts], axis=0), np.ones(len(everyone)))
    neighbours = together(batches)
    for part in parts:
        assert {s.sample_id for b in part for s in b.samples} == {
            s.sample_id for s, selected in zip(everyone, part.selected, strict=True) if selected
        }
        assert together(part).items() <= neighbours.items()


def test_which_shards_are_lacking() -> None:
    assert missing_shards(["1/3", "3/3"]) == "2/3"
    assert missing_shards(["2/2", "1/2"]) == ""
    assert missing_shards([None, "1/2"]) == ""
    assert missing_shards(["1/2", "1/3"]) == "2/3, 3/3"


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("shards")
    texts = folder / "texts.csv"
    texts.write_text("text,kind\n" + "".join(f"{'word ' * (i % 7 + 1)}{i},{'ab'[i % 2]}\n" for i in range(23)))
    model = str(random_llama(folder / "model", seed=1))
    words = ["collect", "--exp", "activations", "--texts", str(texts), "--model", model, "--label_columns", "[kind]"]
    return [*words, "--sites", "resid_post.*", "--batch_size", "4", "--accelerator", "cpu"]


def certificate(run: Path) -> str:
    return stores.certify(stores.open_store(run / "store")).root


def test_the_merged_shards_have_the_certificate_of_one_run(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    whole, parts = tmp_path / "whole", [tmp_path / f"runs/activations-{n}of2" for n in (1, 2)]
    assert main([*command, "--run", str(whole)]) == EXIT_DONE
    for number in (1, 2):
        assert main([*command, "--shard", f"{number}/2"]) == EXIT_DONE
    rows = [len(stores.open_store(run / "store")) for run in parts]
    assert sum(rows) == 23
    assert min(rows) > 5
    assert main(["merge", str(parts[0]), "--out", str(tmp_path / "half")]) == EXIT_DONE
    assert "no run of shard 2/2" in capsys.readouterr().out
    assert not_ended(tmp_path / "half", stores.open_store(tmp_path / "half" / "store"))
    assert main(["merge", *map(str, parts), "--out", str(tmp_path / "all")]) == EXIT_DONE
    assert not not_ended(tmp_path / "all", stores.open_store(tmp_path / "all" / "store"))
    assert stores.verify(tmp_path / "all" / "store") == []
    assert certificate(tmp_path / "all") == certificate(whole)
    assert (tmp_path / "all" / "declarations.json").read_bytes() == (whole / "declarations.json").read_bytes()
    # what the half lacks is collected into it by the command of the whole
    assert main(["collect", "--config", str(tmp_path / "half" / "config.yaml")]) == EXIT_DONE
    assert certificate(tmp_path / "half") == certificate(whole)


def test_a_shard_without_a_batch_is_an_empty_run(command: list[str], tmp_path: Path) -> None:
    words = [*command, "--limit", "2", "--run", str(tmp_path / "run"), "--shard"]
    assert main([*words, "2/2"]) == EXIT_DONE
    assert len(stores.open_store(tmp_path / "run" / "store")) == 0
