"""The conditions of study 2: their names, and which pairs of them are compared. Knows no text and no model."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from lit_experiments.errors import UserError

HUMAN, MODEL, SHUFFLED = "human", "model", "shuffled"
_SAMPLED = "model-temp"


def sampled_name(temperature: float) -> str:
    """0.7 -> "model-temp07", 1.0 -> "model-temp1"."""
    return _SAMPLED + f"{temperature:g}".replace(".", "")


def conditions(temperatures: Sequence[float], shuffled: bool) -> dict[str, float | None]:
    """Condition -> temperature of its text (0 greedy, None for text that no model wrote), in the order of the rows.

    Raises:
        UserError: a temperature that is not above 0, or two that would have one name.
    """
    named: dict[str, float | None] = {HUMAN: None, MODEL: 0.0}
    for temperature in temperatures:
        name = sampled_name(temperature)
        if not 0 < temperature < float("inf"):
            raise UserError(
                f'temperatures must be above 0 (greedy text is the condition "{MODEL}"), found {temperature}.'
            )
        if name in named:
            raise UserError(f"temperatures {list(temperatures)}: two of them would be the condition {name}.")
        named[name] = float(temperature)
    return named | ({SHUFFLED: None} if shuffled else {})


def usual_pairs(present: Sequence[str]) -> list[tuple[str, str]]:
    """What is compared with what: human/model, human/sampled, model/sampled, human/shuffled, as far as there are rows.

    A difference is always the first minus the second.
    """
    sampled = [name for name in present if name.startswith(_SAMPLED) and "@" not in name]
    candidates = [(HUMAN, MODEL), *((HUMAN, s) for s in sampled), *((MODEL, s) for s in sampled), (HUMAN, SHUFFLED)]
    return [(a, b) for a, b in candidates if a in present and b in present]


def chosen_pairs(named: Sequence[Sequence[str]], sides: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs that `--pairs` names.

    sides: the names there are: conditions, and conditions behind which another reader stands ("human@gpt2-xl").

    Raises:
        UserError: what is no pair, a side that is not there, a pair of equal sides or one named twice.
    """
    pairs: list[tuple[str, str]] = []
    for pair in named:
        if len(pair) != 2 or pair[0] == pair[1]:
            raise UserError(f"--pairs: {list(pair)} is no pair of two different conditions.\n{_known(sides)}")
        for side in pair:
            if side not in sides:
                close = get_close_matches(side, sides, n=1)
                near = f' Did you mean "{close[0]}"?' if close else ""
                raise UserError(f'--pairs: there is no "{side}".{near}\n{_known(sides)}')
        if (pair[0], pair[1]) in pairs or (pair[1], pair[0]) in pairs:
            raise UserError(f"--pairs: {list(pair)} is named twice.")
        pairs.append((pair[0], pair[1]))
    if not pairs:
        raise UserError(f"--pairs names no pair.\n{_known(sides)}")
    return pairs


def _known(sides: Sequence[str]) -> str:
    return f"Conditions here: {', '.join(sides)}.\nNext: --pairs '[[{sides[0]}, {sides[-1]}]]'"
