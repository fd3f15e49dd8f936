"""A store's rows with their completions checked against the right answers. Does not know: what is analyzed."""

from __future__ import annotations

import pandas as pd

from lit_experiments.experiments.geometry.answers import AnswerChecker, counts
from stores import Store


def checked_rows(store: Store) -> pd.DataFrame:
    """The store's columns, in its order, and `verdict`: for each row the list of its completions' verdicts."""
    table = store.to_pandas()
    with AnswerChecker() as checker:
        table["verdict"] = [
            [checker.check(text, answer).verdict for text in texts]
            for texts, answer in zip(table["completion_text"], table["answer"], strict=True)
        ]
    return table


def verdict_counts(rows: pd.DataFrame) -> dict[str, int]:
    """How many completions got which verdict."""
    return counts([verdict for verdicts in rows["verdict"] for verdict in verdicts])
