"""An existing run that is asked for more sites and positions: only these are computed, as if all had been at once."""

import json
import re
from pathlib import Path

import pytest

import stores
from lit_experiments.cli import main
from lit_experiments.collecting.dry_run import FORECAST_VARIABLE
from tests.collecting.conftest import assert_same, content
from tests.experiments.activations.conftest import RECORDS, collect, jsonl

FEW = {"sites": "[resid_post.1]", "positions": "[last]"}
MORE = {"sites": "[embed, resid_post.1, resid_post.2]", "positions": "[last, response, mean, last_3]"}


@pytest.fixture
def options(llama: Path, tmp_path: Path) -> dict[str, object]:
    texts = jsonl(tmp_path / "texts.jsonl", RECORDS * 3)
    return {"model": llama, "texts": texts, "generate": 5, "temperature": 1.0, "batch_size": 4}


def bytes_of(run: Path) -> dict[Path, bytes]:
    """All files of a store that never change."""
    files = [path for path in (run / "store").rglob("*") if path.is_file() and path.name != ".lock"]
    return {path: path.read_bytes() for path in files if path.parent.name != "heads"}


@pytest.mark.parametrize("backend", ["zarr", "hdf5"])
def test_more_sites_and_positions_are_added_to_the_rows_that_are_there(
    options: dict[str, object], tmp_path: Path, passes: list[str], backend: str
) -> None:
    once, grown = tmp_path / "once", tmp_path / "grown"
    assert collect(once, **options, **MORE, backend=backend) == 0
    assert collect(grown, **options, **FEW, backend=backend) == 0
    before = bytes_of(grown)
    passes.clear()
    assert collect(grown, **options, **MORE, backend=backend) == 0
    assert len(passes) == 1 + 3  # the model's self-check, and one of each batch: no response is written again
    assert_same(content(grown), content(once))
    assert {path: path.read_bytes() for path in before} == before
    assert stores.verify(grown / "store") == []
    passes.clear()
    for requested in (MORE, FEW):  # what is asked for is there
        assert collect(grown, **options, **requested, backend=backend) == 0
    assert passes == []


def test_other_sites_join_those_that_are_there(options: dict[str, object], tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert collect(run, **options, **FEW) == 0
    assert collect(run, **options, sites="[embed]", positions="[last]") == 0
    assert stores.open_store(run / "store").schema.coords == {"site": ["resid_post.1", "embed"]}
    both = tmp_path / "both"
    assert collect(both, **options, sites="[resid_post.1, embed]", positions="[last]") == 0
    assert_same(content(run), content(both))


def test_a_run_may_grow_by_sites_and_by_rows(options: dict[str, object], tmp_path: Path, passes: list[str]) -> None:
    plain, grown = tmp_path / "plain", tmp_path / "grown"
    assert collect(plain, **options, **MORE, limit=4) == 0
    assert collect(grown, **options, **FEW, limit=4) == 0
    assert collect(grown, **options, **MORE, limit=4) == 0
    counts = []
    for run in (plain, grown):
        passes.clear()
        assert collect(run, **options, **MORE) == 0
        counts.append(len(passes))
    assert counts[0] == counts[1]  # rows that no piece has are computed once for all of them
    assert_same(content(grown), content(plain))


def test_an_extended_run_is_verified_recomputed_exported_and_merged(
    options: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, merged = tmp_path / "run", tmp_path / "merged"
    assert collect(run, **options, **FEW) == 0
    assert collect(run, **options, **MORE) == 0
    assert main(["verify", str(run), "--recompute", "5"]) == 0
    assert "the rows are what the model computes" in capsys.readouterr().out
    assert main(["certificate", str(run)]) == 0
    assert main(["inspect", str(run)]) == 0
    assert main(["export", str(run), "--out", str(tmp_path / "npy"), "--format", "npy"]) == 0
    assert main(["merge", str(run), "--out", str(merged)]) == 0
    assert_same(content(merged), content(run))


def test_what_cannot_grow_is_refused_by_its_name_alone(
    options: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert collect(run, **options, **FEW) == 0
    before = bytes_of(run)
    capsys.readouterr()
    assert collect(run, **{**options, "generate": 6}, **MORE) == 2
    stderr = capsys.readouterr().err
    assert "settings.response.tokens: stored 5, now 6" in stderr
    assert not re.search("sites|positions", stderr)
    assert bytes_of(run) == before


def test_a_dry_run_counts_what_is_missing(
    options: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, file = tmp_path / "run", tmp_path / "forecast.json"
    monkeypatch.setenv(FORECAST_VARIABLE, str(file))

    def forecast(**requested: str) -> dict[str, int]:
        assert collect(run, **options, **requested, dry_run="true") == 0
        content: dict[str, int] = json.loads(file.read_text())
        return content

    few, whole = forecast(**FEW)["payload"], forecast(**MORE)["payload"]
    assert collect(run, **options, **FEW, limit=4) == 0
    before = bytes_of(run)
    rest = forecast(**FEW)
    assert (rest["there"], rest["samples"]) == (4, 8)
    assert rest["payload"] == few * 8 / 12
    more = forecast(**MORE)
    assert (more["there"], more["samples"]) == (0, 12)
    assert more["payload"] == whole - few * 4 / 12
    assert bytes_of(run) == before
    assert collect(run, **options, **FEW) == 0
    assert forecast(**FEW)["samples"] == 0
    assert "there already      12 samples" in capsys.readouterr().out
