"""Study 4, experiment 3: branches and distances equal those of full recomputation; texts are compared as said."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

import stores
from lit_experiments.cli import main
from lit_experiments.embedded.arithmetic import boxed_answer
from lit_experiments.errors import EXIT_DONE, EXIT_USER, UserError
from lit_experiments.experiments.geometry.path_branches import wordless_tokens
from lit_experiments.experiments.geometry.path_points import load_points
from lit_experiments.experiments.geometry.path_result import PathResult
from lit_experiments.experiments.geometry.path_windows import parting, window_lengths, window_strides
from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.info import read_info
from lit_experiments.lm.load import load
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.tasks.result_files import read_result
from tests.collecting.conftest import content
from tests.tolerance import assert_close
from tests.toys import bigram_model, random_llama

SPECIAL = {0}  # of the random model: its end of text
SMALL = {
    "num_problems": 3,
    "max_new_tokens": 30,
    "bifurcation_step_interval": 4,
    "lookahead_tokens": 8,
    "latent_sampling_stride": "[2,2,1]",
    "shortest_window": 2,
    "merge_tokens": 3,
}


def collect(run: Path, **options: Any) -> int:
    words = [f"--{key}={value}" for key, value in {**SMALL, **options}.items()]
    return main(["collect", "--exp", "path_sensitivity", "--accelerator", "cpu", "--run", str(run), *words])


def analyze(run: Path, *words: str) -> int:
    return main(["analyze", "--exp", "path_sensitivity", "--run", str(run), "--bootstraps", "20", *words])


def greedy(lm: Any, ids: list[int], steps: int, stop: int) -> list[int]:
    """The whole text through the model for every token."""
    new: list[int] = []
    with torch.inference_mode():
        while len(new) < steps and stop not in new:
            logits = lm.model(input_ids=torch.tensor([ids + new]), use_cache=False).logits[0, -1]
            new.append(int(logits.argmax()))
    return new


def largest_state(rows: dict[str, Any]) -> float:
    """The distances' own scale is what is left after the two latents cancel."""
    return float(np.nanmax(rows["distance"] / rows["relative_distance"]))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_llama(tmp_path_factory.mktemp("llama"), seed=3)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, llama: Path) -> Path:
    folder = tmp_path_factory.mktemp("path") / "run"
    assert collect(folder, model=llama) == EXIT_DONE
    return folder


def test_solutions_and_branches_equal_recomputation_token_for_token(run: Path, llama: Path) -> None:
    lm = load(ModelSpec(str(llama), None, None, "float32", "auto"), "cpu")
    branches = 0
    for row in stores.open_store(run / "store").iter_rows():
        prompt, base = row["input_ids"], row["baseline_ids"]
        assert base == greedy(lm, prompt, 30, 0)
        fed = len(base) - (row["stop_reason"] == "eos")
        assert row["position"] == list(range(4, fed + 1, 4))
        for k, position in enumerate(row["position"]):
            prefix = prompt + base[: position - 1]
            with torch.inference_mode():
                log_probs = lm.model(input_ids=torch.tensor([prefix])).logits[0, -1].log_softmax(-1)
            first, *others = log_probs.topk(5).indices.tolist()
            second = next(token for token in others if token not in SPECIAL)
            assert (row["first_token"][k], row["second_token"][k]) == (first, second)
            assert row["second_rank"][k] == 2 + others.index(second)
            assert row["first_probability"][k] == pytest.approx(float(log_probs[first].exp()), rel=1e-4)
            assert row["second_probability"][k] == pytest.approx(float(log_probs[second].exp()), rel=1e-4)
            assert row["branch_ids"][k] == [second, *greedy(lm, [*prefix, second], 30 - position, 0)]
            branches += 1
    assert branches > 10


