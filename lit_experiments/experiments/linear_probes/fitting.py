"""Fits: for one field, all layers of all targets with the same examples, and what is fitted next to them.

Owns: which columns a ridge pass has, and what comes out of a fit as one linear map per layer. Does not know: scores,
files, where states come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from lit_experiments.controls.fields import StateField
from lit_experiments.controls.labels import Floats, Ints
from lit_experiments.controls.problems import Problem
from lit_experiments.probes.class_solution import ClassSolution
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.lda import DiscriminantProbe
from lit_experiments.probes.mean_difference import MeanDifferenceProbe
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.probes.row_logistic_probe import logistic_probe
from lit_experiments.probes.solve import Solution
from lit_experiments.probes.splits import group_codes, shuffled_donors
from lit_experiments.tasks.training import Trainer

Method = Literal["auto", "closed", "ridge", "logistic", "mean_difference", "lda"]
"""auto and closed choose by target: ridge for numbers; for classes logistic or, with a closed form, lda."""
Make = Callable[[Floats, list[str]], BlockDataModule]
"""A data module on some states for targets [n, T] of these names."""
LINEAR, SHUFFLE, BEYOND = "linear", "shuffle", "beyond"
"""Roles of the columns of a ridge pass: the target itself; its shuffled copies; what a control leaves of it."""


@dataclass(frozen=True)
class FitOptions:
    """See the task's options of these names."""

    method: Method
    penalties: list[float]
    class_penalties: list[float]
    shrinkages: list[float]
    class_weights: str | None
    tolerance: float
    max_iterations: int
    memory_bytes: int
    shuffles: int
    seed: int


@dataclass(frozen=True, eq=False)
class LayerMaps:
    """weights . (x - mean) / scale + intercept for every layer, at each layer's chosen penalty.

    weights [L, C, D], mean, scale [L, D], intercept [L, C]. loss [L]: cross-validated in the training part; penalty
    [L]; rows: that it was fitted to.
    """

    weights: Floats
    mean: Floats
    scale: Floats
    intercept: Floats
    loss: Floats
    penalty: Floats
    rows: int

    @property
    def layer(self) -> int:
        """The place of the layer with the smallest loss."""
        return int(np.argmin(self.loss))

    @cached_property
    def raw(self) -> Floats:
        """[L, C, D] weights of states that are centred and not scaled."""
        return np.asarray(self.weights / self.scale[:, None, :])

    @classmethod
    def of_ridge(cls, solution: Solution, columns: Sequence[int]) -> LayerMaps:
        """Some columns of a ridge pass, together: their losses are added up."""
        place = list(columns)
        index = solution.penalty_index[:, None, :]
        error = solution.cv_mse.mean(1).gather(1, index)[:, 0][:, place].sum(1)
        coef = solution.coef[:, place].numpy()
        intercept = solution.y_mean.numpy()[place] + solution.offset.numpy()[:, place]
        penalty = solution.penalties[solution.penalty_index[:, place[0]]].numpy()
        arrays = (solution.mean.numpy(), solution.scale.numpy(), intercept, error.numpy(), penalty)
        return cls(coef, *arrays, int(solution.rows))

    @classmethod
    def of_classes(cls, solution: ClassSolution) -> LayerMaps:
        """The fits of the real labels."""
        layers = np.arange(solution.coef.shape[0])
        index = solution.penalty_index[:, 0]
        loss = solution.cv_loss.nanmean(1)[layers, index, 0].numpy()
        arrays = (solution.mean.numpy(), solution.scale.numpy(), solution.intercept[:, 0].numpy())
        return cls(solution.coef[:, 0].numpy(), *arrays, loss, solution.penalties[index].numpy(), int(solution.rows))


@dataclass(frozen=True, eq=False)
class FieldFit:
    """One target on one field. main: the probe itself; linear: ridge on the target's columns, which shuffles are
    compared with; beyond: control -> ridge on what it leaves; shuffled: of each shuffled copy."""

    field: StateField
    data: BlockDataModule
    main: LayerMaps
    linear: LayerMaps
    beyond: dict[str, LayerMaps]
    shuffled: list[LayerMaps]


def method_of(problem: Problem, method: Method) -> str:
    """The method of one target."""
    if method not in ("auto", "closed"):
        return method
    of_classes = "logistic" if method == "auto" else "lda"
    return of_classes if problem.classes else "ridge"


