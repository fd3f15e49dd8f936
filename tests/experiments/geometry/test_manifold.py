"""Study 4, experiment 2: oracles are read as completions are, forced beginnings are forced, distances are distances."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.geometry.manifold_measures import per_problem, slopes
from lit_experiments.experiments.geometry.manifold_result import ManifoldResult
from lit_experiments.experiments.geometry.oracle import Oracle, oracle_latents, oracle_tokens
from lit_experiments.experiments.geometry.problem_set import PromptedProblem
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.info import read_info
from lit_experiments.lm.load import load
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.pool import LatentPool, Window
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.plain import plain
from lit_experiments.sources.problems import ProblemRecord, read_problems
from lit_experiments.tasks.result_files import read_result
from tests.collecting.conftest import content
from tests.tolerance import assert_close
from tests.toys import random_llama


def collect(run: Path, **options: Any) -> int:
    words = [f"--{key}={value}" for key, value in options.items()]
    return main(["collect", "--exp", "manifold", "--accelerator", "cpu", "--run", str(run), *words])


def analyze(run: Path) -> dict[str, Any]:
    assert main(["analyze", "--exp", "manifold", "--run", str(run), "--bootstraps=100"]) == EXIT_DONE
    result: dict[str, Any] = json.loads((run / "manifold" / "result.json").read_text())
    assert plain(read_result(run / "manifold", ManifoldResult)) == result
    return result


def spec(model: Path | str) -> ModelSpec:
    return ModelSpec(str(model), None, None, "float32", "auto")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manifold") / "run"
    options = {"num_problems": 6, "completions": 6, "layers": "[1, 4]", "oracle_percentage": "[0.3, 0.7]"}
    assert collect(folder, **options) == EXIT_DONE
    return folder


def test_an_oracle_is_read_as_a_completion_is_pooled(tmp_path: Path) -> None:
    """Teacher forcing in one pass equals feeding the same tokens one by one into the decoder's pool."""
    lm = load(spec(random_llama(tmp_path, seed=3)), "cpu")
    texts = ["one two three four", "a longer solution than that, by far", "short"]
    oracles = []
    for text in texts:
        record = ProblemRecord("p", "why", "1", text, 0)
        prompted = PromptedProblem(record, "why: ", lm.encode("why: "))
        oracles.append(Oracle(prompted, oracle_tokens(lm.info.tokens, prompted, "")))
    sites = ["resid_post.0", "resid_post.2"]
    windows = [[Window(2, len(o.ids)), Window(2, 4, 2), Window(3, 6, 12)] for o in oracles]
    pooled_oracles = oracle_latents(lm, oracles, sites, windows)
    for oracle, oracle_windows, latents in zip(oracles, windows, pooled_oracles, strict=True):
        pool = LatentPool(sites, oracle_windows)
        decoder = Decoder(lm)
        state = decoder.prefill([oracle.prompted.ids])
        key = [StreamKey(0, "x", 0)]
        decoder.sample(state, len(oracle.ids), Sampling(1.0, 1.0, 0), key, forced=[oracle.ids], pool=pool)
        pooled = pool.result()
        expected = torch.where(pooled.full[0][:, None, None], pooled.means[0], torch.nan).numpy()
        assert_close(latents, expected)
    assert np.isnan(pooled_oracles[2, 2]).all()
    assert np.isfinite(pooled_oracles[1]).all()


def test_the_oracles_tokens_continue_the_prompt_as_in_training() -> None:
    tokens = read_info(spec("embedded")).tokens
    for record in read_problems("embedded", generated=4, seed=1).records:
        assert record.prompt is not None
        prompted = PromptedProblem(record, record.prompt, tokens.encode(record.prompt))
        assert prompted.ids + oracle_tokens(tokens, prompted, " ") == tokens.encode(
            f"{record.prompt} {record.solution}"
        )


