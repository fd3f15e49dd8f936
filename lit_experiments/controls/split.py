"""Which rows train and which test: by content, by a declared group, or as the data itself says.

Owns: the groups that no split may part, and what the report says of them. Does not know: labels, states.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.labels import LabelTable
from lit_experiments.controls.texts import Texts
from lit_experiments.errors import UserError
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.splits import balanced_split, group_split
from lit_experiments.sources.content_groups import ContentGroups, Likeness, content_groups, united
from lit_experiments.statistics.estimate import LEAST_GROUPS
from lit_experiments.units import counted
from stores import Store

Ints = NDArray[np.int64]
GroupBy = Literal["auto", "content", "id", "column"]
GROUPS = ("pair", "question_id", "paragraph_id", "problem_id", "doc_id", "group")
"""Columns whose equal values belong together, in stores that declare none."""
_IDENTICAL = 1.01
"""No two different texts are as alike as this."""
PARTS = {"train": 0, "training": 0, "validation": 0, "valid": 0, "val": 0, "dev": 0, "test": TEST}


@dataclass(frozen=True)
class SplitSummary:
    """How rows were split.

    by: what groups are. rows, test_rows, groups, test_groups, largest_group (rows): counts. copies, near_copies,
    templates: texts that were put together with others, by why. twins_by_row: test rows that would have a text like
    theirs in training if rows were split one by one; neighbours: those that have one now. notes: what else to know.
    """

    by: str
    rows: int
    test_rows: int
    groups: int
    test_groups: int
    largest_group: int
    copies: int
    near_copies: int
    templates: int
    twins_by_row: int
    neighbours: int
    notes: list[str]


@dataclass(frozen=True)
class SplitOptions:
    """How rows are split; see the task's options of these names."""

    group_by: GroupBy
    group_column: str | None
    split_column: str | None
    likeness: Likeness
    test_fraction: float
    folds: int
    seed: int


@dataclass(frozen=True, eq=False)
class Split:
    """group [row]: names that no part shares. part [row]: TEST or a training fold. left_out [row]: rows without a part
    (their split column is empty). neighbour [row]: test rows with a text like one in the training part. content [row]:
    groups of alike texts, whatever was split by. summary: for the report. reason: why nothing can be held out, all rows
    being in fold 0; empty where something is."""

    group: NDArray[np.str_]
    part: Ints
    left_out: NDArray[np.bool_]
    neighbour: NDArray[np.bool_]
    content: Ints
    summary: SplitSummary
    reason: str = ""

    @property
    def test_groups(self) -> set[str]:
        """The groups of the test part."""
        return set(self.group[self.part == TEST].tolist())


@dataclass(frozen=True, eq=False)
class Content:
    """Rows with alike texts. group [row]; copies, near, templates: texts that were joined to others, by why; notes:
    what the report must say of it."""

    group: Ints
    copies: int
    near: int
    templates: int
    notes: tuple[str, ...]


