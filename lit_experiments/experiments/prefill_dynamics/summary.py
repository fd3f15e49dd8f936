"""What `inspect` says of a store of study 2, and of two side by side. Knows columns and cross-entropies only."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd

from lit_experiments.reports.cells import interval, number
from lit_experiments.reports.tables import text_table
from lit_experiments.statistics import LEVEL, Estimate, GroupBootstrap
from stores import Store

RESAMPLES, SEED = 1000, 0
_COLUMNS = ["sample_id", "paragraph_id", "condition", "prompt", "continuation", "boundary", "continuation_length"]
_COLUMNS += ["stop_reason", "straddles", "read_as", "retokenises", "reader", "generator"]


def rows(store: Store) -> pd.DataFrame:
    """Metadata with the mean cross-entropy of each row's continuation (`ce`) and whole text (`ce_text`)."""
    table = store.to_pandas(_COLUMNS)
    if table.empty:
        return table.assign(ce=np.nan, ce_text=np.nan)
    by_row = np.split(np.asarray(store["ce"].read(), np.float64), np.cumsum(store["ce"].lengths())[:-1])
    behind = [values[max(0, boundary - 1) :] for values, boundary in zip(by_row, table.boundary, strict=True)]
    table["ce"] = [values.mean() if len(values) else np.nan for values in behind]
    table["ce_text"] = [values.mean() if len(values) else np.nan for values in by_row]
    return table


def describe(store: Store, examples: int) -> str:
    """Counts and cross-entropy by condition with intervals; example paragraphs."""
    table = rows(store)
    headers = ["condition", "texts", "tokens", "ended", "empty", "straddle", "CE, continuation", "CE, whole text"]
    lines = []
    for name, texts in table.groupby("condition", sort=False):
        known = texts.dropna(subset=["ce"])
        lines.append(
            [
                str(name),
                str(len(texts)),
                number(texts.continuation_length.mean(), 1),
                str(int((texts.stop_reason == "end_of_text").sum())),
                str(int((texts.continuation_length == 0).sum())),
                str(int(texts.straddles.sum())),
                interval(_mean(known, known.ce)),
                interval(_mean(texts, texts.ce_text)),
            ]
        )
    first = table.iloc[0] if len(table) else None
    who = "" if first is None else f"; written by {first.generator}, read by {first.reader} as {first.read_as}"
    parts = [f"Study 2, prefill dynamics{who}", text_table(headers, lines), _retokenised(table)]
    for paragraph in table.paragraph_id.unique()[:examples]:
        parts.append(_example(table[table.paragraph_id == paragraph]))
    return "\n\n".join(part for part in parts if part)


def compare(store: Store, other: Store) -> str:
    """Cross-entropy of two readers over the texts that both read, paired by paragraph."""
    a, b = (rows(read).set_index("sample_id") for read in (store, other))
    common = a.index.intersection(b.index)
    if not len(common):
        return "The two stores have no text in common: nothing to compare."
    a, b = a.loc[common], b.loc[common]
    equal = a.continuation == b.continuation
    headers = ["condition", "texts", "same text", "CE here", "CE there", "there - here"]
    lines = []
    for name in a.condition.unique():
        chosen = (a.condition == name) & a.ce.notna() & b.ce.notna()
        gap = _mean(a[chosen], b.ce[chosen] - a.ce[chosen])
        means = [number(float(side.ce[chosen].mean())) for side in (a, b)]
        lines.append([name, str(int(chosen.sum())), f"{equal[chosen].mean():.0%}", *means, interval(gap)])
    return "Side by side (intervals: 95 %, paired over paragraphs)\n\n" + text_table(headers, lines)


def _mean(table: pd.DataFrame, values: pd.Series) -> Estimate:
    groups = table.paragraph_id.to_numpy().astype(str)
    boot = GroupBootstrap(groups, resamples=RESAMPLES, level=LEVEL, seed=SEED)
    return boot.mean(values.to_numpy(np.float64)).item()


def _retokenised(table: pd.DataFrame) -> str:
    written = table.retokenises.dropna()
    if not len(written):
        return ""
    equal = int(written.sum())
    return f"Of {len(written)} generated texts {equal} would be tokenised into the very ids that were written."


def _example(table: pd.DataFrame) -> str:
    lines = [f"{table.paragraph_id.iloc[0]}: {table.prompt.iloc[0]}"]
    for row in table.itertuples():
        text = textwrap.shorten(row.continuation, 240, placeholder=" ...") or "(nothing)"
        lines.append(f"  {row.condition} ({row.continuation_length} tokens, CE {number(row.ce)}): {text}")
    return "\n".join(lines)
