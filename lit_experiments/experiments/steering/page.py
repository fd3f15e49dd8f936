"""The page of steering, as blocks: dose-response, fluency, sample texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lit_experiments.experiments.steering.conditions import PROBE
from lit_experiments.experiments.steering.result import (
    DirectionResult,
    Dose,
    LayerSetResult,
    SteeringResult,
)
from lit_experiments.experiments.steering.tables import (
    by_direction,
    doses_table,
    random_table,
    response_table,
    set_name,
    texts_table,
)
from lit_experiments.reports.blocks import (
    Curves,
    Note,
    Page,
    Panel,
    Role,
    Section,
    Series,
    Statement,
)
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.reports.findings import power_of
from lit_experiments.statistics import Estimate


@dataclass(frozen=True)
class FluencyRule:
    """perplexity: factor by which it may grow; repetition: share by which distinct 2-grams may fall and loops grow."""

    perplexity: float
    repetition: float

    def __str__(self) -> str:
        return (
            f"perplexity under the model as it is at most {self.perplexity:g} times that at strength 0, distinct "
            f"2-grams at most {self.repetition:g} fewer, looping texts at most {self.repetition:g} more"
        )


def steering_page(result: SteeringResult, rule: FluencyRule, demonstration: bool) -> Page:
    """The page; demonstration: the data are the embedded model's."""
    few = result.groups < result.prompts
    return Page(
        title=f"Steering along the direction of {result.output}",
        question="Does the model use the direction that the probe reads: do what it computes later and what it writes "
        "follow the strength with which its states are moved?",
        done=f"{result.prompts} prompts{f' ({result.groups} different texts)' if few else ''} were continued "
        f"{result.completions} times each at strengths {', '.join(f'{s:g}' for s in result.strengths)} of the natural "
        "spread, added at every token while the model wrote.",
        outcome=[line for layers in result.sets for line in _outcome(result, layers)],
        certainty="Intervals are over prompts. That a probe's reading moves says that the direction is carried on, not "
        "that it means what the probe was trained for: read the sample texts.",
        sections=[
            Section("Dose-response", [_curves(result), Note(_CURVES)]),
            Section("Doses", [doses_table(result)]),
            Section("Slope and monotonicity", [response_table(result), *random_table(result)]),
            Section("Where text stays fluent", [*_ranges(result), Note(f"Fluent: {rule}; by the values themselves.")]),
            Section("Sample texts", [texts_table(result)], quiet=True),
        ],
        methods=[_METHODS.format(level=result.interval_level, rule=rule)],
        cautions=[DEMONSTRATION] if demonstration else [],
    )


_CURVES = (
    "Reading: at the last site, in the probe's own units, from the steered states; of the text itself: when the model "
    "as it is reads what was written, minus that at strength 0. Perplexity: of what was written, under the model as it "
    "is. Random directions are orthogonal to the probe's and of the same length."
)
_METHODS = (
    "Strength 1 adds one standard deviation of the states along the direction (of the probe's training rows, or else "
    "of the prompts' tokens). Random numbers of the sampling are the same at every strength. The reading of a "
    "completion is the mean over its tokens of the probe's linear score, from the steered states: part of it is the "
    "push itself, carried on by the residual stream. The reading of the text is that of the model as it is, which "
    "reads the finished text. At sites that the probe was not trained at, its own direction is read. A prompt's value "
    "is the mean over its completions; intervals are over prompts ({level:.0%}), and differences are paired "
    "by prompt. Slope: least squares of a prompt's readings over strengths; Spearman: of the same; means over prompts. "
    "A dose is fluent with {rule}; the fluent range is what can be reached from 0 over fluent doses alone."
)


def _outcome(result: SteeringResult, layers: LayerSetResult) -> Iterator[str]:
    name, site = set_name(layers), result.sites[-1]
    steered = layers.directions[0]
    response = steered.response
    if result.strengths != [0.0]:
        slope = response.slope[-1]
        follows = {1: "rises with", -1: "falls with", 0: f"is not seen to follow{power_of(slope, 'a slope')}"}[
            slope.side_of(0)
        ]
        if not slope.has_interval:
            follows = f"(no interval: {slope.no_interval}) over"
        yield (
            f"{name}: the reading at {site} {follows} the strength, {_words(slope)} per unit, Spearman "
            f"{_words(response.spearman[-1])}{_carried(layers)}{_beside_random(layers.against_random)}."
        )
        yield (
            f"{name}: in the text itself, read by the model as it is, the slope is {_words(response.text_slope[-1])}, "
            f"Spearman {_words(response.text_spearman[-1])}{_beside_random(layers.text_against_random)}."
        )
        yield f"{name}: text stays fluent from strength {steered.fluent_from:g} to {steered.fluent_to:g}."
    taken = [dose for dose in steered.doses if dose.strength is None]
    if taken:
        yield f"{name}: taking the direction out moves the reading at {site} by {_words(taken[0].moved[-1])}."


def _carried(layers: LayerSetResult) -> str:
    return f" (the push alone would give {layers.carried[-1]:.3g})" if layers.carried else ""


def _beside_random(differences: list[Estimate]) -> str:
    if not differences:
        return ""
    difference = differences[-1]
    side = {1: "steeper than", -1: "less steep than", 0: "not clearly steeper than"}[difference.side_of(0)]
    return f"; {side} along random directions (difference {_words(difference)})"


def _words(estimate: Estimate) -> str:
    if not estimate.has_interval:
        return f"{estimate.value:.3g}"
    return f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def _curves(result: SteeringResult) -> Curves:
    panels = []
    for layers in result.sets:
        head = f"{set_name(layers)}: " if len(result.sets) > 1 else ""
        for title, values in (
            (f"{head}reading at {result.sites[-1]}", _reading),
            (f"{head}reading of the text itself", _text_moved),
            (f"{head}perplexity", _perplexity),
            (f"{head}distinct 2-grams", _distinct),
        ):
            series = [
                Series(direction.direction, *_line(direction, values), _role(direction))
                for direction in layers.directions
            ]
            panels.append(Panel(title, series, title.removeprefix(head)))
    return Curves("dose_response", "By strength, in multiples of the natural spread.", "strength", panels)


def _line(direction: DirectionResult, values: object) -> tuple[list[float], list[Estimate]]:
    doses = [dose for dose in direction.doses if dose.strength is not None]
    assert callable(values)
    return [float(dose.strength or 0) for dose in doses], [values(dose) for dose in doses]


def _reading(dose: Dose) -> Estimate:
    return dose.readings[-1]


def _text_moved(dose: Dose) -> Estimate:
    return dose.text_moved[-1]


def _perplexity(dose: Dose) -> Estimate:
    return dose.perplexity


def _distinct(dose: Dose) -> Estimate:
    return dose.distinct


def _role(direction: DirectionResult) -> Role:
    return "data" if direction.direction == PROBE else "control"


def _ranges(result: SteeringResult) -> list[Statement]:
    return [
        Statement(
            f"{set_name(layers)}, {direction.direction}: from {direction.fluent_from:g} to {direction.fluent_to:g} "
            f"of {min(result.strengths):g} to {max(result.strengths):g} that were tried."
        )
        for layers, direction in by_direction(result)
    ]
