"""Study 4, experiment 5: the methods of the embedded arithmetic are recovered, judges are asked and believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_FAILED, EXIT_USER
from lit_experiments.experiments.geometry.answers import final_answer
from lit_experiments.experiments.geometry.clustering_result import ClusteringResult
from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.load import load
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.plain import plain
from lit_experiments.tasks.result_files import read_result
from tests.collecting.conftest import content
from tests.experiments.geometry.chat_server import Chat, Handler, fails, says, serving
from tests.tolerance import EMBEDDED, assert_close
from tests.toys import random_llama

KEY, VARIABLE = "sk-run-51ab", "CLUSTER_TEST_KEY"
QUICK = ("--bootstraps=100", "--references=10", "--restarts=3")


def collect(run: Path, **options: Any) -> int:
    words = [f"--{key}={value}" for key, value in options.items()]
    return main(["collect", "--exp", "clustering", "--accelerator", "cpu", "--run", str(run), *words])


def analyze(run: Path, *options: str, code: int = EXIT_DONE) -> dict[str, Any]:
    assert main(["analyze", "--exp", "clustering", "--run", str(run), *QUICK, *options]) == code
    path = run / "clustering" / "result.json"
    if not path.exists():
        return {}
    result = json.loads(path.read_text())
    assert plain(read_result(path.parent, ClusteringResult)) == result
    return result


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clustering") / "run"
    assert collect(folder, num_problems=7, completions=16, layers="[1, 3]") == EXIT_DONE
    return folder


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.setenv(VARIABLE, KEY)
    monkeypatch.setenv("NO_PROXY", "*")
    quick = ("--judge_backoff=0.002", "--judge_retries=1", "--judge_timeout=60")
    return ("--judge_enabled=true", f"--key_variable={VARIABLE}", *quick)


def test_the_two_methods_are_recovered_within_problems(run: Path) -> None:
    result = analyze(run, "--cluster_layers=[3, 1]")
    for layer in result["layers"]:
        assert layer["rand"]["n"] >= 3
        assert layer["rand"]["value"] > 0.8
        for problem in layer["problems"]:
            assert len(problem["labels"]) == problem["completions"] >= 4
            if not problem["both_methods"]:
                assert problem["rand"] is None
    assert [layer["site"] for layer in result["layers"]] == ["resid_post.3", "resid_post.1"]


def test_the_two_methods_are_recovered_over_all_problems_and_completions(run: Path) -> None:
    """Wrong completions vary far more than right ones, which are often copies of a few texts."""
    result = analyze(run, "--keep=all", "--n_clusters=2")
    together = result["layers"][0]["together"]
    assert together["completions"] > 100
    assert together["distinct_texts"] > 40
    assert together["rand"] > 0.8 > together["rand_of_lengths"]
    within = result["layers"][0]["rand"]
    assert (within["value"], within["low"]) == (1, None)  # every problem's methods are told apart: nothing to resample


def test_only_right_completions_are_kept_and_all_are_counted(run: Path) -> None:
    result = analyze(run)
    assert sum(result["verdicts"].values()) == 7 * 16
    rows = {row["problem_id"]: row for row in stores.open_store(run / "store").iter_rows()}
    kept = 0
    for problem in result["layers"][0]["problems"]:
        row = rows[problem["problem_id"]]
        right = [i for i, text in enumerate(row["completion_text"]) if final_answer(text) == row["answer"]]
        assert problem["places"] == right
        kept += len(right)
    assert kept <= result["verdicts"]["correct"]
    assert "No judge was asked" in (run / "clustering" / "RESULTS.md").read_text()
    assert {"clusters.png", "together.png"} <= {p.name for p in (run / "clustering" / "figures").iterdir()}


def test_latents_are_means_over_the_stored_texts(run: Path) -> None:
    lm = load(ModelSpec("embedded", None, None, "float32", "auto"), "cpu")
    sites = ["resid_post.1", "resid_post.3"]
    for row in list(stores.open_store(run / "store").iter_rows())[:2]:
        for draw in (0, 15):
            ids, prompt = row["completion_ids"][draw], row["input_ids"]
            fed = len(ids) - (row["stop_reason"][draw] == "eos")
            places = [len(prompt) + n - 1 for n in range(2, fed + 1, 2)]
            states = exact_states(lm, [prompt + ids], sites, [places])
            expected = torch.stack([states[site].mean(0) for site in sites]).numpy()
            assert_close(row["latents"][:, draw], expected, EMBEDDED, stored=True)
            assert row["pooled_tokens"][draw] == len(places)
            assert row["known_methods"][draw] == ("split" if "Split" in row["completion_text"][draw] else "count")


def looks_at_the_method(handler: Handler) -> None:
    prompt = handler.chat.prompts[-1]
    first, second = prompt.split("First solution:")[1].split("Second solution:")
    different = ("Split" in first) != ("Split" in second)
    says(f"I looked.\nVERDICT: {'DIFFERENT' if different else 'SAME'}")(handler)


def test_an_honest_judge_finds_the_methods_distinct_and_is_asked_once(
    run: Path, endpoint: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(looks_at_the_method) as chat:
        options = (*endpoint, f"--base_url={chat.url}", "--judge_parallel=1")
        judged = analyze(run, *options)["judge"]
        assert judged["distinctness"]["value"] == judged["between"]["value"] == 1
        assert judged["within"]["value"] == 0
        assert judged["verdicts"]["between"]["different"] >= 3
        requests = len(chat.bodies)
        assert requests >= 6
        again = analyze(run, *options, "--restart")["judge"]
        assert len(chat.bodies) == requests
        assert again["comparisons"] == judged["comparisons"]
        assert f"0 requests, {requests} replies known" in again["who"]
    written = [path for path in run.rglob("*") if path.is_file()]
    assert any(path.parent.name == "judge" for path in written)
    for path in written:
        assert KEY.encode() not in path.read_bytes(), path
    assert KEY not in "".join(capfd.readouterr())


def test_orders_that_disagree_are_undecided_and_counted(run: Path, endpoint: tuple[str, ...]) -> None:
    def prefers_the_first(handler: Handler) -> None:
        first = handler.chat.prompts[-1].split("First solution:")[1].split("Second solution:")[0]
        says(f"VERDICT: {'DIFFERENT' if 'Split' in first else 'SAME'}")(handler)

    with serving(prefers_the_first) as chat:
        judged = analyze(run, *endpoint, f"--base_url={chat.url}", "--judge_parallel=1")["judge"]
    between = judged["verdicts"]["between"]
    assert between["undecided"] == between["opposed orders"] >= 3
    assert judged["between"]["value"] is None
    assert judged["distinctness"]["value"] is None


def test_a_judge_that_is_down_costs_the_verdicts_not_the_clusters(
    run: Path, endpoint: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    chat: Chat
    with serving(fails(503, "overloaded")) as chat:
        options = (*endpoint, f"--base_url={chat.url}", "--judge_tokens=99")
        result = analyze(run, *options, code=EXIT_FAILED)
        assert result["judge"] is None
        assert len(result["layers"][0]["problems"]) >= 3
        message = capsys.readouterr().err
        for part in ("failed 2 times", "HTTP 503: overloaded", "the same command again"):
            assert part in message
        chat.script[:] = [looks_at_the_method]
        assert analyze(run, *options, "--judge_parallel=1")["judge"]["distinctness"]["value"] == 1


def test_a_judge_without_a_key_or_with_a_bad_prompt_is_refused_before_anything_is_computed(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["analyze", "--exp", "clustering", "--run", str(run), "--judge_enabled=true", "--key_variable=NOT_THERE"])
    assert "needs a key, and NOT_THERE is neither" in capsys.readouterr().err
    assert main(["analyze", "--exp", "clustering", "--run", str(run), "--judge_prompt={question}"]) == EXIT_USER
    assert "judge_prompt must hold" in capsys.readouterr().err


def test_a_local_model_can_judge(run: Path, tmp_path: Path) -> None:
    model = random_llama(tmp_path / "judge", seed=1, window=1024)
    options = ("--judge_enabled=true", "--judge_kind=local", f"--judge_model={model}")
    judged = analyze(run, *options, "--judge_prompt={question}|{first}|{second}")["judge"]
    assert judged["who"].endswith("on this machine")
    assert sum(judged["verdicts"]["between"][v] for v in ("same", "different", "undecided")) >= 3
    assert "log-odds of different" in judged["comparisons"][0]["opinions"][0]["reasons"]


def test_no_right_completion_is_said_not_computed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = random_llama(tmp_path / "model", seed=0)
    assert collect(tmp_path / "run", model=model, num_problems=3, completions=4, max_new_tokens=12) == EXIT_DONE
    result = analyze(tmp_path / "run")
    shown = capsys.readouterr().out
    for part in ("0 of 3 problems have at least 4 correct completions", "Nothing can be clustered. --keep all"):
        assert part in " ".join(shown.split())
    text = (tmp_path / "run" / "clustering" / "RESULTS.md").read_text()
    assert "No completion is correct" in text
    assert result["verdicts"]["correct"] == 0
    assert not list((tmp_path / "run" / "clustering").rglob("*.png"))
    assert analyze(tmp_path / "run", "--keep=all")["problems_clustered"] == 3


def test_batches_and_devices_change_nothing(tmp_path: Path) -> None:
    settings = {"model": random_llama(tmp_path / "m", seed=0), "num_problems": 4, "completions": 3}
    settings |= {"max_new_tokens": 20}
    assert collect(tmp_path / "one", **settings) == EXIT_DONE
    assert collect(tmp_path / "other", **settings, batch_size=1, devices=2) == EXIT_DONE
    one, other = content(tmp_path / "one"), content(tmp_path / "other")
    assert one["completion_ids"] == other["completion_ids"]
    assert_close(one["latents"], other["latents"], stored=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, "temperature must be above 0"),
        ({"completions": 1}, "completions must be at least 2"),
        ({"latent_sampling_stride": 200}, "latent_sampling_stride 200 is more than max_new_tokens 128"),
        ({"layers": "[9]"}, "lies outside the model"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any], message: str
) -> None:
    assert collect(tmp_path / "run", **options) == EXIT_USER
    assert message in capsys.readouterr().err


def test_layers_that_are_not_stored_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "--exp", "clustering", "--run", str(run), "--cluster_layers=[2]"]) == EXIT_USER
    assert "2 named; the store holds the blocks 1, 3" in capsys.readouterr().err
