"""Self against other: are the states of the passes alike, and does a probe of confidence carry over between them?

For each layer and pair of passes, over the questions that both hold: cosine by question, linear CKA, principal angles.
A ridge of expected confidence trained on the self pass is evaluated on the other pass and back, against a ridge trained
on that pass itself.

    lit-experiments analyze --exp introspection_self_other --run runs/introspection

Writes self_other.json, figures and a report.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from lit_experiments.experiments.introspection.alikeness import alikeness
from lit_experiments.experiments.introspection.analysis import (
    CONFIDENCE_PASSES,
    OTHER,
    READS,
    SELF,
    NothingToCompare,
    check_settings,
    identity,
    open_introspection,
)
from lit_experiments.experiments.introspection.self_other_report import write_report
from lit_experiments.experiments.introspection.summary import answer_states, passes
from lit_experiments.experiments.introspection.transfer import Floats, Split, transfer
from lit_experiments.plain import write_json
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.splits import group_split
from lit_experiments.ranges import at_least, between
from lit_experiments.statistics import GroupBootstrap, holm, spearman
from stores import Store

LEVEL = 0.95
_FEWEST = 4  # questions in each fold, and in the test part
_LEAST_RANGE = 1e-3  # percent; below this, confidences differ by the model's rounding
Rows = dict[str, pd.DataFrame]


class IntrospectionSelfOther:
    """Reads a store of study 3; writes metrics, figures and a report into the run's results folder."""

    reads: ClassVar[str] = READS

    def __init__(
        self,
        rank: int,
        test_fraction: float,
        folds: int,
        penalties: list[float],
        shuffles: int,
        permutations: int,
        bootstraps: int,
        seed: int,
    ) -> None:
        """Checks the settings.

        Args:
            rank: Leading principal components whose subspaces are compared.
            test_fraction: Share of the questions held out for the test part.
            folds: Folds of the cross-validation that chooses penalties, by question, inside the training part.
            penalties: Ridge penalties to choose from.
            shuffles: Pairings of different questions, as a control of cosine and CKA.
            permutations: Permutations of the test questions behind each p-value.
            bootstraps: Resamples of the bootstrap over questions.
            seed: Seed of split, shuffles, permutations and bootstrap.
        """
        between(0, 1, test_fraction=test_fraction)
        at_least(1, rank=rank, shuffles=shuffles, permutations=permutations)
        check_settings(folds, bootstraps, seed, penalties)
        self.rank, self.test_fraction, self.folds, self.penalties = rank, test_fraction, folds, penalties
        self.shuffles, self.permutations, self.bootstraps, self.seed = shuffles, permutations, bootstraps, seed

    def identity(self, run: Path) -> dict[str, Any]:
        """What the results follow from.

        Raises:
            UserError: the store is none of study 3, or holds no confidence pass.
        """
        return identity(open_introspection(run), dict(vars(self)))

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Computes, and writes everything into `out`; returns the result tables and where the page is."""
        store = open_introspection(run)
        rows = passes(store)
        result: dict[str, Any] = {"layers": [str(name) for name in store.schema.coords["layer"]], "statements": []}
        result |= {"interval_level": LEVEL, "rank": self.rank, "pairs": self._pairs(store, rows, result)}
        try:
            result["transfer"] = self._transfer(store, rows)
        except NothingToCompare as reason:
            result["statements"].append(f"Transfer between self and other: {reason}")
        text = write_report(out, result, store)
        write_json(out / "self_other.json", result)
        return text

    def _boot(self, index: pd.Index) -> GroupBootstrap:
        return GroupBootstrap(index.to_numpy().astype(str), resamples=self.bootstraps, level=LEVEL, seed=self.seed)

    def _pairs(self, store: Store, rows: Rows, result: dict[str, Any]) -> list[dict[str, Any]]:
        """Alikeness per layer of every two passes that there are."""
        out = []
        for a, b in combinations([kind for kind in (SELF, OTHER, "mcq") if kind in rows], 2):
            common = rows[a].index.intersection(rows[b].index)
            if len(common) < _FEWEST:
                result["statements"].append(f"{a} and {b} share {len(common)} questions: too few to compare states.")
                continue
            boot = self._boot(common)
            layers = []
            for layer in range(len(result["layers"])):
                x, y = (answer_states(store, rows[kind].loc[common], layer) for kind in (a, b))
                layers.append(alikeness(x, y, boot, self.rank, self.shuffles, self.seed))
            out.append({"passes": [a, b], "questions": len(common), "layers": layers})
        if not out and not result["statements"]:
            result["statements"].append(f"The store holds one pass only ({', '.join(rows)}): no states to compare.")
        return out

    def _transfer(self, store: Store, rows: Rows) -> dict[str, Any]:
        """Ridges per layer, trained on self and on other, evaluated on both; p-values corrected over layers (Holm).

        Raises:
            NothingToCompare: a pass is missing, questions are few, or a confidence does not vary.
        """
        missing = [kind for kind in CONFIDENCE_PASSES if kind not in rows]
        if missing:
            raise NothingToCompare(f"the store holds no {missing[0]} pass.")
        common = rows[SELF].index.intersection(rows[OTHER].index)
        told = {kind: rows[kind].loc[common, kind].to_numpy(np.float64) for kind in CONFIDENCE_PASSES}
        split = self._split(common, told)
        layers = [
            transfer(_states(store, rows, common, layer), told, split, self.penalties)
            for layer in range(len(store.schema.coords["layer"]))
        ]
        for pair in zip(*layers, strict=True):
            for scores, corrected in zip(pair, holm([scores["p"] for scores in pair]), strict=True):
                scores["p_holm"] = float(corrected)
        between = split.boot.from_counts(
            lambda counts: spearman(told[SELF][split.test], told[OTHER][split.test], counts[split.boot.unit_of_row])
        )
        counts = {"train": int((~split.test).sum()), "test": int(split.test.sum())}
        return {"questions": counts, "confidences_spearman": between, "layers": layers}

    def _split(self, common: pd.Index, told: dict[str, Floats]) -> Split:
        """Raises NothingToCompare for few questions or confidence that does not vary, in either part."""
        n = len(common)
        n_test = round(self.test_fraction * n)
        if n_test < _FEWEST or n - n_test < _FEWEST * self.folds:
            raise NothingToCompare(
                f"{n} questions in both passes give {n - n_test} to train on and {n_test} to test on; {self.folds} "
                f"folds need {_FEWEST * self.folds} and {_FEWEST}. Collect more questions, or lower --folds."
            )
        part = group_split(common.to_numpy().astype(str), self.test_fraction, self.folds, self.seed)
        for kind, values in told.items():
            for name, chosen in (("training", part != TEST), ("test", part == TEST)):
                if np.ptp(values[chosen]) < _LEAST_RANGE:
                    raise NothingToCompare(
                        f"{kind} hardly varies over the {chosen.sum()} {name} questions ({values[chosen].min():.3f} to "
                        f"{values[chosen].max():.3f} %): nothing to predict."
                    )
        return Split(part, self._boot(common[part == TEST]), self.permutations, self.seed)


def _states(store: Store, rows: Rows, common: pd.Index, layer: int) -> dict[str, Floats]:
    """pass -> [question, hidden], both about one and the same state: a layer that never varies is exactly 0."""
    found = {kind: answer_states(store, rows[kind].loc[common], layer) for kind in CONFIDENCE_PASSES}
    origin = found[SELF][:1].copy()
    return {kind: values - origin for kind, values in found.items()}