def test_distances_are_those_of_the_states_of_the_two_texts(run: Path, llama: Path) -> None:
    lm = load(ModelSpec(str(llama), None, None, "float32", "auto"), "cpu")
    sites = ["resid_post.0", "resid_post.1", "resid_post.2"]
    windows = set()
    for row in stores.open_store(run / "store").iter_rows():
        prompt, base = row["input_ids"], row["baseline_ids"]
        for k, position in enumerate(row["position"]):
            window, stride = row["window"][k], row["window_stride"][k]
            windows.add((window, stride))
            if not window:
                assert np.isnan(row["distance"][:, k]).all()
                continue
            start = len(prompt) + position - 1
            at = [start + n - 1 for n in range(stride, window + 1, stride)]
            branch = prompt + base[: position - 1] + row["branch_ids"][k]
            means = []
            for text in (prompt + base, branch):
                states = exact_states(lm, [text], sites, [at])
                means.append(torch.stack([states[site] for site in sites]).mean(1))
            distance = (means[0] - means[1]).norm(dim=-1)
            size = (means[0].norm(dim=-1) + means[1].norm(dim=-1)) / 2
            assert_close(row["distance"][:, k], distance, scale=float(size.max()))
            assert_close(row["relative_distance"][:, k], distance / size, scale=1)
    assert {(8, 2), (4, 2)} <= windows


def choosy_model(folder: Path) -> Path:
    """After `a`: b 0.6, the special token <stop> 0.3, c 0.1; after `b`: a 0.7, c 0.2, <stop> 0.1."""
    words = ["x", "<stop>", "a", "b", "c"]
    rows = {"x": {"a": 1}, "<stop>": {"a": 1}, "a": {"b": 6, "<stop>": 3, "c": 1}, "b": {"a": 7, "c": 2, "<stop>": 1}}
    rows["c"] = {"a": 6, "b": 4}
    transition = np.array([[rows[word].get(other, 0) for other in words] for word in words], float)
    bigram_model(folder, transition / transition.sum(1, keepdims=True), words)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<stop>"]})
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("allowed", "second", "probability", "rank"), [("false", "c", 0.1, 3), ("true", "<stop>", 0.3, 2)]
)
def test_a_special_token_is_no_second_choice_unless_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], allowed: str, second: str, probability: float, rank: int
) -> None:
    small = {"num_problems": 1, "max_new_tokens": 8, "bifurcation_step_interval": 1, "lookahead_tokens": 4}
    options = {**small, "latent_sampling_stride": 1, "allow_special": allowed}
    assert collect(tmp_path / "run", model=choosy_model(tmp_path / "model"), **options) == EXIT_DONE
    [row] = stores.open_store(tmp_path / "run" / "store").iter_rows()
    assert row["first_text"] == ["a", "b"] * 4
    behind_a, behind_b = slice(1, None, 2), slice(2, None, 2)
    assert set(row["second_text"][behind_a]) == {second}
    assert row["second_probability"][behind_a] == pytest.approx([probability] * 4, rel=1e-3)
    assert row["first_probability"][behind_a] == pytest.approx([0.6] * 4, rel=1e-3)
    assert set(row["second_rank"][behind_a]) == {rank}
    assert set(row["second_text"][behind_b]) == {"c"}
    assert set(row["second_rank"][behind_b]) == {2}
    assert analyze(tmp_path / "run") == EXIT_DONE
    passed = "a likelier second choice was a special token" in capsys.readouterr().out
    assert passed == (allowed == "false")
    assert {p.second_rank for p in load_points(tmp_path / "run")} == {2, rank}
    again = {**options, "allow_special": "true" if allowed == "false" else "false"}
    assert collect(tmp_path / "run", model=tmp_path / "model", **again) == EXIT_USER
    assert "allow_special" in capsys.readouterr().err


