"""The same probes on other collections: rows whose text and group this run was not trained on, layer by layer.

Owns: which rows and layers of another run can be compared. Does not know: fitting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.collecting.declarations import read_declarations
from lit_experiments.controls.fields import StateField, layer_names, state_fields
from lit_experiments.controls.labels import Floats, Ints, LabelTable, class_name
from lit_experiments.controls.scoring import Scorer, ranking_columns
from lit_experiments.controls.split import SplitOptions, content_of, row_groups
from lit_experiments.controls.texts import Texts, texts_of
from lit_experiments.errors import UserError
from lit_experiments.experiments.linear_probes.evaluation import Evaluation
from lit_experiments.experiments.linear_probes.result import Transfer
from lit_experiments.experiments.linear_probes.study import Study
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.class_probe import log_softmax
from lit_experiments.sources.content_groups import content_groups
from lit_experiments.statistics import GroupBootstrap
from stores import Store

_NUMBERED = ("pair",)
"""Declared groups that are numbers of a collection's own records: equal ones of two collections are not the same."""


@dataclass(frozen=True, eq=False)
class OtherRun:
    """Another collection. alike, related [row]: a text like it, or its declared group, is in this run's training part.
    group [row]: names of its groups, made as this run's are. column: of the declared groups that both runs have."""

    name: str
    store: Store
    table: LabelTable
    alike: NDArray[np.bool_]
    related: NDArray[np.bool_]
    group: NDArray[np.str_]
    column: str | None


def open_other(folder: str, study: Study, split: SplitOptions, text_column: str | None) -> OtherRun:
    """Opens a run to evaluate on.

    Args:
        study: this run's. split: how its rows were split, with what its collection declares.

    Raises:
        UserError: no store there, or no texts to tell by which rows were trained on.
    """
    other = other_store(folder)
    table, texts, ours = LabelTable(other, None), _texts(other, text_column), _texts(study.store, text_column)
    training = np.flatnonzero((study.split.part != TEST) & ~study.split.left_out)
    trained = [ours.values[row] for row in training.tolist()]
    content = content_groups([*trained, *texts.values], replace(split.likeness, template=None)).group
    alike = np.isin(content[len(trained) :], content[: len(trained)])

    columns = [name for name in (split.group_column, read_declarations(Path(folder)).group_column) if name]
    column = next((name for name in columns if name in other.column_names), None)
    by = "auto" if split.group_by == "column" and column is None else split.group_by
    options = replace(split, group_by=by, group_column=column)
    group, _ = row_groups(other, table, texts, content_of(texts, len(other), options), options)

    names_groups = by in ("auto", "column") and column not in _NUMBERED
    shared = column if names_groups and column == split.group_column else None
    related = np.zeros(len(other), bool)
    if shared is not None:
        seen = study.table.values(shared, "--group_column")
        names = {str(seen[row]) for row in training.tolist()}
        related = np.array([str(value) in names for value in table.values(shared, "--group_column")], bool)
    return OtherRun(folder, other, table, alike, related, group, shared)


def other_store(folder: str) -> Store:
    """The store of another run. Raises UserError where there is none."""
    from stores import open_store

    path = Path(folder) / "store"
    if not (path / "store.json").is_file():
        raise UserError(
            f"--evaluate_on {folder}: {Path(folder).absolute()} holds no store.\nNext: give the folder of a collection."
        )
    return open_store(path)


