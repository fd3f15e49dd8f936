"""The claim of the part-of-speech probe: that a layer's states tell the tag of a word beyond the word itself.

The surface is the word with its neighbours and its place, and which tags these words have in the training part, by the
best of scikit-learn's models; random twins read the same tokens. Words of sentences that training has too are looked at
apart.

Does not know: how the probe was fitted, where results are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lit_experiments.claims import Claim, Control, Evidence, Grouping, Judged, Twins, judged
from lit_experiments.claims.claim import BEYOND, RANDOM, SURFACE
from lit_experiments.claims.power import detectable_accuracy
from lit_experiments.controls.baselines import MODELS, columns_of, fit_baseline, leftover
from lit_experiments.controls.fields import state_fields
from lit_experiments.controls.problems import Problem
from lit_experiments.controls.random_states import ridge_predictions
from lit_experiments.experiments.pos.probe_scores import Fitted, Labelled
from lit_experiments.experiments.pos.surface import surface_of_words
from lit_experiments.experiments.pos.words import FIELD
from lit_experiments.probes.splits import GroupMoves
from lit_experiments.sources.content_groups import Likeness, content_groups
from lit_experiments.statistics import LEVEL, Estimate, GroupBootstrap
from lit_experiments.statistics.bootstrap import ratio_of_sums
from lit_experiments.statistics.intervals import GAP, SHARE
from lit_experiments.statistics.permutation import permutation_p
from stores import fingerprint_hash

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TASK, TARGET = "pos_probe", "upos"
PENALTIES = [10.0**power for power in range(-1, 7)]
"""Of the ridges on what the surface leaves, and on random states; chosen inside the training part."""
DETERMINED = 0.99


@dataclass(frozen=True)
class ClaimOptions:
    """rows: training words that the surface and random states are fitted to at most, evenly taken. permutations: behind
    the p-value. likeness: of sentences."""

    rows: int
    permutations: int
    likeness: Likeness
    seed: int


@dataclass(frozen=True, eq=False)
class ClaimWords:
    """The words that the claim is judged on: all of the test part, and training words up to a number.

    line [n]: of `Labelled`; problem: what is learned; true [test word]; boot: over the groups of the test words.
    """

    labelled: Labelled
    line: Ints
    problem: Problem
    boot: GroupBootstrap

    @classmethod
    def of(cls, labelled: Labelled, real: Fitted, options: ClaimOptions) -> ClaimWords:
        """From the words that have a class."""
        predictions = real.predictions
        train, test = predictions.rows[~predictions.test], predictions.rows[predictions.test]
        step = max(1, -(-len(train) // options.rows))
        line = np.concatenate([train[::step], test])
        table = labelled.words.table.iloc[labelled.split.lines[line]]
        problem = Problem(
            name=TARGET,
            classes=tuple(labelled.classes),
            fields=tuple(state_fields(labelled.words.store, [FIELD], None)),
            row=table["row"].to_numpy(np.int64),
            entry=table["entry"].to_numpy(np.int64),
            y=labelled.codes[line],
            weight=None,
            part=np.asarray(real.data.fold[line], np.int64),
            group=labelled.split.group[line],
            neighbour=_neighbours(labelled, options.likeness)[line],
            missing=0,
            reason="",
            notes=(),
        )
        return cls(labelled, line, problem, predictions.bootstraps["test"])

    @cached_property
    def true(self) -> Ints:
        """[test word]"""
        return self.problem.y[self.problem.test].astype(np.int64)

    def right(self, columns: Floats) -> Floats:
        """[test word] 1 where the highest of columns [test word, C] is the tag; of two classes, the second alone."""
        code = (columns[:, 0] > 0.5).astype(np.int64) if columns.shape[1] == 1 else columns.argmax(1)
        return (code == self.true).astype(np.float64)

    def accuracy(self, right: Floats) -> Estimate:
        """Share of right words."""
        return self.boot.mean(right, SHARE).item()

    def gain(self, right: Floats, over: Floats) -> Estimate:
        """Difference of two shares of right words, on the same replicates."""
        ones = np.ones_like(right)
        sums = self.boot.sums(np.stack([right, ones, over, ones], 1))
        return self.boot.from_sums(sums, _difference, GAP).item()

    def without_copies(self, right: Floats) -> Estimate | None:
        """The share among words of sentences that training has nothing like; None where all are."""
        alone = ~self.problem.neighbour[self.problem.test]
        if alone.all() or not alone.any():
            return None
        group = self.problem.group[self.problem.test][alone]
        return self.boot.over(group, 0).mean(right[alone], SHARE).item()


def judge_tags(
    examples: ClaimWords,
    layer: str,
    predicted: Ints,
    shuffled: Sequence[float],
    twins: Twins | None,
    options: ClaimOptions,
) -> Judged:
    """The claim of one layer's probe.

    Args:
        predicted: [test word] the code that the probe gives.
        shuffled: accuracies of probes of shuffled tags.
    """
    problem, right = examples.problem, (predicted == examples.true).astype(np.float64)
    score, group = examples.accuracy(right), problem.group[problem.test]
    train = problem.y[~problem.test].astype(np.int64)
    chance = float((examples.true == np.bincount(train).argmax()).mean())
    p = _p(examples.true, predicted, group, options)
    fewer = sum(value >= score.value for value in shuffled)
    evidence = Evidence(
        score_name="accuracy",
        chance=chance,
        score=score,
        p=p,
        p_corrected=p,
        shuffled_p=(1 + fewer) / (1 + len(shuffled)) if shuffled else float("nan"),
        alpha=1 - LEVEL,
        controls=[control] if (control := _surface(examples, layer, options)) is not None else [],
        twins=twins,
        apart=examples.without_copies(right),
        by_row=None,
        grouping=_grouping(examples),
        detectable=detectable_accuracy(examples.boot.n, chance),
        shuffles=len(shuffled),
    )
    compared = {*(control.name for control in evidence.controls), *([] if twins is None else [RANDOM])}
    claim = Claim(
        id=f"{TASK}/{TARGET}",
        task=TASK,
        target=TARGET,
        states=FIELD,
        field=FIELD,
        layer=layer,
        position=str(examples.labelled.words.settings["position"]),
        reader="logistic",
        data=fingerprint_hash(examples.labelled.words.store.fingerprint),
        beyond=[name for name in BEYOND if name in compared],
    )
    return judged(claim, evidence)


def states_of(examples: ClaimWords, layer: str) -> Floats:
    """[n, hidden] the model's states of one layer."""
    return examples.labelled.words.states(examples.labelled.split.lines[examples.line], layer)