def shuffles_of(problem: Problem, shuffles: int) -> int:
    """How many shuffled copies a target gets: fewer where it has many classes, each of which is a column of its own."""
    return min(shuffles, max(1, _MOST_COLUMNS // problem.columns.shape[1]))


_MOST_COLUMNS = 400


def shuffled_columns(problem: Problem, shuffle: int, seed: int) -> tuple[Floats, Ints]:
    """(columns [n, C] of labels that are shuffled between groups, whose label each row got [n])."""
    donors = shuffled_donors(group_codes(problem.group)[1], seed, shuffle)
    return problem.columns[donors], donors


def fit_field(
    field: StateField,
    make: Make,
    problems: Sequence[Problem],
    leftover: dict[str, dict[str, Floats]],
    options: FitOptions,
    trainer: Trainer,
    name: str,
) -> dict[str, FieldFit]:
    """Target -> its fits on a field; every process takes part.

    Args:
        problems: targets with the same examples.
        leftover: target -> control -> [n, C] what the control leaves of the target's columns.
        name: of the folder of checkpoints.
    """
    places: dict[tuple[str, str], list[int]] = {}
    matrices: list[Floats] = []
    for problem in problems:
        roles = {LINEAR: problem.columns}
        roles |= {f"{BEYOND}:{control}": rest for control, rest in leftover[problem.name].items()}
        for shuffle in range(shuffles_of(problem, options.shuffles)):
            roles[f"{SHUFFLE}:{shuffle}"] = shuffled_columns(problem, shuffle, options.seed)[0]
        for role, matrix in roles.items():
            start = sum(part.shape[1] for part in matrices)
            places[problem.name, role] = list(range(start, start + matrix.shape[1]))
            matrices.append(matrix)
    columns = np.concatenate(matrices, 1)
    data = make(columns, [f"{target}|{role}|{c}" for (target, role), cs in places.items() for c in cs])
    ridge = RidgeProbe(options.penalties, memory_bytes=options.memory_bytes)
    trainer.fit(ridge, data, f"checkpoints/{name}/ridge")
    methods = _fit_methods(make, problems, options, trainer, name)
    fits = {}
    for problem in problems:
        maps = {
            role: LayerMaps.of_ridge(ridge.solution, place)
            for (target, role), place in places.items()
            if target == problem.name
        }
        main = methods.get(problem.name, maps[LINEAR])
        beyond = {role.partition(":")[2]: fit for role, fit in maps.items() if role.startswith(f"{BEYOND}:")}
        shuffled = [fit for role, fit in maps.items() if role.startswith(f"{SHUFFLE}:")]
        fits[problem.name] = FieldFit(field, data, main, maps[LINEAR], beyond, shuffled)
    return fits


def fit_main(
    make: Make, problem: Problem, options: FitOptions, trainer: Trainer, name: str
) -> tuple[LayerMaps, BlockDataModule]:
    """The probe of a target alone, as `fit_field` fits it, on other states."""
    fits = _fit_methods(make, [problem], options, trainer, name)
    if fits:
        return fits[problem.name], make(problem.y[:, None], [problem.name])
    data, ridge = (
        make(problem.columns, [problem.name]),
        RidgeProbe(options.penalties, memory_bytes=options.memory_bytes),
    )
    trainer.fit(ridge, data, f"checkpoints/{name}/ridge")
    return LayerMaps.of_ridge(ridge.solution, [0]), data


def _fit_methods(
    make: Make, problems: Sequence[Problem], options: FitOptions, trainer: Trainer, name: str
) -> dict[str, LayerMaps]:
    """Target -> its probe, for all that are not ridges."""
    by_method: dict[str, list[Problem]] = {}
    for problem in problems:
        by_method.setdefault(method_of(problem, options.method), []).append(problem)
    fits: dict[str, LayerMaps] = {}
    for problem in by_method.get("logistic", []):
        limits = (options.class_penalties, options.tolerance, options.max_iterations, options.memory_bytes)
        data = make(problem.y[:, None], [problem.name])
        logistic = logistic_probe(data, list(problem.classes), *limits, class_weight=options.class_weights)
        trainer.fit(logistic, data, f"checkpoints/{name}/{problem.name}")
        fits[problem.name] = LayerMaps.of_classes(logistic.solution)
    for method in ("lda", "mean_difference"):
        if method in by_method:
            fits |= _fit_closed(method, make, by_method[method], options, trainer, f"checkpoints/{name}/{method}")
    return fits


def _fit_closed(
    method: str, make: Make, problems: Sequence[Problem], options: FitOptions, trainer: Trainer, folder: str
) -> dict[str, LayerMaps]:
    """Methods with a closed solution: all targets in the same passes."""
    classes = {problem.name: list(problem.classes) for problem in problems if problem.classes}
    data = make(np.stack([problem.y for problem in problems], 1), [problem.name for problem in problems])
    if method == "lda":
        lda = DiscriminantProbe(classes, options.shrinkages, options.class_weights, options.memory_bytes)
        trainer.fit(lda, data, folder)
        return {target: LayerMaps.of_classes(solution) for target, solution in lda.solutions.items()}
    difference = MeanDifferenceProbe(classes, options.class_weights, options.memory_bytes)
    trainer.fit(difference, data, folder)
    fits = {target: LayerMaps.of_classes(solution) for target, solution in difference.solutions.items()}
    numbers = [problem.name for problem in problems if not problem.classes]
    if difference.numbers is not None:
        fits |= {target: LayerMaps.of_ridge(difference.numbers, [place]) for place, target in enumerate(numbers)}
    return fits
