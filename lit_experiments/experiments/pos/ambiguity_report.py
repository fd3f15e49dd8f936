"""Tables, figures and pages of the comparison of the probe's probabilities with the continuations' tags."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.experiments.pos.agreement import Agreement, Shuffled
from lit_experiments.reports.figures import BLUE, GREY, ORANGE, figure, legend, reliability_diagram
from lit_experiments.reports.page import Report, demonstration
from lit_experiments.reports.tables import interval, number, text_table
from stores import Store

_TITLE = "Part of speech: is the probe's uncertainty the language's own ambiguity?"
_HEADERS = ["measure", "probe", "shuffled pairs", "p", "type's prior"]
_EXAMPLES = ["prefix", "treebank", "probe", "continuations", "JS", "share", "such as"]
_MARKED = ["words", "prefixes", "probe's entropy", "ambiguity", "divergence", "share explained"]
_NOTHING = "No prefix was resampled: the probe is sure of every word that was scanned, so there is nothing to compare."
_LEGEND = (
    "Probe: its probabilities against the tags of the continuations, means over prefixes with bootstrap {level:.0%} "
    "intervals over {unit}. Shuffled pairs: the same probabilities against the continuations of a prefix of another "
    "{single}, mean and 95 % range of {permutations} pairings; p from these. Type's prior: the word type's tags in the "
    "training part (drawn towards those of all words with the weight of {weight:g} words) in place of the probe. "
    "Divergence: Jensen-Shannon, nats (0 equal, 0.693 disjoint); draws from the probe's own probabilities would give "
    "{floor:.3f}. Entropies: Spearman correlation of the entropy of the probabilities with that of the continuations' "
    "tags (Miller-Madow corrected, as {draws:.0f} draws show too little). Calibration error: probability by which the "
    "bins of the diagram miss, summed over a prefix's tags. Share explained: the entropy of the continuations' tags "
    "over the log-loss of the probabilities on them, the part of the loss that no forecaster could avoid (Kull and "
    "Flach 2015); 1 if all of the probe's uncertainty is the language's, 0 if none. The continuations are drawn at "
    "temperature {temperature:g} and top-p {top_p:g}, which makes them more alike than the model's own distribution is."
)


def write_nothing(out: Path, store: Store) -> str:
    """The report of a store without prefixes."""
    report = Report(_TITLE)
    for line in [*demonstration(store), _NOTHING]:
        report.text(line)
    return f"{_NOTHING}\nReport:  {report.write(out)}"


def write_report(out: Path, metrics: dict[str, Any], store: Store) -> str:
    """Writes figures, RESULTS.md and report.html into `out`, from the metrics and prefixes.json.

    Returns:
        Statements and tables for the terminal, and where the page is.
    """
    lines = [*demonstration(store), *_statements(metrics)]
    report = Report(_TITLE)
    for line in lines:
        report.text(line)
    if "probe" not in metrics:
        return "\n".join([*lines, f"Report:  {report.write(out)}"])
    explained, rows = _legend(metrics), _rows(metrics)
    report.heading("Probe against continuations")
    report.table(_HEADERS, rows)
    report.text(explained)
    report.figure(_draw(out / "agreement.png", metrics), _CAPTION)
    lines += ["", text_table(_HEADERS, rows), "", textwrap.fill(explained, 100)]
    if metrics["marked"] is not None:
        marked = [_marked_row(name, about) for name, about in metrics["marked"].items()]
        report.heading("Words that the treebank marks as open until what follows")
        report.table(_MARKED, marked)
        lines += ["", text_table(_MARKED, marked)]
    each = json.loads((out / "prefixes.json").read_text(encoding="utf-8"))
    for kind in ("most", "least"):
        examples = [_example(each[at]) for at in metrics["shown"][kind]]
        report.heading(f"The {kind} explained")
        report.text(_SHOWN)
        report.table(_EXAMPLES, examples)
        short = [[_cut(row[0], 34), *row[1:-1]] for row in examples[:5]]
        lines += ["", f"The {kind} explained:", text_table(_EXAMPLES[:-1], short)]
    return "\n".join([*lines, "", f"Report:  {report.write(out)}"])


_CAPTION = (
    "Left: entropy of the probe's probabilities and of the continuations' tags, a dot per prefix. Middle: share of the "
    "continuations with a tag against the probability that the probe gives it, all tags of all prefixes in bins. "
    "Right: divergence of each prefix, and the means of the shuffled pairs, of the type's prior and of sampling alone."
)


_SHOWN = (
    "Treebank: the word's tag there. Probe, continuations: the two most probable tags. JS: divergence. Share: that "
    "explained. Such as: the beginning of a continuation with each tag."
)


def _statements(metrics: dict[str, Any]) -> list[str]:
    generation, test, layer = metrics["generation"], metrics["tagger_test"], metrics["layer"]
    kept = "left out" if metrics["extended"] == "exclude" else "tagged as the longer word"
    lines = [
        f"{metrics['prefixes']:,} prefixes of the {generation['part']} part at which the probe of {layer} is "
        f"below {generation['conf_thresh']:g}; {metrics['draws']} continuations each of at most "
        f"{generation['max_new_tokens']} tokens at temperature {generation['temperature']:g}, top-p "
        f"{generation['top_p']:g}, seed {generation['seed']}.",
        f"Tagger: {metrics['tagger']}; accuracy on the test part "
        + (
            "not known (there is none)"
            if test is None
            else f"{interval(test.accuracy)} of {test.words:,} words of {test.groups}"
        )
        + f", on the target words in the treebank's own sentences "
        f"{interval(metrics['tagger_on_targets'])}.",
        f"In {metrics['extended_share']:.1%} of the continuations the target word itself goes on ({kept}); in "
        f"{metrics['outside_share']:.1%} of the others its tag is none of the probe's (left out).",
    ]
    if metrics["prefixes_used"] < metrics["prefixes"]:
        out = metrics["prefixes"] - metrics["prefixes_used"]
        lines.append(f"{out:,} prefixes have fewer than {metrics['min_draws']} usable draws and are left out.")
    if not metrics["prefixes_used"]:
        lines.append("No prefix is left to compare.")
    else:
        lines += [f"Documents of the prefixes: {metrics['documents_from']}.", *metrics["too_few"]]
    return lines + ([_verdict(metrics)] if "probe" in metrics else [])


def _verdict(metrics: dict[str, Any]) -> str:
    own, p, below = metrics["probe"], metrics["p"], metrics["below_prior"]
    side = {-1: "closer to", 1: "further from", 0: "neither closer to nor further from"}[below.side_of(0)]
    closer = f"The probe is {side} the continuations than the type's prior"
    if not below.has_interval:
        closer = "Nothing can be said of the probe against the type's prior"
    return (
        f"{metrics['prefixes_used']:,} prefixes of {metrics['groups']}: mean entropy of the probe "
        f"{number(own.uncertainty.value)} nats, of the continuations' tags {number(own.ambiguity.value)}; share "
        f"explained {interval(own.share)} (p {number(p['share'])} against shuffled pairs). {closer}: difference of the "
        f"divergences {interval(below)}."
    )


def _legend(metrics: dict[str, Any]) -> str:
    return _LEGEND.format(
        level=metrics["interval_level"],
        unit=metrics["unit"],
        single=metrics["unit"].removesuffix("s"),
        permutations=metrics["permutations"],
        weight=metrics["type_weight"],
        floor=float(np.mean(metrics["floor"])),
        draws=metrics["usable_draws"],
        temperature=metrics["generation"]["temperature"],
        top_p=metrics["generation"]["top_p"],
    )


def _rows(metrics: dict[str, Any]) -> list[list[str]]:
    probe, prior, control, p = (metrics[name] for name in ("probe", "prior", "shuffled", "p"))
    names = {
        "divergence": "divergence",
        "entropies": "correlation of entropies",
        "calibration_error": "calibration error",
        "share": "share explained",
    }
    rows = [_row(label, key, probe, prior, control, p) for key, label in names.items()]
    for key, label in (("uncertainty", "entropy"), ("ambiguity", "entropy of the tags"), ("loss", "log-loss")):
        rows.append([label, interval(getattr(probe, key)), "", "", interval(getattr(prior, key))])
    return rows


def _row(label: str, key: str, probe: Agreement, prior: Agreement, control: Shuffled, p: dict[str, float]) -> list[str]:
    own, other = interval(getattr(probe, key)), interval(getattr(prior, key))
    return [label, own, _range(getattr(control, key)), number(p[key]), other]


def _range(values: Any) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return "-"
    low, high = np.quantile(known, [0.025, 0.975])
    return f"{known.mean():.3f} ({low:.3f} to {high:.3f})"


def _marked_row(name: str, about: dict[str, Any]) -> list[str]:
    values = [interval(about[key]) for key in ("uncertainty", "ambiguity", "divergence", "share")]
    return [name, str(about["prefixes"]), *values]


def _example(each: dict[str, Any]) -> list[str]:
    total = sum(each["draws"].values())
    drawn = {tag: count / total for tag, count in each["draws"].items()}
    top = sorted(drawn, key=lambda tag: -drawn[tag])[:2]
    such = " / ".join(f"{tag}: {_start(each['completions'][tag])}" for tag in top)
    return [
        _cut(each["prefix"], 44),
        each["true_label"],
        _top(each["probe"]),
        _top(drawn),
        number(each["divergence"], 2),
        number(each["share"], 2),
        such,
    ]


def _top(shares: dict[str, float]) -> str:
    ranked = sorted(shares.items(), key=lambda pair: -pair[1])[:2]
    return ", ".join(f"{tag} {share:.2f}" for tag, share in ranked)


def _cut(text: str, length: int) -> str:
    """The end of a prefix."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else "..." + flat[3 - length :]