def make_split(
    store: Store,
    table: LabelTable,
    texts: Texts | None,
    options: SplitOptions,
    classes: NDArray[np.bool_] | None = None,
) -> Split:
    """The split of a store's rows.

    Args:
        classes: [row, class] which rows are of which; where a random test part has too few groups of one for an
            interval, it is chosen so that each has its share. None where no target has classes.

    Raises:
        UserError: a group or split column that is not there or empty, values that name no part, or more folds than
            there are groups enough for.
    """
    content = content_of(texts, len(store), options)
    group, origin = row_groups(store, table, texts, content, options)
    if options.split_column is None:
        left_out, notes = np.zeros(len(store), bool), list(content.notes)
        reason = too_few_groups(store, len(store), "rows", group, options, origin)
        part = np.zeros(len(store), np.int64) if reason else group_split(group, *_parts(options))
        balanced = (
            None if classes is None or reason else balanced_split(group, classes, part, options.folds, options.seed)
        )
        if balanced is not None:
            part = balanced
            notes.append("The test part was chosen so that every class has its share of groups in it.")
    else:
        part, left_out, more, reason = _declared(store, table, group, options)
        group = np.char.add(np.where(part == TEST, "test:", "train:"), group)
        origin, notes = f"column {options.split_column}; folds by {origin}", [*content.notes, *more]
    test = ~left_out & (part == TEST)
    neighbour = test & np.isin(content.group, content.group[~left_out & (part != TEST)])
    names, sizes = np.unique(group[~left_out], return_counts=True)
    summary = SplitSummary(
        by=origin,
        rows=int((~left_out).sum()),
        test_rows=int(test.sum()),
        groups=len(names),
        test_groups=len(set(group[test].tolist())),
        largest_group=int(sizes.max()),
        copies=content.copies,
        near_copies=content.near,
        templates=content.templates,
        twins_by_row=twins_by_row(content.group, options),
        neighbours=int(neighbour.sum()),
        notes=notes,
    )
    return Split(group, part, left_out, neighbour, content.group, summary, reason)


def content_of(texts: Texts | None, rows: int, options: SplitOptions) -> Content:
    """Groups of alike texts. Templates that leave too few groups to split, or put most rows into one, are not used, nor
    near copies that do, and the report says so: scores then hold within these templates only."""
    if texts is None:
        note = "The store holds no text and no token ids, so copies of a text cannot be seen: every row is on its own."
        return Content(np.arange(rows), 0, 0, 0, (note,))
    alike = content_groups(texts.values, options.likeness)
    least = least_groups(options)
    if _can_be_held_out(alike, least) or not alike.near + alike.templates:
        return Content(alike.group, alike.copies, alike.near, alike.templates, ())
    families, split_by = len(set(alike.group.tolist())), "copies and near copies"
    alike = content_groups(texts.values, replace(options.likeness, template=None))
    if alike.near and not _can_be_held_out(alike, least):
        alike, split_by = content_groups(texts.values, Likeness(_IDENTICAL, None)), "copies"
    note = (
        f"The texts are of {families} templates, too few or too unequal to hold some out; they are split by {split_by} "
        "alone, so that scores hold for other texts of these templates and for no others."
    )
    return Content(alike.group, alike.copies, alike.near, 0, (note,))


