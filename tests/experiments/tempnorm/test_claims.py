"""Contexts that say the same stay together, and what is claimed of few or copied ones is nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE
from stores import Column, Field, PartWriter, Records, Schema

LENGTHS, DRAWS, HIDDEN = [1, 10], 4, 32
_WORDS = [f"{a}{b}" for a in ("ka", "lo", "mi", "nu", "pe", "ra", "so", "tu") for b in ("bar", "den", "fil", "gom")]


def planted(run: Path, contexts: int, copies: int, from_states: float, edit: bool = False) -> None:
    """A context's own level is known by its states; beyond it, log-tempnorm at 10 follows a state with a weight."""
    rng = np.random.default_rng(5)
    rows = contexts * copies
    context = np.arange(rows) % contexts
    hidden = 3 * rng.normal(size=(contexts, HIDDEN))[context] + rng.normal(size=(rows, HIDDEN))
    level = rng.normal(size=contexts)[context]
    entropy = rng.uniform(1, 4, rows)
    expected = np.stack([-3 * entropy, (1 - from_states) * 3 * level + from_states * hidden[:, 0]], -1)
    logs = -5 + expected[:, None] + 0.3 * rng.normal(size=(rows, DRAWS, len(LENGTHS)))
    fields = (
        Field("starting_hidden", ("layer", "sample", "hidden"), (1, None, HIDDEN), "float32", "", ""),
        Field("log_tempnorm", ("sample", "generation", "eval_length"), (None, DRAWS, 2), "float64", "nats", ""),
        Field("log_tempnorm_mean", ("sample", "eval_length"), (None, 2), "float64", "nats", ""),
    )
    names = ("prefix_length", "next_token_entropy", "log_one_step")
    columns = (*(Column(name, "float64", "") for name in names), Column("context", "string", ""))
    schema = Schema(fields, columns, {"layer": ["final_norm"], "eval_length": LENGTHS})
    settings = {"gen_length": 10, "initial_wander": 0, "alpha": 4.0, "sites": ["final_norm"]}
    stores.create_store(run / "store", schema, {"settings": settings}, {}, "zarr")
    texts = [" ".join(rng.choice(_WORDS, 14).tolist()) for _ in range(contexts)]
    table = [
        {
            "sample_id": f"s{i}",
            "sample_index": i,
            "prefix_length": float(rng.normal()),
            "next_token_entropy": float(entropy[i]),
            "log_one_step": float(rng.normal()),
            "context": texts[context[i]] + (f" {_WORDS[i % 7]}" if edit else ""),
        }
        for i in range(rows)
    ]
    arrays = {
        "starting_hidden": hidden[None].astype(np.float32),
        "log_tempnorm": logs,
        "log_tempnorm_mean": np.log(np.exp(logs).mean(1)),
    }
    with PartWriter(run / "store", 0, 10**9, 60) as writer:
        writer.append(Records(table, arrays, {}, {}))


def trained(run: Path, *options: str) -> dict[str, Any]:
    argv = ["train", "--exp", "tempnorm_ridge", "--run", str(run), "--bootstraps", "100", "--shuffles", "19"]
    assert main([*argv, "--permutations", "99", "--repeats", "5", "--accelerator", "cpu", *options]) == EXIT_DONE
    result: dict[str, Any] = json.loads((run / "tempnorm_ridge" / "result.json").read_text())
    return result


def words(result: dict[str, Any]) -> list[str]:
    return [claim["verdict"]["word"] for claim in result["claims"]]


def test_twelve_contexts_five_times_each_support_nothing(tmp_path: Path) -> None:
    planted(tmp_path, 12, 5, from_states=0.5)
    result = trained(tmp_path)
    assert set(words(result)) <= {"underpowered", "leaked"}
    assert (result["split"]["groups"], result["split"]["largest_group"]) == (12, 5)
    assert result["split"]["twins_by_row"] == result["split"]["test_rows"]
    assert result["split"]["neighbours"] == 0
    assert result["per_length"]["10"]["repeated"]["low"] is None, "a split tests three groups"


def test_near_copies_carry_a_score_by_row_and_not_by_content(tmp_path: Path) -> None:
    planted(tmp_path, 24, 10, from_states=0.0, edit=True)  # fewer contexts than states have dimensions
    result = trained(tmp_path)
    assert result["split"]["groups"] == 24
    assert result["split"]["near_copies"] > 100
    ten = result["per_length"]["10"]
    assert ten["by_row"]["low"] > 0 > ten["test"]["r2"]["value"] - 0.05
    assert words(result)[1] == "leaked"


def test_states_that_tell_more_than_text_and_output_are_supported(tmp_path: Path) -> None:
    planted(tmp_path, 160, 1, from_states=1.0)
    result = trained(tmp_path)
    assert words(result)[1] == "supported"
    assert words(result)[0] in ("underpowered", "not supported", "output-explained")
    ten = result["per_length"]["10"]
    assert ten["by_row"] is None
    assert ten["repeated"]["low"] < ten["test"]["r2"]["value"] < ten["repeated"]["high"]
    assert ten["repeated"]["value"] == pytest.approx(ten["test"]["r2"]["value"], abs=0.1)


def test_rows_split_one_by_one_are_scored_without_their_neighbours_too(tmp_path: Path) -> None:
    planted(tmp_path, 40, 6, from_states=0.0)
    result = trained(tmp_path, "--group_by", "id")
    assert result["split"]["neighbours"] > 50
    ten = result["per_length"]["10"]
    assert ten["test"]["r2"]["value"] > 0.3
    assert ten["apart"] is None or ten["apart"]["low"] is None or ten["apart"]["low"] < 0
    assert words(result)[1] != "supported"
