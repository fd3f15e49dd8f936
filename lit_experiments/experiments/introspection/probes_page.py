"""The page of the layerwise probes, as blocks."""

from __future__ import annotations

from collections import Counter

from lit_experiments.claims.cells import verdict_cell
from lit_experiments.claims.rule import SUPPORTED, WORDS, Judged
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
    Column("p (layers)", "p", 3, "corrected over all layers and pairs (max-T)", "chosen.p_corrected"),
    Column("p (targets)", "p", 3, "corrected over all pairs of states and target (max-T)", "chosen.p_targets"),
    Column(
        "shuffled", "estimate", 2, "mean and range of probes retrained on shuffled targets", "controls.shuffled.shown"
    ),
)
_GAINED = (
    *PAIR,
    Column("over surface", "estimate", 2, "what the states add to the surface of the question, paired"),
    Column("over confidence", "estimate", 2, "what the states add to what the pass puts out, paired"),
    Column("over twin", "estimate", 2, "the model's score minus that of the random-weights twin, paired"),
)
_CONTROLS = (
    *PAIR,
    Column("surface", "estimate", 2, "text and shape of the question, alone", "controls.surface.score"),
    Column("confidence", "estimate", 2, "what the pass puts out, alone", "controls.confidence.score"),
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
    "The verdict on each claim, that the states of a pass tell a target, with the held-out score at the chosen layer. "
    "Supported: told from held-out groups of questions (p corrected over all pairs at most {alpha:g}, interval above "
    "chance), beyond surface, output and random states. Surface- and output-explained: told, and nothing added to "
    "these. Leaked: told where copies are in training alone. Underpowered: too few groups, or tests that disagree. Not "
    "supported: it would have been seen, and is not, or random states tell as much."
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
    "Held out: score on the test questions at the chosen layer, with a {level:.0%} interval over groups of "
    "questions: R2 for numbers (ridge), AUROC for two classes and accuracy for more (logistic); chance is the "
    "score of a prediction that knows nothing of the question. Penalty and layer are chosen by {folds} folds of the "
    "training part. p: one-sided, from {permutations} permutations of the test questions; corrected by the largest "
    "statistic of each permutation, which all layers and pairs share (max-T, Westfall and Young); (targets): of the "
    "layer that training chose, over all {pairs} pairs of states and target here; (layers): of that layer, over all "
    "layers of all pairs. Shuffled: mean and range of the held-out score of {shuffles} ridges retrained, "
    "layer choice and all, on targets permuted between questions (for classes, on their 0 and 1).",
    "Controls, by the model that folds of the training part choose (linear or trees): surface is text (words, their "
    "places, written numbers, like questions), options, key, lengths and place of the question; confidence what the "
    "pass whose states are read puts out (letter probabilities "
    "and what is computed from them), without the target itself. Over a control: the gain in score when a ridge on the "
    "states adds what it tells of the rest, at its own chosen layer, paired by group; what states and control "
    "share counts for the control. Classes enter these as 0 and 1. Random twin: the same architecture with fresh "
    "weights, which read the same prompts, probed alike; over twin: the model's score minus the twin's. A dash: no "
    "value.",
    "Split by {by}: {groups} groups, the largest of {largest} questions; {twins} test questions would have a like one "
    "in training were questions split one by one, {neighbours} have one.",
)
_SENTENCES = 4
"""Claims put in words at the top of the page."""


def probes_page(result: ProbesResult, demonstration: bool) -> blocks.Page:
    """The page; demonstration: the data are the embedded model's."""
    counts = result.questions
    place = "the answer position" if result.position == "answer" else f"stored token {result.position}"
    claims = {(item.claim.states, item.claim.target): item for item in result.claims}
    split = result.split
    counted = {"by": split.by, "groups": split.groups, "largest": split.largest_group, "twins": split.twins_by_row}
    counted |= {
        "neighbours": split.neighbours,
        "folds": result.folds,
        "permutations": result.permutations,
        "shuffles": result.shuffles,
    }
    return blocks.Page(
        title="Introspection: layerwise probes",
        question="What do the states of each pass tell about the answer, the uncertainty and the confidence of this "
        "pass and of the others, beyond what the question and the output give away?",
        done=f"Linear probes were trained on the states at {place} of {len(result.layers)} layers. Of "
        f"{counts.all} questions {counts.test} were held out (one split for everything, by alike questions); penalty "
        f"and layer were chosen by {result.folds} folds of the training part.",
        outcome=_outcome(result),
        certainty=f"Intervals are {result.interval_level:.0%}, over the {result.split.test_groups} groups of "
        "held-out questions, with the probes held fixed; p-values are corrected for layers and targets, gains are not.",
        sections=[
            blocks.Section(
                "What is readable",
                [
                    pair_matrix(
                        "verdicts", result.pairs, lambda p: _verdict(claims[p.states, p.target]), "held-out score"
                    ),
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
    times = Counter(item.verdict.word for item in result.claims)
    counted = ", ".join(f"{word} {times[word]}" for word in WORDS if times[word])
    first = f"Verdicts on {len(result.claims)} claims, that states of a pass tell a target: {counted}."
    shown = [item for item in result.claims if item.verdict.word == SUPPORTED] or result.claims
    return [first, *(f"{PASS_NAMES[item.claim.states]}: {item.verdict.sentence}" for item in shown[:_SENTENCES])]


def _verdict(item: Judged) -> blocks.Verdict:
    return verdict_cell(item.verdict, item.evidence)


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
