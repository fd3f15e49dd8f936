"""Self against other: are the states of the passes alike, and does a probe of confidence carry over between them?

For each layer and pair of passes, over the questions that both hold: cosine by question, linear CKA, principal angles.
A ridge of expected confidence trained on the self pass is evaluated on the other pass and back, against a ridge trained
on that pass itself.

    lit-experiments analyze --exp introspection_self_other --run runs/introspection
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_experiments.experiments.introspection.passes import (
    CONFIDENCE_PASSES,
    OTHER,
    SELF,
    SIGNIFICANT,
    WHOLE_QUESTIONS,
    NothingToCompare,
    answer_states,
    layer_names,
    passes,
    without_confidence,
)
from lit_experiments.experiments.introspection.probe_split import question_groups
from lit_experiments.experiments.introspection.self_other.alikeness import alikeness
from lit_experiments.experiments.introspection.self_other.page import self_other_page
from lit_experiments.experiments.introspection.self_other.result import Carried, Parts, PassPair, SelfOther, Transfer
from lit_experiments.experiments.introspection.self_other.transfer import Floats, Split, Tested, transfer
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.permutations import Permutations
from lit_experiments.probes.splits import group_split
from lit_experiments.ranges import at_least, between, penalty_grid, reaching, share
from lit_experiments.reports.blocks import Page
from lit_experiments.sources.content_groups import Likeness
from lit_experiments.statistics import LEVEL, Estimate, GroupBootstrap, spearman
from lit_experiments.statistics.intervals import CORRELATION
from lit_experiments.statistics.max_t import max_t
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import AnalyzeTask, Opened
from stores import Store

_FEWEST = 4  # questions in each fold, and in the test part
_LEAST_RANGE = 1e-3  # percent; below this, confidences differ by the model's rounding
Rows = dict[str, pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class IntrospectionSelfOther(AnalyzeTask[SelfOther]):
    """Likeness of the passes' states, and transfer of a probe of confidence between them; intervals over questions.

    Args:
        rank: Leading principal components whose subspaces are compared.
        test_fraction: Share of the questions held out for the test part.
        folds: Folds of the cross-validation that chooses penalties, by question, inside the training part.
        penalties: Ridge penalties to choose from.
        shuffles: Pairings of different questions, as a control of cosine and CKA.
        permutations: Permutations of the groups of test questions behind p-values, the same for all layers and passes.
        near_copies: Jaccard similarity of word 3-grams from which questions are near copies.
        templates: Share of words in common, in order, from which questions are of one template; null looks for none.
    """

    rank: int
    test_fraction: float
    folds: int
    penalties: list[float]
    shuffles: int
    permutations: int
    near_copies: float
    templates: float | None

    reads: ClassVar[Reads] = WHOLE_QUESTIONS
    result_type: ClassVar[type] = SelfOther

    def check(self) -> None:
        """Raises UserError for options that no data could go with."""
        between(0, 1, test_fraction=self.test_fraction)
        at_least(1, rank=self.rank, shuffles=self.shuffles)
        reaching(SIGNIFICANT, permutations=self.permutations)
        share(near_copies=self.near_copies, templates=self.templates)
        at_least(2, folds=self.folds)
        penalty_grid(penalties=self.penalties)

    def result(self, data: Opened) -> SelfOther:
        """Compares the passes two by two, then carries probes of confidence over between self and other."""
        rows, layers = passes(data.store), layer_names(data.store)
        statements: list[str] = []
        pairs = self._pairs(data.store, rows, len(layers), statements)
        carried = None
        try:
            carried = self._transfer(data.store, rows)
            statements += [s for kind in CONFIDENCE_PASSES for s in without_confidence(kind, rows[kind][kind])]
        except NothingToCompare as reason:
            statements.append(f"Transfer between self and other: {reason}")
        return SelfOther(layers, LEVEL, self.rank, statements, pairs, carried)

    def page(self, result: SelfOther, data: Opened) -> Page:
        """What came out, layer by layer."""
        return self_other_page(result, self.options(), is_demonstration(data.store))

    def _pairs(self, store: Store, rows: Rows, layers: int, statements: list[str]) -> list[PassPair]:
        """Alikeness per layer of every two passes that there are; a statement for two that share too few questions."""
        pairs = []
        for a, b in combinations([kind for kind in (SELF, OTHER, "mcq") if kind in rows], 2):
            common = rows[a].index.intersection(rows[b].index)
            if len(common) < _FEWEST:
                statements.append(f"{a} and {b} share {len(common)} questions: too few to compare states.")
                continue
            boot = self.resampler(self._groups(store, rows[a].loc[common]))
            alike = []
            for layer in range(layers):
                x, y = (answer_states(store, rows[kind].loc[common], layer) for kind in (a, b))
                alike.append(alikeness(x, y, boot, self.rank, self.shuffles, self.seed))
            pairs.append(PassPair([a, b], len(common), alike))
        if not pairs and not statements:
            statements.append(f"The store holds one pass only ({', '.join(rows)}): no states to compare.")
        return pairs

    def _transfer(self, store: Store, rows: Rows) -> Transfer:
        """Ridges per layer, trained on self and on other, evaluated on both.

        Raises:
            NothingToCompare: a pass is missing, questions are few, or a confidence does not vary.
        """
        missing = [kind for kind in CONFIDENCE_PASSES if kind not in rows]
        if missing:
            raise NothingToCompare(f"the store holds no {missing[0]} pass.")
        stated = {kind: rows[kind].index[rows[kind][kind].notna()] for kind in CONFIDENCE_PASSES}
        common = stated[SELF].intersection(stated[OTHER])
        confidence = {kind: rows[kind].loc[common, kind].to_numpy(np.float64) for kind in CONFIDENCE_PASSES}
        split = self._split(self._groups(store, rows[SELF].loc[common]), confidence)
        layers = [
            transfer(_states(store, rows, common, layer), confidence, split, self.penalties)
            for layer in range(len(store.schema.coords["layer"]))
        ]
        parts = Parts(train=int((~split.test).sum()), test=int(split.test.sum()))
        return Transfer(parts, _between_confidences(confidence, split), _corrected(layers, split.boot))

    def _groups(self, store: Store, rows: pd.DataFrame) -> NDArray[np.str_]:
        likeness = Likeness(self.near_copies, self.templates, seed=self.seed)
        return question_groups(store, rows, likeness, self.folds, self.seed)

    def _split(self, groups: NDArray[np.str_], confidence: dict[str, Floats]) -> Split:
        """Raises NothingToCompare for few groups of questions or confidence that does not vary, in either part."""
        n = len(np.unique(groups))
        n_test = round(self.test_fraction * n)
        if n_test < _FEWEST or n - n_test < _FEWEST * self.folds:
            raise NothingToCompare(
                f"{n} questions in both passes give {n - n_test} to train on and {n_test} to test on; {self.folds} "
                f"folds need {_FEWEST * self.folds} and {_FEWEST}, alike ones counted once. Collect more questions, or "
                "lower --folds."
            )
        part = group_split(groups, self.test_fraction, self.folds, self.seed)
        for kind, values in confidence.items():
            for name, chosen in (("training", part != TEST), ("test", part == TEST)):
                if np.ptp(values[chosen]) < _LEAST_RANGE:
                    raise NothingToCompare(
                        f"{kind} hardly varies over the {chosen.sum()} {name} questions ({values[chosen].min():.3f} to "
                        f"{values[chosen].max():.3f} %): nothing to predict."
                    )
        tested = groups[part == TEST]
        return Split(part, self.resampler(tested), Permutations.of(tested, self.permutations, self.seed))


def _corrected(layers: list[list[Tested]], boot: GroupBootstrap) -> list[list[Carried]]:
    """With p-values corrected over all layers and pairs of passes, whose permutations are the same (max-T), and
    intervals that hold for all of them together."""
    draws = np.moveaxis(np.array([[test.draws for test in layer] for layer in layers]), -1, 0)
    together = boot.jointly().from_draws(draws[0], draws[1:], CORRELATION)
    values = [[test.value for test in layer] for layer in layers]
    nulls = np.moveaxis(np.array([[test.null for test in layer] for layer in layers]), -1, 0)
    return [
        [
            replace(test.score, p_corrected=float(p), together=estimate)
            for test, p, estimate in zip(*of_layer, strict=True)
        ]
        for of_layer in zip(layers, max_t(values, nulls), together, strict=True)
    ]


def _between_confidences(confidence: dict[str, Floats], split: Split) -> Estimate:
    """Spearman of the two confidences of the test questions."""
    first, second = (confidence[kind][split.test] for kind in CONFIDENCE_PASSES)
    return split.boot.from_counts(lambda counts: spearman(first, second, counts[split.boot.unit_of_row]), CORRELATION)


def _states(store: Store, rows: Rows, common: pd.Index, layer: int) -> dict[str, Floats]:
    """pass -> [question, hidden], both relative to one and the same state: a layer that never varies is exactly 0."""
    states = {kind: answer_states(store, rows[kind].loc[common], layer) for kind in CONFIDENCE_PASSES}
    origin = states[SELF][:1].copy()
    return {kind: values - origin for kind, values in states.items()}
