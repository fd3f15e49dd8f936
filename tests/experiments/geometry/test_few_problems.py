"""Pages of study 4 made from one, two, four and five problems: no interval, and no growth or decay without one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE
from lit_experiments.experiments.geometry.averages import problem_mean
from lit_experiments.experiments.geometry.distinctness import BETWEEN, WITHIN, Shown, summarise
from lit_experiments.experiments.geometry.judge import DIFFERENT, SAME, Comparison, Pair
from lit_experiments.experiments.geometry.variance_measures import verdict
from lit_experiments.statistics import LEVEL, Estimate, GroupBootstrap
from tests.intervals import check
from tests.toys import random_llama

FEW = [1, 2, 4, 5]


def resampler(groups: ArrayLike) -> GroupBootstrap:
    return GroupBootstrap(groups, resamples=200, level=LEVEL, seed=0)


def do(verb: str, exp: str, run: Path, **options: Any) -> None:
    where = ["--accelerator", "cpu"] if verb == "collect" else ["--bootstraps", "100"]
    words = [f"--{key}={value}" for key, value in options.items()]
    assert main([verb, "--exp", exp, "--run", str(run), *where, *words]) == EXIT_DONE


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_llama(tmp_path_factory.mktemp("llama"), seed=3)


@pytest.mark.parametrize("problems", FEW)
def test_variance_over_few_problems(problems: int, llama: Path, tmp_path: Path) -> None:
    small = {"completions": 3, "token_checkpoints": "[4, 8]", "latent_sampling_stride": 2, "temperatures": "[1.0]"}
    do("collect", "sampling_variance", tmp_path, model=llama, num_problems=problems, **small)
    do("analyze", "sampling_variance", tmp_path)
    check(tmp_path / "sampling_variance", problems)
    page = (tmp_path / "sampling_variance" / "RESULTS.md").read_text()
    if problems < 5:
        assert not any(f": {word}" in page for word in ("grows", "shrinks", "no change told"))


@pytest.mark.parametrize("problems", FEW)
def test_paths_and_attribution_over_few_problems(problems: int, llama: Path, tmp_path: Path) -> None:
    path = tmp_path / "path"
    small = {"max_new_tokens": 16, "bifurcation_step_interval": 4, "lookahead_tokens": 8, "decode_to_end": "false"}
    small |= {"latent_sampling_stride": 1}
    do("collect", "path_sensitivity", path, model=llama, num_problems=problems, **small)
    do("analyze", "path_sensitivity", path)
    check(path / "path_sensitivity", problems)
    points = tmp_path / "attribution"
    do("collect", "attribution", points, model=llama, path_run=path, top_n_points=20)
    do("analyze", "attribution", points)
    check(points / "attribution", problems)


def test_distances_of_a_single_problem(tmp_path: Path) -> None:
    """It has no other problem's oracle to be compared with."""
    model = random_llama(tmp_path / "model", seed=0, window=512)
    small = {"completions": 2, "max_new_tokens": 40, "oracle_percentage": 0.1}
    do("collect", "manifold", tmp_path / "run", model=model, num_problems=1, **small)
    do("analyze", "manifold", tmp_path / "run")
    check(tmp_path / "run" / "manifold", 1)


@pytest.mark.parametrize("problems", FEW)
def test_a_mean_over_few_problems(problems: int) -> None:
    """What the distances to oracles and the clusters are shown with; problems without a value do not count."""
    values = [*np.arange(problems, dtype=float), np.nan, np.nan]
    estimate = problem_mean(values, resampler)
    assert (estimate.n, estimate.value) == (problems, np.mean(range(problems)))
    assert estimate.has_interval == (problems >= 5)


def judged(kind: str, problem: int, outcome: str) -> tuple[Shown, Comparison]:
    return Shown(problem, kind, (0, 1), (0, 1), Pair("q", "a", "b")), Comparison(outcome, True, ())  # type: ignore[arg-type]


def test_a_judge_asked_about_few_problems_on_one_side() -> None:
    """30 problems with pairs between clusters, 3 with pairs within one: their difference rests on 3."""
    pairs = [judged(BETWEEN, p, DIFFERENT if p % 3 else SAME) for p in range(30)]
    pairs += [judged(WITHIN, p, SAME) for p in range(3)]
    summary = summarise(*zip(*pairs, strict=True), "somebody", resampler)  # type: ignore[arg-type]
    assert summary.between.has_interval
    assert summary.within.no_interval == summary.distinctness.no_interval == "3 groups"
    assert summary.distinctness.value == pytest.approx(2 / 3)


def test_growth_in_words() -> None:
    assert verdict(Estimate(2.0, 1.5, 2.5, 12, 0.95)) == "grows"
    assert verdict(Estimate(2.0, 1.5, 2.5, 3, 0.95)) == "not told (3 groups)"
    assert verdict(Estimate(np.nan, np.nan, np.nan, 12, 0.95)) == "not told"
