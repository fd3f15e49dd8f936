"""Blocks on pairs of states and target, the same on every page of study 3's probes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from lit_experiments.experiments.introspection.passes import PASS_NAMES
from lit_experiments.experiments.introspection.probes_result import Pair
from lit_experiments.experiments.introspection.scoring import NAMES, R2
from lit_experiments.reports.blocks import Level, Matrix, Note, Panel, Section, Series, Verdict

P = TypeVar("P", bound=Pair)
_FLOOR = -0.35  # R2 may lie far below 0 in a bad layer; how far says nothing
_TOP = 1.04  # scores of 1 are seen whole


def states_of(states: str) -> str:
    """What the states of a pass are called in figures."""
    return f"states of {PASS_NAMES[states]}"


def passes_of(pairs: Sequence[Pair]) -> list[str]:
    """The passes whose states were read, in order."""
    return list(dict.fromkeys(pair.states for pair in pairs))


def targets_of(pairs: Sequence[Pair]) -> list[str]:
    """The targets, in order."""
    return list(dict.fromkeys(pair.target for pair in pairs))


def by_target(pairs: Sequence[P]) -> list[P]:
    """The pairs, those of one target together."""
    targets = targets_of(pairs)
    return sorted(pairs, key=lambda pair: targets.index(pair.target))


def pair_matrix(name: str, pairs: Sequence[P], verdict: Callable[[P], Verdict], value: str) -> Matrix:
    """Targets by passes; value: what the number in a cell is."""
    cells = {(pair.target, pair.states): verdict(pair) for pair in pairs}
    targets, passes = targets_of(pairs), passes_of(pairs)
    rows = [[cells.get((target, states)) for states in passes] for target in targets]
    return Matrix(name, "", targets, [states_of(states) for states in passes], rows, value)


def target_panels(
    pairs: Sequence[P], series: Callable[[list[P]], list[Series]], levels: Callable[[list[P]], list[Level]]
) -> list[Panel]:
    """One panel per target, with the lines and levels of its pairs."""
    panels = []
    for target in targets_of(pairs):
        same = [pair for pair in pairs if pair.target == target]
        bounds = (_FLOOR if same[0].score == R2 else 0.0, _TOP)
        panels.append(Panel(target, series(same), NAMES[same[0].score], levels(same), bounds))
    return panels


def left_out(statements: Sequence[str]) -> list[Section]:
    """What could not be asked of these questions, if there is anything."""
    return [Section("What is missing, and why", [Note(line) for line in statements])] if statements else []
