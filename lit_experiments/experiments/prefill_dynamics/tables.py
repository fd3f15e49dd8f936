"""The tables of study 2 as blocks: their columns, rows, and what they mean. Does not know: pages, figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from lit_experiments.experiments.prefill_dynamics.contrasts import Contrast
from lit_experiments.experiments.prefill_dynamics.findings import Example, Findings
from lit_experiments.experiments.prefill_dynamics.interpretation import SURE
from lit_experiments.experiments.prefill_dynamics.levels import Levels, of_mean
from lit_experiments.experiments.prefill_dynamics.readers import Reader
from lit_experiments.experiments.prefill_dynamics.repetition import CONTROLLED, ORDERS
from lit_experiments.reports.blocks import Cell, Column, Matrix, Table, Verdict
from lit_experiments.reports.cells import model_name
from lit_experiments.reports.findings import POWER
from lit_experiments.statistics import Estimate, Paired, detectable, equivalent

_COMPARABLE = ("smoothness", "relative smoothness")
_PAIR = Column("first - second", meaning="a difference is the first condition minus the second")
_CONDITION, _TEXTS, _LAYER = Column("condition"), Column("texts", "count", of="texts"), Column("layer")
_D = "Cohen's d of the pairs: mean difference over the standard deviation of these"


def _repetition_of(name: str) -> Callable[[Levels], Estimate]:
    return lambda level: level.repetition[name]


def _over_layers(metric: str) -> Callable[[Levels], Estimate]:
    return lambda level: level.over_layers[metric]


_REPETITION = (
    _CONDITION,
    _TEXTS,
    *(Column(f"distinct-{n}", "estimate", 2, of=_repetition_of(f"distinct_{n}")) for n in ORDERS),
    Column("end in a loop", "estimate", 2, of=_repetition_of("loops")),
)
_SURPRISE = (
    _CONDITION,
    _TEXTS,
    Column("tokens", "number", 1, "mean", "tokens"),
    Column("CE, continuation", "estimate", 3, of="ce"),
    Column("perplexity, continuation", "estimate", 1, of=lambda level: of_mean(level.ce)),
    Column("CE, whole text", "estimate", 3, of="ce_text"),
    Column("perplexity, whole text", "estimate", 1, of=lambda level: of_mean(level.ce_text)),
)
_CORRELATIONS = (
    Column("CE with"),
    Column("level"),
    Column("texts", "count", of="rows"),
    Column("Pearson", "estimate", 2, of="pearson"),
    Column("p", "p", of="p_pearson"),
    Column("Spearman", "estimate", 2, of="spearman"),
    Column("p of Spearman", "p", of="p_spearman"),
)
_TOKENS = (
    _CONDITION,
    Column("tokens", "count", of="pooled.rows"),
    Column("Pearson", "estimate", 2, of="pooled.pearson"),
    Column("Spearman", "estimate", 2, of="pooled.spearman"),
    Column("Pearson, centred", "estimate", 2, of="centred.pearson"),
    Column("Spearman, centred", "estimate", 2, of="centred.spearman"),
)
_MOVING = (
    _CONDITION,
    Column("token", "token", of="text"),
    Column("after", "token", of=lambda move: "..." + move.before[-32:]),
    Column("CE", "number", 2, "nats", "ce"),
    Column("layer", of="layer"),
    Column("step", "number", None, of="delta"),
    Column("times the usual", "number", 1, "step over the layer's median step over all texts", "ratio"),
    Column("sink", meaning="whether this token or the one before is a sink", of="sink"),
    Column("text", of="sample_id"),
)
_SINKS = (_CONDITION, _LAYER, Column("place", "count"), Column("token", "token"), Column("norm", "number", None))


def smoothness(result: Findings) -> Table:
    """Mean step of both sides of every pair, and the test."""
    rows = [(pair.name, pair.over_layers["smoothness"]) for pair in result.main]
    columns = [_PAIR, *_tests(_digits(result.main))]
    return Table.of("smoothness", "Smoothness (mean over layers)", columns, rows)


def cross_entropy(result: Findings) -> Table:
    """Surprise of both sides of every pair, and the test."""
    rows = [(pair.name, pair.ce) for pair in result.main]
    return Table.of("cross_entropy", "Cross-entropy of the continuation (nats per token)", [_PAIR, *_tests(3)], rows)


def verdicts(result: Findings, margin: float) -> Matrix:
    """Every pair at every layer: which of the two is smoother."""
    pairs = result.main
    over = [_over_all(pair.over_layers["smoothness"], margin) for pair in pairs]
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


def _over_all(test: Paired, margin: float) -> Verdict:
    side = test.difference.side_of(0)
    if not side and equivalent(test.relative, 0.0, margin):
        return Verdict(f"as smooth (within {margin:.1%})", "void", test.relative.mapped(_percent))
    return _verdict(test, side)


def _at_layer(pair: Contrast, layer: int) -> Verdict:
    test, p = pair.layers["smoothness"][layer], pair.p_holm["smoothness"][layer]
    return _verdict(test, (1 if test.difference.value > 0 else -1) if p < SURE else 0)


def _verdict(test: Paired, side: int) -> Verdict:
    """side: 1 where the second condition is smoother, -1 where rougher, 0 where neither is shown."""
    percent = test.relative.mapped(_percent)
    if not test.difference.has_interval:
        return Verdict("too little data", "void", percent)
    if side == 0:
        return Verdict("no difference shown", "open", percent)
    return Verdict("smoother", "for", percent) if side > 0 else Verdict("rougher", "against", percent)


def repetition(result: Findings) -> Table:
    """How much the texts of each condition repeat themselves."""
    return Table.of("repetition", "Repetition by condition", _REPETITION, result.conditions.items())


def controlled(result: Findings) -> Table:
    """Smoothness of each pair with repetition left out, and with it controlled for."""
    rows: list[list[Cell]] = []
    for pair in result.main:
        rep, clean = pair.repetition, pair.repetition.without_loops
        numbers: list[Cell] = [rep.distinct.difference, pair.over_layers["smoothness"].difference]
        numbers += [clean.difference, clean.n, clean.p, rep.adjusted.effect]
        rows.append([pair.name, f"{rep.looping_a}, {rep.looping_b}", *numbers, rep.adjusted.extrapolated])
    columns = [
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
    return Table("repetition_controlled", "Smoothness with repetition taken into account", columns, rows)


def measures(result: Findings) -> Table:
    """The other measures, in the main variant."""
    rows = [
        (pair.name, metric, test)
        for pair in result.main
        for metric, test in pair.over_layers.items()
        if metric != "smoothness"
    ]
    columns = [_PAIR, Column("measure"), *_tests()]
    return Table.of("measures", "Other measures (mean over layers)", columns, rows, folded=True)


def variants(result: Findings) -> Table:
    """Smoothness over other parts of the texts."""
    others = [pair for pair in result.contrasts if pair.variant != result.main_variant]
    rows = [(pair.name, pair.variant.name, pair.over_layers["smoothness"]) for pair in others]
    columns = [_PAIR, Column("smoothness over"), *_tests(_digits(result.main))]
    return Table.of("variants", "Smoothness over other parts of the texts", columns, rows, folded=True)


def by_layer(pair: Contrast, layers: list[str]) -> Table:
    """Smoothness of one pair at every layer, p-values corrected."""
    tests, p, p_w = (numbers["smoothness"] for numbers in (pair.layers, pair.p_holm, pair.p_w_holm))
    _, a, b, difference, d, t, *_ = _tests(_digits([pair]))
    percent = Column("% of the first", "estimate", 1, of=lambda test: test.relative.mapped(_percent))
    columns = [_LAYER, a, b, difference, percent, d, t, Column("p (Holm)", "p"), Column("Wilcoxon p (Holm)", "p")]
    rows = zip(layers, p, p_w, tests, strict=True)
    return Table.of("by_layer", f"{pair.name}, smoothness layer by layer", columns, rows)


def surprise(result: Findings) -> Table:
    """Cross-entropy and perplexity by condition, at full length."""
    return Table.of("surprise_by_condition", "Surprise by condition", _SURPRISE, result.conditions.items())


def correlations(result: Findings) -> Table:
    """Cross-entropy with smoothness, at three levels."""
    rows = [
        (metric, f"{level}: {name}", correlation)
        for metric, levels in result.correlations.items()
        for level, named in levels.items()
        for name, correlation in named.items()
    ]
    return Table.of("correlations", "Correlation of cross-entropy with movement", _CORRELATIONS, rows)


def tokens(result: Findings) -> Table:
    """Cross-entropy with the step, token by token."""
    return Table.of("tokens", "Surprise of a token and the step onto it", _TOKENS, result.tokens.items())


def moving(result: Findings) -> Table:
    """The tokens that move most, of every condition."""
    rows = [(name, move) for name, kinds in result.moving_tokens.items() for move in kinds["by ratio"]]
    return Table.of("moving_tokens", "Largest steps", _MOVING, rows, folded=True)


def sinks(example: Example) -> Table:
    """Sink tokens of the example."""
    rows = [
        (path.condition, layer, place, path.tokens[place], path.norms[line][place])
        for path in example.paths
        for line, layer in enumerate(example.layers)
        for place, sink in enumerate(path.sinks[line])
        if sink
    ]
    return Table("example_sinks", "Sink tokens of this paragraph", _SINKS, rows, folded=True)


def readers(readings: list[Reader]) -> Table:
    """Every reader under every condition."""
    columns = [Column("reader"), _CONDITION, _TEXTS, Column("CE", "estimate", of="ce")]
    columns += [Column(metric, "estimate", None, of=_over_layers(metric)) for metric in _COMPARABLE]
    rows = [(_named(reader), name, level) for reader in readings for name, level in reader.levels.items()]
    return Table.of("readers", "Every reader by itself", columns, rows)


def effects(readings: list[Reader]) -> Table:
    """Human minus model within each reader."""
    rows = [(_named(r), r.effect.over_layers["smoothness"]) for r in readings if r.effect is not None]
    title = "Smoothness, human - model, within each reader"
    return Table.of("readers_effect", title, [Column("read by"), *_tests()], rows)


def against(readings: list[Reader]) -> Table:
    """The first reader minus every other one, on the same texts."""
    rows: list[list[Cell]] = []
    for reader in readings[1:]:
        for name, pair in reader.against_first.items():
            size, relative = (pair.over_layers[metric] for metric in _COMPARABLE)
            steps = size.difference if reader.same_layers else None
            tests: list[Cell] = [relative.difference, relative.d, relative.p]
            rows.append([_named(reader), name, pair.ce.n, pair.ce.difference, steps, *tests])
    columns = [Column("reader"), _CONDITION, Column("n", "count"), Column("CE", "estimate")]
    columns += [Column(metric, "estimate", None) for metric in _COMPARABLE]
    columns += [Column("d of relative", "estimate", 2), Column("p of relative", "p")]
    first = _named(readings[0])
    return Table("readers_compared", f"{first} minus every other reader, paired over the same texts", columns, rows)


def _named(reader: Reader) -> str:
    return f"{model_name(reader.name)} ({Path(reader.run).name})"


def _tests(digits: int | None = None) -> list[Column]:
    """The columns of a `Paired`; digits: of the means."""
    return [
        Column("n", "count", 3, "paragraphs that both hold", "n"),
        Column("first", "number", digits, "mean of the first condition", "mean_a"),
        Column("second", "number", digits, "mean of the second condition", "mean_b"),
        Column("difference", "estimate", None, "mean of first minus second", "difference"),
        Column("d", "estimate", 2, _D, "d"),
        Column("t", "number", 2, "paired t-test", "t"),
        Column("p", "p", of="p"),
        Column("Wilcoxon p", "p", of="p_w"),
        Column(POWER, "number", None, "smallest difference", of=lambda test: detectable(test.difference)),
    ]


def _digits(pairs: Iterable[Contrast]) -> int:
    """Decimals that show about four figures of smoothness, whatever its units."""
    largest = max((pair.over_layers["smoothness"].mean_a for pair in pairs), default=0.0)
    return 4 if largest < 2 else 3 if largest < 100 else 1


def _percent(part: float) -> float:
    return 100 * part
