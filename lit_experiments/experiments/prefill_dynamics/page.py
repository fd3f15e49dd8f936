"""The page of study 2: which sentences, tables and figures, in which order."""

from __future__ import annotations

from lit_experiments.experiments.prefill_dynamics import figures, tables
from lit_experiments.experiments.prefill_dynamics.findings import Findings
from lit_experiments.experiments.prefill_dynamics.paragraph_split import described
from lit_experiments.experiments.prefill_dynamics.repetition import CONTROLLED
from lit_experiments.reports.blocks import Block, Note, Page, Section, Statement
from lit_experiments.reports.cells import model_name
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.statistics import LEAST_GROUPS

_PAIRS = (
    "Smoothness is the mean L2 distance between the states of neighbouring tokens, averaged over layers: lower is "
    "smoother. Every difference is the first condition minus the second, over the n paragraphs that have both; {cut} "
    "d: mean difference over the standard deviation of the differences. t and p: paired t-test. Intervals: "
    "{level:.0%}, over paragraphs."
)
_CUT = {
    True: "both texts are cut to the length of the shorter one, because length alone shifts such means.",
    False: "at full length.",
}
_LAYERS = (
    "Averaged over layers, the verdict follows the interval; at single layers the paired t-test, p below 0.05 after "
    "Holm's correction over layers. A dash: layers of different models do not correspond."
)
_MEASURES = (
    "Magnitude: mean norm of the states. Variance: of the norms along a text. Relative smoothness: smoothness over "
    "magnitude. Consistency: mean cosine between successive steps, 1 straight on, -1 back and forth. Sinks: tokens at "
    "position 0 of the text or with a norm above {factor:g} times the layer's median."
)
_SURPRISE = "Means over the texts' mean cross-entropy in nats per token, full length; perplexity: its exponential."
_CORRELATED = (
    "Three questions that need not have one answer. Pooled: over all texts of the conditions; it mixes the difference "
    "between conditions with the differences among texts of one condition, so it says neither. Within: among the texts "
    "of one condition. Differences: does a paragraph whose two texts differ more in surprise also differ more in "
    "smoothness? The last is the one that bears on the explanation by surprise. Pooled rows come in groups of one "
    "paragraph, so they get an interval over paragraphs and no p-value."
)
_TOKENS = (
    "The length of the step onto a token (mean over layers) and the surprise of that token. Centred: both about "
    "their mean over the text, which leaves what happens from token to token. Intervals: over paragraphs, "
    "whose tokens stay together. Largest steps: norms grow with depth, so a step is compared with its layer's median "
    "step over all texts; each token stands once, at the layer where that ratio is largest."
)
_REPETITION = (
    "Distinct-n: distinct n-grams of tokens over all of them, at full length; 1 without any repetition (Li et al. "
    "2016). End in a loop: the text ends in a phrase of at least two tokens that stands there three times or more "
    "(Holtzman et al. 2020)."
)
_CONTROLLED = (
    "Without loops: the difference in smoothness over the paragraphs in which neither text ends in one. At equal "
    "repetition: the intercept of the regression of the paragraphs' differences in smoothness on their differences in "
    "distinct-{n}, what the difference would be for two texts that repeat themselves equally (Judd, Kenny and "
    "McClelland 2001); extrapolated where in every paragraph the same side repeats itself more."
)
_READERS = "Between models of different depth or width only surprise and relative smoothness can be compared."
_METHODS = (
    "Per text and layer, over the tokens of the continuation, in float64: mean L2 norm of the differences between "
    "states of neighbouring tokens (smoothness), mean and variance (ddof 1) of the norms, smoothness over mean norm, "
    "mean cosine of successive differences. Continuations of fewer than two tokens are left out. Pairs of conditions "
    "are compared over the paragraphs that have both, cut to the shorter text and at full length, with and without "
    "sink tokens (position 0, or a norm above {factor:g} times the layer's median); a left-out token takes the "
    "differences on both of its sides with it. The main variant here: {variant}.",
    "Paired t-test and Wilcoxon signed-rank test (two-sided), Cohen's d for pairs (ddof 1); p-values at single layers "
    "are corrected over layers by Holm's method. Intervals: {level:.0%}, over paragraphs; none "
    "from fewer than {least} paragraphs.",
    "Cross-entropy: minus log-probability of each token given all before it, in nats, under the model that reads. Its "
    "correlations with smoothness (Pearson, Spearman) are computed over texts pooled, within conditions, and over the "
    "paired differences; and over single tokens with the paragraph as group.",
)


