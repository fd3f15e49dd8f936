"""The page of the layerwise probes, as blocks."""

from __future__ import annotations

from collections.abc import Iterator

from lit_experiments.experiments.introspection.pair_blocks import (
    by_target,
    left_out,
    pair_matrix,
    states_of,
    target_panels,
)
from lit_experiments.experiments.introspection.passes import PASS_NAMES
from lit_experiments.experiments.introspection.probes_result import ProbedPair, ProbesResult, Spread
from lit_experiments.experiments.introspection.scoring import NAMES
from lit_experiments.reports.blocks import (
    Bar,
    Bars,
    Cell,
    Column,
    Curves,
    Level,
    Matrix,
    Note,
    Page,
    Range,
    Section,
    Series,
    Table,
    Verdict,
)
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.statistics import Estimate

_PAIR = (Column("target"), Column("states of"))
_PROBES = (
    *_PAIR,
    Column("score"),
    Column("chance", "number", 2, "score of a prediction that knows nothing of the question"),
    Column("held out", "estimate", 3, "score on the test questions, at the chosen layer"),
    Column("layer", meaning="chosen in the training part"),
    Column("p (layers)", "p", meaning="corrected over the layers of its curve (Holm)"),
    Column("p (targets)", "p", meaning="corrected over all pairs of states and target (Holm)"),
    Column("shuffled", "estimate", 2, "mean and range of probes retrained on shuffled targets"),
)
_GAINED = (
    *_PAIR,
    Column("over surface", "estimate", 2, "what the states add to a ridge on what the question looks like, paired"),
    Column("over confidence", "estimate", 2, "what the states add to a ridge on what the pass puts out, paired"),
    Column("over twin", "estimate", 2, "the model's score minus that of the random-weights twin, paired"),
)
_CONTROLS = (
    *_PAIR,
    Column("surface", "estimate", 2, "ridge on what the question looks like, alone"),
    Column("confidence", "estimate", 2, "ridge on what the pass puts out, alone"),
    Column("random twin", "estimate", 2, "the same architecture with fresh weights, probed alike"),
)
_MORE = (
    *_PAIR,
    Column("penalty", "number", None),
    Column("Spearman", "estimate", meaning="of numbers"),
    Column("mean absolute error", "estimate", None, "of numbers, in their units"),
    Column("accuracy", "estimate", meaning="of classes"),
    Column("log loss", "estimate", meaning="of classes, nats"),
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
    "Held out: score on the test questions at the chosen layer, with a bootstrap {level:.0%} interval over "
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
    "the rest, at its own chosen layer, on the same resamples; what states and control share counts for the "
    "control. Classes enter these ridges as 0 and 1. Random twin: the same architecture with fresh weights, which "
    "read the same prompts, probed alike; over twin: the model's score minus the twin's. A dash: no value.",
)


