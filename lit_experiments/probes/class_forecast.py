"""What a logistic fit will take: passes, bytes read, memory, checkpoints. Knows no Trainer and reads no data.

L layers of a group, D hidden, T targets, J columns of a problem (the classes, or 1 of two), A penalties.
"""

from __future__ import annotations

from dataclasses import dataclass

from lit_experiments.probes.class_search import Settings, problem_bytes, problems_at_once
from lit_experiments.probes.class_sums import basis_bytes, layer_bytes
from lit_experiments.probes.forecast import BLOCKS, Forecast


@dataclass(frozen=True)
class LogisticSize:
    """groups: layers of each group that are still to be fitted, in order. rows, train_rows: of the data; longest: of a
    block. folds, targets, classes, hidden: how many. row_bytes: of one layer's training rows, in each process; kept:
    whether they stay in memory after the first pass."""

    groups: tuple[int, ...]
    rows: int
    train_rows: int
    longest: int
    folds: int
    targets: int
    classes: int
    hidden: int
    row_bytes: int
    kept: bool

    @property
    def columns(self) -> int:
        """J."""
        return 1 if self.classes == 2 else self.classes

    def forecast(self, settings: Settings) -> Forecast:
        """Of fits that take all their steps; the first group of layers is as large as any."""
        layers, passes = self.groups[0], sum(self._passes(layers, settings) for layers in self.groups)
        entry = self.hidden * 4
        once = (self.rows + self.longest) * entry * sum(self.groups)  # a block more, about which inputs are taken
        again = 0 if self.kept else sum(n * (self._passes(n, settings) - 1) for n in self.groups) * self.rows * entry
        saved = self._search_bytes(layers, settings)
        sample = layers * layer_bytes(self.train_rows, self.hidden)
        held = max(sample, saved) + layers * self.row_bytes * self.kept
        blocks = BLOCKS * self.longest * layers * entry
        return Forecast(passes, once + again, held, blocks, saved, open_ended=True)

    def _problems(self, layers: int, settings: Settings) -> tuple[int, int]:
        """(held-out ones, final ones)."""
        final = layers * self.targets
        return final * len(settings.held) * len(settings.penalties), final

    def _passes(self, layers: int, settings: Settings) -> int:
        """One for means and scales, then one per step of each wave, and one where a wave begins. (A step that a line
        search tries again takes one more.)"""
        together = problems_at_once(settings, self._size)
        waves = sum(-(-problems // together) for problems in self._problems(layers, settings))
        return 1 + waves * (settings.max_iterations + 1)

    def _search_bytes(self, layers: int, settings: Settings) -> int:
        """The optimiser of the largest wave; what the waves before it found (float32 sums of the held-out fits at each
        penalty, float64 final ones); means and scales of each fold, and eigenvectors."""
        together = min(problems_at_once(settings, self._size), max(self._problems(layers, settings)))
        solutions = layers * self.targets * self._size * (4 * len(settings.penalties) + 8)
        standard = 16 * (self.folds + 2) * self.hidden + basis_bytes(self.train_rows, self.hidden)
        return together * problem_bytes(settings, self._size) + solutions + layers * standard

    @property
    def _size(self) -> int:
        """Numbers per problem."""
        return (self.hidden + 1) * self.columns
