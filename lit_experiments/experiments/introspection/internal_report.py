"""Tables, figures and pages of internal against surface."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.experiments.introspection.curves import COLORS, draw_panels
from lit_experiments.experiments.introspection.scoring import NAMES
from lit_experiments.reports.figures import GREY, band, figure, level
from lit_experiments.reports.page import Report, demonstration
from lit_experiments.reports.tables import interval, text_table
from stores import Store

_HEADERS = ["target", "states of", "score", "surface", "hidden", "layer", "both", "both - surface", "both - hidden"]
_LAYERS = ["layer", "hidden", "both", "hidden - surface", "both - surface", "both - hidden"]
_MOST = 3  # features named per target
_SENTENCES = {
    "nothing": "neither the surface nor the states are seen to tell it",
    "surface only": "the surface tells it, the states are not seen to",
    "internal only": "the states tell it, the surface is not seen to",
    "internal repeats surface": "both tell it, and the states are not seen to add to the surface",
    "internal beyond surface": "both tell it, and the states add to the surface",
    "unclear": "the intervals leave it open",
    "too little data": "too few questions for intervals, so nothing can be said",
}


def write_report(out: Path, result: dict[str, Any], store: Store) -> str:
    """Writes figures, RESULTS.md and report.html into `out`.

    Returns:
        What the terminal shows: statements, verdicts, tables, and where the page is.
    """
    report = Report("Introspection: internal against surface")
    lines = [*demonstration(store), _setting(result), *result["statements"]]
    if not result["pairs"]:
        lines.append("No surface feature varies over these questions, so there is nothing to compare.")
    for line in lines:
        report.text(line)
    if not result["pairs"]:
        return "\n".join([*lines, "", f"Report:  {report.write(out)}"])
    rows = [_row(pair) for pair in result["pairs"]]
    report.heading("Verdicts")
    for sentence in _verdicts(result):
        report.text(sentence)
    report.heading("At the chosen layer")
    report.table(_HEADERS, rows)
    report.text(_legend(result))
    report.heading("Which surface features carry the most")
    features = [[target, *_strongest(weights)] for target, weights in result["weights"].items()]
    report.table(["target", *(f"{n + 1}." for n in range(_MOST))], features)
    report.text(_WEIGHTS)
    curves = _draw_curves(out / "layers.png", result)
    heat = _draw_weights(out / "features.png", result)
    report.figure(curves, _CURVES)
    report.figure(heat, "Size of each surface feature's standardised weight, as a share of the target's largest.")
    report.heading("Every layer")
    for pair in result["pairs"]:
        report.text(f"{pair['target']} from the states of {pair['states']} (surface alone {interval(pair['surface'])})")
        report.table(_LAYERS, [_layer_row(layer) for layer in pair["by_layer"]])
    page = report.write(out)
    lines += ["", *(textwrap.fill(sentence, 110, subsequent_indent="  ") for sentence in _verdicts(result))]
    lines += ["", text_table(_HEADERS, rows), "", textwrap.fill(_legend(result), 100), ""]
    lines += [text_table(["target", *(f"{n + 1}." for n in range(_MOST))], features), "", f"Report:  {page}"]
    return "\n".join([*lines, f"Figures: {curves}", f"         {heat}"])


_WEIGHTS = (
    "Weights of the ridge on surface features for inputs of unit spread, in units of the target (of a class: of its 0 "
    "and 1; with more than two classes the root mean square, without sign). Features that go together share theirs; "
    "where the surface tells nothing, neither do they."
)
_CURVES = (
    "Held-out scores by layer. Lines with a band: hidden states alone, by pass; dashed: surface with what the states "
    "add; grey: surface alone, with its interval."
)


def _setting(result: dict[str, Any]) -> str:
    n = result["questions"]
    return f"{n['test']} held-out questions of {n['all']}; {len(result['layers'])} layers; all three by ridge."


def _legend(result: dict[str, Any]) -> str:
    return (
        f"Held-out scores with {result['interval_level']:.0%} intervals over questions; differences on the same "
        "resamples. Surface: ridge on lengths, question type, negation, ambiguity and token rarity. Hidden: ridge on "
        "the states, at the layer chosen in the training part. Both: the surface prediction and a ridge on the states "
        "for what it leaves, at a layer chosen in the same way. Verdicts: a score tells something if its interval "
        "lies above chance, one adds if the interval of both - surface lies above 0; they are not corrected for the "
        "number of targets."
    )


def _verdicts(result: dict[str, Any]) -> list[str]:
    out = []
    for kind in dict.fromkeys(pair["states"] for pair in result["pairs"]):
        said: dict[str, list[str]] = {}
        for pair in (pair for pair in result["pairs"] if pair["states"] == kind):
            said.setdefault(pair["verdict"], []).append(pair["target"])
        parts = [f"{_SENTENCES[name]} ({', '.join(targets)})" for name, targets in said.items()]
        out.append(f"States of {kind}: {'; '.join(parts)}.")
    return out


def _row(pair: dict[str, Any]) -> list[str]:
    chosen = pair["chosen"]
    about = [pair["target"], pair["states"], NAMES[pair["score"]], interval(pair["surface"], 2)]
    about += [interval(chosen["hidden"], 2), chosen["hidden_layer"], interval(chosen["both"], 2)]
    return [*about, interval(chosen["both_less_surface"], 2), interval(chosen["both_less_hidden"], 2)]


def _layer_row(layer: dict[str, Any]) -> list[str]:
    keys = ("hidden", "both", "hidden_less_surface", "both_less_surface", "both_less_hidden")
    return [layer["layer"], *(interval(layer[key]) for key in keys)]


def _strongest(weights: dict[str, float]) -> list[str]:
    named = [f"{name} {weight:+.3g}" for name, weight in list(weights.items())[:_MOST]]
    return named + ["-"] * (_MOST - len(named))


def _draw_curves(path: Path, result: dict[str, Any]) -> Path:
    def draw(axes: Any, at: list[int], pairs: list[dict[str, Any]]) -> None:
        for pair in pairs:
            color = COLORS[pair["states"]]
            band(axes, at, [layer["hidden"] for layer in pair["by_layer"]], color, f"states of {pair['states']}")
            both = [layer["both"].value for layer in pair["by_layer"]]
            axes.plot(at, both, "--", color=color, linewidth=1.2, label=f"surface and {pair['states']}")
        level(axes, pairs[0]["surface"], GREY, "surface alone")

    return draw_panels(path, result["pairs"], result["layers"], draw)


def _draw_weights(path: Path, result: dict[str, Any]) -> Path:
    targets = list(result["weights"])
    features = list(dict.fromkeys(name for weights in result["weights"].values() for name in weights))
    features.sort()
    size = np.array([[abs(result["weights"][t].get(name, np.nan)) for t in targets] for name in features])
    with np.errstate(invalid="ignore"):
        share = size / np.nanmax(size, axis=0)
    with figure(path, columns=2, height=0.3 * len(features) + 2.6) as drawn:
        axes = drawn.add_subplot()
        image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(targets)), targets, rotation=35, ha="right", fontsize=8)
        axes.set_yticks(range(len(features)), features, fontsize=8)
        axes.grid(False)
        drawn.colorbar(image, ax=axes, label="share of the largest")
    return path
