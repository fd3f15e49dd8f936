"""What an example looks like without a model's states: its text, its lengths and place, what the model put out.

Owns: which columns of a store these come from. Does not know: how anything is fitted to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.circumstances import (
    different,
    kind_columns,
    options_of,
    place_numbers,
    table_of,
)
from lit_experiments.controls.labels import Floats
from lit_experiments.controls.problems import Problem
from lit_experiments.controls.text_features import (
    distribution_numbers,
    marked_words,
    option_numbers,
    overlap_numbers,
    shape_numbers,
)
from lit_experiments.controls.texts import IDS, POSITIONS, Texts
from lit_experiments.controls.word_places import place_columns
from lit_experiments.controls.written_numbers import number_columns
from lit_experiments.errors import UserError
from stores import Store

OUTPUTS = (
    *("response_log_probs", "probs", "logits", "letter_probs", "letter_logits", "log_probs", "entropy"),
    *("logit_margin", "outside_mass", "self_confidence", "other_confidence", "next_token_entropy", "log_one_step"),
    *("option_probs", "choice_probs", "answer_probs", "next_token_probs", "probabilities", "max_prob", "top_prob"),
    *("option_logits", "choice_logits", "answer_logits", "next_token_logits", "logprobs", "option_log_probs"),
)
"""Columns in which collections keep what the model itself put out."""
SHAPES = (
    *("char_length", "token_length", "has_negation", "has_ambiguity", "token_rarity_mean", "token_rarity_max"),
    *("token_surprisal_mean", "token_surprisal_max"),
)
"""Columns in which collections keep what a text looks like."""
_WORDS = ("forms", "tokens")
_MOST_ENTRIES = 64
"""Lists of one length up to here are features entry by entry; others by their mean, extremes, sum and length."""


@dataclass(frozen=True, eq=False)
class Features:
    """texts: one per example, or None. numbers [n, F] with their names. dense: features that are used by linear models
    alone and standardised (a sentence embedding), [n, D], or None. words: of each example, separated by spaces; those
    of the texts where nothing else is said. plain: further numbers [n, G], taken as they are: places of words,
    remainders. kinds: 0 and 1 [n, K] for the values of columns of kinds. place: [n] of the row in the data."""

    texts: Sequence[str] | None
    numbers: Floats
    names: tuple[str, ...]
    dense: Floats | None = field(default=None)
    words: Sequence[str] | None = field(default=None)
    plain: Floats | None = field(default=None)
    kinds: Floats | None = field(default=None)
    place: Floats | None = field(default=None)

    def __post_init__(self) -> None:
        if self.words is None:
            object.__setattr__(self, "words", self.texts)


def surface_of(store: Store, problem: Problem, texts: Texts | None) -> Features:
    """Text, lengths and place of the examples, options and key where there are some; of a token, the token with its
    neighbours."""
    row = problem.row
    index = store.table(["sample_index"]).column(0).to_numpy().astype(np.float64)
    columns: dict[str, Floats] = {"place in the data": index}
    plain: dict[str, Floats] = {}
    types = {column.name: column.type for column in store.schema.columns}
    ids = next((name for name in IDS if types.get(name) == "list<int64>"), None)
    if ids is not None:
        columns["tokens"] = _list_lengths(store, ids)
    shapes = [name for name in SHAPES if types.get(name) in ("int64", "float64", "bool") and name != problem.name]
    for name in (*shapes, *place_numbers(store, problem.name)):
        columns |= _number_features(name, store.table([name]).column(0).to_pylist())
    few, kinds = kind_columns(store, problem.name)
    columns |= few
    options, key = options_of(store, problem.name)
    if options is not None:
        columns |= option_numbers(options, key)
    words: list[str] | None = None
    if texts is not None:
        sizes, remainders = number_columns(texts.values)
        columns |= shape_numbers(texts.values) | sizes
        columns |= {} if options is None else overlap_numbers(texts.values, options, key)
        plain |= remainders
        plain |= place_columns(texts.values) if problem.entry is None else {}
        words = marked_words(texts.values, options, key)
    lengths = [name for name in ("characters", "words", "tokens") if name in columns]
    plain |= {f"{name} modulo {k}": np.mod(columns[name], k) for name in lengths for k in (2, 3)}
    chosen = None if texts is None else [texts.values[i] for i in row.tolist()]
    spoken = None if words is None else [words[i] for i in row.tolist()]
    examples = {name: values[row] for name, values in columns.items()}
    if problem.entry is not None:
        examples["place in the row"] = problem.entry.astype(np.float64)
        around = _words(store, problem, texts)
        chosen, spoken = (chosen, spoken) if around is None else (around, around)
    names = different(examples)
    further = {name: values[row] for name, values in plain.items()}
    return Features(
        chosen,
        table_of(examples, names, len(problem)),
        tuple(names),
        words=spoken,
        plain=table_of(further, different(further), len(problem)),
        kinds=None if kinds is None else kinds[row],
        place=index[row],
    )


def output_of(store: Store, problem: Problem, requested: Sequence[str] | None) -> Features | None:
    """What the model put out, where the store holds it; never the target itself.

    Args:
        requested: names of columns; None takes those of `OUTPUTS` that are there.

    Raises:
        UserError: a column that is not there, or holds no numbers.
    """
    kinds = {column.name: column.type for column in store.schema.columns}
    numeric = [name for name, kind in kinds.items() if kind in ("int64", "float64", "list<int64>", "list<float64>")]
    for name in requested or ():
        if name not in numeric:
            raise UserError(
                f"--output_columns {name}: {store.path} has no such column of numbers; it has: "
                f"{', '.join(numeric) or 'none'}."
            )
    names = [name for name in (OUTPUTS if requested is None else requested) if name in numeric and name != problem.name]
    columns: dict[str, NDArray[np.float64]] = {}
    for name in names:
        values = store.table([name]).column(0).to_pylist()
        columns |= _list_features(name, values) if kinds[name].startswith("list") else _number_features(name, values)
    examples = {name: values[problem.row] for name, values in columns.items()}
    used = different(examples)
    return Features(None, table_of(examples, used, len(problem)), tuple(used)) if used else None


def _list_lengths(store: Store, name: str) -> NDArray[np.float64]:
    return np.array([len(row or ()) for row in store.table([name]).column(0).to_pylist()], np.float64)


def _words(store: Store, problem: Problem, texts: Texts | None) -> list[str] | None:
    """Every entry's word with its neighbours, each marked for what it is; None where the store does not tell words."""
    assert problem.entry is not None
    rows = _row_words(store, problem, texts)
    if rows is None:
        return None
    shown = []
    for row, entry in zip(problem.row.tolist(), problem.entry.tolist(), strict=True):
        words = rows[row]
        before = words[entry - 1] if entry else "^"
        after = words[entry + 1] if entry + 1 < len(words) else "$"
        shown.append(f"{words[entry]} w={words[entry]} p={before} n={after}")
    return shown


