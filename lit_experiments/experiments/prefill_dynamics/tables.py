"""The tables of study 2: their columns, rows, and what they mean. Does not know: pages, figures."""

from __future__ import annotations

from typing import Any

from lit_experiments.experiments.prefill_dynamics.contrasts import Contrast
from lit_experiments.experiments.prefill_dynamics.findings import Findings
from lit_experiments.experiments.prefill_dynamics.levels import of_mean
from lit_experiments.experiments.prefill_dynamics.readers import Reader
from lit_experiments.experiments.prefill_dynamics.repetition import CONTROLLED, ORDERS
from lit_experiments.reports.tables import interval, model_name, number
from lit_experiments.statistics import Correlation, Estimate, Paired

Table = tuple[list[str], list[list[str]]]

_TESTS = ["difference", "d", "t", "p", "Wilcoxon p"]
SUMMARY_LEGEND = (
    "Smoothness is the mean L2 distance between the states of neighbouring tokens, averaged over layers: lower is "
    "smoother. Every difference is the first condition minus the second, over the n paragraphs that have both; {cut} "
    "CE: cross-entropy of the continuation, nats per token. d: mean difference over the standard deviation of the "
    "differences. t and p: paired t-test. Intervals: {level:.0%}, bootstrap over paragraphs."
)
CUT = {
    True: "both texts are cut to the length of the shorter one, because length alone shifts such means.",
    False: "at full length.",
}
MEASURES_LEGEND = (
    "Magnitude: mean norm of the states. Variance: of the norms along a text. Relative smoothness: smoothness over "
    "magnitude. Consistency: mean cosine between successive steps, 1 straight on, -1 back and forth. Sinks: tokens at "
    "position 0 of the text or with a norm above {factor:g} times the layer's median."
)
CORRELATED_LEGEND = (
    "Three questions that need not have one answer. Pooled: over all texts of the conditions; it mixes the difference "
    "between conditions with the differences among texts of one condition, so it says neither. Within: among the texts "
    "of one condition. Differences: does a paragraph whose two texts differ more in surprise also differ more in "
    "smoothness? The last is the one that bears on the explanation by surprise. Pooled rows come in groups of one "
    "paragraph, so they get an interval over paragraphs and no p-value."
)
TOKENS_LEGEND = (
    "The length of the step onto a token (mean over layers) against the surprise of that token. Centred: both about "
    "their mean over the text, which leaves what happens from token to token. Intervals: bootstrap over paragraphs, "
    "whose tokens stay together."
)
MOVING_LEGEND = (
    "The tokens with the largest steps onto them. Norms grow with depth, so a step is compared with its layer's median "
    "step over all texts; each token stands once, at the layer where that ratio is largest."
)
REPETITION_LEGEND = (
    "Distinct-n: distinct n-grams of tokens over all of them, at full length; 1 without any repetition (Li et al. "
    "2016). End in a loop: the text ends in a phrase of at least two tokens that stands there three times or more "
    "(Holtzman et al. 2020)."
)
CONTROLLED_LEGEND = (
    "Loops: paragraphs whose first, second text ends in a loop. Distinct-{n}: mean difference over the compared "
    "tokens. Without loops: the difference in smoothness over the paragraphs in which neither text ends in one. At "
    "equal repetition: the intercept of the regression of the paragraphs' differences in smoothness on their "
    "differences in distinct-{n}, what the difference would be for two texts that repeat themselves equally (Judd, "
    "Kenny and McClelland 2001); extrapolated where in every paragraph the same side repeats itself more."
)
_SHOWN = 8  # moving tokens per condition on the page; the JSON file has them all


def summary(found: Findings) -> Table:
    """A row per pair of conditions: surprise and smoothness of both, and the test."""
    rows = []
    for pair in found.main:
        ce = f"{number(pair.ce.mean_a, 2)}, {number(pair.ce.mean_b, 2)}"
        size, both, *tests = _compared(pair.over_layers["smoothness"])
        rows.append([pair.name, size, ce, both, *tests])
    return ["first - second", "n", "CE", "smoothness", *_TESTS], rows


def repetition(found: Findings) -> Table:
    """How much the texts of each condition repeat themselves."""
    rows = []
    for name, each in found.levels.items():
        shares = [interval(value, 2) for value in each.repetition.values()]
        rows.append([name, str(each.texts), *shares])
    return ["condition", "texts", *(f"distinct-{n}" for n in ORDERS), "end in a loop"], rows


def controlled(found: Findings) -> Table:
    """Smoothness of each pair with repetition left out, and with it controlled for."""
    rows = []
    for pair in found.main:
        rep, moved = pair.repetition, pair.over_layers["smoothness"]
        digits = _digits(max(abs(moved.mean_a), abs(moved.mean_b)))
        effect = interval(rep.adjusted.effect, digits) + (" (extrapolated)" if rep.adjusted.extrapolated else "")
        rows.append(
            [
                pair.name,
                f"{rep.looping_a}, {rep.looping_b} of {moved.n}",
                interval(rep.distinct.difference, 2),
                interval(moved.difference, digits),
                f"{interval(rep.without_loops.difference, digits)}, n = {rep.without_loops.n}",
                p_value(rep.without_loops.p),
                effect,
            ]
        )
    head = ["first - second", "loops", f"distinct-{CONTROLLED}", "smoothness", "without loops", "its p"]
    return [*head, "at equal repetition"], rows


def measures(found: Findings) -> Table:
    """The other measures, in the main variant."""
    rows = [
        [pair.name, metric, *_compared(each)[:-1]]
        for pair in found.main
        for metric, each in pair.over_layers.items()
        if metric != "smoothness"
    ]
    return ["first - second", "measure", "n", "first, second", *_TESTS[:-1]], rows


