"""What a target is told by without hidden states: the question as text and numbers, and the pass's whole output.

Owns: which columns of study 3 these are, and when a target is a readout of its own pass's output. Knows no states.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lit_experiments.controls.baselines import MODELS, columns_of, fit_baseline, growing_baseline
from lit_experiments.controls.features import OUTPUTS, output_of, surface_of
from lit_experiments.controls.problems import Problem
from lit_experiments.experiments.introspection.passes import CONFIDENCE_PASSES, NothingToCompare
from lit_experiments.experiments.introspection.probe_data import CONFIDENCE, SURFACE, Control, Questions, importance
from lit_experiments.experiments.introspection.probe_split import question_texts
from lit_experiments.experiments.introspection.probe_targets import Floats, Target, surface_features
from lit_experiments.experiments.introspection.prompts import MIDPOINTS
from stores import Store

_OUTPUT = tuple(name for name in OUTPUTS if name != "logit_margin")  # a margin over the key, which no output holds
_SAME = 1e-3
"""Of the target's spread: a readout that is nowhere farther from the target is the target."""


@dataclass(frozen=True)
class ControlOptions:
    """penalties: of the ridge that says which features carry most. rows: that a model is fitted to at most. seed: of
    its trees."""

    penalties: list[float]
    rows: int
    seed: int


def controls_of(
    store: Store, targets: list[Target], questions: Questions, kinds: list[str], options: ControlOptions
) -> tuple[dict[str, dict[tuple[str, str], Control]], list[str]]:
    """Pass whose states are read -> (target key, control name) -> Control, and statements on what there is not. What a
    question looks like is the same in every pass."""
    by_kind: dict[str, dict[tuple[str, str], Control]] = {kind: {} for kind in kinds}
    statements = []
    for target in targets:
        try:
            surface = _surface(store, target, questions, kinds[0], options)
            for controls in by_kind.values():
                controls[target.key, SURFACE] = surface
        except NothingToCompare as reason:
            statements.append(f"{SURFACE} as a control of {target.key}: {reason}")
        for kind, controls in by_kind.items():
            try:
                controls[target.key, CONFIDENCE] = _output(store, target, questions, kind, options)
            except NothingToCompare as reason:
                statements.append(f"{CONFIDENCE} of {kind} as a control of {target.key}: {reason}")
    return by_kind, statements


def definition_of(target: Target, rows: pd.DataFrame, kind: str) -> str:
    """The readout of the stored letter probabilities of pass `kind` that the target is; empty where it is none.

    Compared value by value, so that a column is a readout because of what it holds, not because of its name.
    """
    if kind != target.kind:
        return ""
    if any(p is None for p in rows["probs"]):
        return ""
    known = ~np.isnan(target.values)
    probs = [np.asarray(p, np.float64) for p in rows["probs"]]
    if len({len(p) for p in probs}) != 1:
        return ""
    table, values = np.stack(probs)[known], target.values[known]
    if target.name == "parsed_answer":
        letters = [list(row)[int(p.argmax())] for row, p in zip(rows["letters"], probs, strict=True)]
        named = [target.classes[int(code)] for code in values]
        return "most probable letter" if [letters[i] for i in np.flatnonzero(known)] == named else ""
    if target.classes:
        return ""
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(table > 0, table * np.log(table), 0.0).sum(1)
    readouts = {"entropy": entropy, "highest probability": table.max(1)}
    if kind in CONFIDENCE_PASSES and table.shape[1] == len(MIDPOINTS):
        readouts["expected confidence"] = table @ np.array(MIDPOINTS)
    return next((n for n, v in readouts.items() if np.abs(v - values).max() <= _SAME * values.std()), "")


def problem_of(target: Target, questions: Questions, name: str) -> Problem:
    """The questions that have a value of the target. name: of the column that is no feature."""
    known = np.flatnonzero(~np.isnan(target.values))
    return Problem(
        name=name,
        classes=target.classes,
        fields=(),
        row=known,
        entry=None,
        y=target.values[known],
        weight=None,
        part=questions.part[known],
        group=questions.split.group[known],
        neighbour=questions.split.neighbour[known],
        missing=len(target.values) - len(known),
        reason="",
        notes=(),
    )


def pass_rows(store: Store, questions: Questions, kind: str) -> Store:
    """The rows of a pass, one per question."""
    return store.select(questions.rows[kind]["row"].to_numpy())


def _surface(store: Store, target: Target, questions: Questions, kind: str, options: ControlOptions) -> Control:
    rows = pass_rows(store, questions, kind)
    problem = problem_of(target, questions, target.key)
    features = surface_of(rows, problem, question_texts(rows, questions.ids))
    baseline = growing_baseline(features, problem, MODELS, options.rows, options.seed)
    if baseline is None:
        raise NothingToCompare("the store holds no text or number of the question that varies.")
    names, weights = importance(surface_features(questions.rows[kind]), target, questions.part, options.penalties)
    fewer = None
    if baseline.fewer is not None:
        half, quarter = (_everywhere(predicted, problem, target) for predicted in baseline.fewer)
        fewer = half, quarter
    return Control(names, _everywhere(baseline.predicted, problem, target), weights, baseline.model, fewer=fewer)


def _output(store: Store, target: Target, questions: Questions, kind: str, options: ControlOptions) -> Control:
    rows = pass_rows(store, questions, kind)
    problem = problem_of(target, questions, target.name if kind == target.kind else target.key)
    types = {column.name: column.type for column in rows.schema.columns}
    columns = [name for name in _OUTPUT if types.get(name) in ("int64", "float64", "list<int64>", "list<float64>")]
    features = output_of(rows, problem, columns)
    baseline = (
        None
        if features is None
        else fit_baseline(features, problem, ("numbers", "selected", "trees"), options.rows, options.seed)
    )
    if features is None or baseline is None:
        raise NothingToCompare("none of its features varies over the questions.")
    definition = definition_of(target, questions.rows[kind], kind)
    predicted = _everywhere(baseline.predicted, problem, target)
    return Control(list(features.names), predicted, np.zeros((0, predicted.shape[1])), baseline.model, definition)


def _everywhere(predicted: Floats, problem: Problem, target: Target) -> Floats:
    """[Q, C] predictions of all questions; 0, as the target's columns are, for those without a value."""
    out = np.zeros(target.columns.shape)
    out[problem.row] = columns_of(problem, predicted)
    return out
