"""The figures of study 2 as blocks."""

from __future__ import annotations

from collections.abc import Callable

from lit_experiments.experiments.prefill_dynamics.conditions import SHUFFLED
from lit_experiments.experiments.prefill_dynamics.findings import Example, Findings
from lit_experiments.reports.blocks import Curves, Level, Panel, Points, Role, Scatter, Series
from lit_experiments.statistics import Estimate, Paired


def levels(result: Findings) -> Curves:
    """Smoothness by layer with bands, in the states' own units and relative to their norms; and consistency."""
    panels = {
        "smoothness": "mean step",
        "relative smoothness": "mean step / mean norm",
        "consistency": "mean cosine of successive steps",
    }
    return Curves(
        "smoothness_by_layer",
        "Smoothness by layer, absolute and relative to the states' norm, and directional consistency. Bands: "
        f"{result.interval_level:.0%} intervals over paragraphs; full length.",
        "layer",
        [
            Panel(metric.capitalize(), [_series(name, result, metric) for name in result.conditions], label)
            for metric, label in panels.items()
        ],
    )


def _series(condition: str, result: Findings, metric: str) -> Series:
    return Series(condition, result.layers, result.conditions[condition].layers[metric], _role(condition))


def _role(condition: str) -> Role:
    return "control" if condition == SHUFFLED else "data"


def differences(result: Findings) -> Curves:
    """Per-layer differences of every pair: as a part of the first condition's value, and as Cohen's d."""
    panels: dict[str, Callable[[Paired], Estimate]] = {
        "% of the first": lambda test: test.relative.mapped(lambda part: 100 * part),
        "Cohen's d of the pairs": lambda test: test.d,
    }
    pairs = [pair for pair in result.main if pair.layers["smoothness"]]
    return Curves(
        "differences",
        "Differences in smoothness by layer, first minus second: above zero the second condition is smoother. Whether "
        "a difference outlasts Holm's correction over layers stands among the verdicts.",
        "layer",
        [
            Panel(
                "Difference in smoothness",
                [
                    Series(pair.name, result.layers, [value(test) for test in pair.layers["smoothness"]])
                    for pair in pairs
                ],
                label,
                [Level("no difference", 0.0)],
            )
            for label, value in panels.items()
        ],
    )


def surprise(result: Findings) -> Scatter:
    """Cross-entropy and smoothness: every text, and the paired differences human minus model."""
    texts = [row for row in result.rows if row.counts]
    panels = [
        Points(
            "Every text",
            [row.ce_continuation for row in texts],
            [row.smoothness for row in texts],
            group=[row.condition for row in texts],
            label=[row.sample_id for row in texts],
        )
    ]
    pair = result.headline
    if pair is not None and pair.paragraphs:
        panels.append(
            Points(
                "The same paragraph, human minus model",
                pair.gaps("ce").tolist(),
                pair.gaps("smoothness").tolist(),
                label=pair.paragraphs,
                x_name="difference in cross-entropy (nats per token)",
                y_name="difference in smoothness",
            )
        )
    return Scatter(
        "surprise",
        "Cross-entropy and smoothness: every text at full length (left); differences of the two texts of a paragraph "
        "in the main variant (right): above and right of zero the human text moves more and surprises more.",
        x="cross-entropy of the continuation (nats per token)",
        y="smoothness (mean step)",
        panels=panels,
    )


def norms(example: Example) -> Curves:
    """Norms along the continuations of one paragraph: a row of panels per condition, a column per layer."""
    highest = [max(max(path.norms[line]) for path in example.paths) for line in range(len(example.layers))]
    return Curves(
        "norms",
        f"Norms of the states along the continuations of {example.paragraph_id}, whose difference in smoothness is "
        "the median one, at an early, a middle and the last layer.",
        "token of the continuation",
        [
            Panel(
                f"{path.condition}, {layer}",
                [Series(path.condition, list(range(len(path.tokens))), path.norms[line], _role(path.condition))],
                "norm",
                bounds=(0, highest[line]),
            )
            for path in example.paths
            for line, layer in enumerate(example.layers)
        ],
    )
