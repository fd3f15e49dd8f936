"""What is to be learned: for every target the rows (or entries of rows) that have a label, and what they are labelled
with, the same for all fields that are read.

Owns: which examples take part, which classes. Does not know: how anything is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.fields import StateField
from lit_experiments.controls.labels import Floats, Ints, Labels
from lit_experiments.controls.split import Split
from lit_experiments.errors import Untestable, UserError
from lit_experiments.probes.blocks import TEST
from lit_experiments.statistics import LEAST_GROUPS
from lit_experiments.units import counted
from stores import Store

Rare = Literal["leave_out", "merge"]
OTHER = "other"
_CLASS_GROUPS = 2
"""Training groups of a class at least, so that there is one where the other is held out."""


@dataclass(frozen=True, eq=False)
class Problem:
    """One target.

    classes: empty for numbers. fields: that can be read. row [n]: rows of the store; entry [n]: entries of these rows,
    or None for one example per row. y [n]: numbers or class codes. weight [n]: in the fits, None where all
    count alike. part [n]: TEST or a training fold. group [n].
    neighbour [n]: has a like text in training. missing: labels without a value; without_state: with a label, but the
    row's fields hold no entry. notes: what was left out, in words.
    """

    name: str
    classes: tuple[str, ...]
    fields: tuple[StateField, ...]
    row: Ints
    entry: Ints | None
    y: Floats
    weight: Floats | None
    part: Ints
    group: NDArray[np.str_]
    neighbour: NDArray[np.bool_]
    missing: int
    reason: str
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.row)

    @cached_property
    def test(self) -> NDArray[np.bool_]:
        """[n] whether it is in the test part."""
        return np.asarray(self.part == TEST)

    @cached_property
    def columns(self) -> Floats:
        """[n, C] the target as numbers: itself, or 0 and 1 for the second of two classes, or for each of more."""
        if not self.classes:
            return self.y[:, None]
        shown = range(1, 2) if len(self.classes) == 2 else range(len(self.classes))
        return np.stack([(self.y == code).astype(np.float64) for code in shown], 1)

    @property
    def same_examples(self) -> tuple[bytes, bytes | None]:
        """What targets with the same examples share."""
        return self.row.tobytes(), None if self.entry is None else self.entry.tobytes()


def make_problem(
    store: Store,
    fields: Sequence[StateField],
    labels: Labels,
    split: Split,
    weights: Floats | None,
    folds: int,
    rare: Rare,
) -> Problem:
    """The examples of a target.

    Args:
        weights: of every row of the store; None where all count alike.
        folds: the training part needs as many groups; a class needs training rows of two, and of one test group.
        rare: what becomes of classes that have fewer, or too few test groups for an interval where others have enough:
            left out, or merged into one.

    Raises:
        UserError: labels of tokens that fit no field.
        Untestable: too few classes or groups are left.
    """
    readable, lengths = _readable(store, fields, labels)
    row, entry = _entries(lengths, labels)
    has_state = _has_state(lengths, labels, len(row))
    missing = labels.missing
    stateless = int((~has_state & ~missing).sum())
    notes = [f"{stateless} labelled rows have no state in some field and are left out"] if stateless else []
    used = np.flatnonzero(~missing & has_state & ~split.left_out[row])
    classes: tuple[str, ...] = ()
    if labels.numeric:
        y = labels.values[used].astype(np.float64)
    else:
        values, group = labels.values[used].astype(str), split.group[row[used]]
        classes, codes, more = _classes(values, group, split.part[row[used]], rare)
        used, y, notes = used[~np.isnan(codes)], codes[~np.isnan(codes)], [*notes, *more]
    row = row[used]
    problem = Problem(
        name=labels.name,
        classes=classes,
        fields=tuple(readable),
        row=row,
        entry=None if entry is None else entry[used],
        y=y,
        weight=None if weights is None else weights[row],
        part=split.part[row],
        group=split.group[row],
        neighbour=split.neighbour[row],
        missing=int(missing.sum()),
        reason=labels.reason,
        notes=tuple(notes),
    )
    _check(problem, folds)
    return problem


def _has_state(lengths: dict[str, Ints], labels: Labels, count: int) -> NDArray[np.bool_]:
    """[label] whether every field has a state for it; labels of entries fit the entries that there are."""
    if labels.lengths is not None:
        return np.ones(count, bool)
    return np.all([entries > 0 for entries in lengths.values()], axis=0)


def _readable(store: Store, fields: Sequence[StateField], labels: Labels) -> tuple[list[StateField], dict[str, Ints]]:
    """The fields whose states carry these labels, and how many entries each of their rows has."""
    lengths = {field.name: store.field(field.name).lengths() for field in fields}
    if labels.lengths is None:
        return list(fields), lengths
    entries = labels.lengths
    fitting = [
        field for field in fields if field.ragged and bool(((lengths[field.name] == entries) | (entries == 0)).all())
    ]
    if not fitting:
        shown = "; ".join(f"{name} {_start(counted)}" for name, counted in lengths.items())
        raise UserError(
            f"--target {labels.name} has a list of labels per row ({_start(entries)} entries), and no field has as "
            f"many states: {shown}.\nNext: collect the states that carry them, as by --positions '[spans]' or '[all]'."
        )
    return fitting, {field.name: lengths[field.name] for field in fitting}


def _start(lengths: Ints) -> str:
    return ", ".join(map(str, lengths[:3].tolist())) + (", ..." if len(lengths) > 3 else "")


def _entries(lengths: dict[str, Ints], labels: Labels) -> tuple[Ints, Ints | None]:
    """(row, entry) of every label; entry None for labels of rows."""
    if labels.lengths is None:
        return np.arange(len(labels.values)), None
    row = np.repeat(np.arange(len(labels.lengths)), labels.lengths)
    starts = np.cumsum(labels.lengths) - labels.lengths
    return row, np.arange(len(row)) - np.repeat(starts, labels.lengths)


def _classes(
    values: NDArray[np.str_], group: NDArray[np.str_], part: Ints, rare: Rare
) -> tuple[tuple[str, ...], Floats, list[str]]:
    """Names of the classes that are learned, [n] codes (NaN where left out), and notes."""
    names = np.unique(values)
    enough = [n for n in names.tolist() if _learnable(values == n, group, part)]
    tested = [n for n in enough if len(np.unique(group[(values == n) & (part == TEST)])) >= LEAST_GROUPS]
    if len(tested) >= 2:  # a class of fewer test groups leaves the score of all of them without an interval
        enough = tested
    few = [n for n in names.tolist() if n not in enough]
    merged = np.where(np.isin(values, few), OTHER, values) if few and rare == "merge" else values
    if few and rare == "merge" and _learnable(merged == OTHER, group, part):
        enough = sorted({*enough, OTHER})
    counts = ", ".join(f"{n} {int((values == n).sum())}" for n in few[:10]) + (", ..." if len(few) > 10 else "")
    if len(enough) < 2:
        raise Untestable(
            f"fewer than two of its {len(names)} classes have training rows of {_CLASS_GROUPS} groups and a test row "
            f"({counts}).\nNext: collect more rows, --rare_classes merge, or --target_type number if they are numbers."
        )
    place = {label: code for code, label in enumerate(enough)}
    codes = np.array([place.get(label, np.nan) for label in merged.tolist()], np.float64)
    if not few:
        return tuple(enough), codes, []
    verb = f'merged into "{OTHER}"' if OTHER in place and rare == "merge" else "left out"
    return tuple(enough), codes, [f"classes with too few groups are {verb} ({counts})"]


def _learnable(member: NDArray[np.bool_], group: NDArray[np.str_], part: Ints) -> bool:
    return len(set(group[member & (part != TEST)].tolist())) >= _CLASS_GROUPS and bool((member & (part == TEST)).any())


def _check(problem: Problem, folds: int) -> None:
    test, train = set(problem.group[problem.test].tolist()), set(problem.group[~problem.test].tolist())
    if not test or len(train) < folds:
        raise Untestable(
            f"its labelled rows are of {counted(len(test), 'test group')} and {counted(len(train), 'training group')}; "
            f"{folds} folds need {folds} training groups, and a test group is needed.\n"
            "Next: label more rows, or lower --folds."
        )
    for name, mask in (("test", problem.test), ("training", ~problem.test)):
        if len(np.unique(problem.y[mask])) < 2:
            raise Untestable(
                f"all labels of the {name} part are the same.\nNext: another --seed or --test_fraction splits "
                "differently."
            )
