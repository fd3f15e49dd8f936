"""The page of internal against surface, as blocks."""

from __future__ import annotations

from collections import Counter

from lit_experiments.claims.rule import WORDS, tone_of
from lit_experiments.experiments.introspection.pair_blocks import (
    PAIR,
    left_out,
    named,
    pair_matrix,
    score_name,
    states_of,
    target_panels,
)
from lit_experiments.experiments.introspection.passes import PASS_NAMES
from lit_experiments.experiments.introspection.surface_control.result import (
    SurfacePair,
    SurfaceResult,
)
from lit_experiments.reports import blocks
from lit_experiments.reports.blocks import Column
from lit_experiments.reports.document import DEMONSTRATION

_NAMED = 3  # features named per target
_NOTHING = "There is no surface to compare with."
_NOT_VARYING = "No surface feature varies over these questions; surface is their text and place alone."
_SCORES = (
    *PAIR,
    Column("score", of=score_name),
    Column("surface", "estimate", 2, "the model of the surface alone", "surface"),
    Column("hidden (ridge)", "estimate", 2, "ridge on hidden states alone; classes as 0 and 1", "chosen.hidden"),
    Column("layer", meaning="of the states alone, chosen in the training part", of="chosen.hidden_layer"),
    Column("both", "estimate", 2, "surface prediction with a ridge on the states for what it leaves", "chosen.both"),
    Column("its layer", meaning="chosen in the same way", of="chosen.both_layer"),
)
_GAINS = (
    Column("both - surface", "estimate", 2, "what the states add to the surface, paired", "both_less_surface"),
    Column("both - hidden", "estimate", 2, "what the surface adds to the states, paired", "both_less_hidden"),
    Column("hidden - surface", "estimate", 2, "each alone, paired", "hidden_less_surface"),
)
_LAYERS = (
    *PAIR,
    Column("layer", of="layer"),
    Column("hidden (ridge)", "estimate", of="hidden"),
    Column("both", "estimate", of="both"),
    *_GAINS,
)
_METHODS = (
    "Held-out scores with {level:.0%} intervals over groups of questions; differences paired by group. Surface: "
    "the model of text, options, key, lengths and place that folds of the training part chose (linear or trees). "
    "Hidden: ridge on the states, at the layer chosen in the training part. Both: the surface prediction and a ridge "
    "on the states for what it leaves, at a layer chosen in the same way. Verdicts are those of the claims that the "
    "probes' page and `lit-experiments audit` show: they also ask for p-values corrected over targets, for a score "
    "above random states and the output, and for held-out content."
)
_WEIGHTS = (
    "Weights of the ridge on surface features for inputs of unit spread, in units of the target (of a class: of its 0 "
    "and 1; with more than two classes the root mean square, without sign). Features that go together share theirs; "
    "where the surface tells nothing, neither do they."
)
_CURVES = (
    "Held-out scores by layer: hidden states alone with their intervals, and surface with what the states add, by "
    "pass; dashed: surface alone, with its interval, and chance."
)


