"""The probes of two runs over the same test questions: scores layer by layer, and gains over controls, paired.

Works from the held-out predictions that training left; refits nothing. Knows no page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.experiments.introspection.compare.result import Changed, ChosenChange, ProbeChange
from lit_experiments.experiments.introspection.passes import NothingToCompare
from lit_experiments.experiments.introspection.probe_data import CONTROLS
from lit_experiments.experiments.introspection.probe_files import ProbeFiles
from lit_experiments.experiments.introspection.probes_result import ProbedPair
from lit_experiments.experiments.introspection.scoring import Scorer
from lit_experiments.statistics import GroupBootstrap
from lit_experiments.statistics.intervals import Scale

Floats = NDArray[np.float64]
Resampler = Callable[[ArrayLike], GroupBootstrap]


def probe_changes(base: ProbeFiles, tuned: ProbeFiles, resampler: Resampler) -> tuple[list[ProbeChange], list[str]]:
    """Each (states of a pass, target) that both runs probed; and a statement for each target that cannot be compared.

    Each run's probe predicts its own model's target (its own entropy, its own confidence).

    Raises:
        NothingToCompare: layers or test questions are not the same.
    """
    if base.layers != tuned.layers or not np.array_equal(base.test, tuned.test):
        raise NothingToCompare("the two runs' probes read other layers or were tested on other questions.")
    others = {(pair.states, pair.target): pair for pair in tuned.result.pairs}
    changes, statements = [], []
    for pair in base.result.pairs:
        other = others.get((pair.states, pair.target))
        if other is None or other.classes != pair.classes:
            why = "was not probed in both runs" if other is None else "has other classes in the finetuned run"
            statements.append(f"{pair.target} {why}.")
            continue
        changes.append(_Change(base, tuned, pair, other, resampler).of_pair())
    return changes, list(dict.fromkeys(statements))


class _Change:
    """One pair of both runs, on the test questions that have a value in both."""

    def __init__(
        self, base: ProbeFiles, tuned: ProbeFiles, pair: ProbedPair, other: ProbedPair, resampler: Resampler
    ) -> None:
        self.files, self.pairs = (base, tuned), (pair, other)
        known = [files.known(probed) for files, probed in zip(self.files, self.pairs, strict=True)]
        shared = known[0] & known[1]
        self.rows = [shared[mask] for mask in known]  # of the arrays, which hold known questions only
        self.boot = resampler(base.groups[shared])
        self.scorers = [
            Scorer(probed.score, files.true(probed)[rows], self.boot)
            for files, probed, rows in zip(self.files, self.pairs, self.rows, strict=True)
        ]

    def of_pair(self) -> ProbeChange:
        """Scores by layer and at each run's chosen layer; gains of the hidden states over each control."""
        pair, within = self.pairs[0], self.scorers[0].within
        indices = [probed.chosen.index for probed in self.pairs]
        chosen = self._compared([self._scores(run, "hidden", indices[run]) for run in range(2)], within)[0]
        names = [self.files[0].layers[index] for index in indices]
        return ProbeChange(
            states=pair.states,
            target=pair.target,
            score=pair.score,
            chance=pair.chance,
            questions=self.boot.n,
            layers=self._compared([self._scores(run, "hidden") for run in range(2)], within),
            chosen=ChosenChange(chosen.base, chosen.finetuned, chosen.difference, names),
            gains={
                name: self._compared([self._gain(run, name) for run in range(2)], self.scorers[0].gap_within)[0]
                for name in CONTROLS
                if all(getattr(probed.controls, name) for probed in self.pairs)
            },
        )

    def _scores(self, run: int, role: str, layer: int | None = None) -> tuple[Floats, Floats]:
        """[M] values and [B, M] resampled ones of a run's predictions; M layers, or the one given."""
        predicted = self.files[run].of(self.pairs[run], role)[self.rows[run]]
        predicted = predicted if layer is None else predicted[:, [layer]]
        return self.scorers[run].value(predicted), self.scorers[run].draws(predicted)

    def _gain(self, run: int, control: str) -> tuple[Floats, Floats]:
        """Score of control and hidden states together minus that of the control alone."""
        layer = self.files[run].layers.index(getattr(self.pairs[run].controls, control).layer)
        joint, alone = self._scores(run, f"{control}_hidden", layer), self._scores(run, control)
        return joint[0] - alone[0], joint[1] - alone[1]

    def _compared(self, both: Sequence[tuple[Floats, Floats]], within: Scale | None) -> list[Changed]:
        """both: values and resampled ones of either run; within: where these lie."""
        base, tuned = both
        difference = tuned[0] - base[0], tuned[1] - base[1]
        rests_on = min(scorer.rests_on for scorer in self.scorers)
        apart = None if within is self.scorers[0].gap_within else self.scorers[0].gap_within  # gains lie in no range
        estimates = [
            self.boot.from_draws(value, draws, scale, rests_on)
            for (value, draws), scale in ((base, within), (tuned, within), (difference, apart))
        ]
        return [Changed(*layer) for layer in zip(*estimates, strict=True)]