def dynamics_page(result: Findings, margin: float, demonstration: bool) -> Page:
    """The page. margin: share below which a difference is none; demonstration: the data are the embedded model's."""
    sentences = result.interpretation.sentences
    surprise: list[Block] = [
        tables.surprise(result),
        Note(_SURPRISE),
        figures.surprise(result),
        tables.correlations(result),
    ]
    repetition: list[Block] = [tables.repetition(result), Note(_REPETITION), tables.controlled(result)]
    methods = {
        "factor": result.sink_factor,
        "variant": result.main_variant.name,
        "level": result.interval_level,
        "least": LEAST_GROUPS,
    }
    return Page(
        title="Prefill dynamics: does its own text move a model's states more smoothly?",
        question="Does text that the model itself would write move its hidden states in smaller steps than text that "
        "humans wrote, and is that because such text surprises it less?",
        done=_done(result),
        outcome=[sentences[topic] for topic in ("outcome", "surprise", "together") if topic in sentences],
        certainty=_certainty(result),
        sections=[
            Section("Verdicts", [tables.verdicts(result, margin), Note(_LAYERS)], quiet=True),
            Section("Pairs of conditions", _pairs(result)),
            Section("What else the numbers say", [Statement(sentences[t]) for t in _DETAILS if t in sentences]),
            Section("Layer by layer", _layers(result), quiet=True),
            Section("Surprise", [*surprise, Note(_CORRELATED)], quiet=True),
            Section("Repetition", [*repetition, Note(_CONTROLLED.format(n=CONTROLLED))], quiet=True),
            Section("Token by token", [tables.tokens(result), tables.moving(result), Note(_TOKENS)], quiet=True),
            *_example(result),
            *_readers(result),
            Section("What was read, and what was left out", [Note(line) for line in _left_out(result)], quiet=True),
        ],
        methods=[text.format(**methods) for text in _METHODS],
        cautions=[DEMONSTRATION] if demonstration else [],
    )


_DETAILS = ("layers", "relative", "repetition", "pooled")


def _done(result: Findings) -> str:
    reader, generator = model_name(result.reader), model_name(result.generator)
    return (
        f"The model {reader} reads {result.paragraph_counts.chosen} paragraphs. Their first sentence is the prompt; "
        f"behind it come the human text, continuations of up to {result.max_new_tokens} tokens by the model "
        f"{generator} (model: greedy; model-temp: sampled), or the human text's tokens in random order (shuffled). The "
        "states are the residual stream after every block, at the tokens of the continuation."
    )


def _certainty(result: Findings) -> str:
    paragraphs = max((pair.over_layers["smoothness"].n for pair in result.main), default=0)
    return (
        f"Intervals are {result.interval_level:.0%}, over the paragraphs, at most {paragraphs} per "
        f"pair of conditions; from fewer than {LEAST_GROUPS} no interval is given and nothing is claimed."
    )


def _pairs(result: Findings) -> list[Block]:
    return [
        *(Statement(sentence) for sentence in result.interpretation.pairs),
        tables.smoothness(result),
        tables.cross_entropy(result),
        Note(_PAIRS.format(cut=_CUT[result.cut], level=result.interval_level)),
        tables.measures(result),
        tables.variants(result),
        Note(_MEASURES.format(factor=result.sink_factor)),
    ]


def _layers(result: Findings) -> list[Block]:
    blocks: list[Block] = [figures.differences(result), figures.levels(result)]
    return blocks if result.headline is None else [*blocks, tables.by_layer(result.headline, result.layers)]


def _example(result: Findings) -> list[Section]:
    if result.example is None:
        return []
    sinks = tables.sinks(result.example)
    listed: Block = sinks if sinks.rows else Note("No token of this paragraph is a sink at these layers.")
    return [Section("One paragraph", [figures.norms(result.example), listed], folded=True, quiet=True)]


def _readers(result: Findings) -> list[Section]:
    if not result.readers:
        return []
    shown = [table(result.readers) for table in (tables.readers, tables.effects, tables.against)]
    notes = [] if all(reader.same_layers for reader in result.readers) else [Note(_READERS)]
    return [Section("The same texts read by several models", [*shown, *notes], quiet=True)]


def _left_out(result: Findings) -> list[str]:
    lines = [described(result.paragraph_counts) + "."]
    lines += [
        f"{name}: {ending.ended} of {ending.texts} continuations ended by themselves, the others at the limit."
        for name, ending in result.endings.items()
    ]
    short = result.excluded
    named = f": {', '.join(short[:20])}{', ...' if len(short) > 20 else ''}" if short else ""
    lines.append(f"Continuations with fewer than two tokens, in no statistic: {len(short)}{named}.")
    sinks = ", ".join(f"{level.sinks} in {name}" for name, level in result.conditions.items())
    return [*lines, f"Sink tokens (in any layer): {sinks}."]
