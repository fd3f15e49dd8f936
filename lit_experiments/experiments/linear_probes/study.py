"""What a training reads, opened and checked: store, fields, labels, split, and a problem per target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.collecting.declarations import Declarations, read_declarations
from lit_experiments.controls.fields import state_fields
from lit_experiments.controls.labels import Floats, Labels, LabelTable, TargetType, class_name, read_labels
from lit_experiments.controls.problems import Problem, Rare, make_problem
from lit_experiments.controls.split import Split, SplitOptions, make_split
from lit_experiments.controls.texts import Texts, texts_of
from lit_experiments.errors import Untestable, UserError
from lit_experiments.tasks.live_states import LiveStore, with_states
from stores import Store


@dataclass(frozen=True)
class StudyOptions:
    """See the task's options of these names."""

    target: list[str] | None
    labels: str | None
    target_type: TargetType
    most_classes: int
    fields: list[str] | None
    layers: list[str] | None
    row_filter: dict[str, Any] | None
    text_column: str | None
    rare_classes: Rare
    sample_weights: str | None
    split: SplitOptions


@dataclass(frozen=True)
class Untested:
    """A target of which these rows cannot tell anything. missing: labels without a value."""

    target: str
    reason: str
    missing: int


@dataclass(frozen=True, eq=False)
class Study:
    """store: the rows that take part. problems: one per target that can be tested; untested: the others, and why.
    field: the first that holds states."""

    store: Store
    declared: Declarations
    table: LabelTable
    texts: Texts | None
    split: Split
    problems: list[Problem]
    untested: list[Untested]
    field: str

    @property
    def live(self) -> bool:
        """Whether the model computes the states whenever they are read."""
        return isinstance(self.store, LiveStore)


def read_study(run: Path, store: Store, options: StudyOptions) -> Study:
    """Opens everything that a training reads.

    Raises:
        UserError: an option that this store does not go with; see the functions of each part.
    """
    declared = read_declarations(run)
    rows = selected(with_states(store), options.row_filter)
    table = LabelTable(rows, options.labels)
    fields = state_fields(rows, options.fields, options.layers)
    names = target_names(rows, table, declared, options.target)
    untested: list[Untested] = []
    labels = []
    for name in names:
        try:
            labels.append(read_labels(table, name, options.target_type, options.most_classes))
        except Untestable as error:
            untested.append(Untested(name, error.reason, table.missing(name)))
    texts = texts_of(rows, options.text_column)
    split = make_split(rows, table, texts, resolved(options.split, declared), classes_of(labels, options.split.folds))
    weights = None if options.sample_weights is None else row_weights(rows, table, options.sample_weights)
    problems = []
    for label in labels:
        try:
            if split.reason:
                raise Untestable(split.reason)
            problems.append(
                make_problem(rows, fields, label, split, weights, options.split.folds, options.rare_classes)
            )
        except Untestable as error:
            untested.append(Untested(label.name, error.reason, int(label.missing.sum())))
    return Study(rows, declared, table, texts, split, problems, untested, fields[0].name)


def classes_of(labels: Sequence[Labels], folds: int) -> NDArray[np.bool_] | None:
    """[row, class] of all targets that are classes of rows; classes of fewer rows than are needed are left out."""
    members = []
    for label in labels:
        if label.numeric or label.lengths is not None:
            continue
        values = label.values.astype(str)
        values[label.missing] = ""
        members += [values == name for name in np.unique(values[~label.missing])]
    enough = [member for member in members if member.sum() > folds]
    return np.stack(enough, 1) if enough else None


def resolved(options: SplitOptions, declared: Declarations) -> SplitOptions:
    """The split with what the collection declares, where the options say nothing."""
    return replace(
        options,
        group_column=options.group_column or declared.group_column,
        split_column=options.split_column or declared.split_column,
    )


def target_names(store: Store, table: LabelTable, declared: Declarations, requested: list[str] | None) -> list[str]:
    """The targets: as named, else those that the collection declares, else the columns of --labels.

    Raises:
        UserError: none, or one twice.
    """
    names = list(requested or declared.label_columns or table.joined)
    if not names:
        raise UserError(
            f"Which labels? {store.path} declares none.\nNext: --target COLUMN (columns: "
            f"{', '.join(table.names) or 'none'}), or --labels FILE with a table joined by sample_id."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"--target names {', '.join(twice)} twice.")
    return names


def row_weights(store: Store, table: LabelTable, column: str) -> Floats:
    """[row] the weights in a column.

    Raises:
        UserError: no such column, or values that are no numbers of at least 0.
    """
    values = table.values(column, "--sample_weights")
    try:
        weights = np.array([float(value) for value in values], np.float64)
    except (TypeError, ValueError):
        weights = np.full(len(values), np.nan)
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong) or not weights.any():
        example = f"row {store.sample_ids[wrong[0]]} has {values[wrong[0]]!r}" if len(wrong) else "all are 0"
        raise UserError(f"--sample_weights {column}: weights are numbers of at least 0, some above it; {example}.")
    return weights


def selected(store: Store, row_filter: dict[str, Any] | None) -> Store:
    """The rows whose columns have these values (one, or one of a list).

    Raises:
        UserError: no such column, or no such row.
    """
    if not row_filter:
        return store
    keep = np.ones(len(store), bool)
    for column, value in row_filter.items():
        if column not in store.column_names:
            raise UserError(
                f"--row_filter {column}: {store.path} has no such column; it has: {', '.join(store.column_names)}."
            )
        accepted = {class_name(item) for item in (value if isinstance(value, list) else [value])}
        values = [None if v is None else class_name(v) for v in store.table([column]).column(0).to_pylist()]
        keep &= np.array([v in accepted for v in values], bool)
        if not keep.any():
            seen = sorted({v for v in values if v is not None})
            raise UserError(
                f"--row_filter: no row of {store.path} has {column} {' or '.join(sorted(accepted))}; its values: "
                f"{', '.join(seen[:10])}{', ...' if len(seen) > 10 else ''}."
            )
    return store.select(keep)
