"""What `inspect` says of a store of labelled words: how many of the treebank's words carry a label, part by part."""

from __future__ import annotations

from collections import Counter
from typing import Any

from lit_experiments.experiments.pos.groups import origin
from lit_experiments.reports.tables import text_table
from stores import Store

_HEADERS = ["part", "documents", "sentences", "words", "labelled", "excluded", "not alignable"]


def describe(store: Store, examples: int) -> str:
    """Counts by part of the treebank, what was left out, and some sentences.

    Raises:
        AssertionError: the states are not as many as the labels, or the counts do not add up to the treebank's words.
    """
    columns = ["part", "doc_id", "doc_from", "upos", "words_in_sentence", "excluded", "unaligned"]
    rows = store.table(columns).to_pylist()
    labelled = [len(row["upos"]) for row in rows]
    if store["resid_post"].lengths().tolist() != labelled:
        raise AssertionError(f"{store.path}: the states are not as many as the labels.")
    parts = {part: [row for row in rows if row["part"] == part] for part in dict.fromkeys(r["part"] for r in rows)}
    table = [_part(name, of_part) for name, of_part in parts.items()]
    if len(parts) > 1:
        table.append(_part("together", rows))
    named = origin((row["doc_from"], f"{row['part']}/{row['doc_id']}") for row in rows)
    lines = [text_table(_HEADERS, table), f"documents: {named}"]
    lines += _named("excluded by tag", Counter(item.rpartition("/")[2] for row in rows for item in row["excluded"]))
    reasons = (item.removesuffix(")").rpartition(" (")[2] for row in rows for item in row["unaligned"])
    lines += _named("not alignable", Counter(reasons))
    lines += [_sentence(row) for row in store.select(slice(0, examples)).table(["text", "forms", "upos"]).to_pylist()]
    return "\n".join(lines)


def _part(name: str, rows: list[dict[str, Any]]) -> list[str]:
    words = sum(row["words_in_sentence"] for row in rows)
    labelled, *out = (sum(len(row[key]) for row in rows) for key in ("upos", "excluded", "unaligned"))
    if labelled + sum(out) != words:
        raise AssertionError(f"{name}: {labelled} labelled + {out} left out are not the treebank's {words} words.")
    counts = [len({row["doc_id"] for row in rows}), len(rows), words, labelled, *out]
    return [name, *(f"{count:,}" for count in counts)]


def _named(title: str, counts: Counter[str]) -> list[str]:
    return [f"{title}: " + ", ".join(f"{name} {n:,}" for name, n in counts.most_common())] if counts else []


def _sentence(row: dict[str, Any]) -> str:
    tagged = " ".join(f"{form}/{tag}" for form, tag in zip(row["forms"], row["upos"], strict=True))
    return f"\n{row['text']}\n  {tagged}"