def test_tokens_that_write_no_text(tmp_path: Path) -> None:
    """Special ones, and rows of the embedding that are no token; at least a first and a second choice must be left."""
    info = read_info(ModelSpec(str(choosy_model(tmp_path / "model")), None, None, "float32", "auto"))
    assert wordless_tokens(info) == [1]
    assert wordless_tokens(replace(info, vocab_size=7)) == [1, 5, 6]
    with pytest.raises(UserError, match="--allow_special true"):
        wordless_tokens(replace(info, vocab_size=2))


def test_points_are_written_ranked_and_read_back(run: Path) -> None:
    assert analyze(run) == EXIT_DONE
    raw = json.loads((run / "path_sensitivity" / "bifurcation_points.json").read_text())
    points = load_points(run)
    rows = {row["problem_id"]: row for row in stores.open_store(run / "store").iter_rows()}
    assert len(points) == sum(len(row["position"]) for row in rows.values()) == len(raw["points"])
    ranked = [p for p in points if p.rank is not None]
    assert [p.rank for p in ranked] == list(range(1, len(ranked) + 1))
    assert [p.relative_distance for p in ranked] == sorted((p.relative_distance for p in ranked), reverse=True)
    for point in points:
        row = rows[point.problem_id]
        k = row["position"].index(point.position)
        assert point.second.id == row["second_token"][k]
        assert point.margin == pytest.approx(row["first_probability"][k] - row["second_probability"][k])
        assert point.by_layer == pytest.approx(row["relative_distance"][:, k].tolist(), nan_ok=True)
        assert (point.window, point.stride) == (row["window"][k], row["window_stride"][k])
    assert raw["ranked_by"] == "resid_post.2"
    result = read_result(run / "path_sensitivity", PathResult)
    assert [p.position for p in result.ranked] == [p.position for p in ranked]
    assert (run / "path_sensitivity" / "report.html").exists()


def test_changed_answers_are_those_of_the_texts(tmp_path: Path) -> None:
    """The embedded model, whose solutions end in a boxed number."""
    options = {"max_new_tokens": 96, "bifurcation_step_interval": 8, "num_problems": 3}
    assert collect(tmp_path / "run", **options) == EXIT_DONE
    assert analyze(tmp_path / "run") == EXIT_DONE
    rows = {row["problem_id"]: row for row in stores.open_store(tmp_path / "run" / "store").iter_rows()}
    seen = set()
    for point in load_points(tmp_path / "run"):
        row = rows[point.problem_id]
        text = row["branch_text"][row["position"].index(point.position)]
        before, after = boxed_answer(row["baseline_text"]), boxed_answer(text)
        assert point.baseline_correct == (before == int(row["answer"]))
        assert point.branch_correct == (after == int(row["answer"]))
        assert point.answer_changed == (before != after)
        seen.add(point.answer_changed)
    assert seen == {True, False}


def test_without_decoding_to_the_end_nothing_is_said_of_answers(tmp_path: Path, llama: Path, run: Path) -> None:
    assert collect(tmp_path / "run", model=llama, decode_to_end="false") == EXIT_DONE
    short, whole = content(tmp_path / "run"), content(run)
    assert_close(short["distance"], whole["distance"], scale=largest_state(whole))
    for some, everything in zip(short["branch_ids"], whole["branch_ids"], strict=True):
        assert json.loads(some) == [ids[:8] for ids in json.loads(everything)]
    assert analyze(tmp_path / "run") == EXIT_DONE
    assert {p.answer_changed for p in load_points(tmp_path / "run")} == {None}


