"""Fits everything, then evaluates it: the order of a training. Every process takes part in the fits, the first one
evaluates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from lit_experiments.claims import Verdict
from lit_experiments.controls.baselines import (
    MODELS,
    Baseline,
    SurfaceModel,
    fit_baseline,
    growing_baseline,
    leftover,
)
from lit_experiments.controls.features import Features, output_of, surface_of
from lit_experiments.controls.fields import StateField
from lit_experiments.controls.labels import Floats
from lit_experiments.controls.problems import Problem
from lit_experiments.controls.scoring import Scorer
from lit_experiments.controls.split import SplitOptions
from lit_experiments.experiments.linear_probes.checks import (
    detectable_of,
    score_by_row,
)
from lit_experiments.experiments.linear_probes.embedding import embedded_texts
from lit_experiments.experiments.linear_probes.evaluation import Evaluation, read_field
from lit_experiments.experiments.linear_probes.fitting import (
    FieldFit,
    FitOptions,
    LayerMaps,
    fit_field,
    fit_main,
    method_of,
)
from lit_experiments.experiments.linear_probes.result import TargetResult, Transfer
from lit_experiments.experiments.linear_probes.significance import Corrected
from lit_experiments.experiments.linear_probes.states import Passes, from_scratch, stored
from lit_experiments.experiments.linear_probes.study import Study
from lit_experiments.experiments.linear_probes.transfer import OtherRun, transfer
from lit_experiments.experiments.linear_probes.twin import TwinOptions
from lit_experiments.experiments.linear_probes.untrained import twin_rows, untrained
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.permutations import shared
from lit_experiments.statistics import GroupBootstrap
from lit_experiments.tasks.training import Trainer

SURFACE, EMBEDDING, OUTPUT = "surface", "embedding", "output"


@dataclass(frozen=True)
class Settings:
    """See the task's options of these names; twin: None for no twin."""

    fit: FitOptions
    passes: Passes
    surface_model: SurfaceModel
    surface_rows: int
    embedding_model: str | None
    output_columns: list[str] | None
    twin: TwinOptions | None
    split: SplitOptions
    seed: int


@dataclass(frozen=True, eq=False)
class Fitted:
    """Everything that was fitted. baselines: target -> control -> baseline. fits: one dict per field and set of
    examples, target -> fits. twins: target -> the twin's maps and data. without: controls that there are not, and why.
    """

    baselines: dict[str, dict[str, Baseline]]
    fits: list[dict[str, FieldFit]]
    twins: dict[str, tuple[LayerMaps, BlockDataModule]]
    without: list[str]


def fitted(study: Study, settings: Settings, trainer: Trainer) -> Fitted:
    """Fits baselines, probes and twins."""
    baselines = {problem.name: baselines_of(study, problem, settings) for problem in study.problems}
    rest = {
        problem.name: {name: leftover(problem, baseline) for name, baseline in baselines[problem.name].items()}
        for problem in study.problems
    }
    fits: list[dict[str, FieldFit]] = []
    for field, problems in _passes(study.problems):
        make = stored(study.store, field, problems[0], settings.passes)
        fits.append(fit_field(field, make, problems, rest, settings.fit, trainer, f"{field.name}-{len(fits)}"))
    without = _without(study, settings, baselines)
    twins: dict[str, tuple[LayerMaps, BlockDataModule]] = {}
    if settings.twin is not None:
        twins, reasons = _twins(study, settings, settings.twin, fits, trainer)
        without += [f"random-weights twin: {reason}" for reason in reasons]
    return Fitted(baselines, fits, twins, without)


def _passes(problems: Sequence[Problem]) -> list[tuple[StateField, list[Problem]]]:
    """(field, problems that have the same examples there): each is one pass over the states."""
    fields = {field.name: field for problem in problems for field in problem.fields}
    passes = []
    for field in fields.values():
        alike: dict[tuple[bytes, bytes | None], list[Problem]] = {}
        for problem in problems:
            if field in problem.fields:
                alike.setdefault(problem.same_examples, []).append(problem)
        passes += [(field, members) for members in alike.values()]
    return passes


def baselines_of(study: Study, problem: Problem, settings: Settings) -> dict[str, Baseline]:
    """The controls that need no states."""
    controls: dict[str, Baseline | None] = {}
    rows, seed = settings.surface_rows, settings.seed
    kinds = MODELS if settings.surface_model == "auto" else (settings.surface_model,)
    if settings.surface_model != "none":
        surface = surface_of(study.store, problem, study.texts)
        controls[SURFACE] = growing_baseline(surface, problem, kinds, rows, seed)
    if settings.embedding_model is not None and study.texts is not None:
        texts = [study.texts.values[row] for row in problem.row.tolist()]
        dense = embedded_texts(settings.embedding_model, texts)
        features = Features(None, np.zeros((len(problem), 0)), (), dense)
        controls[EMBEDDING] = fit_baseline(features, problem, (), rows, seed)
    output = output_of(study.store, problem, settings.output_columns)
    if output is not None:
        controls[OUTPUT] = fit_baseline(output, problem, ("numbers", "selected", "trees"), rows, seed)
    return {name: baseline for name, baseline in controls.items() if baseline is not None}