def _start(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 22 else flat[:19] + "..."


def _draw(path: Path, metrics: dict[str, Any]) -> Path:
    with figure(path, columns=3, height=4.2) as drawn:
        _draw_entropies(drawn.add_subplot(1, 3, 1), metrics)
        middle = drawn.add_subplot(1, 3, 2)
        table = metrics["probe"].reliability
        reliability_diagram(middle, table.confidence, table.accuracy, table.weight)
        middle.set(title="Calibration", xlabel="the probe's probability of a tag", ylabel="share of the continuations")
        _draw_divergence(drawn.add_subplot(1, 3, 3), metrics)
    return path


def _draw_entropies(axes: Any, metrics: dict[str, Any]) -> None:
    found = metrics["scatter"]
    most = max(float(np.max(found["uncertainty"])), float(np.max(found["ambiguity"])))
    axes.scatter(found["uncertainty"], found["ambiguity"], s=10, alpha=0.5, color=BLUE, linewidths=0)
    axes.plot([0, most], [0, most], color="black", linewidth=0.6)
    axes.set(title="Entropies", xlabel="of the probe (nats)", ylabel="of the continuations' tags (nats)")


def _draw_divergence(axes: Any, metrics: dict[str, Any]) -> None:
    axes.hist(metrics["scatter"]["divergence"], bins=np.linspace(0, np.log(2), 24), color=BLUE, alpha=0.5)
    lines = {
        "probe": (metrics["probe"].divergence.value, BLUE, "-"),
        "shuffled": (float(np.nanmean(metrics["shuffled"].divergence)), ORANGE, "--"),
        "type's prior": (metrics["prior"].divergence.value, GREY, "-."),
        "sampling alone": (float(np.mean(metrics["floor"])), "black", ":"),
    }
    for label, (value, color, style) in lines.items():
        axes.axvline(value, color=color, linestyle=style, label=label)
    axes.set(title="Divergence", xlabel="Jensen-Shannon divergence (nats)", ylabel="prefixes")
    legend(axes)
