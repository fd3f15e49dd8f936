"""Interventions on a model whose confidence is known: what is read moves it, what is not read does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_STOPPED, EXIT_USER, RunFailed
from lit_experiments.experiments.introspection.patching.checks import (
    check_collected,
    check_identity,
    check_last_replacement,
    check_whole_replacement,
    equal_lengths,
)
from lit_experiments.experiments.introspection.patching.choice import Choice, choose, load_model
from lit_experiments.experiments.introspection.patching.passes import MEASURES, Bench, groups
from lit_experiments.experiments.introspection.patching.run import Parts
from lit_experiments.experiments.introspection.prompts import MIDPOINTS
from lit_experiments.experiments.introspection.summary import answer_states, passes
from lit_experiments.lm.intervene import Ablate, Patch, Steer
from lit_experiments.lm.last_token import SharedPrefix
from lit_experiments.lm.model import LanguageModel
from lit_experiments.probes.row_ridge import choose_ridge
from lit_experiments.probes.splits import group_split
from stores import Store
from tests.experiments.introspection.planted_model import (
    A_LEVELS,
    B_LEVELS,
    READ,
    TEMPLATES,
    UNREAD,
    levels,
    write_model,
    write_questions,
)

SELF = "self_confidence"
SITES = [f"resid_post.{layer}" for layer in range(3)]
ENOUGH = "61"  # random directions: p can fall to 3/62 after correction over three layers
Floats = NDArray[np.float64]


def analyze(run: Path, *options: str, randoms: str = ENOUGH) -> int:
    few = ["--questions", "24", "--pairs", "8", "--bootstraps", "200", "--flips", "500", "--device", "cpu"]
    argv = ["analyze", "--exp", "introspection_patching", "--run", str(run), *few, "--random_directions", randoms]
    return main([*argv, *options])


def result(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "introspection_patching" / "result.json").read_text())
    return found


def layers(run: Path, kind: str, what: str, measure: str) -> list[dict[str, Any]]:
    return [layer[what][measure] for layer in result(run)["passes"][kind]["layers"]]


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The planted model's run, with its directions."""
    folder = tmp_path_factory.mktemp("planted")
    model, questions = write_model(folder / "model"), write_questions(folder / "questions.jsonl")
    where = ["--model", str(model), "--questions", str(questions), "--run", str(folder / "run")]
    templates = [f"--templates.{kind}={text}" for kind, text in TEMPLATES.items()]
    assert main(["collect", "--exp", "introspection", "--accelerator", "cpu", *where, *templates]) == EXIT_DONE
    few = ["--shuffles", "20", "--bootstraps", "50", "--run", str(folder / "run")]
    assert main(["analyze", "--exp", "introspection_directions", *few]) == EXIT_DONE
    return folder / "run"


