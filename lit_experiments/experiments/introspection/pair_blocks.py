"""What the pages of study 3 share: blocks on pairs of states and target, and the text of their methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from lit_experiments.experiments.introspection.passes import PASS_NAMES
from lit_experiments.experiments.introspection.probes_result import Pair
from lit_experiments.experiments.introspection.scoring import NAMES, R2
from lit_experiments.reports import blocks
from lit_experiments.reports.blocks import Column

P = TypeVar("P", bound=Pair)
PAIR = (Column("target"), Column("states of"))
"""The columns that name a pair; `named` gives them."""
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


def named(pairs: Sequence[P]) -> Iterator[tuple[str, str, P]]:
    """Rows for `Table.of` with the columns `PAIR`: target, pass and pair, those of one target together."""
    return ((pair.target, PASS_NAMES[pair.states], pair) for pair in by_target(pairs))


def score_name(pair: Pair) -> str:
    """What the score of a pair is called."""
    return NAMES[pair.score]


def method_texts(paragraphs: Sequence[str], options: Mapping[str, Any], level: float) -> list[str]:
    """The paragraphs with the options of the task and the level of its intervals; lists as in "0.1, 1"."""
    shown = {name: _listed(value) if isinstance(value, list) else value for name, value in options.items()}
    return [paragraph.format(**{**shown, "level": level}) for paragraph in paragraphs]


def _listed(values: Sequence[str | float]) -> str:
    return ", ".join(value if isinstance(value, str) else f"{value:g}" for value in values)


def pair_matrix(name: str, pairs: Sequence[P], verdict: Callable[[P], blocks.Verdict], value: str) -> blocks.Matrix:
    """Targets by passes; value: what the number in a cell is."""
    cells = {(pair.target, pair.states): verdict(pair) for pair in pairs}
    targets, passes = targets_of(pairs), passes_of(pairs)
    rows = [[cells.get((target, states)) for states in passes] for target in targets]
    return blocks.Matrix(name, "", targets, [states_of(states) for states in passes], rows, value)


def target_panels(
    pairs: Sequence[P],
    series: Callable[[list[P]], list[blocks.Series]],
    levels: Callable[[list[P]], list[blocks.Level]],
) -> list[blocks.Panel]:
    """One panel per target, with the lines and levels of its pairs."""
    panels = []
    for target in targets_of(pairs):
        of_target = [pair for pair in pairs if pair.target == target]
        bounds = (_FLOOR if of_target[0].score == R2 else 0.0, _TOP)
        panels.append(blocks.Panel(target, series(of_target), score_name(of_target[0]), levels(of_target), bounds))
    return panels


def left_out(statements: Sequence[str]) -> list[blocks.Section]:
    """What could not be asked of these questions, if there is anything."""
    return (
        [blocks.Section("What is missing, and why", [blocks.Note(line) for line in statements])] if statements else []
    )
