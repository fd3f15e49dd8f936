"""What a row of the steered completions holds, and what there is to say of a store of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lit_experiments.reports.cells import number
from lit_experiments.reports.tables import text_table
from stores import Column, Field, Schema, Store

_SHOWN = 160  # characters of a completion in an example


def make_schema(draws: int, steps: int, sites: Sequence[str]) -> Schema:
    """Tokens and log-probabilities [sample, draw, step], readings [sample, draw, site]."""
    by_draw, by_step = ("sample", "draw"), ("sample", "draw", "step")
    fields = (
        Field("token_ids", by_step, (None, draws, steps), "int32", "", "sampled tokens; -1 after a completion's end"),
        Field("log_probs", by_step, (None, draws, steps), "float32", "nats", _STEERED, "record"),
        Field("unsteered_log_probs", by_step, (None, draws, steps), "float32", "nats", _PLAIN, "record"),
        Field(
            "completion_length", by_draw, (None, draws), "int32", "tokens", "tokens sampled, the end of text counted"
        ),
        Field("ended", by_draw, (None, draws), "bool", "", "whether the completion ended with an end of text"),
        Field("reading", (*by_draw, "site"), (None, draws, len(sites)), "float64", "", _READING, "record"),
        Field("unsteered_reading", (*by_draw, "site"), (None, draws, len(sites)), "float64", "", _READ_AGAIN, "record"),
        Field("perplexity", by_draw, (None, draws), "float64", "", _PERPLEXITY, "record"),
        Field("distinct", (*by_draw, "order"), (None, draws, 3), "float64", "", _DISTINCT, "record"),
        Field(
            "looping", by_draw, (None, draws), "bool", "", "whether the completion ends in a phrase said three times"
        ),
    )
    return Schema(fields, COLUMNS, {"site": list(sites), "order": [1, 2, 3]})


_STEERED = "log-probability of each token under the model as it was steered, at temperature 1; NaN after the end"
_PLAIN = "the same under the model as it is, which reads the finished text; NaN after the end"
_PERPLEXITY = "of the completion under the model as it is"
_READING = (
    "what the probe reads there, mean over the completion's tokens that were fed, from the steered states: a target's "
    "prediction, or a class's logit minus the others' mean; NaN where the completion ended at once"
)
_READ_AGAIN = (
    "the same when the model as it is reads the finished text: what has changed in the text itself; states rounded to "
    "float16"
)
_DISTINCT = "distinct n-grams over all, n = 1, 2, 3; NaN for completions that are shorter"
COLUMNS = (
    Column("prompt_id", "string", "the prompt: its line or row in the source"),
    Column("prompt", "string", "the prompt as its source has it"),
    Column("prompt_text", "string", "what the model read"),
    Column("input_ids", "list<int64>", "its tokens"),
    Column("direction", "string", "probe, random-1 ..., or none for the model as it is"),
    Column("action", "string", "none, steer (the direction is added) or ablate (it is taken out)"),
    Column("strength", "float64", "multiples of the natural spread that were added; 0 for none, null for ablate"),
    Column("layers", "list<string>", "where"),
    Column("amounts", "list<float64>", "what was added at each of them, in the units of the states"),
    Column("spreads", "list<float64>", "the natural spread at each of them"),
    Column("carried", "list<float64>", "what the push by itself adds to the reading at each site; null for ablate"),
    Column("completions", "list<string>", "the texts, end of text left out"),
)


def summary(store: Store) -> list[str]:
    """Lines on what was collected."""
    rows = store.table(["prompt_id", "direction", "strength"]).to_pydict()
    strengths = sorted({s for s in rows["strength"] if s is not None})
    return [
        f"{len(set(rows['prompt_id'])):,} prompts under {len(store) // max(1, len(set(rows['prompt_id']))):,} "
        f"conditions, {store['completion_length'].shape[1]} completions each",
        f"directions: {', '.join(sorted(set(rows['direction'])))}; strengths {', '.join(f'{s:g}' for s in strengths)}",
    ]


def describe(store: Store, examples: int) -> str:
    """What `inspect` says: means by condition, and some completions."""
    rows = store.table().to_pylist()
    reading, perplexity, looping = (store[name].read() for name in ("reading", "perplexity", "looping"))
    keys = [(" + ".join(row["layers"]) or "-", row["direction"], _dose(row["strength"])) for row in rows]
    table = []
    for key in dict.fromkeys(keys):
        chosen = np.array([other == key for other in keys])
        last = reading[chosen][..., -1]
        means = [float(np.nanmean(last)) if np.isfinite(last).any() else float("nan"), *_levels(perplexity, chosen)]
        table.append([*key, *(number(value, 3) for value in means), f"{looping[chosen].mean():.0%}"])
    site = store.schema.coords["site"][-1]
    heads = ["layers", "direction", "strength", f"reading at {site}", "perplexity", "looping"]
    shown = [_example(row) for row in rows[:examples]]
    return "\n".join([*summary(store), "", text_table(heads, table), *shown])


def _levels(perplexity: np.ndarray, chosen: np.ndarray) -> list[float]:
    return [float(np.exp(np.log(perplexity[chosen]).mean()))]


def _dose(strength: float | None) -> str:
    return "ablated" if strength is None else f"{strength:+g}"


def _example(row: dict[str, Any]) -> str:
    completions = row["completions"]
    added = "\n".join(f"    ...{text[:_SHOWN]!r}" for text in completions[:2])
    return f"\n{row['prompt_text']}  [{row['direction']} {_dose(row['strength'])}]\n{added}"
