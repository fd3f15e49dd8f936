"""What is said of a collection of texts: after a run, and by `inspect`. Knows columns and declarations, no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lit_experiments.collecting.declarations import Declarations, read_declarations
from stores import Store

_SHOWN = 6  # values of a label
_WIDTH = 300  # characters of an example's text


def summary(store: Store, declarations: Declarations) -> list[str]:
    """A line on what was read, and one for each declared column."""
    ids = store.table(["input_ids"]).column("input_ids")
    tokens = int(pc.sum(pc.list_value_length(ids)).as_py() or 0)
    sites = len(store.schema.coords.get("site", ()))
    lines = [f"{len(store):,} texts of {tokens:,} tokens, {f'states at {sites} sites' if sites else 'no states'}"]
    roles = [(name, "label") for name in declarations.label_columns]
    roles += [(n, r) for n, r in ((declarations.group_column, "group"), (declarations.split_column, "split")) if n]
    lines += [f"{role} {name}: {_values(store.table([name]).column(name))}" for name, role in roles]
    if "stop_reason" in store.column_names:
        reasons = store.table(["stop_reason"]).column("stop_reason").to_pylist()
        stopped = reasons.count("eos")
        ended = f"{stopped:,} of {len(store):,} ended by themselves"
        lines.append("responses: given" if "given" in reasons else f"responses: {ended}")
    return lines


def describe(store: Store, examples: int) -> str:
    """The same, and the first texts with their columns."""
    declarations = read_declarations(Path(store.path).parent)
    rows = store.select(slice(0, examples)).table().to_pylist()
    return "\n".join([*summary(store, declarations), *(_example(row) for row in rows)])


def _values(column: pa.ChunkedArray) -> str:
    """The values of a label: how often the commonest, or the range of numbers; and how many are missing."""
    missing = f"; {column.null_count:,} missing" if column.null_count else ""
    present = column.drop_null()
    if pa.types.is_floating(column.type) and len(present):
        numbers = present.to_numpy()
        return f"{numbers.min():g} to {numbers.max():g}, median {np.median(numbers):g}{missing}"
    counts = sorted(pc.value_counts(present).to_pylist(), key=lambda entry: (-entry["counts"], str(entry["values"])))
    named = ", ".join(f"{entry['values']} {entry['counts']:,}" for entry in counts[:_SHOWN])
    more = f" and {len(counts) - _SHOWN:,} more values" if len(counts) > _SHOWN else ""
    return f"{named or 'no value'}{more}{missing}"


def _example(row: dict[str, Any]) -> str:
    text = row["text"] if len(row["text"]) <= _WIDTH else f"{row['text'][: _WIDTH - 3]}..."
    lists = ("char_start", "char_end", "input_ids", "input_digest", "sample_id", "sample_index", "text")
    others = [
        f"  {name}: {str(value)[:_WIDTH]}" for name, value in row.items() if name not in lists and value is not None
    ]
    return "\n".join([f"\n{row['sample_id']} ({len(row['input_ids']):,} tokens)", f"  {text!r}", *others])
