"""Branching points as records, ranked by how far they lead away; read and written as bifurcation_points.json.

Owns the file's form. Does not know: how points are summed up or drawn.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.errors import UserError
from lit_experiments.experiments.geometry.answers import CORRECT, UNDECIDED, AnswerChecker
from lit_experiments.plain import write_json
from lit_experiments.tasks.reads import Reads
from stores import Store, is_store

FILE = "bifurcation_points.json"
EXPERIMENT = "path_sensitivity"
READS = Reads(EXPERIMENT, ("relative_distance", "distance", "position", "branch_text"))


@dataclass(frozen=True)
class Token:
    """One of the two tokens at a point; probability under the model at temperature 1."""

    id: int
    text: str
    probability: float


@dataclass(frozen=True)
class Point:
    """One branching point.

    rank: 1 leads farthest away, None without a distance. position: the generated token that was replaced, from 1.
    second_rank: which choice of the model's the second token was, 2 unless special tokens were passed over.
    margin: difference of the two probabilities; logit_difference: of the two logits. distance, relative_distance: D(t)
    at the ranking layer; by_layer: at every layer. window, stride: tokens behind it. differs_at, merged_at: numbers of
    tokens, None where the text stays the same or never merges. answer_changed: None where neither text gives one or
    branches were not decoded to the end. correct: of the baseline and of the branch, None likewise.
    """

    rank: int | None
    problem_id: str
    position: int
    solution_tokens: int
    first: Token
    second: Token
    second_rank: int
    margin: float
    logit_difference: float
    distance: float
    relative_distance: float
    by_layer: list[float]
    window: int
    stride: int
    differs_at: int | None
    merged_at: int | None
    baseline_answer: str | None
    branch_answer: str | None
    answer_changed: bool | None
    baseline_correct: bool | None
    branch_correct: bool | None


def read_points(store: Store, layer: int) -> list[Point]:
    """All points of a store, ranked by distance at one of its layers over the size of the means there."""
    points: list[Point] = []
    with AnswerChecker() as checker:
        for row in store.iter_rows():
            points += _points(row, layer, checker)
    order = sorted(
        (i for i, point in enumerate(points) if not np.isnan(point.relative_distance)),
        key=lambda i: (-points[i].relative_distance, points[i].problem_id, points[i].position),
    )
    ranks = {i: rank for rank, i in enumerate(order, start=1)}
    return [replace(point, rank=ranks.get(i)) for i, point in enumerate(points)]


def write_points(path: Path, points: Sequence[Point], origin: dict[str, Any]) -> None:
    """Farthest first, those without a distance last, behind what is known of all of them (`origin`)."""
    ordered = sorted(points, key=lambda p: (p.rank is None, p.rank, p.problem_id, p.position))
    write_json(path, {**origin, "points": ordered})


def load_points(run: Path) -> list[Point]:
    """The points that the analysis of a run has written, farthest first.

    Raises:
        UserError: it has not, or they are not readable.
    """
    path = run / EXPERIMENT / FILE
    if not is_store(run / "store"):
        raise UserError(
            f"{run.absolute()} holds no collection of {EXPERIMENT}, whose branching points are to be attributed.\n"
            f"Next: python collect.py --exp {EXPERIMENT} --run {run}, then lit-experiments analyze --exp {EXPERIMENT} "
            f"--run {run}; or point --path_run at the folder of such a run."
        )
    if not path.exists():
        raise UserError(
            f"{path.absolute()} is missing: the run is collected but not analyzed.\n"
            f"Next: lit-experiments analyze --exp {EXPERIMENT} --run {run}"
        )
    try:
        return [_loaded(record) for record in json.loads(path.read_text(encoding="utf-8"))["points"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path.absolute()} is not what the analysis of {EXPERIMENT} writes: {type(error).__name__}: {error}.\n"
            f"Next: lit-experiments analyze --exp {EXPERIMENT} --run {run} --restart"
        ) from error


def _points(row: dict[str, Any], layer: int, checker: AnswerChecker) -> list[Point]:
    baseline = checker.check(row["baseline_text"], row["answer"])
    ranks = row.get("second_rank") or [2] * len(row["position"])  # stores of version 1 passed over nothing
    points = []
    for k, position in enumerate(row["position"]):
        complete = row["branch_stop"][k] != "lookahead"
        branch = checker.check(row["branch_text"][k], row["answer"]) if complete else None
        probabilities = row["first_probability"][k], row["second_probability"][k]
        points.append(
            Point(
                rank=None,
                problem_id=row["problem_id"],
                position=position,
                solution_tokens=len(row["baseline_ids"]),
                first=Token(row["first_token"][k], row["first_text"][k], probabilities[0]),
                second=Token(row["second_token"][k], row["second_text"][k], probabilities[1]),
                second_rank=ranks[k],
                margin=probabilities[0] - probabilities[1],
                logit_difference=row["logit_difference"][k],
                distance=float(row["distance"][layer, k]),
                relative_distance=float(row["relative_distance"][layer, k]),
                by_layer=[float(value) for value in row["relative_distance"][:, k]],
                window=row["window"][k],
                stride=row["window_stride"][k],
                differs_at=row["differs_at"][k],
                merged_at=row["merged_at"][k],
                baseline_answer=baseline.answer,
                branch_answer=None if branch is None else branch.answer,
                answer_changed=None if branch is None else _changed(baseline.answer, branch.answer, checker),
                baseline_correct=_correct(baseline.verdict),
                branch_correct=None if branch is None else _correct(branch.verdict),
            )
        )
    return points


def _changed(before: str | None, after: str | None, checker: AnswerChecker) -> bool | None:
    """None where there is no answer either way, or where the two cannot be compared."""
    if before is None or after is None:
        return None if before == after else True
    same = checker.equal(before, after)
    return None if same is None else not same


def _correct(verdict: str) -> bool | None:
    return None if verdict == UNDECIDED else verdict == CORRECT


def _loaded(record: dict[str, Any]) -> Point:
    """A record of the file, where null stands for NaN."""
    numbers = {name: np.nan if record[name] is None else record[name] for name in ("distance", "relative_distance")}
    layers = [np.nan if value is None else value for value in record["by_layer"]]
    tokens = {name: Token(**record[name]) for name in ("first", "second")}
    return Point(**{"second_rank": 2, **record, **numbers, **tokens, "by_layer": layers})
