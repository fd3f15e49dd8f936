"""Every table and figure as CSV and Parquet, so that anybody can draw it again."""

from __future__ import annotations

import csv
from pathlib import Path

from lit_experiments.reports.blocks import Block
from lit_experiments.reports.frames import Record, column_names, records

FOLDER = "data"


def write_data(block: Block, folder: Path) -> None:
    """Writes NAME.csv and NAME.parquet into `folder`, each whole or not at all. `block` has data."""
    folder.mkdir(parents=True, exist_ok=True)
    names, lines = column_names(block), records(block)
    base = folder / getattr(block, "name")  # noqa: B009 - every block with data has a name; Block as a whole has none
    _write_csv(base.with_name(base.name + ".csv"), names, lines)
    _write_parquet(base.with_name(base.name + ".parquet"), names, lines)


def _write_csv(path: Path, names: list[str], lines: list[Record]) -> None:
    draft = path.with_name(path.name + ".tmp")
    with draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(lines)
    draft.replace(path)


def _write_parquet(path: Path, names: list[str], lines: list[Record]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    columns = {name: _typed([line[name] for line in lines]) for name in names}
    draft = path.with_name(path.name + ".tmp")
    parquet.write_table(pa.table(columns), draft)
    draft.replace(path)


def _typed(values: list[object]) -> list[object]:
    """Numbers stay numbers; a column that mixes them with words is words."""
    kinds = {type(value) for value in values if value is not None}
    return values if kinds <= {int, float} or len(kinds) <= 1 else [None if v is None else str(v) for v in values]