def variants(found: Findings) -> Table:
    """Smoothness over other parts of the texts."""
    main = [pair.variant for pair in found.main]
    rows = [
        [pair.name, pair.variant.name, *_compared(pair.over_layers["smoothness"])[:-1]]
        for pair in found.contrasts
        if pair.variant not in main
    ]
    return ["first - second", "smoothness over", "n", "first, second", *_TESTS[:-1]], rows


def by_layer(pair: Contrast, layers: list[str]) -> Table:
    """Smoothness of one pair at every layer, p-values corrected."""
    metric = "smoothness"
    corrected = zip(layers, pair.layers[metric], pair.p_holm[metric], pair.p_w_holm[metric], strict=True)
    rows = []
    for name, each, p, p_w in corrected:
        _, both, gap, d, t, *_ = _compared(each)
        rows.append([name, both, gap, number(100 * each.relative.value, 1), d, t, p_value(p), p_value(p_w)])
    head = ["layer", f"{pair.a}, {pair.b}", "difference", "in %", "d", "t", "p (Holm)", "Wilcoxon p (Holm)"]
    return head, rows


def surprise(found: Findings) -> Table:
    """Cross-entropy and perplexity by condition, at full length."""
    rows = [
        [name, str(each.texts), number(each.tokens, 1), *_surprise(each.ce), *_surprise(each.ce_text)]
        for name, each in found.levels.items()
    ]
    return ["condition", "texts", "tokens", "CE, continuation", "perplexity", "CE, whole text", "perplexity"], rows


def correlations(found: Findings) -> Table:
    """Cross-entropy with smoothness, at three levels."""
    rows = [
        [metric, f"{level}: {name}", *_correlated(each)]
        for metric, levels in found.correlations.items()
        for level, named in levels.items()
        for name, each in named.items()
    ]
    return ["CE with", "level", "texts", "Pearson", "p", "Spearman", "p"], rows


def tokens(found: Findings) -> Table:
    """Cross-entropy with the step, token by token."""
    rows = []
    for name, each in found.tokens.items():
        values = (each.pooled.pearson, each.pooled.spearman, each.centred.pearson, each.centred.spearman)
        rows.append([name, str(each.pooled.rows), *(interval(value, 2) for value in values)])
    return ["condition", "tokens", "Pearson", "Spearman", "Pearson, centred", "Spearman, centred"], rows


def moving(entries: list[dict[str, Any]]) -> Table:
    """The tokens that move most, of one condition."""
    return ["token", "after", "CE", "layer", "step", "times the usual", "sink"], [_moving(e) for e in entries[:_SHOWN]]


def readers(found: list[Reader]) -> Table:
    """Every reader under every condition."""
    rows = []
    for reader in found:
        for name, each in reader.levels.items():
            size, relative = (each.over_layers[metric] for metric in ("smoothness", "relative smoothness"))
            moved = [interval(size, _digits(size.value)), interval(relative)]
            rows.append([model_name(reader.name), name, str(each.texts), interval(each.ce), *moved])
    return ["reader", "condition", "texts", "CE", "smoothness", "relative smoothness"], rows


def effects(found: list[Reader]) -> Table:
    """Human minus model within each reader."""
    pairs = [(model_name(reader.name), reader.effect) for reader in found if reader.effect is not None]
    rows = [[name, *_compared(effect.over_layers["smoothness"])] for name, effect in pairs]
    return ["human - model, read by", "n", "smoothness", *_TESTS], rows


def against(reader: Reader) -> Table:
    """The first reader minus this one."""
    rows = []
    for name, pair in reader.against_first.items():
        moved, relative = (pair.over_layers[metric] for metric in ("smoothness", "relative smoothness"))
        size = interval(moved.difference, _digits(moved.mean_a)) if reader.same_layers else "-"
        ends = [interval(relative.difference, 4), interval(relative.d, 2), p_value(relative.p)]
        rows.append([name, str(pair.ce.n), interval(pair.ce.difference), size, *ends])
    return ["condition", "n", "CE", "smoothness", "relative smoothness", "its d", "its p"], rows


def p_value(p: float) -> str:
    """Four digits, or a power of ten below."""
    return "-" if p != p else f"{p:.4f}" if p >= 1e-4 else f"{p:.0e}"


def _compared(each: Paired) -> list[str]:
    """n, both means, difference, d, t, p, Wilcoxon p; all in as many decimals as the larger mean asks for."""
    digits = _digits(max(abs(each.mean_a), abs(each.mean_b)))
    both = f"{number(each.mean_a, digits)}, {number(each.mean_b, digits)}"
    tests = [interval(each.d, 2), number(each.t, 2), p_value(each.p), p_value(each.p_w)]
    return [str(each.n), both, interval(each.difference, digits), *tests]


def _digits(value: float) -> int:
    """Decimals that show about four figures, whatever the units."""
    return 4 if value < 2 else 3 if value < 100 else 1


def _surprise(ce: Estimate) -> list[str]:
    return [interval(ce), interval(of_mean(ce), 1)]


def _correlated(each: Correlation) -> list[str]:
    linear, ranked = interval(each.pearson, 2), interval(each.spearman, 2)
    return [str(each.rows), linear, p_value(each.p_pearson), ranked, p_value(each.p_spearman)]


def _moving(entry: dict[str, Any]) -> list[str]:
    after, sink = repr("..." + entry["before"][-32:]), "sink" if entry["sink"] else ""
    numbers = [number(entry["delta"], _digits(entry["delta"])), number(entry["ratio"], 1)]
    return [repr(entry["text"]), after, number(entry["ce"], 2), entry["layer"], *numbers, sink]
