"""Results are written from their types and read back into them; their JSON Schema says what is in the file."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from lit_experiments.statistics import Estimate
from lit_experiments.tasks.result_files import read_result, schema, write_result

GOOD = Estimate(0.5, 0.25, 0.75, 20, 0.95)
FEW = Estimate(0.5, 0.1, 0.9, 3, 0.95)


@dataclass(frozen=True)
class Layer:
    """One layer."""

    name: str
    score: Estimate
    p: float


@dataclass(frozen=True)
class Result:
    """Everything."""

    verdict: Literal["seen", "not seen"]
    layers: list[Layer]
    by_name: dict[str, list[float]]
    grid: dict[float, int]
    best: Layer | None
    span: tuple[int, float]
    shown: bool


RESULT = Result(
    "seen", [Layer("a", GOOD, 0.01), Layer("b", FEW, math.nan)], {"x": [1.0, math.nan]}, {0.1: 3}, None, (1, 2.5), True
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_result(tmp_path, RESULT)
    read = read_result(tmp_path, Result)
    assert repr(read) == repr(RESULT)  # NaN is not equal to itself
    assert read.layers[1].score.no_interval == "3 groups"


def test_nan_is_null_and_an_estimate_without_interval_has_null_bounds(tmp_path: Path) -> None:
    write_result(tmp_path, RESULT)
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["layers"][1]["p"] is None
    expected = {"value": 0.5, "low": None, "high": None, "n": 3, "level": 0.95, "method": ""}
    assert content["layers"][1]["score"] == expected
    assert content["by_name"] == {"x": [1.0, None]}


@pytest.mark.parametrize("change", [{"verdict": 3}, {"layers": [{"name": "a"}]}, {"span": "x"}])
def test_another_file_is_refused_by_name(tmp_path: Path, change: dict[str, Any]) -> None:
    write_result(tmp_path, RESULT)
    path = tmp_path / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match="holds no Result"):
        read_result(tmp_path, Result)


def test_the_schema_names_every_key_that_is_written(tmp_path: Path) -> None:
    write_result(tmp_path, RESULT)
    content, described = json.loads((tmp_path / "result.json").read_text()), schema(Result)
    assert described["$ref"] == "#/$defs/Result"
    assert described["$defs"]["Result"]["required"] == list(content)
    assert described["$defs"]["Layer"]["required"] == list(content["layers"][0])
    assert described["$defs"]["Estimate"]["required"] == list(content["layers"][0]["score"])
    assert described["$defs"]["Layer"]["properties"]["p"] == {"type": ["number", "null"]}
    assert described["$defs"]["Result"]["properties"]["best"] == {
        "anyOf": [{"$ref": "#/$defs/Layer"}, {"type": "null"}]
    }


def test_a_type_that_json_cannot_hold_is_refused() -> None:
    @dataclass(frozen=True)
    class Wrong:
        """Holds anything."""

        value: Any

    with pytest.raises(TypeError, match="no place in a result"):
        schema(Wrong)
