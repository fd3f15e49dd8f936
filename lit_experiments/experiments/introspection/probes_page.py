"""The page of the layerwise probes, as blocks."""

from __future__ import annotations

from lit_experiments.experiments.introspection.pair_blocks import (
    PAIR,
    by_target,
    left_out,
    method_texts,
    named,
    pair_matrix,
    score_name,
    states_of,
    target_panels,
)
from lit_experiments.experiments.introspection.passes import PASS_NAMES
from lit_experiments.experiments.introspection.probes_result import ProbedPair, ProbesResult
from lit_experiments.reports import blocks
from lit_experiments.reports.blocks import Column
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.statistics import Estimate

_PROBES = (
    *PAIR,
    Column("score", of=score_name),
    Column("chance", "number", 2, "score of a prediction that knows nothing of the question", "chance"),
    Column("held out", "estimate", 3, "score on the test questions, at the chosen layer", "chosen.score"),
    Column("layer", meaning="chosen in the training part", of="chosen.layer"),
    Column("p (layers)", "p", 3, "corrected over the layers of its curve (Holm)", "chosen.p_holm"),
    Column("p (targets)", "p", 3, "corrected over all pairs of states and target (Holm)", "chosen.p_holm_targets"),
    Column(
        "shuffled", "estimate", 2, "mean and range of probes retrained on shuffled targets", "controls.shuffled.shown"
    ),
)
_GAINED = (
    *PAIR,
    Column("over surface", "estimate", 2, "what the states add to a ridge on what the question looks like, paired"),
    Column("over confidence", "estimate", 2, "what the states add to a ridge on what the pass puts out, paired"),
    Column("over twin", "estimate", 2, "the model's score minus that of the random-weights twin, paired"),
)
_CONTROLS = (
    *PAIR,
    Column("surface", "estimate", 2, "ridge on what the question looks like, alone", "controls.surface.score"),
    Column("confidence", "estimate", 2, "ridge on what the pass puts out, alone", "controls.confidence.score"),
    Column(
        "random twin", "estimate", 2, "the same architecture with fresh weights, probed alike", "controls.twin.score"
    ),
)
_MORE = (
    *PAIR,
    Column("penalty", "number", None, of="chosen.penalty"),
    Column("Spearman", "estimate", 3, "of numbers", "chosen.spearman"),
    Column("mean absolute error", "estimate", None, "of numbers, in their units", "chosen.mae"),
    Column("accuracy", "estimate", 3, "of classes", "chosen.accuracy"),
    Column("log loss", "estimate", 3, "of classes, nats", "chosen.log_loss"),
)
_MATRIX = (
    "Held-out score at the chosen layer. Readable: its p-value, corrected over the layers and over all pairs, is at "
    "most {alpha:g} in both corrections, and its interval lies above chance; open: only one of the two."
)
_CURVES = (
    "Held-out score of every layer with its interval, one panel per target, one line per pass whose states are read; "
    "dotted: the random-weights twin. Grey: range of probes retrained on shuffled targets, over all passes; dashed: "
    "chance."
)
_GAINS = (
    "What hidden states add, with intervals over questions: to a prediction from surface features, to one from the "
    "pass's own output confidence, and to what a random-weights twin of the model tells. Left of 0: nothing added."
)
_METHODS = (
    "Held out: score on the test questions at the chosen layer, with a {level:.0%} interval over "
    "questions: R2 for numbers (ridge), AUROC for two classes and accuracy for more (logistic); chance is the "
    "score of a prediction that knows nothing of the question. Penalty and layer are chosen by {folds} folds of the "
    "training part. p: one-sided, from {permutations} permutations of the test questions; (layers): of that layer, "
    "corrected over the layers of its curve (Holm); (targets): of the chosen layer, corrected over all {pairs} pairs "
    "of states and target here (Holm). Shuffled: mean and range of the held-out score of {shuffles} ridges retrained, "
    "layer choice and all, on targets permuted between questions (for classes, on their 0 and 1).",
    "Controls: surface is a ridge on what the question looks like (lengths, type, negation, ambiguity, token "
    "rarity); confidence one on what the pass whose states are read puts out (the top letter's probability, the "
    "gap to the second, the entropy over letters, in a confidence pass the expected confidence), without whichever of "
    "these is the target itself. Over a control: the gain in score when a ridge on the states adds what it tells of "
    "the rest, at its own chosen layer, paired by question; what states and control share counts for the "
    "control. Classes enter these ridges as 0 and 1. Random twin: the same architecture with fresh weights, which "
    "read the same prompts, probed alike; over twin: the model's score minus the twin's. A dash: no value.",
)


