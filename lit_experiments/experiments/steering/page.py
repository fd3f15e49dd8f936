"""The page of steering, as blocks: dose-response, fluency, sample texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lit_experiments.experiments.steering.conditions import PROBE
from lit_experiments.experiments.steering.result import (
    DirectionResult,
    Dose,
    LayerSetResult,
    SampleText,
    SteeringResult,
)
from lit_experiments.reports.blocks import (
    Cell,
    Column,
    Curves,
    Note,
    Page,
    Panel,
    Role,
    Section,
    Series,
    Statement,
    Table,
)
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.statistics import Estimate

_SHOWN = 300  # characters of a sample text


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
            Section("Doses", [_doses(result)]),
            Section("Slope and monotonicity", [_responses(result), *_controls(result)]),
            Section("Where text stays fluent", [*_ranges(result), Note(f"Fluent: {rule}; by the values themselves.")]),
            Section("Sample texts", [_examples(result)], quiet=True),
        ],
        methods=[_METHODS.format(level=result.interval_level, rule=rule)],
        cautions=[DEMONSTRATION] if demonstration else [],
    )


_CURVES = (
    "Reading: at the last site, in the probe's own units, from the steered states; of the text itself: when the model "
    "as it is reads what was written, less that at strength 0. Perplexity: of what was written, under the model as it "
    "is. Random directions are orthogonal to the probe's and of the same length."
)
_METHODS = (
    "Strength 1 adds one standard deviation of the states along the direction (of the probe's training rows, or else "
    "of the prompts' tokens). Random numbers of the sampling are the same at every strength. The reading of a "
    "completion is the mean over its tokens of the probe's linear score, from the steered states: part of it is the "
    "push itself, carried on by the residual stream. The reading of the text is that of the model as it is, which "
    "reads the finished text. At sites that the probe was not trained at, its own direction is read. A prompt's value "
    "is the mean over its completions; intervals are bootstraps over prompts ({level:.0%}), and differences are paired "
    "by prompt. Slope: least squares of a prompt's readings over strengths; Spearman: of the same; means over prompts. "
    "A dose is fluent with {rule}; the fluent range is what can be reached from 0 over fluent doses alone."
)
_DOSES = (
    Column("layers"),
    Column("direction"),
    Column("strength"),
    Column("reading", "estimate", 3, "at the last site"),
    Column("less that at 0", "estimate", 3, "paired by prompt"),
    Column("text less that at 0", "estimate", 3, "the finished text, read by the model as it is; paired by prompt"),
    Column("perplexity", "estimate", 2, "of the completions, under the model as it is"),
    Column("distinct-2", "estimate", 2),
    Column("looping", "estimate", 2, "share of completions that end in a loop"),
    Column("fluent"),
)
_RESPONSES = (
    Column("layers"),
    Column("direction"),
    Column("read at"),
    Column("slope", "estimate", 3, "reading per unit of strength, mean over prompts"),
    Column("Spearman", "estimate", 2, "mean over prompts"),
    Column("carried", "number", 3, "the slope if later blocks carried the push on and did nothing else"),
    Column("text slope", "estimate", 3, "of the finished text, read by the model as it is"),
    Column("text Spearman", "estimate", 2),
)


def _outcome(result: SteeringResult, layers: LayerSetResult) -> Iterator[str]:
    name, site = _name(layers), result.sites[-1]
    mine = layers.directions[0]
    response = mine.response
    if result.strengths != [0.0]:
        slope = response.slope[-1]
        follows = {1: "rises with", -1: "falls with", 0: "does not clearly follow"}[slope.side_of(0)]
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
        yield f"{name}: text stays fluent from strength {mine.fluent_from:g} to {mine.fluent_to:g}."
    taken = [dose for dose in mine.doses if dose.strength is None]
    if taken:
        yield f"{name}: taking the direction out moves the reading at {site} by {_words(taken[0].moved[-1])}."


def _carried(layers: LayerSetResult) -> str:
    return f" (the push alone would give {layers.carried[-1]:.3g})" if layers.carried else ""


def _beside_random(differences: list[Estimate]) -> str:
    if not differences:
        return ""
    difference = differences[-1]
    side = {1: "steeper than", -1: "less steep than", 0: "not clearly steeper than"}[difference.side_of(0)]
    return f"; {side} along random directions by {_words(difference)}"


def _words(estimate: Estimate) -> str:
    if not estimate.has_interval:
        return f"{estimate.value:.3g}"
    return f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def _name(layers: LayerSetResult) -> str:
    return " + ".join(layers.layers)


def _rows(result: SteeringResult) -> Iterator[tuple[LayerSetResult, DirectionResult]]:
    for layers in result.sets:
        for direction in layers.directions:
            yield layers, direction


def _curves(result: SteeringResult) -> Curves:
    panels = []
    for layers in result.sets:
        head = f"{_name(layers)}: " if len(result.sets) > 1 else ""
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


def _doses(result: SteeringResult) -> Table:
    rows: list[list[Cell]] = [
        [
            _name(layers),
            direction.direction,
            _strength(dose.strength),
            dose.readings[-1],
            dose.moved[-1] if dose.strength != 0 else None,
            dose.text_moved[-1] if dose.strength != 0 else None,
            dose.perplexity,
            dose.distinct,
            dose.looping,
            "yes" if dose.fluent else "no",
        ]
        for layers, direction in _rows(result)
        for dose in direction.doses
    ]
    return Table("doses", "", _DOSES, rows)


def _responses(result: SteeringResult) -> Table:
    rows: list[list[Cell]] = [
        [
            _name(layers),
            direction.direction,
            site,
            direction.response.slope[r],
            direction.response.spearman[r],
            layers.carried[r] if layers.carried and direction.direction == PROBE else None,
            direction.response.text_slope[r],
            direction.response.text_spearman[r],
        ]
        for layers, direction in _rows(result)
        for r, site in enumerate(result.sites)
    ]
    return Table("responses", "", _RESPONSES, rows)


def _controls(result: SteeringResult) -> list[Table]:
    """The probe's direction against the random ones."""
    rows: list[list[Cell]] = [
        [_name(layers), site, *(values[r] if values else None for values in _differences(layers))]
        for layers in result.sets
        for r, site in enumerate(result.sites)
        if layers.against_random or layers.ablation
    ]
    columns = (
        Column("layers"),
        Column("read at"),
        Column("slope less random", "estimate", 3, "the probe's slope less the mean size of the random directions'"),
        Column("text slope less random", "estimate", 3, "the same of the finished text, read by the model as it is"),
        Column("ablation less random", "estimate", 3, "reading after ablation, the probe's less the random ones' mean"),
    )
    return [Table("against_random", "Against random directions, paired by prompt", columns, rows)] if rows else []


def _differences(layers: LayerSetResult) -> tuple[list[Estimate], ...]:
    return layers.against_random, layers.text_against_random, layers.ablation


def _ranges(result: SteeringResult) -> list[Statement]:
    return [
        Statement(
            f"{_name(layers)}, {direction.direction}: from {direction.fluent_from:g} to {direction.fluent_to:g} "
            f"of {min(result.strengths):g} to {max(result.strengths):g} that were tried."
        )
        for layers, direction in _rows(result)
    ]


def _examples(result: SteeringResult) -> Table:
    columns = (
        Column("layers"),
        Column("prompt"),
        Column("strength"),
        Column("text"),
        Column("reading", "number"),
        Column("perplexity", "number"),
    )
    return Table("texts", "", columns, [_example(example) for example in result.examples], most=10)


def _example(example: SampleText) -> list[Cell]:
    text = example.text[:_SHOWN]
    return [
        example.layers,
        example.prompt[-_SHOWN:],
        _strength(example.strength),
        text,
        example.reading,
        example.perplexity,
    ]


def _strength(strength: float | None) -> str:
    return "taken out" if strength is None else f"{strength:g}"
