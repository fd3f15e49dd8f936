"""The conditions of study 2: their names, and which pairs of them are compared. Knows no text and no model."""

from __future__ import annotations

from collections.abc import Sequence

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
    found: dict[str, float | None] = {HUMAN: None, MODEL: 0.0}
    for temperature in temperatures:
        name = sampled_name(temperature)
        if not 0 < temperature < float("inf"):
            raise UserError(
                f'temperatures must be above 0 (greedy text is the condition "{MODEL}"), found {temperature}.'
            )
        if name in found:
            raise UserError(f"temperatures {list(temperatures)}: two of them would be the condition {name}.")
        found[name] = float(temperature)
    return found | ({SHUFFLED: None} if shuffled else {})


def pairs(present: Sequence[str]) -> list[tuple[str, str]]:
    """What is compared with what: human/model, human/sampled, model/sampled, human/shuffled, as far as there are rows.

    A difference is always the first minus the second.
    """
    sampled = [name for name in present if name.startswith(_SAMPLED)]
    wanted = [(HUMAN, MODEL), *((HUMAN, s) for s in sampled), *((MODEL, s) for s in sampled), (HUMAN, SHUFFLED)]
    return [(a, b) for a, b in wanted if a in present and b in present]
