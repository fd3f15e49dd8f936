"""Study 4, experiment 1: latents are those of the stored texts, variances those of a known distribution."""

import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.geometry.variance_measures import peak
from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.load import load
from lit_experiments.lm.pool import LatentPool, Pooled
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.statistics import GroupBootstrap
from tests.collecting.conftest import content
from tests.tolerance import assert_close
from tests.toys import random_llama

SMALL = {"num_problems": 4, "completions": 3, "token_checkpoints": "[4, 8, 24]", "latent_sampling_stride": 2}


def collect(run: Path, **options: Any) -> int:
    words = [f"--{key}={value}" for key, value in {**SMALL, **options}.items()]
    return main(["collect", "--exp", "sampling_variance", "--accelerator", "cpu", "--run", str(run), *words])


def analyze(run: Path) -> dict[str, Any]:
    assert main(["analyze", "--exp", "sampling_variance", "--run", str(run), "--bootstraps", "50"]) == EXIT_DONE
    return json.loads((run / "sampling_variance" / "result.json").read_text())


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ends its texts now and then: token 0 is end-of-text."""
    return random_llama(tmp_path_factory.mktemp("llama"), seed=0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, llama: Path) -> Path:
    folder = tmp_path_factory.mktemp("variance") / "run"
    assert collect(folder, model=llama, completions=8, num_problems=6, keep_trajectories="true") == EXIT_DONE
    return folder


def test_latents_are_means_over_the_stored_texts(run: Path, llama: Path) -> None:
    lm = load(ModelSpec(str(llama), None, None, "float32", "auto"), "cpu")
    sites = ["resid_post.0", "resid_post.1", "resid_post.2"]
    ended = 0
    for row in stores.open_store(run / "store").iter_rows():
        paths = np.split(row["trajectory"], np.cumsum([len(t) for t in row["trajectory_tokens"]])[:-1], axis=1)
        for draw, ids in enumerate(row["completion_ids"]):
            assert row["completion_length"][draw] == len(ids)
            stopped = row["stop_reason"][draw] == "eos"
            ended += stopped
            fed = len(ids) - stopped
            prompt = row["input_ids"]
            states = exact_states(lm, [prompt + ids], sites, [range(len(prompt), len(prompt) + len(ids))])
            whole = torch.stack([states[site] for site in sites]).numpy()
            for k, checkpoint in enumerate((4, 8, 24)):
                if fed >= checkpoint:
                    expected = whole[:, 1:checkpoint:2].mean(1)
                    assert_close(row["latents"][:, k, draw], expected, stored=True)
                else:
                    assert np.isnan(row["latents"][:, k, draw]).all()
            assert row["trajectory_tokens"][draw] == list(range(2, min(fed, 24) + 1, 2))
            assert_close(paths[draw], whole[:, 1 : min(fed, 24) : 2], stored=True)
    assert ended > 0


def test_greedy_completions_are_one_and_have_no_variance(run: Path) -> None:
    store = stores.open_store(run / "store")
    frame = store.to_pandas()
    greedy = frame[frame.temperature == 0]
    assert len(greedy) == 6
    assert all(len(texts) == 2 and texts[0] == texts[1] for texts in greedy.completion_text)
    hot = frame[frame.temperature == 1]
    assert all(len(set(texts)) > 1 for texts in hot.completion_text)
    result = analyze(run)
    assert result["temperatures"] == [0.0, 0.6, 1.0]
    values = [e["value"] for layer in result["variance"][0] for e in layer if e["value"] is not None]
    assert values
    assert max(values) == 0
    assert min(e["value"] for layer in result["variance"][2] for e in layer if e["value"] is not None) > 0


def test_the_same_text_has_the_same_latent(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the rows of a batch come out differently, as they do by rounding; here by much more."""
    honest = LatentPool.result

    def uneven(pool: LatentPool) -> Pooled:
        pooled = honest(pool)
        return replace(pooled, means=pooled.means + 0.1 * torch.arange(len(pooled.means))[:, None, None, None])

    monkeypatch.setattr(LatentPool, "result", uneven)
    assert collect(tmp_path / "run", model=llama) == EXIT_DONE
    alike = 0
    for row in stores.open_store(tmp_path / "run" / "store").iter_rows(["latents"]):
        for one, other in combinations(range(len(row["completion_ids"])), 2):
            same = np.array_equal(row["latents"][:, 0, one], row["latents"][:, 0, other])
            assert same == (row["completion_ids"][one] == row["completion_ids"][other])
            alike += same
    assert alike >= 4


