"""What is read moves the planted model's confidence, what is not read does not; and the directions behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from lit_experiments.errors import EXIT_DONE
from lit_experiments.experiments.introspection.passes import answer_states
from lit_experiments.experiments.introspection.patching.choice import Choice
from lit_experiments.lm.model import LanguageModel
from lit_experiments.probes.row_ridge import choose_ridge
from lit_experiments.probes.splits import group_split
from stores import Store
from tests.experiments.introspection.patching.runs import (
    SELF,
    SITES,
    analyze,
    bench_of,
    copied,
    expected,
    layers,
    result,
)
from tests.experiments.introspection.planted_model import (
    A_LEVELS,
    B_LEVELS,
    READ,
    TEMPLATES,
    UNREAD,
    levels,
)


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


def test_the_read_direction_moves_confidence_from_the_layer_where_it_is_written(patched: Path) -> None:
    before, *after = layers(patched, SELF, "steer", "confidence")
    assert abs(before["slope"]["value"]) < 0.01
    for layer in after:
        assert layer["slope"]["low"] > 6
        assert layer["p_corrected"] == pytest.approx(1 / 62)
        assert layer["random"]["low"] > -3
        assert layer["random"]["high"] < 3
        values = [change["value"] for change in layer["changes"]]
        assert values == sorted(values)  # rises with the multiple


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
        by_hand = (expected(along + multiple * spread) - expected(along)).mean()
        assert change["value"] == pytest.approx(by_hand, rel=0.01)
        assert change["low"] < change["value"] < change["high"]


def test_patching_closes_the_gap_from_that_layer_on_and_the_control_does_not(patched: Path) -> None:
    before, *after = layers(patched, SELF, "patch", "confidence")
    assert abs(before["share"]["value"]) < 1e-3
    for layer in after:
        assert layer["gap"]["low"] > 15
        assert layer["share"]["value"] == pytest.approx(1, abs=1e-4)
        assert layer["share"]["low"] is None  # the same in every question
        assert abs(layer["control"]["value"]) < 1
        assert layer["p_corrected"] < 0.05
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
            assert layer["p_corrected"] == 1
        for layer in layers(run, kind, "ablate", measure):
            assert abs(layer["change"]["value"]) < 1e-5
    steered = layers(run, SELF, "steer", "confidence")
    assert all(layer["random"]["high"] - layer["random"]["low"] > 1 for layer in steered)


def test_every_output_is_there_and_the_checks_state_their_numbers(patched: Path) -> None:
    out = patched / "introspection_patching"
    files = {"config.yaml", "result.json", "results.json", "report.html", "RESULTS.md", "parts", "figures", "data"}
    assert files <= {p.name for p in out.iterdir()}
    assert not list(out.rglob("*.tmp"))
    assert {f"patching_{kind}.png" for kind in TEMPLATES} <= {p.name for p in (out / "figures").iterdir()}
    for effects in result(patched)["passes"].values():
        # 3 layers, 2 slots, 8 recipients and 8 donors, 256 tokens
        assert effects["checks"]["identity_logits"] == 3 * 2 * 16 * 256
        assert effects["checks"]["last_replacement"] == effects["checks"]["whole_replacement"] == 0
        assert effects["checks"]["whole_replacements"] == 12
        assert effects["checks"]["collected"] < 1e-5
        assert effects["checks"]["cached"]
    assert "bit for bit" in (out / "RESULTS.md").read_text()
