"""What a target's probe is compared with that no training shaped: random-weights twins one by one, or random features.

Owns: whose states are made when, and when they go. Does not know: how the model's own states were probed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lit_experiments.claims import Twins
from lit_experiments.controls.fields import StateField
from lit_experiments.controls.labels import Floats
from lit_experiments.controls.problems import Problem
from lit_experiments.controls.random_states import FEATURES, WEIGHTS, ridge_predictions
from lit_experiments.experiments.linear_probes.checks import random_features_of, tokens_of, twins_of
from lit_experiments.experiments.linear_probes.evaluation import Evaluation
from lit_experiments.experiments.linear_probes.study import Study
from lit_experiments.experiments.linear_probes.twin import TwinOptions, entries_before, twin_plan, twin_states
from lit_experiments.probes.scratch_states import ScratchRows
from stores import Store


def twin_rows(store: Store, field: StateField, problem: Problem, options: TwinOptions, out: Path) -> ScratchRows | str:
    """The examples' states of the twin, or why there are none."""
    plan = twin_plan(store, field)
    if isinstance(plan, str):
        return plan
    states = twin_states(store, field, plan, options, out)
    if isinstance(states, str):
        return states
    entry: NDArray[np.int64] = np.zeros(len(problem), np.int64)
    if problem.entry is not None:
        entry = problem.entry
    elif field.ragged:
        entry = store.field(field.name).lengths()[problem.row] - 1
    return ScratchRows(states, entries_before(plan)[problem.row] + entry)


def further_twins(
    study: Study, evaluations: Sequence[Evaluation], options: TwinOptions, penalties: list[float], out: Path
) -> dict[str, list[Floats]]:
    """Target -> [test row, C] predictions of a ridge on each twin after the first, one twin's states at a time.

    Args:
        evaluations: of the targets that the first twin was probed for.
        out: the folder in which a twin leaves its states while they are read.
    """
    predicted: dict[str, list[Floats]] = {evaluation.problem.name: [] for evaluation in evaluations}
    alike: dict[tuple[str, tuple[bytes, bytes | None]], list[Evaluation]] = {}
    for evaluation in evaluations:
        key = evaluation.chosen.fit.field.name, evaluation.problem.same_examples
        alike.setdefault(key, []).append(evaluation)
    for seed in range(options.seed + 1, options.seed + options.count):
        for members in alike.values():
            problem, field = members[0].problem, members[0].chosen.fit.field
            rows = twin_rows(study.store, field, problem, replace(options, seed=seed), out)
            if isinstance(rows, str):
                continue
            columns = [member.problem.columns for member in members]
            read = ridge_predictions(rows.by_layer(), columns, problem.part, penalties)
            for member, values in zip(members, read, strict=True):
                predicted[member.problem.name].append(values)
            rows.states.forget()
    return predicted


def untrained(
    evaluation: Evaluation, study: Study, options: TwinOptions, of_twins: list[Floats], penalties: list[float]
) -> Twins | None:
    """Every twin's probe, or where there is no twin random features of the tokens; None where there are none either.

    Args:
        of_twins: [test row, C] what each predicts.
    """
    if of_twins:
        return twins_of(evaluation, of_twins, WEIGHTS)
    if tokens_of(study) is None:
        return None
    problem, field = evaluation.problem, evaluation.chosen.fit.field
    seeds = range(options.seed, options.seed + options.count)
    features = random_features_of(study, problem.row, field.width, seeds)
    predicted = [ridge_predictions([x], [problem.columns], problem.part, penalties)[0] for x in features]
    return twins_of(evaluation, predicted, FEATURES)
