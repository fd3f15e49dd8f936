"""What the interventions came to, in sentences chosen by the numbers. Knows no files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lit_experiments.experiments.introspection.patching_statistics import PRIMARY
from lit_experiments.reports.tables import interval, number
from lit_experiments.statistics import Estimate

SIGNIFICANT = 0.05  # of p-values corrected over layers
NAMES = {
    "confidence": "expected confidence",
    "entropy": "entropy",
    "outside": "probability outside the letters",
    "accuracy": "accuracy",
    "key": "the key's probability",
}
UNITS = {"confidence": "%", "entropy": "nats", "outside": "%", "accuracy": "%", "key": "%"}
DIGITS = {"%": 2, "nats": 3}  # behind the point
VALUE = {"steer": "slope", "ablate": "change", "patch": "difference"}  # what an intervention is judged by
_Layer = tuple[str, dict[str, Any]]


def outcome(result: dict[str, Any]) -> list[str]:
    """Two or three sentences for each pass and measure of interest, and one on what p-values could show at all."""
    lines = []
    for kind, about in result["passes"].items():
        layers = [pair for pair in zip(result["layers"], about["layers"], strict=True) if pair[1] is not None]
        for measure in [PRIMARY[kind], *(["accuracy"] if kind == "mcq" else [])]:
            said = [_steered, _ablated, _patched]
            lines.append(" ".join([f"{kind}, {NAMES[measure]}:", *(say(layers, measure) for say in said)]))
        lines += _too_few(result, kind, len(layers))
    return lines


def checked(result: dict[str, Any]) -> list[str]:
    """What the checks measured, per pass."""
    lines = []
    for kind, found in ((kind, about["checks"]) for kind, about in result["passes"].items()):
        whole = "no two prompts of the sample are equally long, so no prompt was replaced whole"
        if found["whole_replacement"] is not None:
            whole = (
                f"donors' states at every position, {found['whole_replacements']} replacements, gave the donors' "
                f"logits {_difference(found['whole_replacement'])}"
            )
        lines.append(
            f"Checks, {kind}: states put back where they were left all {found['identity_logits']:,} logits the same, "
            f"bit for bit; {whole}; the donor's last state alone {_difference(found['last_replacement'])}; letters' "
            f"logits as collected {_difference(found['collected'])}. "
            + ("Prompts were read once." if found["cached"] else "Prompts were read anew for each intervention.")
        )
    return lines


def _difference(value: float) -> str:
    return "bit for bit" if value == 0 else f"up to a relative difference of {value:.1e}"


def _steered(layers: Sequence[_Layer], measure: str) -> str:
    moved, (site, best) = _moved(layers, "steer", measure, lambda found: abs(found["slope"].value))
    if best["slope"].too_few:
        return _untold("steering along the direction moves it", best["slope"])
    text = f"Steering along the direction moves it {_where(moved, layers)} more than random directions do"
    unit = f"{UNITS[measure]} per spread"
    digits = DIGITS[UNITS[measure]]
    numbers = f"{interval(best['slope'], digits)} {unit}, random {_range(best['random'], digits)}"
    return f"{text} (largest at {site}: {numbers})."


def _ablated(layers: Sequence[_Layer], measure: str) -> str:
    moved, (site, best) = _moved(layers, "ablate", measure, lambda found: abs(found["change"].value))
    if best["change"].too_few:
        return _untold("taking the direction out moves it", best["change"])
    digits = DIGITS[UNITS[measure]]
    numbers = f"{interval(best['change'], digits)} {UNITS[measure]}, random {_range(best['random'], digits)}"
    return f"Taking the direction out does so {_where(moved, layers)} (largest at {site}: {numbers})."


def _patched(layers: Sequence[_Layer], measure: str) -> str:
    moved, (site, best) = _moved(layers, "patch", measure, lambda found: abs(found["difference"].value))
    if best["difference"].too_few:
        return _untold("a state from a question of high confidence moves it", best["difference"])
    digits = DIGITS[UNITS[measure]]
    text = f"A state from a question of high confidence moves it {_where(moved, layers)} otherwise than one of low"
    gap = f", {interval(best['share'], 2)} of the gap" if best["share"].value == best["share"].value else ""
    change = f"{interval(best['change'], digits)} {UNITS[measure]}, control {interval(best['control'], digits)}"
    return f"{text} (largest at {site}: {change}{gap})."


def _untold(deed: str, estimate: Estimate) -> str:
    return f"Whether {deed} cannot be told from {estimate.no_interval}."


def is_clear(what: str, scores: dict[str, Any]) -> bool:
    """Whether an effect stands out from the control (corrected p) and its own interval leaves 0 out."""
    value = scores[VALUE[what]]
    return bool(scores["p_holm"] < SIGNIFICANT and value.side_of(0))


def _moved(
    layers: Sequence[_Layer], what: str, measure: str, size: Callable[[dict[str, Any]], float]
) -> tuple[list[str], _Layer]:
    """(sites with a significant effect, the site of the largest one with its numbers: among these if there are any)."""
    found = [(site, layer[what][measure]) for site, layer in layers]
    clear = [(site, scores) for site, scores in found if is_clear(what, scores)]
    return [site for site, _ in clear], max(clear or found, key=lambda pair: size(pair[1]))


def _where(moved: list[str], layers: Sequence[_Layer]) -> str:
    if not moved:
        return f"at none of {len(layers)} layers"
    shown = "every one" if len(moved) == len(layers) else ", ".join(moved)
    return f"at {len(moved)} of {len(layers)} layers ({shown})"


def _range(random: dict[str, float], digits: int) -> str:
    return f"{number(random['low'], digits)} to {number(random['high'], digits)}"


def _too_few(result: dict[str, Any], kind: str, layers: int) -> list[str]:
    least = layers / (1 + result["random_directions"])
    if least < SIGNIFICANT:
        return []
    return [
        f"{kind}: {result['random_directions']} random directions cannot give a p below {min(least, 1):.3f} after "
        f"correction over {layers} layers; --random_directions {int(layers / SIGNIFICANT)} can."
    ]