def probes_page(result: ProbesResult, demonstration: bool) -> blocks.Page:
    """The page; demonstration: the data are the embedded model's."""
    counts = result.questions
    place = "the answer position" if result.position == "answer" else f"stored token {result.position}"
    counted = {"folds": result.folds, "permutations": result.permutations, "shuffles": result.shuffles}
    return blocks.Page(
        title="Introspection: layerwise probes",
        question="What do the states of each pass tell about the answer, the uncertainty and the confidence of this "
        "pass and of the others, beyond what the question and the output give away?",
        done=f"Linear probes were trained on the states at {place} of {len(result.layers)} layers. Of "
        f"{counts.all} questions {counts.test} were held out (one split by question for everything); penalty and layer "
        f"were chosen by {result.folds} folds of the training part.",
        outcome=_outcome(result),
        certainty=f"Intervals are {result.interval_level:.0%}, over the {counts.test} held-out "
        "questions with the probes held fixed; p-values are corrected for layers and for targets, gains are not.",
        sections=[
            blocks.Section(
                "What is readable",
                [
                    pair_matrix("verdicts", result.pairs, lambda p: _verdict(p, result.alpha), "held-out score"),
                    blocks.Note(_MATRIX.format(alpha=result.alpha)),
                    blocks.Table.of("probes", "", _PROBES, named(result.pairs), most=40),
                ],
            ),
            blocks.Section(
                "What the controls leave of it",
                [
                    _bars(result),
                    _gains(result),
                    blocks.Table.of("controls", "Controls alone", _CONTROLS, named(result.pairs), most=40),
                ],
            ),
            blocks.Section("Over layers", [_curves(result)]),
            blocks.Section(
                "Further scores",
                [blocks.Table.of("further_scores", "At the chosen layer", _MORE, named(result.pairs), folded=True)],
                quiet=True,
            ),
            *left_out(result.statements),
        ],
        methods=method_texts(_METHODS, counted | {"pairs": len(result.pairs)}, result.interval_level),
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _outcome(result: ProbesResult) -> list[str]:
    pairs = [pair for pair in result.pairs if _verdict(pair, result.alpha).tone == "for"]
    readable = f"{len(pairs)} of {len(result.pairs)} pairs of states and target are readable from held-out states."
    parts = []
    for name in _gains_of(pairs[0]) if pairs else ():
        gains = [gain for gain in (_gains_of(pair)[name] for pair in pairs) if gain is not None]
        if gains:
            parts.append(f"{name} in {sum(gain.side_of(0) > 0 for gain in gains)} of {len(gains)}")
    seen = f"Of these, a gain in score is seen {', '.join(parts)} (intervals above 0)."
    return [readable, seen] if parts else [readable]


def _verdict(pair: ProbedPair, alpha: float) -> blocks.Verdict:
    chosen = pair.chosen
    if not chosen.score.has_interval:
        return blocks.Verdict("no interval", "void", chosen.score)
    small = max(chosen.p_holm, chosen.p_holm_targets) <= alpha
    above = chosen.score.side_of(pair.chance) > 0
    if small and above:
        return blocks.Verdict("readable", "for", chosen.score)
    return (
        blocks.Verdict("open", "open", chosen.score)
        if small or above
        else blocks.Verdict("not seen", "against", chosen.score)
    )


def _gains(result: ProbesResult) -> blocks.Table:
    rows = [[target, states, *_gains_of(pair).values()] for target, states, pair in named(result.pairs)]
    return blocks.Table("gains", "What the states add", _GAINED, rows, most=40)


def _gains_of(pair: ProbedPair) -> dict[str, Estimate | None]:
    surface, confidence, twin = pair.controls.surface, pair.controls.confidence, pair.controls.twin
    return {
        "over the surface of the question": None if surface is None else surface.gain,
        "over the pass's output confidence": None if confidence is None else confidence.gain,
        "over a random-weights twin": None if twin is None else twin.difference,
    }


def _curves(result: ProbesResult) -> blocks.Curves:
    def series(pairs: list[ProbedPair]) -> list[blocks.Series]:
        scores = [blocks.Series(states_of(p.states), result.layers, [layer.score for layer in p.layers]) for p in pairs]
        spreads = [[layer.shuffled for layer in layers] for layers in zip(*(p.layers for p in pairs), strict=True)]
        control = [blocks.Range(min(s.low for s in of_layer), max(s.high for s in of_layer)) for of_layer in spreads]
        return [
            *scores,
            blocks.Series("shuffled targets", result.layers, control, "control"),
            *(
                blocks.Series(
                    f"twin, {PASS_NAMES[p.states]}", result.layers, [s.value for s in twin.by_layer], "control"
                )
                for p in pairs
                if (twin := p.controls.twin) is not None
            ),
        ]

    panels = target_panels(result.pairs, series, lambda pairs: [blocks.Level("chance", pairs[0].chance)])
    return blocks.Curves("layers", _CURVES, "layer", panels)


def _bars(result: ProbesResult) -> blocks.Bars:
    bars = [
        blocks.Bar(pair.target, gain, states_of(pair.states), panel)
        for pair in by_target(result.pairs)
        for panel, gain in _gains_of(pair).items()
        if gain is not None
    ]
    return blocks.Bars("gain_intervals", _GAINS, "gain in score", bars)