def test_variances_are_numpys(run: Path) -> None:
    result = analyze(run)
    problems = result["per_problem"]["problem_id"]
    for row in stores.open_store(run / "store").iter_rows(["latents"]):
        at = problems.index(row["problem_id"]), result["temperatures"].index(row["temperature"])
        there = ~np.isnan(row["latents"]).any((0, 3))
        assert result["per_problem"]["reached"][at[0]][at[1]] == there.sum(1).tolist()
        for layer, checkpoint in np.ndindex(3, 3):
            rows = row["latents"][layer, checkpoint, there[checkpoint]].astype(np.float64)
            variance = result["per_problem"]["variance"][at[0]][at[1]][layer][checkpoint]
            if len(rows) < 2:
                assert variance is None
            else:
                assert variance == pytest.approx(np.trace(np.cov(rows.T)), rel=1e-6, abs=1e-12)
    mean = np.nanmean([[v if v is not None else np.nan for v in p[2][1]] for p in result["per_problem"]["variance"]], 0)
    for estimate, expected in zip(result["variance"][2][1], mean, strict=True):
        assert estimate["value"] == pytest.approx(expected)
        assert estimate["low"] <= expected <= estimate["high"]


def test_growth_compares_the_same_completions(run: Path) -> None:
    """Mean variance at 24 tokens over that at 8 of those that reached 24."""
    result = analyze(run)
    later, earlier = [], []
    for row in stores.open_store(run / "store").iter_rows(["latents"]):
        if row["temperature"] == 1.0:
            long = row["latents"][2][:, ~np.isnan(row["latents"]).any((0, 3))[2]].astype(np.float64)
            if long.shape[1] >= 2:
                later.append(np.trace(np.cov(long[2].T)))
                earlier.append(np.trace(np.cov(long[1].T)))
    assert result["growth"][2][2][2]["value"] == pytest.approx(np.mean(later) / np.mean(earlier), rel=1e-6)
    assert result["growth"][2][2][0]["value"] is None


def test_a_single_problem_is_said_to_have_no_interval(run: Path, llama: Path, tmp_path: Path) -> None:
    assert collect(tmp_path / "one", model=llama, num_problems=1) == EXIT_DONE
    assert analyze(tmp_path / "one")["problems"] == 1
    sentence = "1 problem: intervals are over problems, so there are none."
    assert sentence in (tmp_path / "one" / "sampling_variance" / "RESULTS.md").read_text()
    analyze(run)
    assert "6 problems." in (run / "sampling_variance" / "RESULTS.md").read_text()


