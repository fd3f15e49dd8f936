"""Data that cannot test a claim are no mistake: the claim is underpowered, with the reason, and the audit has it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE
from tests.experiments.linear_probes.written import planted, random_texts, result_of, train, write_store

ROWS = 60
UNTESTABLE = {
    "same": "all 60 labels are 'x'",
    "empty": "not one of 60 labels has a value",
    "few": "its labelled rows are of 0 test groups and 3 training groups",
    "rare": "fewer than two of its 2 classes",
    "text": "fewer than two of its 60 classes",
}


def _write(run: Path, texts: list[str] | None = None, group: list[str | None] | None = None) -> None:
    rng = np.random.default_rng(0)
    size = rng.normal(size=ROWS)
    columns: dict[str, Any] = {
        "text": texts or random_texts(rng, ROWS),
        "size": size.tolist(),
        "same": ["x"] * ROWS,
        "empty": [None] * ROWS,
        "few": [1.5, 2.5, 3.5] + [None] * (ROWS - 3),
        "rare": ["a"] * 3 + ["b"] * (ROWS - 3),
        "doc_id": group or [f"d{i}" for i in range(ROWS)],
    }
    numbers = dict.fromkeys(("size", "few"), "float64")
    write_store(run, planted(rng, 4 * size), columns, dict.fromkeys(columns, "string") | numbers)


def _claims(run: Path) -> dict[str, dict[str, Any]]:
    assert main(["audit", str(run)]) == EXIT_DONE
    claims = json.loads((run / "audit" / "audit.json").read_text())["claims"]
    return {claim["target"]: claim for claim in claims}


def test_targets_that_cannot_be_tested_stand_beside_one_that_can(tmp_path: Path) -> None:
    _write(tmp_path)
    assert train(tmp_path, "--target", "size", *UNTESTABLE, "--twin", "false") == EXIT_DONE
    result = result_of(tmp_path)
    assert [target.target for target in result.targets] == ["size"]
    assert {target.target: target.missing for target in result.untested} == {
        "same": 0,
        "empty": 60,
        "few": 57,
        "rare": 0,
        "text": 0,
    }
    claims = _claims(tmp_path)
    assert claims["size"]["verdict"] == "supported"
    for target, reason in UNTESTABLE.items():
        assert claims[target]["verdict"] == "underpowered"
        assert f"{target} could not be tested: {reason}" in claims[target]["sentence"]
        assert claims[target]["numbers"]["score"]["value"] is None


@pytest.mark.parametrize("target", UNTESTABLE)
def test_a_target_that_cannot_be_tested_is_a_whole_training(target: str, tmp_path: Path) -> None:
    _write(tmp_path)
    assert train(tmp_path, "--target", target) == EXIT_DONE
    assert _claims(tmp_path)[target]["verdict"] == "underpowered"
    assert UNTESTABLE[target] in (tmp_path / "linear_probes" / "RESULTS.md").read_text()


@pytest.mark.parametrize(
    ("texts", "group", "groups"),
    [
        (["The same text."] * ROWS, None, 1),
        (None, ["one document"] * ROWS, 1),
        (None, [f"d{i % 3}" for i in range(ROWS)], 3),
    ],
    ids=["one text", "one document", "three documents"],
)
def test_too_few_groups_for_the_folds(
    texts: list[str] | None, group: list[str | None] | None, groups: int, tmp_path: Path
) -> None:
    _write(tmp_path, texts, group)
    assert train(tmp_path, "--target", "size") == EXIT_DONE
    claim = _claims(tmp_path)["size"]
    assert claim["verdict"] == "underpowered"
    assert "3 folds and a test part need at least" in claim["sentence"]
    assert (claim["numbers"]["grouping"]["groups"], claim["numbers"]["grouping"]["test_rows"]) == (groups, 0)


def test_rows_without_a_document_are_documents_of_their_own(tmp_path: Path) -> None:
    group = [None if i % 2 else f"d{i % 20}" for i in range(ROWS)]
    _write(tmp_path, group=group)
    assert train(tmp_path, "--target", "size", "--twin", "false") == EXIT_DONE
    assert result_of(tmp_path).split.groups == 10 + ROWS // 2
