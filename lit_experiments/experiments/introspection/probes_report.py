"""Tables, figures and pages of the layerwise probes."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.experiments.introspection.curves import COLORS, draw_panels
from lit_experiments.experiments.introspection.scoring import NAMES
from lit_experiments.reports.figures import GREY, band, figure
from lit_experiments.reports.page import Report, demonstration
from lit_experiments.reports.tables import interval, number, text_table
from stores import Store

_PROBES = ["target", "score (chance)", "held out", "layer", "p (layers)", "p (targets)", "shuffled"]
_CONTROLS = ["target", "surface alone", "+ hidden", "confidence alone", "+ hidden", "random twin", "less twin"]
_GAINS = {"surface": "hidden beyond surface", "confidence": "hidden beyond output confidence"}


def write_report(out: Path, result: dict[str, Any], store: Store) -> str:
    """Writes figures, RESULTS.md and report.html into `out`.

    Returns:
        What the terminal shows: statements, tables, and where the page is.
    """
    report = Report("Introspection: layerwise probes")
    lines = demonstration(store)
    for line in [*lines, _setting(result), *result["statements"]]:
        report.text(line)
    lines += [_setting(result), *result["statements"]]
    curves, gains = _draw_curves(out / "layers.png", result), _draw_gains(out / "controls.png", result)
    report.figure(curves, _CURVES)
    report.figure(gains, _GAINS_CAPTION)
    for kind in dict.fromkeys(pair["states"] for pair in result["pairs"]):
        pairs = [pair for pair in result["pairs"] if pair["states"] == kind]
        for headers, rows in ((_PROBES, [_probe_row(p) for p in pairs]), (_CONTROLS, [_control_row(p) for p in pairs])):
            title = f"From the states of {kind}" + ("" if headers is _PROBES else ": controls")
            report.heading(title)
            report.table(headers, rows)
            lines += ["", title, text_table(headers, rows)]
    for paragraph in _legend(result):
        report.text(paragraph)
        lines += ["", textwrap.fill(paragraph, 100)]
    page = report.write(out)
    return "\n".join([*lines, "", f"Report:  {page}", f"Figures: {curves}", f"         {gains}"])


_CURVES = (
    "Held-out score of every layer with its interval, one panel per target, one line per pass whose states are read; "
    "dotted: the random-weights twin. Grey bars: range of probes retrained on shuffled targets, over all passes."
)
_GAINS_CAPTION = (
    "What hidden states add, with intervals over questions: to a prediction from surface features, to one from the "
    "pass's own output confidence, and to what a random-weights twin of the model tells. Left of 0: nothing added."
)


def _setting(result: dict[str, Any]) -> str:
    n = result["questions"]
    where = "the answer position" if result["position"] == "answer" else f"stored token {result['position']}"
    return (
        f"{n['all']} questions, {n['test']} of them held out (one split by question for everything); states at {where} "
        f"of {len(result['layers'])} layers; penalty and layer chosen by {result['folds']} folds of the training part."
    )


def _legend(result: dict[str, Any]) -> list[str]:
    probes = (
        "Held out: score on the test questions at the chosen layer, with a bootstrap {level:.0%} interval over "
        "questions: R2 for numbers (ridge), AUROC for two classes and accuracy for more (logistic); chance is the "
        "score of a prediction that knows nothing of the question. p: one-sided, from {permutations} permutations of "
        "the test questions; (layers): of that layer, corrected over the layers of its curve (Holm); (targets): of the "
        "chosen layer, corrected over all {pairs} pairs of states and target here (Holm). Shuffled: mean and range of "
        "the held-out score of {shuffles} ridges retrained, layer choice and all, on targets permuted between "
        "questions (for classes, on their 0 and 1)."
    ).format(
        level=result["interval_level"],
        permutations=result["permutations"],
        pairs=len(result["pairs"]),
        shuffles=result["shuffles"],
    )
    controls = (
        "Controls: surface is a ridge on what the question looks like (lengths, type, negation, ambiguity, token "
        "rarity); confidence one on what the pass whose states are read puts out (the top letter's probability, the "
        "gap to the second, the entropy over letters, in a confidence pass the expected confidence), less whichever of "
        "these is the target itself. + hidden: the gain in score when a ridge on the states adds what it can tell of "
        "the rest, at its own chosen layer, on the same resamples; what states and control share counts for the "
        "control. Classes enter these ridges as 0 and 1. Random twin: the same architecture with fresh weights, which "
        "read the same prompts, probed alike; less twin: the model's score less the twin's. A dash: no value."
    )
    return [probes, controls]


def _probe_row(pair: dict[str, Any]) -> list[str]:
    chosen, shuffled = pair["chosen"], pair["controls"]["shuffled"]
    spread = (
        "-"
        if np.isnan(shuffled["mean"])
        else f"{shuffled['mean']:.2f} ({shuffled['low']:.2f} to {shuffled['high']:.2f})"
    )
    return [
        pair["target"],
        f"{NAMES[pair['score']]} ({pair['chance']:.2g})",
        interval(chosen["score"]),
        chosen["layer"],
        number(chosen["p_holm"], 4),
        number(chosen["p_holm_targets"], 4),
        spread,
    ]


def _control_row(pair: dict[str, Any]) -> list[str]:
    cells = [pair["target"]]
    for name in ("surface", "confidence"):
        found = pair["controls"].get(name)
        cells += ["-", "-"] if found is None else [interval(found["score"], 2), interval(found["gain"], 2)]
    twin = pair["controls"].get("twin")
    return [*cells, *(["-", "-"] if twin is None else [interval(twin["score"], 2), interval(twin["difference"], 2)])]


def _draw_curves(path: Path, result: dict[str, Any]) -> Path:
    def draw(axes: Any, at: list[int], pairs: list[dict[str, Any]]) -> None:
        for pair in pairs:
            color = COLORS[pair["states"]]
            band(axes, at, [layer["score"] for layer in pair["layers"]], color, f"states of {pair['states']}")
            if "twin" in pair["controls"]:
                twin = [estimate.value for estimate in pair["controls"]["twin"]["by_layer"]]
                axes.plot(at, twin, ":", color=color, linewidth=1.2, label=f"twin, {pair['states']}")
        control = [[layer["shuffled"] for layer in pair["layers"]] for pair in pairs]
        low = np.min([[c["low"] for c in each] for each in control], axis=0)
        high = np.max([[c["high"] for c in each] for each in control], axis=0)
        axes.vlines(at, low, high, color=GREY, alpha=0.5, linewidth=4, label="shuffled targets")

    return draw_panels(path, result["pairs"], result["layers"], draw)


def _draw_gains(path: Path, result: dict[str, Any]) -> Path:
    panels = {name: ("gain", title) for name, title in _GAINS.items()}
    if result["twin"]:
        panels["twin"] = ("difference", "model less random twin")
    pairs = result["pairs"]
    with figure(path, columns=len(panels), height=0.24 * len(pairs) + 1.6) as drawn:
        for place, (name, (key, title)) in enumerate(panels.items()):
            axes = drawn.add_subplot(1, len(panels), place + 1)
            for row, pair in enumerate(pairs):
                gain = pair["controls"].get(name, {}).get(key)
                if gain is not None:
                    axes.hlines(row, gain.low, gain.high, color=COLORS[pair["states"]], linewidth=2)
                    axes.plot(gain.value, row, "o", color=COLORS[pair["states"]], markersize=4)
            axes.axvline(0, color="black", linewidth=0.6)
            names = [f"{pair['target']} from {pair['states']}" for pair in pairs] if place == 0 else []
            axes.set_yticks(range(len(pairs)), names or [""] * len(pairs), fontsize=8)
            axes.set(title=title, xlabel="gain in score", ylim=(len(pairs) - 0.4, -0.6))
    return path