def _without(study: Study, settings: Settings, baselines: dict[str, dict[str, Baseline]]) -> list[str]:
    reasons = []
    if settings.surface_model == "none":
        reasons.append("surface control: --surface_model none.")
    for name, controls in baselines.items():
        if SURFACE not in controls and settings.surface_model != "none":
            reasons.append(f"surface control of {name}: the store holds no text or number that varies.")
    if settings.embedding_model is not None and study.texts is None:
        reasons.append("embedding control: the store holds no text.")
    if not any(OUTPUT in controls for controls in baselines.values()):
        reasons.append("output control: the store holds none of the model's output (--output_columns names columns).")
    return reasons


def _twins(
    study: Study, settings: Settings, options: TwinOptions, fits: Sequence[dict[str, FieldFit]], trainer: Trainer
) -> tuple[dict[str, tuple[LayerMaps, BlockDataModule]], list[str]]:
    """Twins on each target's chosen field."""
    twins: dict[str, tuple[LayerMaps, BlockDataModule]] = {}
    reasons: list[str] = []
    for problem in study.problems:
        of_target = [fit[problem.name] for fit in fits if problem.name in fit]
        field = min(of_target, key=lambda fit: float(fit.main.loss.min())).field
        states = twin_rows(study.store, field, problem, options, trainer.out)
        if isinstance(states, str):
            reasons.append(states)
            continue
        make = from_scratch(states, field, problem, settings.passes)
        fit_options = replace(settings.fit, shuffles=0)
        twins[problem.name] = fit_main(make, problem, fit_options, trainer, f"twin-{problem.name}")
    return twins, [*dict.fromkeys(reasons)]


def evaluated(
    study: Study,
    fits: Fitted,
    resampler: Callable[[ArrayLike], GroupBootstrap],
    permutations: int,
    bins: int,
    seed: int,
) -> list[Evaluation]:
    """One evaluation per target; reads the states once per field."""
    readings = [read_field(fit) for fit in fits.fits]
    tested = [problem.group[problem.test] for problem in study.problems]
    evaluations = []
    for problem, moved in zip(study.problems, shared(tested, permutations, seed), strict=True):
        of_problem = [reading[problem.name] for reading in readings if problem.name in reading]
        test = problem.test
        scorer = Scorer(len(problem.classes), problem.y[test], resampler(problem.group[test]))
        evaluations.append(Evaluation(problem, of_problem, scorer, moved, seed, bins))
    return evaluations


def target_result(
    evaluation: Evaluation,
    corrected: Corrected,
    study: Study,
    fits: Fitted,
    others: Sequence[OtherRun],
    resampler: Callable[[ArrayLike], GroupBootstrap],
    settings: Settings,
    further: list[Floats],
) -> TargetResult:
    """Everything about one target, without its verdict. further: what the twins after the first predict of it."""
    options, block_bytes = settings.fit, settings.passes.block_bytes
    problem, maps = evaluation.problem, evaluation.maps
    controls = fits.baselines[problem.name]
    twin = fits.twins.get(problem.name)
    layers = None if twin is None else evaluation.twin_layers(*twin)
    of_twins = [] if twin is None or layers is None else [layers[:, twin[0].layer], *further]
    random = None if settings.twin is None else untrained(evaluation, study, settings.twin, of_twins, options.penalties)
    transfers: list[Transfer] = [transfer(evaluation, other, resampler, block_bytes) for other in others]
    return TargetResult(
        target=problem.name,
        kind="class" if problem.classes else "number",
        reason=problem.reason,
        method=method_of(problem, options.method),
        classes=list(problem.classes),
        rows=len(problem),
        test_rows=int(problem.test.sum()),
        test_groups=evaluation.scorer.boot.n,
        missing=problem.missing,
        notes=list(problem.notes),
        score_name=evaluation.scorer.name,
        chance=evaluation.scorer.chance,
        majority=evaluation.majority(),
        field=evaluation.chosen.fit.field.name,
        layer=evaluation.chosen.fit.field.layers[maps.layer],
        penalty=float(maps.penalty[maps.layer]),
        score=evaluation.score,
        p=corrected.alone,
        p_targets=corrected.chosen,
        apart=evaluation.apart(),
        by_row=score_by_row(evaluation, study, resampler, settings.split, options.penalties),
        detectable=detectable_of(evaluation),
        numbers=evaluation.numbers(),
        probabilities=evaluation.probabilities(),
        curves=evaluation.curves(corrected.layers),
        controls={name: evaluation.control(name, baseline) for name, baseline in controls.items()},
        shuffled=evaluation.shuffled(),
        twin=None if twin is None or layers is None else evaluation.twin(twin[0], layers),
        twins=random,
        transfer=transfers,
        verdict=Verdict("", {}, ""),
    )
