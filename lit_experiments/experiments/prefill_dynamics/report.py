"""The page of study 2: which sentences, tables and figures, in which order."""

from __future__ import annotations

import textwrap
from pathlib import Path

from lit_experiments.experiments.prefill_dynamics import figures, tables
from lit_experiments.experiments.prefill_dynamics.findings import Findings
from lit_experiments.experiments.prefill_dynamics.openings import Counts, described
from lit_experiments.experiments.prefill_dynamics.readers import Reader
from lit_experiments.experiments.prefill_dynamics.repetition import CONTROLLED
from lit_experiments.reports.page import Report, demonstration
from lit_experiments.reports.tables import model_name, text_table


def write_report(out: Path, found: Findings) -> str:
    """Writes figures, RESULTS.md and report.html into `out`.

    Returns:
        What the terminal shows: the interpretation, the summary table, and where the page is.
    """
    report = Report("Prefill dynamics: does its own text move a model's states more smoothly?")
    for line in [*demonstration(found.store), _setting(found)]:
        report.text(line)
    report.heading("What the numbers say")
    for sentence in found.sentences:
        report.text(sentence)
    explained = tables.SUMMARY_LEGEND.format(cut=tables.CUT[found.cut], level=found.level)
    report.heading("Pairs of conditions")
    report.table(*tables.summary(found))
    report.text(explained)
    files = _movement(report, out, found)
    files += _surprise(report, out, found)
    report.heading("Repetition")
    report.table(*tables.repetition(found))
    report.text(tables.REPETITION_LEGEND)
    report.table(*tables.controlled(found))
    report.text(tables.CONTROLLED_LEGEND.format(n=CONTROLLED))
    _tokens(report, found)
    files += _trajectory(report, out, found)
    if found.readers:
        _readers(report, found.readers)
    report.heading("What was read, and what was left out")
    for line in _left_out(found):
        report.text(line)
    page = report.write(out)
    told = [*demonstration(found.store), *found.sentences]
    shown = ["\n\n".join(textwrap.fill(line, 100) for line in told), "", text_table(*tables.summary(found)), ""]
    shown += [textwrap.fill(explained, 100), ""]
    return "\n".join([*shown, f"Report:  {page}", *(f"Figure:  {file}" for file in files)])


def _setting(found: Findings) -> str:
    names = found.store.select(slice(0, 1)).table(["reader", "generator"]).to_pylist()[0]
    reader, generator = (model_name(names[key]) for key in ("reader", "generator"))
    most = found.store.fingerprint["settings"]["max_new_tokens"]
    return (
        f"The model {reader} reads {found.counts['chosen']} paragraphs. Their first sentence is the prompt; behind it "
        f"come the human text, continuations of up to {most} tokens by the model {generator} (model: greedy; "
        "model-temp: sampled), or the human text's tokens in random order (shuffled). The states are the residual "
        "stream after every block, at the tokens of the continuation."
    )


def _movement(report: Report, out: Path, found: Findings) -> list[Path]:
    files = [
        figures.draw_levels(out / "smoothness_by_layer.png", found),
        figures.draw_differences(out / "differences.png", found),
    ]
    report.figure(
        files[0],
        "Smoothness by layer, absolute and relative to the states' norm, and directional consistency. Bands: "
        f"{found.level:.0%} bootstrap intervals over paragraphs; full length.",
    )
    report.figure(
        files[1],
        "Per-layer differences in smoothness, first minus second: above zero the second condition is smoother. Filled "
        "points: p below 0.05 after Holm's correction over layers.",
    )
    if found.headline is not None:
        report.heading("Human minus model, layer by layer")
        report.table(*tables.by_layer(found.headline, found.layers))
    report.heading("Other measures")
    report.table(*tables.measures(found))
    report.text(tables.MEASURES_LEGEND.format(factor=found.sink_factor))
    report.heading("Other cuts of the texts")
    report.table(*tables.variants(found))
    return files


def _surprise(report: Report, out: Path, found: Findings) -> list[Path]:
    report.heading("Surprise")
    report.table(*tables.surprise(found))
    report.text("Means over the texts' mean cross-entropy in nats per token, full length; perplexity: its exponential.")
    report.heading("Does surprise go with movement?")
    report.table(*tables.correlations(found))
    report.text(tables.CORRELATED_LEGEND)
    file = figures.draw_surprise(out / "surprise.png", found)
    caption = "Cross-entropy against smoothness: every text (left), paired differences with their mean (right)."
    report.figure(file, caption)
    return [file]


def _tokens(report: Report, found: Findings) -> None:
    report.heading("Token by token")
    report.table(*tables.tokens(found))
    report.text(tables.TOKENS_LEGEND)
    report.text(tables.MOVING_LEGEND)
    for name, kinds in found.moving.items():
        report.text(f"Largest steps, {name}:")
        report.table(*tables.moving(kinds["by ratio"]))


def _trajectory(report: Report, out: Path, found: Findings) -> list[Path]:
    paragraph = figures.typical_paragraph(found.headline) if found.headline is not None else None
    if paragraph is None:
        return []
    file = figures.draw_norms(out / "norms.png", found, paragraph)
    report.heading("One paragraph")
    report.figure(
        file,
        f"Norms of the states along the continuations of {paragraph}, whose difference in smoothness is the median "
        "one. Crosses: sink tokens.",
    )
    return [file]


def _readers(report: Report, readers: list[Reader]) -> None:
    report.heading("The same texts read by several models")
    report.table(*tables.readers(readers))
    report.text("Human minus model text within each reader:")
    report.table(*tables.effects(readers))
    for reader in readers[1:]:
        first, this = (model_name(each.name) for each in (readers[0], reader))
        report.text(f"{first} minus {this} ({reader.run}), paired over the same texts:")
        report.table(*tables.against(reader))
    if not all(reader.same_layers for reader in readers):
        report.text("Between models of different depth or width only surprise and relative smoothness can be compared.")


def _left_out(found: Findings) -> list[str]:
    lines = [described(Counts(**found.counts)) + "."]
    for name, reasons in found.stops.items():
        ended = reasons["end_of_text"]
        lines.append(
            f"{name}: {ended} of {reasons.total()} continuations ended by themselves, the others at the limit."
        )
    short = found.excluded
    named = f": {', '.join(short[:20])}{', ...' if len(short) > 20 else ''}" if short else ""
    lines.append(f"Continuations with fewer than two tokens, in no statistic: {len(short)}{named}.")
    sinks = ", ".join(f"{each.sinks} in {name}" for name, each in found.levels.items())
    lines.append(f"Sink tokens (in any layer): {sinks}.")
    return lines