def test_completions_begin_with_the_oracle_and_windows_begin_behind_it(run: Path) -> None:
    rows = list(stores.open_store(run / "store").iter_rows())
    assert {row["forced_share"] for row in rows} == {0.0, 0.3, 0.7}
    for row in rows:
        forced = row["forced_tokens"]
        assert forced == round(row["forced_share"] * len(row["oracle_ids"]))
        for ids in row["completion_ids"]:
            assert ids[:forced] == row["oracle_ids"][:forced]
        prefixes = [forced] if forced else [round(share * len(row["oracle_ids"])) for share in (0.3, 0.7)]
        assert row["window_starts"] == [start + 6 * i for start in prefixes for i in range(4)]
        assert row["oracle_window_latents"].shape[1] == len(row["window_starts"])
        assert row["window_latents"].shape[1] == 6 * len(row["window_starts"])
    free = [ids for row in rows if not row["forced_tokens"] for ids in row["completion_ids"]]
    assert len({tuple(ids[:4]) for ids in free}) > 6


def test_distances_are_what_the_store_says(run: Path) -> None:
    result = analyze(run)
    rows = [row for row in stores.open_store(run / "store").iter_rows() if row["forced_share"] == 0.3]
    oracles = np.stack([row["oracle_latent"][1] for row in rows])
    to_own, other, first = [], [], []
    for at, row in enumerate(rows):
        distances = np.linalg.norm(row["latents"][1][:, None] - oracles, axis=-1)  # [completion, oracle]
        to_own.append(distances[:, at].mean())
        other.append(np.delete(distances, at, 1).mean())
        windows = row["window_latents"][1].reshape(6, 4, -1) - row["oracle_window_latents"][1]
        first.append(np.nanmean(np.linalg.norm(windows[:, 0], axis=-1)) / other[-1])
    [share] = [entry for entry in result["shares"] if entry["share"] == 0.3]
    assert share["own"]["all"][1]["value"] == pytest.approx(np.mean(to_own))
    assert share["other"][1]["value"] == pytest.approx(np.mean(other))
    assert share["relative"]["all"][1]["value"] == pytest.approx(np.mean(np.array(to_own) / other))
    [drift] = [entry for entry in result["drift"] if entry["share"] == 0.3]
    assert drift["curves"]["forced, all"][0][1]["value"] == pytest.approx(np.mean(first))


def test_a_longer_beginning_keeps_completions_nearer(run: Path) -> None:
    free, third, most = analyze(run)["shares"]
    assert free["relative"]["all"][0]["low"] > third["relative"]["all"][0]["high"]
    # Not nearer still: random numbers are the same, and this model's slips come at the end of its solutions.
    assert third["relative"]["all"][0]["value"] >= most["relative"]["all"][0]["value"]
    assert sum(share["verdicts"]["correct"] for share in (free, third, most)) > 10
    for drift in analyze(run)["drift"]:
        assert drift["curves"]["free"][0][0]["value"] > drift["curves"]["forced, all"][0][0]["value"]
    text = (run / "manifold" / "RESULTS.md").read_text()
    assert "Drift at" in text
    assert {"distances.png", "drift.png"} <= {p.name for p in (run / "manifold" / "figures").iterdir()}


def test_a_model_that_follows_its_oracle_lies_on_it(tmp_path: Path) -> None:
    """Oracles that are the model's own greedy texts: free and forced greedy completions are at distance 0."""
    greedy, lines = tmp_path / "greedy", []
    assert collect(greedy, num_problems=4, completions=1, temperature=0, layers="[5]") == EXIT_DONE
    for row in stores.open_store(greedy / "store").iter_rows():
        if row["forced_share"] == 0:
            problem = {
                "question": row["question"],
                "answer": row["answer"],
                "solution": row["completion_text"][0].strip(),
            }
            lines.append(json.dumps(problem))
    (tmp_path / "own.jsonl").write_text("\n".join(lines))
    options = {"problems": tmp_path / "own.jsonl", "num_problems": "null", "completions": 1, "temperature": 0}
    assert collect(tmp_path / "run", **options, oracle_percentage=0.5) == EXIT_DONE
    result = analyze(tmp_path / "run")
    for share in result["shares"]:
        assert share["repeat_the_oracle"] == [4, 4]
        for layer in range(6):
            assert share["relative"]["all"][layer]["value"] < 2e-3  # float16
            assert share["nearest"][layer]["value"] == 1
    for curve in result["drift"][0]["curves"].values():
        assert all(not window[5]["n"] or window[5]["value"] < 2e-3 for window in curve)


