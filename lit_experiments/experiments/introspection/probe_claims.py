"""The claims of study 3's probes: that the states of a pass tell a target, with the numbers that decide.

Owns: which numbers of a pair are which evidence. Does not know: the rule, how anything was fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lit_experiments.claims import Claim, Control, Evidence, Grouping, Judged, Twins, judged
from lit_experiments.claims import untested as without_test
from lit_experiments.claims.claim import BEYOND, OUTPUT, RANDOM, SURFACE
from lit_experiments.claims.power import detectable_accuracy, detectable_auroc, detectable_r2
from lit_experiments.controls.row_split import by_row_predictions, nearest_predictions, row_part, thinned
from lit_experiments.controls.split import SplitOptions, SplitSummary
from lit_experiments.experiments.introspection.probe_data import Questions
from lit_experiments.experiments.introspection.probe_targets import Target
from lit_experiments.experiments.introspection.probes_result import ControlScore, ProbedPair
from lit_experiments.experiments.introspection.scoring import ACCURACY, AUROC, Scorer
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.examples import last_entries
from lit_experiments.statistics import Estimate, GroupBootstrap
from stores import Store

TASK = "introspection_probes"
DETERMINED = 0.99
"""A control that scores above this determines the target."""


@dataclass(frozen=True)
class ClaimOptions:
    """position: whose states; back: the same as tokens from the end; data: hash of the rows; alpha: of the tests."""

    position: str
    back: int
    data: str
    alpha: float
    split: SplitOptions
    penalties: list[float]
    resampler: Callable[[ArrayLike], GroupBootstrap]


def judged_pairs(
    pairs: list[ProbedPair], targets: list[Target], questions: Questions, store: Store, options: ClaimOptions
) -> list[Judged]:
    """One judged claim per pair of states and target."""
    by_key = {target.key: target for target in targets}
    return [_judged(pair, by_key[pair.target], questions, store, options) for pair in pairs]


def untested_pairs(
    kinds: list[str], untested: dict[str, str], questions: Questions, options: ClaimOptions
) -> list[Judged]:
    """The claims that the questions cannot test: passes whose states would be read, and the reason by target key."""
    grouping = _grouping(questions.split.summary, np.zeros(len(questions.ids), bool), questions)
    return [
        without_test(_claim(kind, key, "ridge", [], options), reason, grouping)
        for kind in kinds
        for key, reason in untested.items()
    ]


def _claim(states: str, target: str, reader: str, beyond: list[str], options: ClaimOptions) -> Claim:
    return Claim(
        id=f"{TASK}/{states}/{target}",
        task=TASK,
        target=target,
        states=states,
        field="resid_post",
        layer="chosen",
        position=options.position,
        reader=reader,
        data=options.data,
        beyond=beyond,
    )


def _judged(pair: ProbedPair, target: Target, questions: Questions, store: Store, options: ClaimOptions) -> Judged:
    scores = {SURFACE: pair.controls.surface, OUTPUT: pair.controls.confidence}
    compared = {name for name, score in scores.items() if score is not None}
    compared |= {RANDOM} if pair.controls.twins is not None else set()
    reader, beyond = "logistic" if pair.classes else "ridge", [name for name in BEYOND if name in compared]
    claim = _claim(pair.states, pair.target, reader, beyond, options)
    known = ~np.isnan(target.values)
    test = questions.test & known
    evidence = Evidence(
        score_name=pair.score,
        chance=pair.chance,
        score=pair.chosen.score,
        p=pair.chosen.p,
        p_corrected=pair.chosen.p_targets,
        shuffled_p=_shuffled_p(pair),
        alpha=options.alpha,
        controls=[_control(name, score) for name, score in scores.items() if score is not None],
        twins=pair.controls.twins,
        apart=pair.apart,
        by_row=_by_row(pair, target, questions, store, options),
        grouping=_grouping(questions.split.summary, test, questions),
        detectable=_detectable(pair, target.values[test], questions.split.group[test]),
        shuffles=len(pair.controls.shuffled.scores),
    )
    return judged(claim, evidence)


def _control(name: str, score: ControlScore) -> Control:
    determines = score.score.value > DETERMINED
    return Control(name, score.model, score.score, score.gain, determines, score.definition, score.growth)


def _shuffled_p(pair: ProbedPair) -> float:
    """Against the linear probe, as the shuffled ones are."""
    scores = [score for score in pair.controls.shuffled.scores if np.isfinite(score)]
    return (1 + sum(score >= pair.linear for score in scores)) / (1 + len(scores)) if scores else float("nan")


def _grouping(split: SplitSummary, test: np.ndarray, questions: Questions) -> Grouping:
    return Grouping(
        by=split.by,
        rows=split.rows,
        test_rows=int(test.sum()),
        groups=split.groups,
        test_groups=len(set(questions.split.group[test].tolist())),
        largest_group=split.largest_group,
        joined=split.copies + split.near_copies + split.templates,
        twins_by_row=split.twins_by_row,
        neighbours=split.neighbours,
    )


def _detectable(pair: ProbedPair, values: np.ndarray, group: np.ndarray) -> float:
    groups = len(set(group.tolist()))
    if pair.score == AUROC:
        return detectable_auroc(*(len(set(group[values == code].tolist())) for code in (1, 0)))
    return detectable_accuracy(groups, pair.chance) if pair.score == ACCURACY else detectable_r2(groups)


def _by_row(
    pair: ProbedPair, target: Target, questions: Questions, store: Store, options: ClaimOptions
) -> Estimate | None:
    """The better of ridge and nearest neighbour on the chosen layer, questions split one by one; None where none are
    joined. The nearest neighbour counts where it tells nothing of held-out groups."""
    if not questions.split.summary.twins_by_row:
        return None
    known = np.flatnonzero(~np.isnan(target.values))
    used = known[thinned(len(known))]
    rows = store.select(questions.rows[pair.states]["row"].to_numpy()[used])
    entries = last_entries(rows, "resid_post", options.back)
    view = rows["resid_post"]
    place = np.cumsum(view.lengths())[entries.row] - view.lengths()[entries.row] + entries.entry
    names = [str(name) for name in store.schema.coords["layer"]]
    x = np.asarray(view.gather(place, layer=names.index(pair.chosen.layer)), np.float64)
    y, columns, group = target.values[used], target.columns[used], questions.split.group[used]

    def scores(part: np.ndarray, predicted: np.ndarray) -> list[Estimate]:
        test = part == TEST
        return Scorer(pair.score, y[test], options.resampler(group[test])).estimates(predicted)

    honest = scores(questions.part[used], nearest_predictions(x, columns, questions.part[used])[:, None])[0]
    part = row_part(len(used), options.split.test_fraction, options.split.folds, options.split.seed)
    readers = by_row_predictions(x, columns, part, options.penalties)
    if honest.side_of(pair.chance) > 0:
        del readers["nearest"]
    return max(scores(part, np.stack([*readers.values()], 1)), key=lambda score: score.value)


__all__ = ["ClaimOptions", "Twins", "judged_pairs", "untested_pairs"]