def probes_page(result: ProbesResult, demonstration: bool) -> Page:
    """The page; demonstration: the data are the embedded model's."""
    counts = result.questions
    place = "the answer position" if result.position == "answer" else f"stored token {result.position}"
    parameters = {"level": result.interval_level, "folds": result.folds, "permutations": result.permutations}
    parameters |= {"pairs": len(result.pairs), "shuffles": result.shuffles}
    return Page(
        title="Introspection: layerwise probes",
        question="What do the states of each pass tell about the answer, the uncertainty and the confidence of this "
        "pass and of the others, beyond what the question and the output give away?",
        done=f"Linear probes were trained on the states at {place} of {len(result.layers)} layers. Of "
        f"{counts.all} questions {counts.test} were held out (one split by question for everything); penalty and layer "
        f"were chosen by {result.folds} folds of the training part.",
        outcome=_outcome(result),
        certainty=f"Intervals are {result.interval_level:.0%}, from a bootstrap over the {counts.test} held-out "
        "questions with the probes held fixed; p-values are corrected for layers and for targets, gains are not.",
        sections=[
            Section("What is readable", [_matrix(result), Note(_MATRIX.format(alpha=result.alpha)), _probes(result)]),
            Section("What the controls leave of it", [_bars(result), _gains(result), _controls(result)]),
            Section("Over layers", [_curves(result)]),
            Section("Further scores", [_more(result)], quiet=True),
            *left_out(result.statements),
        ],
        methods=[paragraph.format(**parameters) for paragraph in _METHODS],
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _outcome(result: ProbesResult) -> list[str]:
    pairs = [pair for pair in result.pairs if _verdict(pair, result.alpha).tone == "for"]
    readable = f"{len(pairs)} of {len(result.pairs)} pairs of states and target are readable from held-out states."
    if not pairs:
        return [readable]
    parts = []
    for name in _gains_of(pairs[0]):
        gains = [gain for gain in (_gains_of(pair)[name] for pair in pairs) if gain is not None]
        if gains:
            parts.append(f"{name} in {sum(gain.side_of(0) > 0 for gain in gains)} of {len(gains)}")
    return (
        [readable, f"Of these, a gain in score is seen {', '.join(parts)} (intervals above 0)."]
        if parts
        else [readable]
    )


def _verdict(pair: ProbedPair, alpha: float) -> Verdict:
    chosen = pair.chosen
    if not chosen.score.has_interval:
        return Verdict("no interval", "void", chosen.score)
    small = max(chosen.p_holm, chosen.p_holm_targets) <= alpha
    above = chosen.score.side_of(pair.chance) > 0
    if small and above:
        return Verdict("readable", "for", chosen.score)
    return Verdict("open", "open", chosen.score) if small or above else Verdict("not seen", "against", chosen.score)


def _matrix(result: ProbesResult) -> Matrix:
    return pair_matrix("verdicts", result.pairs, lambda pair: _verdict(pair, result.alpha), "held-out score")


def _range(spread: Spread) -> Range:
    return Range(spread.low, spread.high, spread.mean)


def _names(pair: ProbedPair) -> list[Cell]:
    return [pair.target, PASS_NAMES[pair.states]]


def _probes(result: ProbesResult) -> Table:
    rows: list[list[Cell]] = []
    for pair in by_target(result.pairs):
        chosen = pair.chosen
        row = [*_names(pair), NAMES[pair.score], pair.chance, chosen.score, chosen.layer]
        rows.append([*row, chosen.p_holm, chosen.p_holm_targets, _range(pair.controls.shuffled)])
    return Table("probes", "", _PROBES, rows, most=40)


def _gains(result: ProbesResult) -> Table:
    rows = [[*_names(pair), *_gains_of(pair).values()] for pair in by_target(result.pairs)]
    return Table("gains", "What the states add", _GAINED, rows, most=40)


def _gains_of(pair: ProbedPair) -> dict[str, Estimate | None]:
    surface, confidence, twin = pair.controls.surface, pair.controls.confidence, pair.controls.twin
    return {
        "over the surface of the question": None if surface is None else surface.gain,
        "over the pass's output confidence": None if confidence is None else confidence.gain,
        "over a random-weights twin": None if twin is None else twin.difference,
    }


def _controls(result: ProbesResult) -> Table:
    rows: list[list[Cell]] = []
    for pair in by_target(result.pairs):
        controls = (pair.controls.surface, pair.controls.confidence, pair.controls.twin)
        rows.append([*_names(pair), *(None if control is None else control.score for control in controls)])
    return Table("controls", "Controls alone", _CONTROLS, rows, most=40)


def _more(result: ProbesResult) -> Table:
    rows: list[list[Cell]] = [
        [*_names(p), p.chosen.penalty, p.chosen.spearman, p.chosen.mae, p.chosen.accuracy, p.chosen.log_loss]
        for p in by_target(result.pairs)
    ]
    return Table("further_scores", "At the chosen layer", _MORE, rows, folded=True)


def _curves(result: ProbesResult) -> Curves:
    def series(pairs: list[ProbedPair]) -> list[Series]:
        scores = [Series(states_of(p.states), result.layers, [layer.score for layer in p.layers]) for p in pairs]
        by_layer = list(zip(*(p.layers for p in pairs), strict=True))
        shuffles = [[layer.shuffled for layer in layers] for layers in by_layer]
        control = [Range(min(s.low for s in spreads), max(s.high for s in spreads)) for spreads in shuffles]
        return [*scores, Series("shuffled targets", result.layers, control, "control"), *_twins(result, pairs)]

    def levels(pairs: list[ProbedPair]) -> list[Level]:
        return [Level("chance", pairs[0].chance)]

    return Curves("layers", _CURVES, "layer", target_panels(result.pairs, series, levels))


def _twins(result: ProbesResult, pairs: list[ProbedPair]) -> Iterator[Series]:
    for pair in pairs:
        if pair.controls.twin is not None:
            values = [score.value for score in pair.controls.twin.by_layer]
            yield Series(f"twin, {PASS_NAMES[pair.states]}", result.layers, values, "control")


def _bars(result: ProbesResult) -> Bars:
    bars = [
        Bar(pair.target, gain, states_of(pair.states), panel)
        for pair in by_target(result.pairs)
        for panel, gain in _gains_of(pair).items()
        if gain is not None
    ]
    return Bars("gain_intervals", _GAINS, "gain in score", bars)
