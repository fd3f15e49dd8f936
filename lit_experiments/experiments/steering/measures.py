"""What is measured of each prompt under each condition, and how it follows the strength. Pure functions on arrays.

Shapes: P prompts, S strengths, R reading sites.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from stores import Store

Floats = NDArray[np.float64]
LEAST_DOSES = 3  # strengths of a line or a rank correlation
Key = tuple[str, str, float | None]


@dataclass(frozen=True)
class Measured:
    """Means over the completions of every prompt under one condition; NaN where none has a value.

    reading, text_reading: [P, R], of the steered states, and of the finished text by the model as it is;
    log_perplexity, distinct, looping: [P].
    """

    reading: Floats
    text_reading: Floats
    log_perplexity: Floats
    distinct: Floats
    looping: Floats


@dataclass(frozen=True)
class Conditions:
    """All conditions over the same prompts. text: [P], what the model read; by: (layers, direction, strength) to what
    was measured; rows: to each prompt's row in the store."""

    text: list[str]
    by: dict[Key, Measured]
    rows: dict[Key, list[int]]


def measure(store: Store) -> Conditions:
    """Reads a store; prompts that lack a condition are left out, as where a collection has not ended."""
    columns = store.table(["prompt_id", "prompt_text", "layers", "direction", "strength"]).to_pydict()
    keys: list[Key] = [
        ("+".join(layers), direction, strength)
        for layers, direction, strength in zip(
            columns["layers"], columns["direction"], columns["strength"], strict=True
        )
    ]
    places = {(prompt, key): row for row, (prompt, key) in enumerate(zip(columns["prompt_id"], keys, strict=True))}
    conditions, prompts = list(dict.fromkeys(keys)), list(dict.fromkeys(columns["prompt_id"]))
    complete = [prompt for prompt in prompts if all((prompt, key) in places for key in conditions)]
    rows = {key: [places[prompt, key] for prompt in complete] for key in conditions}
    values = {
        "reading": _mean(store["reading"].read()),
        "text_reading": _mean(store["unsteered_reading"].read()),
        "log_perplexity": -np.nanmean(store["unsteered_log_probs"].read().astype(np.float64), -1).mean(1),
        "distinct": _mean(store["distinct"].read()[..., 1]),
        "looping": store["looping"].read().mean(1),
    }
    by = {key: Measured(**{name: array[rows[key]] for name, array in values.items()}) for key in conditions}
    texts = dict(zip(columns["prompt_id"], columns["prompt_text"], strict=True))
    return Conditions([texts[prompt] for prompt in complete], by, rows)


def _mean(values: Floats) -> Floats:
    """Over the completions [row, draw, ...] that have a value."""
    known = np.isfinite(values)
    count = known.sum(1)
    return np.where(count > 0, np.where(known, values, 0).sum(1) / np.maximum(count, 1), np.nan)


def slopes(strengths: Floats, readings: Floats) -> Floats:
    """[P, R] slope of the least-squares line of readings [P, S, R] over strengths [S]; NaN with fewer than
    LEAST_DOSES strengths, or where a reading is missing."""
    if len(strengths) < LEAST_DOSES:
        return np.full((readings.shape[0], readings.shape[2]), np.nan)
    centred = strengths - strengths.mean()
    return np.einsum("s,psr->pr", centred, readings) / float(centred @ centred)


def spearman(strengths: Floats, readings: Floats) -> Floats:
    """[P, R] rank correlation of readings [P, S, R] with strengths [S]; NaN with fewer than LEAST_DOSES strengths,
    where a reading is missing, and where all are the same."""
    if len(strengths) < LEAST_DOSES:
        return np.full((readings.shape[0], readings.shape[2]), np.nan)
    x = rankdata(strengths)
    y = rankdata(np.where(np.isfinite(readings), readings, 0), axis=1)
    x = x - x.mean()
    y = y - y.mean(1, keepdims=True)
    size = np.sqrt((x @ x) * (y**2).sum(1))
    usable = np.isfinite(readings).all(1) & (size > 0)
    return np.where(usable, np.einsum("s,psr->pr", x, y) / np.where(size > 0, size, 1), np.nan)


def fluent_range(strengths: list[float], fluent: list[bool]) -> tuple[float, float]:
    """The strengths on both sides of 0 up to which every one is fluent. strengths: rising, 0 among them."""
    zero = strengths.index(0.0)
    low, high = zero, zero
    while low > 0 and fluent[low - 1]:
        low -= 1
    while high + 1 < len(strengths) and fluent[high + 1]:
        high += 1
    return strengths[low], strengths[high]