def _row_words(store: Store, problem: Problem, texts: Texts | None) -> list[list[str]] | None:
    """[row] the word of every entry, from a column of words, of characters, or of ids."""
    kinds = {column.name: column.type for column in store.schema.columns}
    lengths = store.field(problem.fields[0].name).lengths()
    for name in (*_WORDS, *IDS):
        if kinds.get(name, "").startswith("list<"):
            rows = store.table([name]).column(0).to_pylist()
            if all(len(row or ()) == count for row, count in zip(rows, lengths.tolist(), strict=True)):
                return [[str(word).strip() or "_" for word in row or ()] for row in rows]
    ids = next((name for name in IDS if kinds.get(name) == "list<int64>"), None)
    for name in (name for name in POSITIONS if ids and kinds.get(name) == "list<int64>"):
        places, tokens = store.table([name]).column(0).to_pylist(), store.table([str(ids)]).column(0).to_pylist()
        if all(len(row or ()) == count for row, count in zip(places, lengths.tolist(), strict=True)):
            return [[str(read[place]) for place in row or ()] for row, read in zip(places, tokens, strict=True)]
    if texts is None or not {"char_start", "char_end"} <= kinds.keys():
        return None
    spans = store.table(["char_start", "char_end"])
    starts, ends = (spans.column(name).to_pylist() for name in ("char_start", "char_end"))
    if any(len(row or ()) != count for row, count in zip(starts, lengths.tolist(), strict=True)):
        return None
    return [
        [text[a:b].strip() or "_" for a, b in zip(first or (), last or (), strict=True)]
        for text, first, last in zip(texts.values, starts, ends, strict=True)
    ]


def _number_features(name: str, values: Sequence[float | None]) -> dict[str, NDArray[np.float64]]:
    """A column of numbers; a missing one has the mean of the others, and a column says that it is missing."""
    numbers = np.array([np.nan if value is None else float(value) for value in values], np.float64)
    known = np.isfinite(numbers)
    if not known.any():
        return {}
    filled = np.where(known, numbers, numbers[known].mean())
    return {name: filled, f"{name} missing": (~known).astype(np.float64)}


def _list_features(name: str, values: Sequence[Sequence[float] | None]) -> dict[str, NDArray[np.float64]]:
    rows = [np.array(row or (), np.float64) for row in values]
    sizes = {len(row) for row in rows if len(row)}
    if len(sizes) == 1 and max(sizes) <= _MOST_ENTRIES:
        size = sizes.pop()
        table = np.stack([row if len(row) else np.full(size, np.nan) for row in rows])
        parts = [_number_features(f"{name}[{i}]", table[:, i].tolist()) for i in range(size)]
        return {key: column for part in parts for key, column in part.items()} | distribution_numbers(name, table)
    statistics: dict[str, Callable[[Floats], float]] = {
        "mean": np.mean,
        "lowest": np.min,
        "highest": np.max,
        "sum": np.sum,
        "length": np.size,
    }
    out: dict[str, NDArray[np.float64]] = {}
    for word, statistic in statistics.items():
        out |= _number_features(f"{name} {word}", [float(statistic(row)) if len(row) else None for row in rows])
    return out
