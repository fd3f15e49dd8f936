"""A probe per layer with this package, with controls, intervals and a verdict unless options leave them out."""

from __future__ import annotations

from typing import Any

import lit_experiments as lit


def probes(texts: list[str], labels: list[int], model: str, **options: Any) -> lit.Probes:
    store = lit.collect({"text": texts, "label": labels}, model, text_column="text", label_columns=["label"])
    return lit.fit_probes(store, "label", **options)


if __name__ == "__main__":
    from exchange import options, report, request

    fitted = probes(*request(), **options())
    result, split = fitted.best.result, fitted.result.split
    (curve,) = result.curves
    statement = (
        f"{result.verdict.word}, {result.score_name} {result.score}; {split.rows:,} rows in {split.groups:,} groups, "
        f"{split.copies:,} rows are exact copies; split by row, {split.twins_by_row:,} of {split.test_rows:,} test "
        f"rows would have a text like theirs in training, now {split.neighbours:,}"
    )
    report({score.layer: score.score.value for score in curve.layers}, result.layer, statement)
