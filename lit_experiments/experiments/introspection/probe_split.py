"""Which questions train and which test: questions with alike texts, or one id, never straddle the split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_experiments.controls.split import SplitOptions, SplitSummary, content_of, too_few_groups, twins_by_row
from lit_experiments.controls.texts import Texts
from lit_experiments.errors import UserError
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.splits import group_split
from lit_experiments.sources.content_groups import Likeness, united
from stores import Store

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class QuestionSplit:
    """group [Q]: the id of the first question of each group. part [Q]: TEST or the training fold. neighbour [Q]: test
    questions with a text like one in training. reason: why nothing can be held out, all questions being in fold 0;
    empty where something is."""

    group: NDArray[np.str_]
    part: Ints
    neighbour: NDArray[np.bool_]
    summary: SplitSummary
    reason: str = ""


def split_questions(store: Store, ids: NDArray[np.str_], options: SplitOptions) -> QuestionSplit:
    """The split of questions.

    Args:
        store: one row per question, in the order of ids.

    Raises:
        UserError: a group column that is not there or has no value, or more folds than there are groups enough for.
    """
    texts = question_texts(store, ids)
    content = content_of(texts, len(ids), options)
    group, origin = _groups(store, ids, texts, content.group, options)
    names, sizes = np.unique(group, return_counts=True)
    reason = too_few_groups(store, len(ids), "questions", group, options, origin)
    parts = (options.test_fraction, options.folds, options.seed)
    part: Ints = np.zeros(len(ids), np.int64) if reason else group_split(group, *parts)
    test = part == TEST
    neighbour = test & np.isin(content.group, content.group[~test])
    summary = SplitSummary(
        by=origin,
        rows=len(ids),
        test_rows=int(test.sum()),
        groups=len(names),
        test_groups=len(set(group[test].tolist())),
        largest_group=int(sizes.max()),
        copies=content.copies,
        near_copies=content.near,
        templates=content.templates,
        twins_by_row=twins_by_row(content.group, options),
        neighbours=int(neighbour.sum()),
        notes=list(content.notes),
    )
    return QuestionSplit(group, part, neighbour, summary, reason)


def question_groups(store: Store, rows: pd.DataFrame, likeness: Likeness, folds: int, seed: int) -> NDArray[np.str_]:
    """[question] the id of the first question of each group of alike questions, of rows of one pass (see `passes`):
    what folds, resamples and permutations of an analysis move together."""
    ids = rows.index.to_numpy().astype(str)
    texts = question_texts(store.select(rows["row"].to_numpy()), ids)
    content = content_of(texts, len(ids), SplitOptions("content", None, None, likeness, 0.0, folds, seed))
    first = np.unique(content.group, return_index=True)[1]
    return ids[first][np.unique(content.group, return_inverse=True)[1]]


def question_texts(store: Store, ids: Sequence[str] | NDArray[np.str_]) -> Texts | None:
    """The question's text, without options and prompt, which all questions share; else the ids that the model read; a
    question without either is on its own. None where no question has a text."""
    for column in ("question_text", "input_ids"):
        if column not in store.column_names:
            continue
        values = store.table([column]).column(0).to_pylist()
        shown = [text if isinstance(text, str) else " ".join(map(str, text or ())) for text in values]
        if any(shown):
            return Texts([text or str(name) for text, name in zip(shown, ids, strict=True)], column)
    return None


def _groups(
    store: Store, ids: NDArray[np.str_], texts: Texts | None, content: Ints, options: SplitOptions
) -> tuple[NDArray[np.str_], str]:
    column = options.group_column
    parts: list[Ints | NDArray[np.str_]] = []
    names: list[str] = []
    if options.group_by in ("auto", "content") and texts is not None:
        parts, names = [content], [f"content of {texts.origin}"]
    if column is not None and options.group_by != "id":
        parts.append(_column(store, column))
        names.append(f"column {column}")
    joined = united(ids, *parts)
    first = np.unique(joined, return_index=True)[1]
    return ids[first][joined], " and ".join([*names, "question"])


def _column(store: Store, column: str) -> NDArray[np.str_]:
    if column not in store.column_names:
        raise UserError(
            f"--group_column {column}: {store.path} has no such column; it has: {', '.join(store.column_names)}."
        )
    values = store.table([column]).column(0).to_pylist()
    absent = sum(value is None for value in values)
    if absent:
        raise UserError(f"--group_column {column}: {absent} of {len(values)} questions have no value.")
    return np.array([str(value) for value in values], str)
