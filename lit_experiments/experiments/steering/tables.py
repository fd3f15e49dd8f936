"""The tables of steering's page."""

from __future__ import annotations

from collections.abc import Iterator

from lit_experiments.experiments.steering.conditions import PROBE
from lit_experiments.experiments.steering.result import DirectionResult, LayerSetResult, SampleText, SteeringResult
from lit_experiments.reports.blocks import Cell, Column, Table
from lit_experiments.statistics import Estimate

_SHOWN = 300  # characters of a sample text
_DOSES = (
    Column("layers"),
    Column("direction"),
    Column("strength"),
    Column("reading", "estimate", 3, "at the last site"),
    Column("minus that at 0", "estimate", 3, "paired by prompt"),
    Column("text minus that at 0", "estimate", 3, "the finished text, read by the model as it is; paired by prompt"),
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


def set_name(layers: LayerSetResult) -> str:
    """What a set of layers is called."""
    return " + ".join(layers.layers)


def by_direction(result: SteeringResult) -> Iterator[tuple[LayerSetResult, DirectionResult]]:
    """Every direction, set by set."""
    for layers in result.sets:
        for direction in layers.directions:
            yield layers, direction


def doses_table(result: SteeringResult) -> Table:
    """Every direction at every strength."""
    rows: list[list[Cell]] = [
        [
            set_name(layers),
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
        for layers, direction in by_direction(result)
        for dose in direction.doses
    ]
    return Table("doses", "", _DOSES, rows)


def response_table(result: SteeringResult) -> Table:
    """Slope and rank correlation at every site."""
    rows: list[list[Cell]] = [
        [
            set_name(layers),
            direction.direction,
            site,
            direction.response.slope[r],
            direction.response.spearman[r],
            layers.carried[r] if layers.carried and direction.direction == PROBE else None,
            direction.response.text_slope[r],
            direction.response.text_spearman[r],
        ]
        for layers, direction in by_direction(result)
        for r, site in enumerate(result.sites)
    ]
    return Table("responses", "", _RESPONSES, rows)


def random_table(result: SteeringResult) -> list[Table]:
    """The probe's direction against the random ones."""
    rows: list[list[Cell]] = [
        [set_name(layers), site, *(values[r] if values else None for values in _differences(layers))]
        for layers in result.sets
        for r, site in enumerate(result.sites)
        if layers.against_random or layers.ablation
    ]
    columns = (
        Column("layers"),
        Column("read at"),
        Column("slope minus random", "estimate", 3, "the probe's slope minus the mean size of the random directions'"),
        Column("text slope minus random", "estimate", 3, "the same of the finished text, read by the model as it is"),
        Column("ablation minus random", "estimate", 3, "reading after ablation: the probe's minus the random mean"),
    )
    return [Table("against_random", "Against random directions, paired by prompt", columns, rows)] if rows else []


def _differences(layers: LayerSetResult) -> tuple[list[Estimate], ...]:
    return layers.against_random, layers.text_against_random, layers.ablation


def texts_table(result: SteeringResult) -> Table:
    """Completions by strength."""
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
