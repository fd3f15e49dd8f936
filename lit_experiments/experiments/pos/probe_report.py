"""Tables, figures and pages of the part-of-speech probes."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.probes.class_result import ClassScores
from lit_experiments.reports.figures import (
    BLUE,
    GREY,
    ORANGE,
    band,
    figure,
    layer_axis,
    legend,
    level,
    reliability_diagram,
)
from lit_experiments.reports.page import Report, demonstration
from lit_experiments.reports.tables import interval, number, text_table
from stores import Store

_HEADERS = ["layer", "accuracy", "less type's tag", "control", "selectivity", "log-loss", "CV log-loss", "penalty"]
_TAGS = ["tag", "words", "precision", "recall", "F1"]
_LEGEND = (
    "Accuracy, log-loss (nats) and everything compared with them: test part, bootstrap {level:.0%} intervals over "
    "{test_unit}. Less type's tag: accuracy less that of the commonest training tag of the word's type ({baseline}; "
    "{unseen:.1%} of the test words are of types that training lacks, which get its commonest tag). Control: accuracy "
    "on a random tag per type (Hewitt and Liang 2019), fitted in the same way. Selectivity: accuracy less control. "
    "Penalty and layer are chosen by cross-validated log-loss over {folds} folds of training {train_unit}."
)
_CALIBRATED = (
    "Share of words whose most probable tag is right, against its probability, {part} part, layer {layer}; the area of "
    "a dot is its share of the words."
)


def write_report(out: Path, metrics: dict[str, Any], store: Store) -> str:
    """Writes figures, RESULTS.md and report.html into `out`.

    Returns:
        Statements and tables for the terminal, and where the page is.
    """
    lines = [*demonstration(store), *statements(metrics)]
    rows = [_layer_row(about) for about in metrics["layers"]]
    explained = _LEGEND.format(
        level=metrics["interval_level"],
        baseline=interval(metrics["baseline"]["accuracy"]),
        unseen=metrics["baseline"]["unseen"],
        folds=metrics["folds"],
        test_unit=metrics["units"]["test"],
        train_unit=metrics["units"]["train"],
    )
    report = Report("Part of speech: what each layer's states tell")
    for line in lines:
        report.text(line)
    report.heading("Layers")
    report.table(_HEADERS, rows)
    report.text(explained)
    report.figure(_draw_layers(out / "accuracy_by_layer.png", metrics), _LAYERS)
    part = _calibration_part(metrics)
    report.heading(f"Calibration of {metrics['layer']} ({part} part)")
    report.text(_calibration(metrics, part))
    caption = _CALIBRATED.format(part=part, layer=metrics["layer"])
    report.figure(_draw_reliability(out / "reliability.png", metrics[part]), caption)
    report.heading(f"Tags ({metrics['layer']}, test part)")
    tags = [_tag_row(each) for each in metrics["test"].classes]
    report.table(_TAGS, tags)
    report.figure(_draw_confusion(out / "confusion.png", metrics), "Test words by their tag and the probe's, by row.")
    page = report.write(out)
    lines += ["", text_table(_HEADERS, rows), "", textwrap.fill(explained, 100), ""]
    return "\n".join([*lines, text_table(_TAGS, tags), "", _calibration(metrics, part), f"Report:  {page}"])


_LAYERS = "Test accuracy of the probe and of the control task by layer, beside the commonest tag of the word's type."


def statements(metrics: dict[str, Any]) -> list[str]:
    """What was fitted on what, and in one sentence whether it beats the type's commonest tag."""
    words, groups = metrics["words"], metrics["groups"]
    sizes = ", ".join(f"{part} {words[part]:,} words of {groups[part]}" for part in words if words[part])
    excluded = ", ".join(metrics["excluded_tags"]) or "none"
    first, *others = metrics["split"]
    lines = [f"{first} {sizes}. Excluded tags: {excluded}; state: {metrics['position']} token of the word."]
    lines += [*others, f"Documents: {metrics['documents_from']}."]
    if metrics["unlabelled"]:
        lines.append(f"{metrics['unlabelled']} words have a tag that the training part lacks, and count nowhere.")
    if metrics["straddling_documents"]:
        some = metrics["straddling_documents"]
        lines.append(f"Careful: {len(some)} documents have sentences in several parts, such as {', '.join(some[:3])}.")
    lines.append(_verdict(metrics))
    if metrics["unconverged"]:
        lines.append(f"{metrics['unconverged']} fits ended before they reached the tolerance (max_iterations).")
    return lines