@pytest.mark.parametrize("options", [{"batch_size": 1}, {"branches_at_once": 2, "backend": "hdf5"}, {"devices": 2}])
def test_batches_and_devices_change_nothing(run: Path, llama: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    assert collect(tmp_path / "other", model=llama, **options) == EXIT_DONE
    one, other = content(run), content(tmp_path / "other")
    for name in ("baseline_ids", "branch_ids", "second_token", "window", "merged_at", "differs_at"):
        assert one[name] == other[name], name
    assert_close(one["distance"], other["distance"], scale=largest_state(one))


def test_a_run_grown_by_limit_equals_one_made_at_once(run: Path, llama: Path, tmp_path: Path) -> None:
    for limit in (1, 3):
        assert collect(tmp_path / "grown", model=llama, limit=limit) == EXIT_DONE
    assert content(tmp_path / "grown")["branch_ids"] == content(run)["branch_ids"]


@pytest.mark.parametrize(
    ("lookahead", "shortest", "stride", "lengths", "strides"),
    [
        (64, 32, 32, [64, 32], [32, 32]),
        (64, 8, [8, 4, 2, 1], [64, 32, 16, 8], [8, 4, 2, 1]),
        (64, 40, 4, [64], [4]),
        (7, 3, 3, [7, 3], [3, 3]),
        (6, 1, [2, 1, 1], [6, 3, 1], [2, 1, 1]),
    ],
)
def test_each_window_has_the_stride_that_was_asked_for(
    lookahead: int, shortest: int, stride: Any, lengths: list[int], strides: list[int]
) -> None:
    assert window_lengths(lookahead, shortest) == lengths
    assert window_strides(stride, lengths) == strides


WORDS = dict(enumerate(["zero", " one", " two", " three", " four", " on", "e", " five"]))


def decode(ids: list[int]) -> str:
    return "".join(WORDS[i] for i in ids)


@pytest.mark.parametrize(
    ("branch", "baseline", "differs", "merged", "shift"),
    [
        ([2, 3, 4, 7], [1, 3, 4, 7], 1, 2, 0),  # one word is another, the rest the same
        ([2, 3, 4, 7], [1, 2, 3, 4, 7], 1, 2, 1),  # the baseline has one word more
        ([2, 2, 3, 4, 7], [1, 3, 4, 7, 7], 1, 3, -1),  # the branch has one more
        ([2, 3, 4, 7], [1, 7, 4, 3], 1, None, None),
        ([2, 3, 4, 0], [1, 3, 4, 7], 1, None, None),  # it had merged, and parted again
        ([5, 6, 2, 3, 4], [1, 2, 3, 4], None, 3, -1),  # " on" + "e" is the same text as " one"
        ([5, 6, 7, 3, 4], [1, 2, 3, 4], 3, None, None),
        ([2], [1], 1, None, None),
        ([1, 2, 3, 4], [1, 2, 3, 4], None, 2, 0),  # the first token never counts as merged
    ],
)
def test_where_texts_part_and_merge(branch: Any, baseline: Any, differs: Any, merged: Any, shift: Any) -> None:
    part = parting(branch, baseline, merge_tokens=3, decode=decode)
    assert (part.differs_at, part.merged_at, part.shift) == (differs, merged, shift)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bifurcation_step_interval": 31}, "there would be no branch"),
        ({"lookahead_tokens": 1}, "less than shortest_window 2"),
        ({"latent_sampling_stride": 4}, "latent_sampling_stride 4 is more than the 2 tokens of a window"),
        ({"latent_sampling_stride": 9, "shortest_window": 8}, "raise --lookahead_tokens to 9 or more"),
        ({"latent_sampling_stride": "[2,1]"}, "2 strides for 3 windows, of 8, 4, 2 tokens"),
        ({"latent_sampling_stride": "[2,1,0]"}, "latent_sampling_stride must be at least 1, found 0"),
        ({"bifurcation_step_interval": 30}, "No branch could be compared"),
        ({"path_layers": "[9]"}, "lies outside the model"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: Any, message: str
) -> None:
    assert collect(tmp_path / "run", **options) == EXIT_USER
    assert message in capsys.readouterr().err


def test_a_layer_that_is_not_stored_cannot_rank(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert analyze(run, "--rank_layer", "3", "--restart") == EXIT_USER
    assert "rank_layer 3 is none of the 3 stored" in capsys.readouterr().err
