"""Study 4, experiment 4: the stored contributions are those at the stored points, and add up."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.geometry.attribution_result import AttributionResult
from lit_experiments.experiments.geometry.path_points import load_points
from lit_experiments.lm.load import load
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.plain import plain
from lit_experiments.tasks.result_files import read_result
from tests.toys import random_llama


def run_verb(verb: str, exp: str, run: Path, **options: Any) -> int:
    where = ["--accelerator", "cpu"] if verb == "collect" else ["--bootstraps", "20"]
    words = [f"--{key}={value}" for key, value in options.items()]
    return main([verb, "--exp", exp, "--run", str(run), *where, *words])


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_llama(tmp_path_factory.mktemp("llama"), seed=3)


@pytest.fixture(scope="module")
def path_run(tmp_path_factory: pytest.TempPathFactory, llama: Path) -> Path:
    folder = tmp_path_factory.mktemp("path") / "run"
    small = {"num_problems": 3, "max_new_tokens": 24, "bifurcation_step_interval": 4, "lookahead_tokens": 8}
    small["latent_sampling_stride"] = 1
    assert run_verb("collect", "path_sensitivity", folder, model=llama, decode_to_end="false", **small) == EXIT_DONE
    assert run_verb("analyze", "path_sensitivity", folder) == EXIT_DONE
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, llama: Path, path_run: Path) -> Path:
    folder = tmp_path_factory.mktemp("attribution") / "run"
    assert run_verb("collect", "attribution", folder, model=llama, path_run=path_run, top_n_points=6) == EXIT_DONE
    assert run_verb("analyze", "attribution", folder) == EXIT_DONE
    return folder


def test_the_farthest_points_are_taken_and_their_difference_is_the_models(
    run: Path, path_run: Path, llama: Path
) -> None:
    lm = load(ModelSpec(str(llama), None, None, "float32", "auto"), "cpu")
    texts = {row["problem_id"]: row for row in stores.open_store(path_run / "store").iter_rows([])}
    rows = list(stores.open_store(run / "store").iter_rows())
    points = [point for point in load_points(path_run) if point.rank is not None]
    assert [(r["problem_id"], r["position"]) for r in rows] == [(p.problem_id, p.position) for p in points[:6]]
    for row, point in zip(rows, points[:6], strict=True):
        ids = texts[row["problem_id"]]["input_ids"] + texts[row["problem_id"]]["baseline_ids"][: row["position"] - 1]
        with torch.inference_mode():
            logits = lm.model(input_ids=torch.tensor([ids])).logits[0, -1].double()
        expected = float(logits[point.first.id] - logits[point.second.id])
        assert row["difference"] == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert row["difference"] == pytest.approx(point.logit_difference, rel=1e-3, abs=1e-4)
        assert row["capped_difference"] == row["difference"]
        whole = row["frozen_embed"] + row["frozen_layers"].sum() + row["bias"] + row["residual"]
        assert whole == pytest.approx(row["difference"], rel=1e-12)
        assert abs(row["residual"]) < 1e-4 * abs(row["difference"])
        np.testing.assert_allclose(row["frozen_layers"], row["frozen_attention"] + row["frozen_mlp"], atol=1e-4)
        np.testing.assert_allclose(row["raw_layers"], row["raw_attention"] + row["raw_mlp"], atol=1e-4)


def test_the_report_sums_up_the_points(run: Path) -> None:
    result = json.loads((run / "attribution" / "result.json").read_text())
    rows = list(stores.open_store(run / "store").iter_rows())
    for layer in range(3):
        for part in ("layers", "attention", "mlp"):
            mean = np.mean([row[f"frozen_{part}"][layer] for row in rows])
            assert result["frozen"][part][layer]["value"] == pytest.approx(mean)
    share = sum(row["frozen_mlp"].sum() for row in rows) / sum(row["difference"] for row in rows)
    assert result["shares"]["mlp"]["value"] == pytest.approx(share)
    assert result["largest_residual"] == pytest.approx(max(abs(row["residual"]) for row in rows))
    assert plain(read_result(run / "attribution", AttributionResult)) == result
    assert (run / "attribution" / "report.html").exists()


def test_a_missing_run_is_pointed_out(tmp_path: Path, llama: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"model": llama, "path_run": tmp_path / "nowhere", "top_n_points": 2}
    assert run_verb("collect", "attribution", tmp_path / "run", **options) == EXIT_USER
    error = capsys.readouterr().err
    assert "holds no collection of path_sensitivity" in error
    assert f"python collect.py --exp path_sensitivity --run {tmp_path / 'nowhere'}" in error


def test_a_run_that_was_not_analyzed_is_pointed_out(
    tmp_path: Path, llama: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"num_problems": 1, "max_new_tokens": 8, "lookahead_tokens": 4, "latent_sampling_stride": 1}
    assert run_verb("collect", "path_sensitivity", tmp_path / "path", model=llama, **small) == EXIT_DONE
    options = {"model": llama, "path_run": tmp_path / "path", "top_n_points": 2}
    assert run_verb("collect", "attribution", tmp_path / "run", **options) == EXIT_USER
    assert f"analyze --exp path_sensitivity --run {tmp_path / 'path'}" in capsys.readouterr().err
    points = tmp_path / "path" / "path_sensitivity" / "bifurcation_points.json"
    points.parent.mkdir()
    points.write_text('{"points": [{"rank": 1}]}')
    assert run_verb("collect", "attribution", tmp_path / "run", **options) == EXIT_USER
    assert "is not what the analysis of path_sensitivity writes" in capsys.readouterr().err


def test_points_of_another_model_are_refused(
    tmp_path: Path, path_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"path_run": path_run, "top_n_points": 2}
    assert run_verb("collect", "attribution", tmp_path / "run", **options) == EXIT_USER
    assert "another model than 'embedded'" in capsys.readouterr().err