def _can_be_held_out(alike: ContentGroups, least: int) -> bool:
    """Whether there are enough groups, and none has most of the rows."""
    sizes = np.bincount(alike.group)
    return len(sizes) >= least and int(sizes.max()) <= max(1, len(alike.group) // 2)


def row_groups(
    store: Store, table: LabelTable, texts: Texts | None, content: Content, options: SplitOptions
) -> tuple[NDArray[np.str_], str]:
    """[row] names of the groups that no split parts and that intervals resample, and what they are in words.

    Raises:
        UserError: a group column that is not there or has rows without a value.
    """
    ids = np.array(store.sample_ids, str)
    by, column = options.group_by, options.group_column
    if column is None and by in ("auto", "column"):
        column = next((name for name in GROUPS if name in store.column_names), None)
    if by == "column" and column is None:
        raise UserError("--group_by column takes a column: name it with --group_column.")
    if by == "id":
        return ids, "row"
    declared = None if column is None else _column(store, table, column, ids if options.group_column is None else None)
    if declared is not None and by == "column":
        return declared, f"column {column}"
    if declared is not None:
        joined, origin = united(content.group, declared), f"content and column {column}"
    elif texts is None:
        return ids, "row"
    else:
        joined, origin = content.group, f"content of {texts.origin}"
    first = np.unique(joined, return_index=True)[1]  # a group has the name of its first row
    return ids[first][joined], origin


def _column(store: Store, table: LabelTable, column: str, alone: NDArray[np.str_] | None) -> NDArray[np.str_]:
    """[row] values as names. alone: names of rows without a value, which are groups of their own; None refuses them."""
    values = table.values(column, "--group_column")
    absent = sum(value is None for value in values)
    if absent and alone is not None:
        return np.array([f"row {i}" if v is None else f"value {v}" for i, v in zip(alone, values, strict=True)], str)
    if absent:
        raise UserError(
            f"--group_column {column}: {absent} of {len(values)} rows of {store.path} have no value, so it cannot be "
            "said what they belong to.\nNext: fill it in (--labels FILE may hold it), or --group_by content."
        )
    return np.array([str(value) for value in values], str)


def least_groups(options: SplitOptions) -> int:
    """So many leave a group for the test part and one for every fold."""
    return max(options.folds + 1, math.ceil((options.folds + 0.5) / (1 - options.test_fraction)))


def too_few_groups(
    store: Store, rows: int, unit: str, group: NDArray[np.str_], options: SplitOptions, origin: str
) -> str:
    """Why groups are too few for the folds and a test part; empty where they are enough. unit: of the rows, in words.

    Raises:
        UserError: it is the folds that are too many: with fewer of them the test part would have groups for an
            interval.
    """
    groups, least = len(set(group.tolist())), least_groups(options)
    if groups >= least:
        return ""
    reason = (
        f"{store.path} holds {rows} {unit} of {counted(groups, 'group')} (by {origin}); {options.folds} folds and a "
        f"test part need at least {least}"
    )
    two_folds = least_groups(replace(options, folds=2))
    if groups >= two_folds and groups * options.test_fraction >= LEAST_GROUPS:
        raise UserError(f"{reason}.\nNext: lower --folds, or --group_by id, which splits {unit} one by one.")
    return reason


def _parts(options: SplitOptions) -> tuple[float, int, int]:
    return options.test_fraction, options.folds, options.seed


def _declared(
    store: Store, table: LabelTable, group: NDArray[np.str_], options: SplitOptions
) -> tuple[Ints, NDArray[np.bool_], list[str], str]:
    """(part [row], rows without one, notes, why there are too few training groups) as a column says it."""
    assert options.split_column is not None
    values = table.values(options.split_column, "--split_column")
    names = [None if value is None else str(value).strip().casefold() for value in values]
    unknown = sorted({name for name in names if name is not None and name not in PARTS})
    if unknown:
        raise UserError(
            f"--split_column {options.split_column}: {', '.join(map(repr, unknown[:5]))} is no part; its values must "
            f"be {', '.join(PARTS)}."
        )
    left_out = np.array([name is None for name in names], bool)
    part = np.array([PARTS[name] if name is not None else 0 for name in names], np.int64)
    train = ~left_out & (part != TEST)
    test_rows, groups = int((~left_out & (part == TEST)).sum()), len(set(group[train].tolist()))
    sizes = (
        f"--split_column {options.split_column}: {counted(test_rows, 'test row')} and training rows of "
        f"{counted(groups, 'group')}"
    )
    if not test_rows or not groups:
        raise UserError(f"{sizes}; a test row and {options.folds} training groups are needed.")
    reason = "" if groups >= options.folds else f"{sizes}; {options.folds} folds need {options.folds} groups"
    part[train] = 0 if reason else group_split(group[train], 0.0, options.folds, options.seed)
    validation = sum(name is not None and name not in ("train", "training", "test") for name in names)
    notes = [f"Left out, being in no part: {counted(int(left_out.sum()), 'row')}."] if left_out.any() else []
    if validation:
        notes.append(f"{validation} validation rows are part of training, where layer and penalty are chosen by folds.")
    return part, left_out, notes, reason


def twins_by_row(content: Ints, options: SplitOptions) -> int:
    """Test rows that would have a text like theirs in training if rows were split one by one."""
    if len(content) < least_groups(options):
        return 0
    part = group_split(np.arange(len(content)), *_parts(options))
    return int(np.isin(content[part == TEST], content[part != TEST]).sum())
