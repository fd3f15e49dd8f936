"""What the interventions came to, in sentences chosen by the numbers. Knows no files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from lit_experiments.experiments.introspection.passes import SIGNIFICANT, CentralRange
from lit_experiments.experiments.introspection.patching.result import (
    Ablation,
    Interventions,
    LayerEffects,
    Patching,
    Steering,
)
from lit_experiments.experiments.introspection.patching.statistics import PRIMARY
from lit_experiments.reports.cells import interval, number
from lit_experiments.reports.findings import power_in_all
from lit_experiments.statistics import Estimate

NAMES = {
    "confidence": "expected confidence",
    "entropy": "entropy",
    "outside": "probability outside the letters",
    "accuracy": "accuracy",
    "key": "the key's probability",
}
UNITS = {"confidence": "%", "entropy": "nats", "outside": "%", "accuracy": "%", "key": "%"}
DIGITS = {"%": 2, "nats": 3}  # behind the point
Effect = Steering | Ablation | Patching
S = TypeVar("S", Steering, Ablation, Patching)
_Layers = Sequence[tuple[str, LayerEffects]]


def outcome(result: Interventions) -> list[str]:
    """Three sentences for each pass and measure of interest."""
    lines = []
    for kind, effects in result.passes.items():
        layers = [(site, layer) for site, layer in zip(result.layers, effects.layers, strict=True) if layer is not None]
        for measure in [PRIMARY[kind], *(["accuracy"] if kind == "mcq" else [])]:
            sentences = (_steered(layers, measure), _ablated(layers, measure), _patched(layers, measure))
            lines.append(" ".join([f"{kind}, {NAMES[measure]}:", *sentences]))
    return lines


def checked(result: Interventions) -> list[str]:
    """What the checks measured, per pass."""
    lines = []
    for kind, checks in ((kind, effects.checks) for kind, effects in result.passes.items()):
        whole = "no two prompts of the sample are equally long, so no prompt was replaced whole"
        if checks.whole_replacement is not None:
            whole = (
                f"donors' states at every position, {checks.whole_replacements} replacements, gave the donors' "
                f"logits {_difference(checks.whole_replacement)}"
            )
        lines.append(
            f"{kind}: states put back where they were left all {checks.identity_logits:,} logits the same, bit for "
            f"bit; {whole}; the donor's last state alone {_difference(checks.last_replacement)}; letters' logits as "
            f"collected {_difference(checks.collected)}. "
            + ("Prompts were read once." if checks.cached else "Prompts were read anew for each intervention.")
        )
    return lines


def is_clear(scores: Effect) -> bool:
    """Whether an effect stands out from the control (corrected p), and its interval over all layers leaves 0 out."""
    return bool(scores.p_corrected <= SIGNIFICANT and scores.together.side_of(0))


def _difference(value: float) -> str:
    return "bit for bit" if value == 0 else f"up to a relative difference of {value:.1e}"


def _steered(layers: _Layers, measure: str) -> str:
    moved, (site, best) = _moved([(site, layer.steer[measure]) for site, layer in layers])
    if best.slope.too_few:
        return _undecided("steering along the direction moves it", best.slope)
    power = _power(moved, [layer.steer[measure] for _, layer in layers], f"{UNITS[measure]} per spread")
    text = f"Steering along the direction moves it {_where(moved, layers)} more than random directions do"
    digits = DIGITS[UNITS[measure]]
    numbers = f"{interval(best.together, digits)} {UNITS[measure]} per spread, random {_range(best.random, digits)}"
    return f"{text} (largest at {site}: {numbers}{power})."


def _ablated(layers: _Layers, measure: str) -> str:
    moved, (site, best) = _moved([(site, layer.ablate[measure]) for site, layer in layers])
    if best.change.too_few:
        return _undecided("taking the direction out moves it", best.change)
    digits = DIGITS[UNITS[measure]]
    numbers = f"{interval(best.together, digits)} {UNITS[measure]}, random {_range(best.random, digits)}"
    power = _power(moved, [layer.ablate[measure] for _, layer in layers], UNITS[measure])
    return f"Taking the direction out does so {_where(moved, layers)} (largest at {site}: {numbers}{power})."


def _patched(layers: _Layers, measure: str) -> str:
    moved, (site, best) = _moved([(site, layer.patch[measure]) for site, layer in layers])
    if best.difference.too_few:
        return _undecided("a state from a question of high confidence moves it", best.difference)
    digits = DIGITS[UNITS[measure]]
    power = _power(moved, [layer.patch[measure] for _, layer in layers], UNITS[measure])
    text = f"A state from a question of high confidence moves it {_where(moved, layers)} otherwise than one of low"
    gap = f", {number(best.share.value, 2)} of the gap" if best.share.value == best.share.value else ""
    change = f"{number(best.change.value, digits)} {UNITS[measure]}, control {number(best.control.value, digits)}"
    return f"{text} (largest at {site}: {change}{gap}; difference {interval(best.together, digits)}{power})."


def _undecided(deed: str, estimate: Estimate) -> str:
    return f"Whether {deed} cannot be told from {estimate.no_interval}."


def _moved(effects: Sequence[tuple[str, S]]) -> tuple[list[str], tuple[str, S]]:
    """(sites with a significant effect, the site of the largest one with its numbers: among these if there are any)."""
    clear = [(site, scores) for site, scores in effects if is_clear(scores)]
    return [site for site, _ in clear], max(clear or effects, key=lambda pair: abs(pair[1].effect.value))


def _power(moved: list[str], scores: Sequence[Effect], unit: str) -> str:
    """Where nothing is seen, what would have been at every layer."""
    seen = "" if moved else power_in_all([score.together for score in scores], "an effect", unit)
    return f"; {seen}" if seen else ""


def _where(moved: list[str], layers: _Layers) -> str:
    if not moved:
        return f"at none of {len(layers)} layers"
    shown = "every one" if len(moved) == len(layers) else ", ".join(moved)
    return f"at {len(moved)} of {len(layers)} layers ({shown})"


def _range(random: CentralRange, digits: int) -> str:
    return f"{number(random.low, digits)} to {number(random.high, digits)}"