def _texts(store: Store, column: str | None) -> Texts:
    texts = texts_of(store, column if column is None or column in store.column_names else None)
    if texts is None:
        raise UserError(
            f"--evaluate_on: {store.path} holds neither text nor token ids, so it cannot be told which of its rows "
            "were trained on."
        )
    return texts


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows (and entries) of another run with a label that the probe knows, y [n]."""

    row: Ints
    entry: Ints | None
    y: Floats


def transfer(
    evaluation: Evaluation, other: OtherRun, resampler: Callable[[ArrayLike], GroupBootstrap], block_bytes: int
) -> Transfer:
    """The probes of the chosen field on another run; resampler: the bootstrap over groups of its rows."""
    try:
        field = _same_field(evaluation.chosen.fit.field, other.store)
        examples = _examples(evaluation, other, field)
    except UserError as error:
        return Transfer(other.name, 0, 0, 0, None, {}, str(error).partition("\n")[0])
    trained = other.alike | other.related
    fresh = ~trained[examples.row]
    left_out = int((~fresh).sum())
    related = int((other.related & ~other.alike)[examples.row].sum())
    note = f"{related} left out for their {other.column} alone, which was trained on" if related else ""
    used = Examples(examples.row[fresh], None if examples.entry is None else examples.entry[fresh], examples.y[fresh])
    if len(np.unique(used.y)) < 2:
        alike = f"the labels of the {len(used.y)} rows that were not trained on are all alike"
        note = "; ".join(filter(None, ["no row is left that was not trained on" if not len(used.y) else alike, note]))
        return Transfer(other.name, len(used.y), 0, left_out, None, {}, note)
    predicted = _predicted(evaluation, other.store, field, used, block_bytes)
    boot = resampler(other.group[used.row])
    scorer = Scorer(len(evaluation.problem.classes), used.y, boot)
    scores = dict(zip(field.layers, scorer.estimates(predicted), strict=True))
    chosen = scores.get(evaluation.chosen.fit.field.layers[evaluation.maps.layer])
    if chosen is None:
        note = f"the chosen layer is none of this run's {len(scores)} shared ones"
    return Transfer(other.name, len(used.y), boot.n, left_out, chosen, scores, note)


def _same_field(field: StateField, store: Store) -> StateField:
    """The field of this name with the layers that both runs have. Raises UserError where nothing is shared."""
    (theirs,) = state_fields(store, [field.name], None)
    if theirs.width != field.width:
        raise UserError(f"its states have {theirs.width} numbers, the probe reads {field.width}.")
    shared = tuple(name for name in field.layers if name in theirs.layers)
    if not shared:
        raise UserError(f"none of its layers is one of {', '.join(field.layers)}.")
    return replace(theirs, layers=shared)


def _examples(evaluation: Evaluation, other: OtherRun, field: StateField) -> Examples:
    problem, store = evaluation.problem, other.store
    column = other.table.values(problem.name, "--target")
    lengths = store.field(field.name).lengths()
    if problem.entry is None:
        row = np.flatnonzero(lengths > 0)
        values = [column[i] for i in row.tolist()]
        entry = lengths[row] - 1 if field.ragged else None
    else:
        counts = np.array([len(value or ()) for value in column], np.int64)
        if not ((counts == lengths) | (counts == 0)).all():
            raise UserError(f"its labels of {problem.name} do not go with the entries of {field.name}.")
        row = np.repeat(np.arange(len(counts)), counts)
        entry = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        values = [label for value in column for label in value or ()]
    y = np.array([_code(value, problem.classes) for value in values], np.float64)
    known = np.isfinite(y)
    return Examples(row[known], None if entry is None else entry[known], y[known])


def _code(value: Any, classes: tuple[str, ...]) -> float:
    """A number, or the place of a class; NaN for none, and for classes that the probe does not know."""
    if value is None:
        return float("nan")
    if classes:
        name = class_name(value)
        return float(classes.index(name)) if name in classes else float("nan")
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _predicted(evaluation: Evaluation, store: Store, field: StateField, examples: Examples, block_bytes: int) -> Floats:
    """[n, L, C] ranking columns of the layers of `field`, each by this run's probe of that layer."""
    maps, names = evaluation.maps, evaluation.chosen.fit.field.layers
    out = np.empty((len(examples.y), len(field.layers), maps.raw.shape[1]))
    for place, layer in enumerate(field.layers):
        here = names.index(layer)
        for rows, x in _states(store, field, layer, examples, block_bytes):
            out[rows, place] = (x - maps.mean[here]) @ maps.raw[here].T + maps.intercept[here]
    if not evaluation.problem.classes:
        return out
    return ranking_columns(np.exp(log_softmax(out)))


def _states(
    store: Store, field: StateField, layer: str, examples: Examples, block_bytes: int
) -> Iterator[tuple[slice, Floats]]:
    """(places among the examples, x [row, hidden]) of one layer, in blocks."""
    view = store.field(field.name)
    others = [dim for dim in view.field.dims[:-1] if dim != view.field.stacking]
    picks = {others[0]: layer_names(store, view.field).index(layer)} if others else {}
    starts = np.cumsum(view.lengths()) - view.lengths()
    size = max(1, block_bytes // (field.width * 4))
    for start in range(0, len(examples.row), size):
        rows = slice(start, start + size)
        place = starts[examples.row[rows]] + (0 if examples.entry is None else examples.entry[rows])
        yield rows, view.gather(place, False, **picks).astype(np.float64)