def test_known_covariance_is_recovered_from_a_store(tmp_path: Path, run: Path) -> None:
    """Gaussian latents with a known covariance written in the collection's own layout."""
    source = stores.open_store(run / "store")
    rng = np.random.default_rng(0)
    root = rng.normal(size=(32, 32)) / 4
    problems, draws = 150, 8
    rows, blocks = [], []
    first = next(source.iter_rows([]))
    for i in range(problems):
        row = first | {"sample_id": f"p{i}", "sample_index": i, "problem_id": f"p{i}"}
        rows.append({**row, "temperature": 1.0, "trajectory_tokens": None})
        mean = rng.normal(size=32) * 5
        blocks.append(mean + rng.normal(size=(3, 3, draws, 32)) @ root.T)
    schema = stores.Schema(
        tuple(f for f in source.schema.fields if f.name in ("latents", "pooled_tokens")),
        source.schema.columns,
        source.schema.coords,
    )
    made = tmp_path / "known"
    stores.create_store(made / "store", schema, source.fingerprint, {}, "zarr")
    arrays = {
        "latents": np.concatenate(blocks, 2).astype(np.float32),
        "pooled_tokens": np.full((3, problems * draws), 2, np.int32),
    }
    with stores.PartWriter(made / "store", 0, 10**9, 60) as writer:
        writer.append(stores.Records(rows, arrays, {"generation": np.full(problems, draws)}))
    result = analyze(made)
    expected = np.trace(root @ root.T)
    for layer in result["variance"][0]:
        for estimate in layer:
            assert estimate["value"] == pytest.approx(expected, rel=0.06)
            assert estimate["high"] - estimate["low"] < 0.2 * expected


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"batch_size": 3, "backend": "hdf5"}, {"devices": 2}])
def test_batches_and_devices_change_nothing(llama: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    assert collect(tmp_path / "one", model=llama) == EXIT_DONE
    assert collect(tmp_path / "other", model=llama, **options) == EXIT_DONE
    one, other = content(tmp_path / "one"), content(tmp_path / "other")
    assert one["completion_text"] == other["completion_text"]
    np.testing.assert_array_equal(one["pooled_tokens"], other["pooled_tokens"])
    assert_close(one["latents"], other["latents"], stored=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_sampling_stride": 5}, "latent_sampling_stride must lie between 1 and the first"),
        ({"token_checkpoints": "[8, 4]"}, "must rise"),
        ({"completions": 1}, "completions must be at least 2"),
        ({"temperatures": "[]"}, "temperatures"),
        ({"temperatures": "[-1]"}, "temperature cannot be -1"),
        ({"variance_layers": "[6]"}, "lies outside the model"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: Any, message: str
) -> None:
    assert collect(tmp_path / "run", **options) == EXIT_USER
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_of_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], llama: Path) -> None:
    (tmp_path / "c.txt").write_text("a b\n")
    words = ["--contexts", str(tmp_path / "c.txt"), "--gen_length=2", "--eval_lengths=[1]", "--accelerator=cpu"]
    assert main(["collect", "--exp", "tempnorm", "--run", str(tmp_path / "r"), *words]) == EXIT_DONE
    assert main(["analyze", "--exp", "sampling_variance", "--run", str(tmp_path / "r")]) == EXIT_USER
    assert "it lacks latents" in capsys.readouterr().err


def test_the_peak_is_a_layer_and_its_bounds_are_layers_that_resamples_choose() -> None:
    values = np.random.default_rng(0).normal([1.0, 3.0, 3.1, 2.9], 0.8, (12, 4))
    boot = GroupBootstrap(np.arange(12), resamples=400, level=0.95, seed=0)
    top = peak(values, boot)
    chosen = [np.argmax(values[np.repeat(np.arange(12), times)].mean(0)) for times in boot.resampled.astype(int)]
    assert (top.value, top.low, top.high) == (values.mean(0).argmax(), *np.quantile(chosen, [0.025, 0.975]))
    assert 1 <= top.low < top.high <= 3
    assert np.isnan(peak(np.zeros((12, 4)), boot).value)


def test_a_further_temperature_is_sampled_of_the_same_problems(llama: Path, tmp_path: Path) -> None:
    once, grown = tmp_path / "once", tmp_path / "grown"
    assert collect(once, model=llama, temperatures="[0.0, 1.0, 0.5]") == EXIT_DONE
    assert collect(grown, model=llama, temperatures="[0.0, 1.0]") == EXIT_DONE
    segments = {path: path.read_bytes() for path in (grown / "store" / "parts").rglob("*") if path.is_file()}
    before = stores.open_store(grown / "store")
    assert collect(grown, model=llama, temperatures="[0.0, 0.5, 1.0]") == EXIT_DONE
    assert all(path.read_bytes() == content for path, content in segments.items())
    store = stores.open_store(grown / "store")
    assert len(store) - len(before) == SMALL["num_problems"]
    assert stores.certify(store) == stores.certify(stores.open_store(once / "store"))
