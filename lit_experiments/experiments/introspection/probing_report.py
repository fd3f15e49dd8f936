"""Tables, figures and pages of emergence over layers."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.experiments.introspection.curves import COLORS, draw_panels
from lit_experiments.experiments.introspection.scoring import NAMES
from lit_experiments.reports.figures import GREY, band, figure, layer_axis
from lit_experiments.reports.page import Report, demonstration
from lit_experiments.reports.tables import interval, text_table
from lit_experiments.statistics import LEAST_GROUPS
from stores import Store

_HEADERS = [
    "target",
    "states of",
    "score",
    "onset",
    "interval",
    "no onset",
    "score at onset",
    "best layer",
    "its score",
]


def write_report(out: Path, result: dict[str, Any], store: Store) -> str:
    """Writes figures, RESULTS.md and report.html into `out`.

    Returns:
        What the terminal shows: statements, table, the lag, and where the page is.
    """
    report = Report("Introspection: where in the model it becomes readable")
    lines = [*demonstration(store), _setting(result), *result["statements"]]
    for line in lines:
        report.text(line)
    rows = [_row(pair) for pair in _ordered(result)]
    report.heading("Onsets")
    report.table(_HEADERS, rows)
    report.text(_legend(result))
    report.heading("Does confidence come after uncertainty?")
    report.text(lag_sentence(result["lag"]))
    curves, onsets = _draw_curves(out / "emergence.png", result), _draw_onsets(out / "onsets.png", result)
    report.heading("Emergence")
    report.figure(curves, _CURVES)
    report.figure(onsets, _ONSETS)
    page = report.write(out)
    lines += ["", text_table(_HEADERS, rows), "", textwrap.fill(_legend(result), 100)]
    lines += ["", textwrap.fill(lag_sentence(result["lag"]), 100), "", f"Report:  {page}"]
    return "\n".join([*lines, f"Figures: {curves}", f"         {onsets}"])


_CURVES = (
    "Held-out score of each layer's probe with its interval over questions, one line per pass whose states are read; "
    "grey: the control of all of them, targets permuted between questions; a ring: the onset."
)
_ONSETS = (
    "The first layer above its control, with its interval over questions; an arrow: it reaches to no layer at all."
)


def onset_interval(onset: dict[str, Any]) -> str:
    """'resid_post.1 to none', or why there is no interval."""
    if onset["questions"] < LEAST_GROUPS:
        return f"no interval: {onset['questions']} groups"
    return f"{onset['low'] or 'none'} to {onset['high'] or 'none'}"


def lag_sentence(lag: dict[str, Any]) -> str:
    """The lag in words, by its interval."""
    if lag["absent"]:
        return f"No lag: there is no probe of {' or of '.join(lag['absent'])}."
    estimate, share = (
        lag["estimate"],
        f"{lag['undefined_share']:.0%} of the resamples leave one of the two without an onset",
    )
    what = "the onset of the self pass's confidence less that of the mcq pass's entropy, each in its own pass's states"
    if np.isnan(estimate.value):
        return f"The lag ({what}) is undefined: one of the two has no onset ({share})."
    said = f"The lag is {estimate.value:+.0f} layers: {what}"
    if not (estimate.has_interval or estimate.unanimous):
        why = estimate.no_interval if estimate.too_few else share
        return f"{said}. It has no interval: {why}."
    if estimate.unanimous:
        ends, side = f"the same in all resamples of {estimate.n} questions", int(np.sign(estimate.value))
    else:
        ends = f"{estimate.level:.0%} interval {estimate.low:+.0f} to {estimate.high:+.0f}, paired over questions"
        side = estimate.side_of(0)
    verdict = {
        1: "confidence becomes readable later than entropy",
        -1: "confidence becomes readable earlier than entropy",
        0: "both become readable in the same layer"
        if estimate.unanimous
        else "these questions do not tell which comes first",
    }[side]
    return f"{said} ({ends}; {share}): {verdict}."


def _setting(result: dict[str, Any]) -> str:
    n = result["questions"]
    return f"{n['test']} held-out questions of {n['all']}; {len(result['layers'])} layers; from the trained probes."


def _legend(result: dict[str, Any]) -> str:
    return (
        f"Onset: the first layer whose held-out score exceeds its control and chance. The control of a layer is its "
        f"own predictions against targets permuted between the test questions ({result['permutations']} times); the "
        f"bound is its 1 - {result['alpha']:g} / {len(result['layers'])} quantile (Bonferroni over layers: a curve "
        f"without signal has an onset with probability {result['alpha']:g} at most). Intervals: "
        f"{result['interval_level']:.0%}, over resampled test questions with probes and bounds held fixed, so not over "
        "other training sets; they reach towards the front, where a resample can lift a score of about nothing over a "
        "bound of about nothing. No onset: share of the resamples without one, which count as after the last layer. "
        "Best layer: by its value here, for orientation; the layer that training chose is in the probes' own report."
    )


def _ordered(result: dict[str, Any]) -> list[dict[str, Any]]:
    targets = list(dict.fromkeys(pair["target"] for pair in result["pairs"]))
    return sorted(result["pairs"], key=lambda pair: targets.index(pair["target"]))


def _row(pair: dict[str, Any]) -> list[str]:
    onset, scores = pair["onset"], [layer["score"] for layer in pair["curve"]]
    values = [score.value for score in scores]
    best = int(np.nanargmax(values)) if np.isfinite(values).any() else None
    return [
        pair["target"],
        pair["states"],
        NAMES[pair["score"]],
        onset["layer"] or "none",
        onset_interval(onset),
        f"{onset['none_share']:.0%}",
        "-" if onset["index"] is None else interval(scores[onset["index"]], 2),
        "-" if best is None else pair["curve"][best]["layer"],
        "-" if best is None else interval(scores[best], 2),
    ]


def _draw_curves(path: Path, result: dict[str, Any]) -> Path:
    def draw(axes: Any, at: list[int], pairs: list[dict[str, Any]]) -> None:
        for pair in pairs:
            color, curve = COLORS[pair["states"]], pair["curve"]
            band(axes, at, [layer["score"] for layer in curve], color, f"states of {pair['states']}")
            axes.plot(at, [layer["threshold"] for layer in curve], "--", color=color, linewidth=0.8, label="bounds")
            found = pair["onset"]["index"]
            if found is not None:
                score = curve[found]["score"].value
                axes.plot(found, score, "o", markersize=11, markerfacecolor="none", color=color, label="onset")
        low = np.min([[layer["control_low"] for layer in pair["curve"]] for pair in pairs], axis=0)
        high = np.max([[layer["control_high"] for layer in pair["curve"]] for pair in pairs], axis=0)
        axes.fill_between(at, low, high, color=GREY, alpha=0.2, linewidth=0, label="permuted targets")

    return draw_panels(path, result["pairs"], result["layers"], draw)


def _draw_onsets(path: Path, result: dict[str, Any]) -> Path:
    pairs, last = _ordered(result), len(result["layers"])
    with figure(path, columns=2, height=0.24 * len(pairs) + 1.6) as drawn:
        axes = drawn.add_subplot()
        layer_axis(axes, result["layers"])
        labels = [label.get_text() for label in axes.get_xticklabels()]
        axes.set_xticks([*axes.get_xticks(), last], [*labels, "none"])
        for row, pair in enumerate(pairs):
            onset, color = pair["onset"], COLORS[pair["states"]]
            if onset["index"] is not None:
                axes.plot(onset["index"], row, "o", color=color, markersize=5)
            if onset["index_low"] is not None:
                high = last if onset["index_high"] is None else onset["index_high"]
                axes.hlines(row, onset["index_low"], high, color=color, linewidth=2)
                if onset["index_high"] is None:
                    axes.plot(last, row, ">", color=color, markersize=5)
        names = [f"{pair['target']} from {pair['states']}" for pair in pairs]
        axes.set_yticks(range(len(pairs)), names, fontsize=8)
        axes.set(title="Onset", xlim=(-0.4, last + 0.2), ylim=(len(pairs) - 0.4, -0.6))
    return path
