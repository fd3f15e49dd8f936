"""The tables of study 2 as blocks: their columns, rows, and what they mean. Does not know: pages, figures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lit_experiments.experiments.prefill_dynamics.contrasts import Contrast
from lit_experiments.experiments.prefill_dynamics.findings import Example, Findings
from lit_experiments.experiments.prefill_dynamics.interpretation import SURE
from lit_experiments.experiments.prefill_dynamics.levels import of_mean
from lit_experiments.experiments.prefill_dynamics.readers import Reader
from lit_experiments.experiments.prefill_dynamics.repetition import CONTROLLED, ORDERS
from lit_experiments.experiments.prefill_dynamics.surprise import Move
from lit_experiments.reports.blocks import Cell, Column, Matrix, Table, Verdict
from lit_experiments.reports.cells import model_name
from lit_experiments.statistics import Estimate, Paired

_COMPARABLE = ("smoothness", "relative smoothness")
_PAIR = Column("first - second", meaning="a difference is the first condition minus the second")
_CORRELATED = (
    Column("Pearson", "estimate", 2),
    Column("p", "p"),
    Column("Spearman", "estimate", 2),
    Column("p of Spearman", "p"),
)


def smoothness(result: Findings) -> Table:
    """Mean step of both sides of every pair, and the test."""
    rows = [[pair.name, *_tested(pair.over_layers["smoothness"])] for pair in result.main]
    return Table("smoothness", "Smoothness (mean over layers)", [_PAIR, *_test_columns(_digits(result.main))], rows)


def cross_entropy(result: Findings) -> Table:
    """Surprise of both sides of every pair, and the test."""
    rows = [[pair.name, *_tested(pair.ce)] for pair in result.main]
    return Table(
        "cross_entropy", "Cross-entropy of the continuation (nats per token)", [_PAIR, *_test_columns(3)], rows
    )


def verdicts(result: Findings) -> Matrix:
    """Every pair at every layer: which of the two is smoother."""
    pairs = result.main
    over = [_verdict(p.over_layers["smoothness"], p.over_layers["smoothness"].difference.side_of(0)) for p in pairs]
    by_layer: list[list[Verdict | None]] = [
        [_at_layer(pair, layer) if pair.layers["smoothness"] else None for pair in pairs]
        for layer in range(len(result.layers))
    ]
    return Matrix(
        "verdicts",
        "Is the second condition smoother than the first? Difference in percent of the first",
        ["mean over layers", *result.layers],
        [pair.name for pair in pairs],
        [over, *by_layer],
        value="difference, % of the first",
        digits=1,
    )


def _at_layer(pair: Contrast, layer: int) -> Verdict:
    test, p = pair.layers["smoothness"][layer], pair.p_holm["smoothness"][layer]
    return _verdict(test, (1 if test.difference.value > 0 else -1) if p < SURE else 0)


def _verdict(test: Paired, side: int) -> Verdict:
    """side: 1 where the second condition is smoother, -1 where rougher, 0 where neither is shown."""
    percent = _percent(test.relative)
    if not test.difference.has_interval:
        return Verdict("too little data", "void", percent)
    if side == 0:
        return Verdict("no difference shown", "open", percent)
    return Verdict("smoother", "for", percent) if side > 0 else Verdict("rougher", "against", percent)


def repetition(result: Findings) -> Table:
    """How much the texts of each condition repeat themselves."""
    rows: list[list[Cell]] = [
        [name, level.texts, *level.repetition.values()] for name, level in result.conditions.items()
    ]
    shares = [Column(f"distinct-{n}", "estimate", 2) for n in ORDERS]
    head = [Column("condition"), Column("texts", "count"), *shares, Column("end in a loop", "estimate", 2)]
    return Table("repetition", "Repetition by condition", head, rows)


def controlled(result: Findings) -> Table:
    """Smoothness of each pair with repetition left out, and with it controlled for."""
    rows: list[list[Cell]] = []
    for pair in result.main:
        rep, clean = pair.repetition, pair.repetition.without_loops
        numbers: list[Cell] = [rep.distinct.difference, pair.over_layers["smoothness"].difference]
        numbers += [clean.difference, clean.n, clean.p, rep.adjusted.effect]
        rows.append([pair.name, f"{rep.looping_a}, {rep.looping_b}", *numbers, rep.adjusted.extrapolated])
    head = [
        _PAIR,
        Column("loops", meaning="paragraphs whose first, second text ends in a loop"),
        Column(f"distinct-{CONTROLLED}", "estimate", 2, "mean difference over the compared tokens"),
        Column("smoothness", "estimate", None, "difference"),
        Column("without loops", "estimate", None, "the same over paragraphs in which neither text ends in a loop"),
        Column("n of these", "count"),
        Column("p of these", "p"),
        Column("at equal repetition", "estimate", None, "difference of two texts that repeat themselves equally"),
        Column("extrapolated", meaning="the same side repeats itself more in every paragraph"),
    ]
    return Table("repetition_controlled", "Smoothness with repetition taken into account", head, rows)


def measures(result: Findings) -> Table:
    """The other measures, in the main variant."""
    rows = [
        [pair.name, metric, *_tested(test)]
        for pair in result.main
        for metric, test in pair.over_layers.items()
        if metric != "smoothness"
    ]
    return Table(
        "measures", "Other measures (mean over layers)", [_PAIR, Column("measure"), *_test_columns()], rows, True
    )


def variants(result: Findings) -> Table:
    """Smoothness over other parts of the texts."""
    rows = [
        [pair.name, pair.variant.name, *_tested(pair.over_layers["smoothness"])]
        for pair in result.contrasts
        if pair.variant != result.main_variant
    ]
    head = [_PAIR, Column("smoothness over"), *_test_columns(_digits(result.main))]
    return Table("variants", "Smoothness over other parts of the texts", head, rows, True)


def by_layer(pair: Contrast, layers: list[str]) -> Table:
    """Smoothness of one pair at every layer, p-values corrected."""
    corrected = zip(
        layers, pair.layers["smoothness"], pair.p_holm["smoothness"], pair.p_w_holm["smoothness"], strict=True
    )
    rows: list[list[Cell]] = [
        [name, test.mean_a, test.mean_b, test.difference, _percent(test.relative), test.d, test.t, p, p_w]
        for name, test, p, p_w in corrected
    ]
    _, a, b, difference, d, t, *_ = _test_columns(_digits([pair]))
    percent = Column("% of the first", "estimate", 1)
    head = [Column("layer"), a, b, difference, percent, d, t, Column("p (Holm)", "p"), Column("Wilcoxon p (Holm)", "p")]
    return Table("by_layer", f"{pair.name}, smoothness layer by layer", head, rows)


def surprise(result: Findings) -> Table:
    """Cross-entropy and perplexity by condition, at full length."""
    rows: list[list[Cell]] = [
        [name, level.texts, level.tokens, level.ce, of_mean(level.ce), level.ce_text, of_mean(level.ce_text)]
        for name, level in result.conditions.items()
    ]
    parts = [
        Column(f"{measure}, {part}", "estimate", digits)
        for part in ("continuation", "whole text")
        for measure, digits in (("CE", 3), ("perplexity", 1))
    ]
    head = [Column("condition"), Column("texts", "count"), Column("tokens", "number", 1, "mean"), *parts]
    return Table("surprise_by_condition", "Surprise by condition", head, rows)


def correlations(result: Findings) -> Table:
    """Cross-entropy with smoothness, at three levels."""
    rows: list[list[Cell]] = [
        [metric, f"{level}: {name}", r.rows, r.pearson, r.p_pearson, r.spearman, r.p_spearman]
        for metric, levels in result.correlations.items()
        for level, named in levels.items()
        for name, r in named.items()
    ]
    head = [Column("CE with"), Column("level"), Column("texts", "count"), *_CORRELATED]
    return Table("correlations", "Correlation of cross-entropy with movement", head, rows)


def tokens(result: Findings) -> Table:
    """Cross-entropy with the step, token by token."""
    rows: list[list[Cell]] = [
        [name, level.pooled.rows, *(v for r in (level.pooled, level.centred) for v in (r.pearson, r.spearman))]
        for name, level in result.tokens.items()
    ]
    kinds = [f"{kind}{how}" for how in ("", ", centred") for kind in ("Pearson", "Spearman")]
    head = [Column("condition"), Column("tokens", "count"), *(Column(kind, "estimate", 2) for kind in kinds)]
    return Table("tokens", "Surprise of a token and the step onto it", head, rows)


def moving(result: Findings) -> Table:
    """The tokens that move most, of every condition."""
    rows = [[name, *_moving(move)] for name, kinds in result.moving_tokens.items() for move in kinds["by ratio"]]
    head = [
        Column("condition"),
        Column("token", "token"),
        Column("after", "token"),
        Column("CE", "number", 2, "nats"),
        Column("layer"),
        Column("step", "number", None),
        Column("times the usual", "number", 1, "step over the layer's median step over all texts"),
        Column("sink", meaning="whether this token or the one before is a sink"),
        Column("text"),
    ]
    return Table("moving_tokens", "Largest steps", head, rows, folded=True)


def sinks(example: Example) -> Table:
    """Sink tokens of the example."""
    rows: list[list[Cell]] = [
        [path.condition, layer, place, path.tokens[place], path.norms[line][place]]
        for path in example.paths
        for line, layer in enumerate(example.layers)
        for place, sink in enumerate(path.sinks[line])
        if sink
    ]
    head = [Column("condition"), Column("layer"), Column("place", "count"), Column("token", "token")]
    return Table("example_sinks", "Sink tokens of this paragraph", [*head, Column("norm", "number", None)], rows, True)


def readers(readings: list[Reader]) -> Table:
    """Every reader under every condition."""
    rows: list[list[Cell]] = [
        [_named(reader), name, level.texts, level.ce, *(level.over_layers[metric] for metric in _COMPARABLE)]
        for reader in readings
        for name, level in reader.levels.items()
    ]
    head = [Column("reader"), Column("condition"), Column("texts", "count"), Column("CE", "estimate")]
    head += [Column(metric, "estimate", None) for metric in _COMPARABLE]
    return Table("readers", "Every reader by itself", head, rows)


def effects(readings: list[Reader]) -> Table:
    """Human minus model within each reader."""
    rows = [
        [_named(reader), *_tested(reader.effect.over_layers["smoothness"])]
        for reader in readings
        if reader.effect is not None
    ]
    return Table(
        "readers_effect", "Smoothness, human - model, within each reader", [Column("read by"), *_test_columns()], rows
    )


def against(readings: list[Reader]) -> Table:
    """The first reader minus every other one, on the same texts."""
    rows: list[list[Cell]] = []
    for reader in readings[1:]:
        for name, pair in reader.against_first.items():
            size, relative = (pair.over_layers[metric] for metric in _COMPARABLE)
            steps = size.difference if reader.same_layers else None
            tests: list[Cell] = [relative.difference, relative.d, relative.p]
            rows.append([_named(reader), name, pair.ce.n, pair.ce.difference, steps, *tests])
    head = [Column("reader"), Column("condition"), Column("n", "count"), Column("CE", "estimate")]
    head += [Column(metric, "estimate", None) for metric in _COMPARABLE]
    head += [Column("d of relative", "estimate", 2), Column("p of relative", "p")]
    first = _named(readings[0])
    return Table("readers_compared", f"{first} minus every other reader, paired over the same texts", head, rows)


def _named(reader: Reader) -> str:
    return f"{model_name(reader.name)} ({Path(reader.run).name})"


def _test_columns(digits: int | None = None) -> list[Column]:
    """What `_tested` gives; digits: of the means."""
    return [
        Column("n", "count", meaning="paragraphs that both hold"),
        Column("first", "number", digits, "mean of the first condition"),
        Column("second", "number", digits, "mean of the second condition"),
        Column("difference", "estimate", None, "mean of first minus second"),
        Column("d", "estimate", 2, "Cohen's d of the pairs: mean difference over the standard deviation of these"),
        Column("t", "number", 2, "paired t-test"),
        Column("p", "p"),
        Column("Wilcoxon p", "p"),
    ]


def _digits(pairs: Iterable[Contrast]) -> int:
    """Decimals that show about four figures of smoothness, whatever its units."""
    largest = max((pair.over_layers["smoothness"].mean_a for pair in pairs), default=0.0)
    return 4 if largest < 2 else 3 if largest < 100 else 1


def _tested(test: Paired) -> list[Cell]:
    return [test.n, test.mean_a, test.mean_b, test.difference, test.d, test.t, test.p, test.p_w]


def _percent(relative: Estimate) -> Estimate:
    return relative.mapped(lambda part: 100 * part)


def _moving(move: Move) -> Iterable[Cell]:
    after = "..." + move.before[-32:]
    return [move.text, after, move.ce, move.layer, move.delta, move.ratio, move.sink, move.sample_id]