@pytest.fixture(scope="module")
def patched(collected: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = copied(collected, tmp_path_factory.mktemp("patched"))
    assert analyze(run) == EXIT_DONE
    return run


@pytest.fixture(scope="module")
def store(collected: Path) -> Store:
    return stores.open_store(collected / "store")


@pytest.fixture(scope="module")
def rows(store: Store) -> pd.DataFrame:
    return passes(store)[SELF]


@pytest.fixture(scope="module")
def lm(store: Store) -> LanguageModel:
    return load_model(store, None, "cpu")


@pytest.fixture(scope="module")
def choice(store: Store, lm: LanguageModel) -> dict[str, Choice]:
    found, statements = choose(store, lm, questions=24, pairs=8, seed=0)
    assert not statements
    return found


def copied(run: Path, folder: Path) -> Path:
    return Path(shutil.copytree(run, folder / "run"))


def bench_of(lm: LanguageModel, asked: Any, together: int = 4) -> Bench:
    return Bench(lm, asked, groups([len(ids) for ids in asked.ids], 10**6), together)


def column(changes: Floats, measure: str) -> Floats:
    return np.asarray(changes[..., MEASURES.index(measure)])


# What the states hold


def test_the_direction_that_is_read_is_found_where_it_is_written(collected: Path) -> None:
    saved = load_file(collected / "introspection_directions" / "directions.safetensors")
    for kind in (SELF, "other_confidence"):
        cosines = saved[f"{kind}.direction"] @ READ
        assert (cosines[1:] > 0.99).all()
        assert abs(cosines[0]) < 0.3


def test_a_probe_of_confidence_finds_it_too(store: Store, rows: pd.DataFrame) -> None:
    """Weights along directions in which the states never vary are arbitrary, so they are left out of the cosine."""
    x, y = answer_states(store, rows, 1), rows[SELF].to_numpy(np.float64)
    fold = group_split(rows.index.to_numpy().astype(str), 0.0, 5, 0)
    weights = choose_ridge(x, y, fold, [0.1, 1.0, 10.0]).weights
    _, sizes, axes = np.linalg.svd(x - x.mean(0), full_matrices=False)
    varied = axes[sizes > 1e-2 * sizes[0]]
    seen = varied.T @ (varied @ weights)
    assert seen @ READ / np.linalg.norm(seen) > 0.99


def test_the_unread_direction_is_as_decodable_and_unrelated_to_confidence(store: Store, rows: pd.DataFrame) -> None:
    x = answer_states(store, rows, 1)
    for direction, characters in ((READ, A_LEVELS), (UNREAD, B_LEVELS)):
        assert np.corrcoef(x @ direction, levels(rows.question_text, characters))[0, 1] > 0.999
    assert (x @ UNREAD).std() == pytest.approx((x @ READ).std(), rel=0.01)
    assert abs(np.corrcoef(x @ UNREAD, rows[SELF])[0, 1]) < 0.01


# What the command finds


def test_the_read_direction_moves_confidence_from_the_layer_where_it_is_written(patched: Path) -> None:
    before, *after = layers(patched, SELF, "steer", "confidence")
    assert abs(before["slope"]["value"]) < 0.01
    for layer in after:
        assert layer["slope"]["low"] > 6
        assert layer["p_holm"] == pytest.approx(3 / 62)
        assert layer["random"]["low"] > -3
        assert layer["random"]["high"] < 3
        values = [change["value"] for change in layer["changes"]]
        assert values == sorted(values)  # rises with the multiple
    assert "Steering along the direction moves it at 2 of 3 layers (resid_post.1, resid_post.2)" in summary(patched)


def test_the_command_steers_by_multiples_of_the_spread(
    patched: Path, lm: LanguageModel, choice: dict[str, Choice]
) -> None:
    """The same 24 questions, by hand; the direction found lies within 3 degrees of the true one."""
    along = bench_of(lm, choice[SELF].sample).states(SITES[1]).double().numpy() @ READ
    spread = result(patched)["passes"][SELF]["layers"][1]["spread"]
    assert spread < 0.95
    for multiple, change in zip(
        (-4, -2, 2, 4), layers(patched, SELF, "steer", "confidence")[1]["changes"], strict=True
    ):
        wanted = (expected(along + multiple * spread) - expected(along)).mean()
        assert change["value"] == pytest.approx(wanted, rel=0.01)
        assert change["low"] < change["value"] < change["high"]


def test_patching_closes_the_gap_from_that_layer_on_and_the_control_does_not(patched: Path) -> None:
    before, *after = layers(patched, SELF, "patch", "confidence")
    assert abs(before["share"]["value"]) < 1e-3
    for layer in after:
        assert layer["gap"]["low"] > 15
        assert layer["share"]["value"] == pytest.approx(1, abs=1e-4)
        assert layer["share"]["low"] is None  # the same in every question
        assert abs(layer["control"]["value"]) < 1
        assert layer["p_holm"] < 0.05
    assert layers(patched, "mcq", "patch", "accuracy")[2]["share"]["value"] is None


def test_a_direction_that_is_not_read_moves_nothing(collected: Path, tmp_path: Path) -> None:
    """Put in the place of the real directions, with the same spread."""
    run = copied(collected, tmp_path)
    saved = load_file(run / "introspection_directions" / "directions.safetensors")
    for kind in (SELF, "other_confidence"):
        saved[f"{kind}.direction"] = np.tile(UNREAD, (3, 1)).astype(np.float32)
    save_file(saved, run / "introspection_directions" / "directions.safetensors")
    assert analyze(run, "--layers", "[resid_post.1, resid_post.2]", randoms="20") == EXIT_DONE
    for kind, measure in ((SELF, "confidence"), (SELF, "entropy"), ("mcq", "entropy"), ("mcq", "accuracy")):
        for layer in layers(run, kind, "steer", measure):
            assert abs(layer["slope"]["value"]) < 1e-5
            assert layer["p_holm"] == 1
        for layer in layers(run, kind, "ablate", measure):
            assert abs(layer["change"]["value"]) < 1e-5
    steered = layers(run, SELF, "steer", "confidence")
    assert all(layer["random"]["high"] - layer["random"]["low"] > 1 for layer in steered)
    assert "Steering along the direction moves it at none of 2 layers more than random directions do" in summary(run)


def summary(run: Path) -> str:
    text: str = json.loads((run / "introspection_patching" / "results.json").read_text())["summary"]
    return " ".join(text.split(f"{SELF}, expected confidence:")[1].split())


def test_every_output_is_there_and_the_checks_state_their_numbers(patched: Path) -> None:
    out = patched / "introspection_patching"
    files = {"config.yaml", "result.json", "results.json", "report.html", "RESULTS.md", "parts", "figures", "data"}
    assert files <= {p.name for p in out.iterdir()}
    assert not list(out.rglob("*.tmp"))
    assert {f"patching_{kind}.png" for kind in TEMPLATES} <= {p.name for p in (out / "figures").iterdir()}
    for about in result(patched)["passes"].values():
        # 3 layers, 2 slots, 8 recipients and 8 donors, 256 tokens
        assert about["checks"]["identity_logits"] == 3 * 2 * 16 * 256
        assert about["checks"]["last_replacement"] == about["checks"]["whole_replacement"] == 0
        assert about["checks"]["whole_replacements"] == 12
        assert about["checks"]["collected"] < 1e-5
        assert about["checks"]["cached"]
    assert "bit for bit" in (out / "RESULTS.md").read_text()


# The numbers, by hand


def expected(along: Floats) -> Floats:
    """Expected confidence of the planted model from the answer state's component along READ, by hand."""
    logits = 0.12 * np.outer(along, np.arange(8) - 3.5)
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return np.asarray(probs @ np.array(MIDPOINTS))


def test_changes_are_those_computed_by_hand(lm: LanguageModel, choice: dict[str, Choice]) -> None:
    bench = bench_of(lm, choice[SELF].sample)
    along = bench.states(SITES[1]).double().numpy() @ READ
    given, unread = (torch.tensor(v, dtype=torch.float32) for v in (READ, UNREAD))
    todo = [Steer(SITES[1], given, m, "last") for m in (-2.0, 0.5)] + [Ablate(SITES[1], given, "last")]
    changes = bench.changes([lambda _, i=each: i for each in [*todo, Ablate(SITES[1], unread, "last")]], lambda n: None)
    own = expected(along)
    np.testing.assert_allclose(column(bench.clean[0], "confidence"), own, atol=1e-3)
    for at, wanted in enumerate((along - 2, along + 0.5, np.zeros(24))):
        np.testing.assert_allclose(column(changes[at], "confidence"), expected(wanted) - own, atol=1e-3)
    np.testing.assert_allclose(column(changes[3], "confidence"), 0, atol=1e-4)


def test_a_donor_s_component_moves_it_all_the_way_if_it_is_read_and_not_at_all_if_not(
    lm: LanguageModel, choice: dict[str, Choice]
) -> None:
    low, high = bench_of(lm, choice[SELF].recipients), bench_of(lm, choice[SELF].donors)
    mine, theirs = low.states(SITES[2]), high.states(SITES[2])
    made = []
    for direction in (READ, UNREAD):
        u = torch.tensor(direction, dtype=torch.float32)
        swapped = mine + ((theirs - mine) @ u)[:, None] * u
        made.append(lambda taken, s=swapped: Patch(SITES[2], s[torch.as_tensor(taken)], "last"))
    changes = column(low.changes(made, lambda n: None), "confidence")
    gap = column(high.clean[0] - low.clean[0], "confidence")
    assert gap.min() > 10
    np.testing.assert_allclose(changes[0], gap, atol=1e-3)
    np.testing.assert_allclose(changes[1], 0, atol=1e-4)
    assert not np.allclose((theirs - mine).double().numpy() @ UNREAD, 0, atol=0.1)  # there was something to swap


def test_all_measures_are_those_of_the_collected_distribution(
    store: Store, lm: LanguageModel, choice: dict[str, Choice]
) -> None:
    for kind, found in choice.items():
        table = passes(store)[kind].loc[list(found.sample.questions)]
        clean = bench_of(lm, found.sample).clean[0]
        np.testing.assert_allclose(column(clean, "entropy"), table.entropy, atol=1e-5)
        np.testing.assert_allclose(column(clean, "outside"), 100 * table.outside_mass, atol=1e-3)
        if kind == "mcq":
            key = [dict(zip(r.letters, r.probs, strict=True))[r.correct_answer_letter] for r in table.itertuples()]
            np.testing.assert_allclose(column(clean, "key"), 100 * np.array(key), atol=1e-3)
            best = [r.letters[int(np.argmax(r.probs))] for r in table.itertuples()]
            assert (column(clean, "accuracy") == 100 * (np.array(best) == table.correct_answer_letter)).all()
            assert np.isnan(column(clean, "confidence")).all()
        else:
            np.testing.assert_allclose(column(clean, "confidence"), table[kind], atol=1e-3)
            assert np.isnan(column(clean, "accuracy")).all()


def test_batches_change_nothing_but_rounding(lm: LanguageModel, choice: dict[str, Choice]) -> None:
    asked = choice[SELF].sample
    steer = Steer(SITES[1], torch.tensor(READ, dtype=torch.float32), 1.0, "last")
    many = Bench(lm, asked, groups([len(ids) for ids in asked.ids], 30), 3)
    assert len(many.batches) > 5
    counted: list[int] = []
    one = bench_of(lm, asked, 1).changes([lambda _: steer] * 4, counted.append)
    np.testing.assert_allclose(many.changes([lambda _: steer] * 4, counted.append), one, atol=1e-4)
    assert sum(counted) == 8


# Checks that fail


class Wrong(SharedPrefix):
    """Gives states that are not the model's own."""

    def states(self, site: str) -> torch.Tensor:
        return super().states(site) + 0.1 * torch.tensor(READ, dtype=torch.float32)


def test_checks_pass_and_say_so_when_something_is_wrong(lm: LanguageModel, choice: dict[str, Choice]) -> None:
    low, high = bench_of(lm, choice[SELF].recipients, 2), bench_of(lm, choice[SELF].donors, 2)
    pairs = equal_lengths(choice[SELF].sample, 3)
    assert check_identity(low, SITES[0]) == 2 * 8 * 256
    assert check_last_replacement(lm, low, high) == 0
    assert check_whole_replacement(lm, choice[SELF].sample, pairs, SITES[1]) == 0
    assert check_whole_replacement(lm, choice[SELF].sample, ([], []), SITES[1]) is None
    assert check_collected(lm, [low, high]) < 1e-5
    for bench, asked in ((low, choice[SELF].recipients), (high, choice[SELF].donors)):
        bench.passes = [Wrong(lm, [asked.ids[i] for i in bench.batches[0]], 2)]
    with pytest.raises(RunFailed, match=r"Putting a state back at resid_post\.0 moved a logit by"):
        check_identity(low, SITES[0])
    with pytest.raises(RunFailed, match="must give the donor's logits; they differ by"):
        check_last_replacement(lm, low, high)
    low.collected_difference = 0.01
    with pytest.raises(RunFailed, match="does not give the letters' logits that were collected"):
        check_collected(lm, [low])


# Going on, and refusals


def test_an_interruption_says_that_the_same_command_goes_on(
    collected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, write = copied(collected, tmp_path), Parts.write

    def interrupted(parts: Parts, kind: str, site: str, found: dict[str, Any]) -> None:
        write(parts, kind, site, found)
        raise KeyboardInterrupt

    monkeypatch.setattr(Parts, "write", interrupted)
    assert analyze(run, randoms="5") == EXIT_STOPPED
    assert "the same command goes on" in capsys.readouterr().err
    monkeypatch.undo()
    assert analyze(run, randoms="5") == EXIT_DONE
    assert "Going on: 1 of 9" in capsys.readouterr().err


def test_an_analysis_that_was_cut_short_goes_on_and_ends_the_same(
    patched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(patched, tmp_path)
    out = run / "introspection_patching"
    whole = (out / "result.json").read_bytes()
    (out / "results.json").unlink()
    (out / "parts" / f"{SELF}.resid_post.1.json").unlink()
    (out / "parts" / f"{SELF}.resid_post.1.json.tmp").write_text('{"identity": "half')
    kept = (out / "parts" / "mcq.resid_post.0.json").stat().st_mtime_ns
    assert analyze(run) == EXIT_DONE
    assert "Going on: 8 of 9 layers and passes were done before." in capsys.readouterr().err
    assert (out / "result.json").read_bytes() == whole
    assert (out / "parts" / "mcq.resid_post.0.json").stat().st_mtime_ns == kept
    (out / "results.json").unlink()
    assert analyze(run, "--seed", "1", "--layers", "[resid_post.1]", randoms="5") == EXIT_DONE
    assert "Going on" not in capsys.readouterr().err


def test_results_are_kept_for_another_device_and_made_again_for_other_directions(
    patched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(patched, tmp_path)
    assert analyze(run, "--together", "3", "--device", "auto") == EXIT_DONE
    assert "is up to date" in capsys.readouterr().out
    file = run / "introspection_directions" / "directions.safetensors"
    save_file({name: -tensor if "direction" in name else tensor for name, tensor in load_file(file).items()}, file)
    assert analyze(run, "--layers", "[resid_post.1]", randoms="5") == EXIT_DONE
    assert "Set aside" in capsys.readouterr().out
    assert layers(run, SELF, "steer", "confidence")[0]["slope"]["high"] < -6


def lose_directions(run: Path) -> None:
    shutil.rmtree(run / "introspection_directions")


def directions_of_fewer_rows(run: Path) -> None:
    file = run / "introspection_directions" / "results.json"
    kept = json.loads(file.read_text())
    kept["identity"]["rows"] -= 1
    file.write_text(json.dumps(kept))


@pytest.mark.parametrize(
    ("spoil", "options", "says"),
    [
        (lose_directions, [], ["holds no directions to steer along", "analyze --exp introspection_directions --run"]),
        (directions_of_fewer_rows, [], ["were not made of the store as it is now", "introspection_directions"]),
        (None, ["--layers", "[resid_post.7]"], ["layers must name sites", "resid_post.0, resid_post.1, resid_post.2"]),
        (None, ["--multiples", "[0, 1]"], ["multiples must be different numbers other than 0"]),
        (None, ["--pairs", "3"], ["pairs must be at least 4, found 3"]),
        (None, ["--model", "embedded"], ["is not the model that", "collected", "--model PATH_OR_ID"]),
    ],
)
def test_what_cannot_be_done_is_one_message(
    collected: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None] | None,
    options: list[str],
    says: list[str],
) -> None:
    run = copied(collected, tmp_path)
    if spoil is not None:
        spoil(run)
    assert analyze(run, *options) == EXIT_USER
    message = capsys.readouterr().err
    assert "Traceback" not in message
    for part in says:
        assert part in message


def test_a_model_that_has_changed_since_is_refused(
    collected: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_model(tmp_path / "other")
    same = partial(analyze, collected, "--layers", "[resid_post.2]", "--model", str(other), randoms="5")
    weights = other / "model.safetensors"
    tensors = load_file(weights)
    save_file(tensors | {"lm_head.weight": tensors["lm_head.weight"] * 1.01}, weights, metadata={"format": "pt"})
    assert same() == EXIT_USER
    assert "is not the model that" in capsys.readouterr().err
    assert not (collected / "introspection_patching" / "result.json").exists()