def test_no_right_completion_is_said_plainly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = random_llama(tmp_path / "model", seed=0, window=512)
    options = {"num_problems": 3, "completions": 2, "max_new_tokens": 40, "oracle_percentage": 0.1}
    assert collect(tmp_path / "run", model=model, **options) == EXIT_DONE
    result = analyze(tmp_path / "run")
    assert "No completion is correct" in " ".join(capsys.readouterr().out.split())
    assert result["shares"][0]["own"]["correct"][0]["value"] is None
    assert result["shares"][0]["own"]["incorrect"][0]["value"] > 0
    assert "No completion is correct" in (tmp_path / "run" / "manifold" / "RESULTS.md").read_text()


def test_means_leave_out_what_is_missing_and_slopes_are_least_squares() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 5, 2))
    values[0, 3:] = np.nan
    values[1] = np.nan
    fitted = slopes(values)
    for problem, steps in ((0, 3), (2, 5)):
        expected = np.polyfit(np.arange(steps), values[problem, :steps], 1)[0]
        np.testing.assert_allclose(fitted[problem], expected)
    assert np.isnan(fitted[1]).all()
    chosen = np.array([[True, True, False, True, False], [True] * 5, [False] * 5])
    means = per_problem(values, chosen)
    np.testing.assert_allclose(means[0], values[0, :2].mean(0))
    assert np.isnan(means[1:]).all()


def test_batches_and_devices_change_nothing(tmp_path: Path) -> None:
    settings = {"model": random_llama(tmp_path / "m", seed=0, window=512), "num_problems": 3, "completions": 2}
    settings |= {"max_new_tokens": 60, "oracle_percentage": 0.1}
    assert collect(tmp_path / "one", **settings) == EXIT_DONE
    assert collect(tmp_path / "other", **settings, batch_size=1, devices=2) == EXIT_DONE
    one, other = content(tmp_path / "one"), content(tmp_path / "other")
    assert one["completion_ids"] == other["completion_ids"]
    for name in ("latents", "window_latents", "oracle_latent", "oracle_window_latents"):
        assert_close(one[name], other[name], stored=True)


def test_problems_without_a_usable_oracle_are_counted_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.jsonl"
    lines = [
        {"question": "one?", "answer": "1", "solution": "It is plainly one, as anybody can see, \\boxed{1}"},
        {"question": "two?", "answer": "2", "solution": None},
        {"question": "three?", "answer": "3", "solution": "3"},
        {"question": "four?", "answer": "4", "solution": "step " * 120 + "\\boxed{4}"},
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    options = {"problems": path, "num_problems": "null", "max_new_tokens": 32, "latent_sampling_stride": 4}
    options["drift_window_tokens"] = 4
    assert collect(tmp_path / "run", **options) == EXIT_USER
    assert "1 of 4 problems have an oracle too long" in capsys.readouterr().err
    assert collect(tmp_path / "run", **options, too_long="skip") == EXIT_DONE
    shown = capsys.readouterr().out
    for part in ("without an oracle solution", "oracle too long", "oracle shorter than the stride 4"):
        assert f"{part}, left out: 1 problems" in shown
    path.write_text(json.dumps(lines[1]))
    assert collect(tmp_path / "other", **options) == EXIT_USER
    assert "has an oracle solution" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"oracle_percentage": 0}, "oracle_percentage must be above 0"),
        ({"oracle_percentage": "[0.3, 0.3]"}, "each value once"),
        ({"oracle_percentage": 30}, "at most 1"),
        ({"drift_window_tokens": 1}, "latent_sampling_stride 2 is more than drift_window_tokens 1"),
        ({"latent_sampling_stride": 129}, "latent_sampling_stride 129 is more than max_new_tokens 128"),
        ({"latent_sampling_stride": 0}, "latent_sampling_stride must be at least 1, found 0"),
        ({"completions": 0}, "completions must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any], message: str
) -> None:
    assert collect(tmp_path / "run", **options) == EXIT_USER
    assert message in capsys.readouterr().err
