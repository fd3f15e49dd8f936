"""What a row of the resampled prefixes holds, and what there is to say of a store of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from lit_experiments.experiments.pos.groups import Place
from lit_experiments.reports.cells import number
from lit_experiments.reports.tables import text_table
from lit_experiments.tasks.reads import Reads
from stores import Column, Field, Schema, Store

_SHOWN = 4  # completions of an example


def make_schema(draws: int, steps: int) -> Schema:
    """Tokens and log-probabilities [sample, draw, step], lengths and endings [sample, draw]."""
    draw, step = ("sample", "draw"), ("sample", "draw", "step")
    fields = (
        Field("token_ids", step, (None, draws, steps), "int32", "", "sampled tokens; -1 after a completion's end"),
        Field("log_probs", step, (None, draws, steps), "float32", "nats", _LOG_PROBS, "record"),
        Field("completion_length", draw, (None, draws), "int32", "tokens", "tokens sampled, the end of text counted"),
        Field("ended", draw, (None, draws), "bool", "", "whether the completion ended with an end of text"),
    )
    return Schema(fields, COLUMNS)


_LOG_PROBS = "log-probability of each sampled token under the model at temperature 1; NaN after the end"
COLUMNS = (
    Column("dataset_idx", "int64", "number of the sentence within its part of the treebank, from 0"),
    Column("sent_id", "string", "the treebank's name of the sentence"),
    Column("doc_id", "string", "its document; a document's prefixes are one group"),
    Column("doc_from", "string", "what names the document: newdoc, column, sent_id, file, or none"),
    Column("part", "string", "part of the treebank"),
    Column("sentence_text", "string", "the whole sentence"),
    Column("prefix_text", "string", "the sentence up to and including the target token"),
    Column("prefix_ids", "list<int64>", "exactly what the model read"),
    Column("target_position", "int64", "index of the target token, the prefix's last"),
    Column("target_token", "string", "the target token as text"),
    Column("word", "string", "the target word"),
    Column("word_id", "int64", "its number in the sentence, from 1"),
    Column("char_start", "int64", "its first character in the sentence"),
    Column("char_end", "int64", "the character after its last"),
    Column("prefix_end", "int64", "the character after the prefix"),
    Column("true_label", "string", "its universal part of speech in the treebank"),
    Column("xpos", "string", "its language-specific tag"),
    Column("left_ambiguous", "string", "tags that the treebank says the text so far leaves open, joined by +"),
    Column("probe_probs", "list<float64>", "the probe's probabilities, in the order of its classes"),
    Column("probe_pred", "string", "its most probable tag"),
    Column("completions", "list<string>", "what the model added, end of text left out"),
)


@dataclass(frozen=True)
class Resampled:
    """A row as the analysis reads it: columns by their names, see COLUMNS."""

    sample_id: str
    part: str
    doc_id: str
    doc_from: str
    sent_id: str
    word: str
    word_id: int
    prefix_text: str
    true_label: str
    left_ambiguous: str
    probe_probs: list[float]
    completions: list[str]

    @property
    def place(self) -> Place:
        """Where the prefix stands in the treebank."""
        return Place(self.part, self.doc_id, self.doc_from, self.sent_id)


READS = Reads("pos_resample", tuple(field.name for field in fields(Resampled)), empty=True)


def read_rows(store: Store) -> list[Resampled]:
    """Every row, in the store's order."""
    return [Resampled(**row) for row in store.table(list(READS.needs)).to_pylist()]


def summary(store: Store) -> list[str]:
    """Lines on how many prefixes there are and how long their completions."""
    lengths, ended = store["completion_length"].read(), store["ended"].read()
    words = store.table(["doc_id", "word"]).to_pydict()
    distinct = [len(set(texts)) for texts in store.table(["completions"]).column(0).to_pylist()]
    return [
        f"{len(store):,} prefixes of {len(set(words['doc_id'])):,} documents, {len(set(words['word'])):,} word types, "
        f"{lengths.shape[1]} completions each",
        f"average completion length {lengths.mean():.2f} tokens, {ended.mean():.1%} ended by themselves; "
        f"{np.mean(distinct):.1f} of {lengths.shape[1]} completions of a prefix differ",
    ]


def describe(store: Store, examples: int) -> str:
    """What `inspect` says: the summary, how unsure the probe is by tag, and some prefixes."""
    if not len(store):
        return "No prefix: the probe is sure of every word that was scanned."
    rows = store.table().to_pylist()
    tags = sorted({row["true_label"] for row in rows})
    lines = [*summary(store), "", text_table(_HEADERS, [_by_tag(tag, rows) for tag in tags])]
    return "\n".join(lines + [_example(row, store) for row in rows[:examples]])


_HEADERS = ["tag", "prefixes", "probe right", "mean highest probability"]


def _by_tag(tag: str, rows: list[dict[str, Any]]) -> list[str]:
    tagged = [row for row in rows if row["true_label"] == tag]
    right = np.mean([row["probe_pred"] == tag for row in tagged])
    top = np.mean([max(row["probe_probs"]) for row in tagged])
    return [tag, str(len(tagged)), f"{right:.0%}", number(float(top), 2)]


def _example(row: dict[str, Any], store: Store) -> str:
    classes = store.fingerprint["settings"]["classes"]
    ranked = sorted(zip(row["probe_probs"], classes, strict=True), reverse=True)[:3]
    shown = ", ".join(f"{tag} {p:.2f}" for p, tag in ranked)
    added = "\n".join(f"    ...{text!r}" for text in row["completions"][:_SHOWN])
    return f"\n{row['prefix_text']}  [{row['word']}: {row['true_label']}; probe: {shown}]\n{added}"