def _surface(examples: ClaimWords, layer: str, options: ClaimOptions) -> Control | None:
    """The best surface model alone, and what a ridge on the states adds to it."""
    problem = examples.problem
    features = surface_of_words(examples.labelled, examples.line, problem)
    baseline = fit_baseline(features, problem, MODELS, options.rows, options.seed)
    if baseline is None:
        return None
    alone = columns_of(problem, baseline.predicted)[problem.test]
    (rest,) = ridge_predictions([states_of(examples, layer)], [leftover(problem, baseline)], problem.part, PENALTIES)
    right, joined = examples.right(alone), examples.right(alone + rest)
    score = examples.accuracy(right)
    return Control(SURFACE, baseline.model, score, examples.gain(joined, right), bool(score.value > DETERMINED))


def _p(true: Ints, predicted: Ints, group: NDArray[np.str_], options: ClaimOptions) -> float:
    """One-sided, from tags of the test words permuted between their groups."""
    moves = GroupMoves.of(np.unique(group, return_inverse=True)[1].astype(np.int64), options.seed)
    null = [float((true[moves.donors(k)] == predicted).mean()) for k in range(options.permutations)]
    return float(permutation_p(float((true == predicted).mean()), null))


def _neighbours(labelled: Labelled, likeness: Likeness) -> NDArray[np.bool_]:
    """[line] test words of sentences that say what one of the training part says."""
    store, split = labelled.words.store, labelled.split
    row = labelled.words.table["row"].to_numpy(np.int64)[split.lines]
    texts = store.table(["text"]).column(0).to_pylist()
    used = np.unique(row)
    content = np.full(len(texts), -1)
    content[used] = content_groups([texts[place] for place in used.tolist()], likeness).group
    return split.test & np.isin(content[row], content[row[~split.test]])


def _grouping(examples: ClaimWords) -> Grouping:
    problem, groups = examples.problem, examples.labelled.split.groups
    sizes = np.unique(problem.group, return_counts=True)[1]
    neighbours = int(problem.neighbour.sum())
    return Grouping(
        by=groups["test"].unit,
        rows=len(problem),
        test_rows=len(examples.true),
        groups=len(sizes),
        test_groups=examples.boot.n,
        largest_group=int(sizes.max()),
        joined=0,
        twins_by_row=neighbours,
        neighbours=neighbours,
    )


def _difference(sums: Floats) -> Floats:
    return ratio_of_sums(sums[..., :2]) - ratio_of_sums(sums[..., 2:])