def surface_page(result: SurfaceResult, demonstration: bool) -> blocks.Page:
    """The page; demonstration: the data are the embedded model's."""
    counts = result.questions
    return blocks.Page(
        title="Introspection: internal against surface",
        question="Do hidden states tell more about the model's answer and confidence than what the question looks like "
        "already gives away?",
        done=f"{counts.test} held-out questions of {counts.all} were predicted from their surface, from the hidden "
        f"states of {len(result.layers)} layers, and from both.",
        outcome=_outcome(result),
        certainty=f"Intervals are {result.interval_level:.0%}, from a bootstrap over the {counts.test} held-out "
        "questions with the fits held fixed.",
        sections=[*(_evidence(result) if result.pairs else []), *left_out(result.statements)],
        methods=[_METHODS.format(level=result.interval_level)],
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _outcome(result: SurfaceResult) -> list[str]:
    """How many pairs have which verdict."""
    if not result.pairs:
        return [_NOTHING]
    times = Counter(pair.verdict for pair in result.pairs)
    counted = ", ".join(f"{word} {times[word]}" for word in WORDS if times[word])
    return [f"Verdicts on {len(result.pairs)} claims, that states tell a target: {counted}."]


def _evidence(result: SurfaceResult) -> list[blocks.Section]:
    number = "The number is what the states add to the score of the surface (both - surface), with its interval."
    matrix = pair_matrix("verdicts", result.pairs, _verdict, "both - surface")
    chosen = ((target, states, pair.chosen) for target, states, pair in named(result.pairs))
    by_layer = ((p.target, PASS_NAMES[p.states], scores) for p in result.pairs for scores in p.by_layer)
    return [
        blocks.Section("Verdicts", [matrix, blocks.Note(number)]),
        blocks.Section(
            "At the chosen layer",
            [
                blocks.Table.of("scores", "Scores", _SCORES, named(result.pairs), most=40),
                blocks.Table.of("gains", "Differences", (*PAIR, *_GAINS), chosen, most=40),
            ],
        ),
        blocks.Section(
            "Over layers", [_curves(result), blocks.Table.of("layers", "Every layer", _LAYERS, by_layer, folded=True)]
        ),
        blocks.Section(
            "Which surface features carry the most",
            [_strongest(result), _shares(result), blocks.Note(_WEIGHTS), _all(result)]
            if any(result.weights.values())
            else [blocks.Note(_NOT_VARYING)],
        ),
    ]


def _verdict(pair: SurfacePair) -> blocks.Verdict:
    return blocks.Verdict(pair.verdict, tone_of(pair.verdict), pair.chosen.both_less_surface)


def _curves(result: SurfaceResult) -> blocks.Curves:
    def series(pairs: list[SurfacePair]) -> list[blocks.Series]:
        hidden = [
            blocks.Series(states_of(pair.states), result.layers, [scores.hidden for scores in pair.by_layer])
            for pair in pairs
        ]
        return hidden + [
            blocks.Series(f"surface and {states_of(pair.states)}", result.layers, [s.both.value for s in pair.by_layer])
            for pair in pairs
        ]

    panels = target_panels(
        result.pairs,
        series,
        lambda pairs: [blocks.Level("surface alone", pairs[0].surface), blocks.Level("chance", pairs[0].chance)],
    )
    return blocks.Curves("curves", _CURVES, "layer", panels)


def _strongest(result: SurfaceResult) -> blocks.Table:
    columns = [Column("target"), *(Column(f"{place + 1}.") for place in range(_NAMED))]
    rows: list[list[blocks.Cell]] = []
    for target, weights in result.weights.items():
        largest = [f"{name} {weight:+.3g}" for name, weight in list(weights.items())[:_NAMED]]
        rows.append([target, *largest, *[None] * (_NAMED - len(largest))])
    return blocks.Table("strongest", "", columns, rows)


def _shares(result: SurfaceResult) -> blocks.Heatmap:
    features = sorted({name for weights in result.weights.values() for name in weights})
    largest = {target: max(map(abs, weights.values())) for target, weights in result.weights.items()}
    shares = [
        [
            abs(weights.get(name, float("nan"))) / largest[target] if largest[target] else float("nan")
            for target, weights in result.weights.items()
        ]
        for name in features
    ]
    caption = "Size of each surface feature's standardised weight, as a share of the target's largest."
    share = "share of the largest"
    return blocks.Heatmap("features", caption, "target", "feature", share, list(result.weights), features, {"": shares})


def _all(result: SurfaceResult) -> blocks.Table:
    columns = [Column("target"), Column("feature"), Column("weight", "number", None)]
    rows: list[list[blocks.Cell]] = [
        [target, *item] for target, weights in result.weights.items() for item in weights.items()
    ]
    return blocks.Table("weights", "All weights", columns, rows, folded=True)
