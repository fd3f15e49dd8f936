"""The claim of each eval length, that the states tell its log-tempnorm, with the numbers that decide it.

The surface is the context's text, its lengths and its place, by the best of scikit-learn's models inside the training
part; the output is the next-token distribution's entropy and log sum p^alpha; random twins of the model read the same
starting points. At L = 1 the entropy gives the exact
expectation of a draw's log-tempnorm, so that nothing can be told beyond the output.

Does not know: how ridges are fitted, where results are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lit_experiments.claims import Claim, Control, Evidence, Grouping, Judged, Twins, judged
from lit_experiments.claims.claim import BEYOND, OUTPUT, RANDOM, SURFACE
from lit_experiments.claims.power import detectable_r2
from lit_experiments.controls.baselines import MODELS, fit_baseline
from lit_experiments.controls.features import output_of, surface_of
from lit_experiments.controls.problems import Problem
from lit_experiments.controls.split import Split, SplitSummary
from lit_experiments.experiments.tempnorm.context_split import context_texts
from lit_experiments.probes.baselines import held_out_r2, r2_gains
from lit_experiments.probes.evaluate import Predictions
from lit_experiments.probes.permutations import Permutations
from lit_experiments.probes.result import TargetResult
from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.max_t import max_t
from lit_experiments.statistics.permutation import permutation_p
from lit_experiments.statistics.scores import error_terms, r2_from_sums
from stores import Store, fingerprint_hash

Floats = NDArray[np.float64]
TASK, FIELD = "tempnorm_ridge", "starting_hidden"
_MOST_ROWS = 20_000


@dataclass(frozen=True, eq=False)
class WithoutStates:
    """Of one control: what is predicted [row, L] without states, and by which model at each length."""

    name: str
    predicted: Floats
    models: list[str]


def without_states(store: Store, split: Split, true: Floats, seed: int) -> list[WithoutStates]:
    """The controls that the store allows. true: [row, generation, L] log-tempnorm of single continuations."""
    means = np.nanmean(true, axis=1)
    problems = [_problem(split, mean) for mean in means.T]
    surface = surface_of(store, problems[0], context_texts(store))
    output = output_of(store, problems[0], None)
    controls = []
    for name, features, kinds in ((SURFACE, surface, MODELS), (OUTPUT, output, ("numbers", "trees"))):
        if features is None:
            continue
        fits = [fit_baseline(features, problem, kinds, _MOST_ROWS, seed) for problem in problems]
        known = [fit for fit in fits if fit is not None]
        if len(known) == len(problems):
            predicted = np.stack([fit.predicted[:, 0] for fit in known], 1)
            controls.append(WithoutStates(name, predicted, [fit.model for fit in known]))
    return controls


def apart_from_neighbours(
    predictions: Predictions, neighbour: NDArray[np.bool_], boot: GroupBootstrap | None
) -> list[Estimate] | None:
    """Test R2 per length on rows without a like context in training, boot over their groups; None where all are."""
    if boot is None or not (neighbour & predictions.test).any():
        return None
    apart = replace(
        predictions, test=predictions.test & ~neighbour, bootstraps={**predictions.bootstraps, "test": boot}
    )
    return held_out_r2(apart, predictions.predicted)


@dataclass(frozen=True)
class Fitted:
    """What decides: of the ridge on the states; of states on what each control leaves [row, L], added to the control;
    of random twins by length, None without; of rows split one by one, None where no rows were joined."""

    states: Predictions
    results: Sequence[TargetResult]
    with_states: dict[str, Floats]
    twins: list[Twins] | None
    apart: list[Estimate] | None
    by_row: list[Estimate] | None


def judge(
    store: Store, split: Split, controls: list[WithoutStates], fitted: Fitted, permutations: int, seed: int
) -> list[Judged]:
    """One claim per eval length."""
    states, lengths = fitted.states, [int(length) for length in store.schema.coords["eval_length"]]
    scores = {control.name: held_out_r2(states, control.predicted) for control in controls}
    gains = {c.name: r2_gains(states, fitted.with_states[c.name], c.predicted) for c in controls}
    value, null = _tested(states, len(lengths), permutations, seed)
    p, corrected, shuffles = permutation_p(value, null), max_t(value, null), [r.shuffled for r in fitted.results]
    out = []
    for t, length in enumerate(lengths):
        against = [
            Control(c.name, c.models[t], scores[c.name][t], gains[c.name][t], c.name == OUTPUT and length == 1)
            for c in controls
        ]
        evidence = Evidence(
            score_name="r2",
            chance=0.0,
            score=fitted.results[t].test.r2,
            p=float(p[t]),
            p_corrected=float(corrected[t]),
            shuffled_p=shuffles[t].p_value,
            alpha=1 - fitted.results[t].test.r2.level,
            controls=against,
            twins=None if fitted.twins is None else fitted.twins[t],
            apart=None if fitted.apart is None else fitted.apart[t],
            by_row=None if fitted.by_row is None else fitted.by_row[t],
            grouping=grouping(split.summary),
            detectable=detectable_r2(split.summary.test_groups),
            shuffles=len(shuffles[t].r2),
        )
        beyond = [*(control.name for control in against), *([] if fitted.twins is None else [RANDOM])]
        out.append(judged(_claim(store, states.targets[t], fitted.results[t].layer, beyond), evidence))
    return out


def grouping(summary: SplitSummary) -> Grouping:
    """How rows were held out, for a claim."""
    joined = summary.copies + summary.near_copies + summary.templates
    names = ("by", "rows", "test_rows", "groups", "test_groups", "largest_group", "twins_by_row", "neighbours")
    return Grouping(joined=joined, **{name: getattr(summary, name) for name in names})


def _claim(store: Store, target: str, layer: str, beyond: list[str]) -> Claim:
    return Claim(
        id=f"{TASK}/{target}",
        task=TASK,
        target=target,
        states=FIELD,
        field=FIELD,
        layer=layer,
        position="last",
        reader="ridge",
        data=fingerprint_hash(store.fingerprint),
        beyond=[name for name in BEYOND if name in beyond],
    )


def _problem(split: Split, mean: Floats) -> Problem:
    return Problem(
        name="log_tempnorm",
        classes=(),
        fields=(),
        row=np.arange(len(mean)),
        entry=None,
        y=mean,
        weight=None,
        part=split.part,
        group=split.group,
        neighbour=split.neighbour,
        missing=0,
        reason="",
        notes=(),
    )


def _tested(states: Predictions, lengths: int, permutations: int, seed: int) -> tuple[Floats, Floats]:
    """R2 [length], and [permutation, length] R2 with starting points' mean log-tempnorms permuted between the groups of
    the test part, the same permutations for all lengths."""
    mean = np.nanmean(states.true[states.test, :, :lengths], axis=1)
    predicted = states.predicted[states.test, :lengths]
    orders = Permutations.of(states.group[states.test], permutations, seed).blocks()
    center = mean.mean(0)

    def r2(true: Floats) -> Floats:
        return r2_from_sums(error_terms(true, predicted, center).sum(0))

    return r2(mean), np.concatenate([np.stack([r2(mean[donors]) for donors in block]) for block in orders])