def _verdict(metrics: dict[str, Any]) -> str:
    about = next(each for each in metrics["layers"] if each["layer"] == metrics["layer"])
    test, above = metrics["test"], about["above_baseline"]
    chosen = "named" if metrics["layer_named"] else "chosen by cross-validation"
    beats = {1: "is above", -1: "is below", 0: "cannot be told from"}[above.side_of(0)]
    if not above.has_interval:
        beats = f"cannot be compared ({above.no_interval}) with"
    return (
        f"Layer {metrics['layer']} ({chosen}): accuracy {interval(test.accuracy)}, macro F1 {interval(test.macro_f1)}; "
        f"it {beats} the commonest tag of the type ({interval(metrics['baseline']['accuracy'])}), by "
        f"{interval(above)}; selectivity {interval(about['selectivity'])}; commonest tag of all "
        f"{number(metrics['majority'].accuracy.value)}; with tags shuffled between "
        f"{metrics['units']['train']} "
        f"{', '.join(number(value) for value in metrics['shuffled'].accuracy) or 'not run'}."
    )


def _layer_row(about: dict[str, Any]) -> list[str]:
    return [
        about["layer"],
        interval(about["test_accuracy"]),
        interval(about["above_baseline"]),
        interval(about["control_accuracy"]),
        interval(about["selectivity"]),
        interval(about["test_log_loss"]),
        "-" if about["cv_log_loss"] is None else number(about["cv_log_loss"]),
        f"{about['penalty']:.0e}",
    ]


def _tag_row(each: Any) -> list[str]:
    return [each.name, f"{each.rows:,}", interval(each.precision), interval(each.recall), interval(each.f1)]


def _calibration_part(metrics: dict[str, Any]) -> str:
    return "validation" if "validation" in metrics else "test"


def _calibration(metrics: dict[str, Any], part: str) -> str:
    scores: ClassScores = metrics[part]
    return (
        f"Calibration, {part} part: expected calibration error {interval(scores.ece)}, accuracy "
        f"{interval(scores.accuracy)}, log-loss {interval(scores.log_loss)} nats, {scores.rows:,} words of "
        f"{metrics['groups'][part]}."
    )


def _draw_layers(path: Path, metrics: dict[str, Any]) -> Path:
    layers = metrics["layers"]
    with figure(path, columns=2, height=4.0) as drawn:
        axes = drawn.add_subplot()
        at = layer_axis(axes, [about["layer"] for about in layers])
        band(axes, at, [about["test_accuracy"] for about in layers], BLUE, "probe")
        band(axes, at, [about["control_accuracy"] for about in layers], ORANGE, "control task", "s--")
        level(axes, metrics["baseline"]["accuracy"], GREY, "type's commonest tag", ":")
        axes.set(ylabel="accuracy, test part", ylim=(0, 1.02))
        legend(axes)
    return path


def _draw_reliability(path: Path, scores: ClassScores) -> Path:
    table = scores.reliability
    with figure(path, columns=1, height=4.2) as drawn:
        axes = drawn.add_subplot()
        reliability_diagram(axes, table["confidence"], table["accuracy"], table["weight"])
        axes.set(xlabel="probability of the most probable tag", ylabel="share right")
    return path


def _draw_confusion(path: Path, metrics: dict[str, Any]) -> Path:
    counts, names = np.array(metrics["test"].confusion, float), metrics["classes"]
    with np.errstate(invalid="ignore"):
        shares = counts / counts.sum(1, keepdims=True)
    with figure(path, columns=2, height=7.0) as drawn:
        axes = drawn.add_subplot()
        axes.grid(False)
        axes.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="the probe's tag", ylabel="the treebank's tag")
        for row, column in zip(*np.nonzero(shares >= 0.01), strict=True):
            share = shares[row, column]
            color = "white" if share > 0.5 else "black"
            axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=8, color=color)
    return path
