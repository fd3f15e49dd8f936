"""The user's columns: their types, their names, and what is missing in them."""

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import stores
from lit_experiments.errors import EXIT_DONE
from lit_experiments.experiments.activations.columns import UserColumns, cast, stored_names
from tests.experiments.activations.conftest import collect, jsonl, rows_of


def types_of(values: list[Any], spelled: bool = False) -> tuple[str | None, list[Any]]:
    """The type of one column, and its values as that."""
    columns = UserColumns(spelled)
    observed = [columns.observe({"x": value}).get("x") for value in values]
    kind = columns.types()["x"]
    return kind, observed if kind is None else [cast(value, kind, spelled) for value in observed]


@pytest.mark.parametrize(
    ("values", "kind", "stored"),
    [
        (["a", None], "string", ["a", None]),
        ([1, 2**63 - 1], "int64", [1, 2**63 - 1]),
        ([1, 2.5, float("nan")], "float64", [1.0, 2.5, None]),
        ([True, None, False], "bool", [True, None, False]),
        ([True, 1], "string", ["true", "1"]),
        ([1, "a", 2.5], "string", ["1", "a", "2.5"]),
        ([2**70], "string", [str(2**70)]),
        ([{"a": [1, float("nan")]}, None], "json", [{"a": [1, None]}, None]),
        (["a", ["b"]], "json", ["a", ["b"]]),
        ([None, None], "string", [None, None]),
        ([datetime.date(2020, 1, 2)], "string", ["2020-01-02"]),
        ([{"image": b"raw"}], None, [None]),
    ],
)
def test_types_are_those_of_all_values(values: list[Any], kind: str | None, stored: list[Any]) -> None:
    assert types_of(values) == (kind, stored)


@pytest.mark.parametrize(
    ("cells", "kind", "stored"),
    [
        (["1", " -2 ", ""], "int64", [1, -2, None]),
        (["1", "2.5", "1e3", ".5", "-3."], "float64", [1.0, 2.5, 1000.0, 0.5, -3.0]),
        (["true", "False", " "], "bool", [True, False, None]),
        (["007", "8"], "string", ["007", "8"]),
        (["1", "a"], "string", ["1", "a"]),
        (["1", "true"], "string", ["1", "true"]),
        (["nan", "e5", ".", "-"], "string", ["nan", "e5", ".", "-"]),
        (["12345678901234567890"], "float64", [12345678901234567890.0]),
    ],
)
def test_cells_of_a_text_file_are_what_they_spell(cells: list[str], kind: str, stored: list[Any]) -> None:
    assert types_of(cells, spelled=True) == (kind, stored)


def test_names_are_kept_where_a_store_can_have_them() -> None:
    names = ["label", "text", "gr\u00f6\u00dfe (cm)", "1st", "a b", "a_b", "\u6587", "", "user_text", "_x"]
    columns = stored_names(names, {"text", "sample_id"})
    assert columns.names == {
        "label": "label",
        "text": "user_text_2",
        "gr\u00f6\u00dfe (cm)": "groe_cm",
        "1st": "column_1st",
        "a b": "a_b_2",
        "a_b": "a_b",
        "\u6587": "column",
        "": "column_2",
        "user_text": "user_text",
        "_x": "column__x",
    }
    assert len(columns.notes) == sum(name != stored for name, stored in columns.names.items())
    for stored in columns.names.values():
        stores.Column(stored, "string", "")  # raises for a name that a store refuses


def test_a_table_of_every_type_comes_back(llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pa.table(
        {
            "text": ["one", "two", "six"],
            "n": pa.array([1, None, 3], pa.int32()),
            "x": [0.5, float("nan"), None],
            "ok": [True, None, False],
            "word": ["a", None, "c"],
            "tags": [["p"], [], None],
            "deep": [{"k": 1}, None, {"k": None}],
            "day": [datetime.date(2020, 1, 2), None, datetime.date(2021, 1, 2)],
            "raw": [b"a", b"b", None],
            "text ids": [7, 8, 9],
            "response": ["mine", "mine", None],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    options = {"texts": tmp_path / "t.parquet", "label_columns": "[n, text ids]", "generate": 1}
    assert collect(tmp_path / "run", model=llama, **options) == EXIT_DONE
    output = capsys.readouterr().out
    assert 'column "raw" holds raw bytes, and is left out' in output
    assert 'column "response" is stored as user_response' in output
    assert "label n: 1 1, 3 1; 1 missing" in output
    store = stores.open_store(tmp_path / "run" / "store")
    kinds = {column.name: column.type for column in store.schema.columns}
    assert (kinds["n"], kinds["x"], kinds["ok"], kinds["word"], kinds["tags"]) == (
        *("int64", "float64", "bool", "string", "json"),
    )
    rows = store.table().to_pydict()
    assert (rows["n"], rows["x"], rows["ok"]) == ([1, None, 3], [0.5, None, None], [True, None, False])
    assert (rows["tags"], rows["deep"]) == (['["p"]', "[]", None], ['{"k": 1}', None, '{"k": null}'])
    assert (rows["day"], rows["text_ids"]) == (["2020-01-02", None, "2021-01-02"], [7, 8, 9])
    assert rows["user_response"] == ["mine", "mine", None]


def test_columns_that_only_some_records_have_are_null_elsewhere(llama: Path, tmp_path: Path) -> None:
    table = jsonl(tmp_path / "t.jsonl", [{"text": "a"}, {"text": "b", "late": 1}])
    assert collect(tmp_path / "run", model=llama, texts=table, label_columns="late") == EXIT_DONE
    assert [row["late"] for row in rows_of(tmp_path / "run")] == [None, 1]
