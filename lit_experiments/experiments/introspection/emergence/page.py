"""The page of emergence over layers, as blocks."""

from __future__ import annotations

import math

import numpy as np

from lit_experiments.experiments.introspection.emergence.result import EmergencePair, EmergenceResult, Lag, Onset
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
from lit_experiments.reports import blocks
from lit_experiments.reports.blocks import Column
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.reports.findings import POWER
from lit_experiments.statistics import LEAST_GROUPS, Estimate
from lit_experiments.units import counted

_COLUMNS = (
    *PAIR,
    Column("score", of=score_name),
    Column(
        "onset",
        meaning="first layer whose score exceeds its control and chance",
        of=lambda pair: pair.onset.layer or "none",
    ),
    Column(
        "interval",
        meaning="layers, over resampled test questions; none: after the last layer",
        of=lambda pair: onset_interval(pair.onset),
    ),
    Column("no onset", "share", 2, "share of the resamples without one", "onset.none_share"),
    Column("score at onset", "estimate", 2, of="at_onset.score"),
    Column("chosen layer", meaning="by training, without the test questions", of="chosen"),
    Column("its score", "estimate", 2, of="at_chosen.score"),
    Column(POWER, "number", 2, "there: the score that would have exceeded its control", "detectable"),
)
_MATRIX = (
    "The first layer above its control, with the score there; where there is none, with that of the layer that "
    "training chose. Open: the interval of the onset reaches to no layer at all, or that of the score to chance. Void: "
    "too few questions."
)
_CURVES = (
    "Held-out score of each layer's probe with its interval over questions, one line per pass whose states are read; "
    "dashed: the bound that each must exceed; grey band: the control of all of them, targets permuted between "
    "questions."
)

_ONSETS = "The first layer above its control, by its number, with its interval over questions; {last}: no layer at all."
_METHODS = (
    "Onset: the first layer whose held-out score exceeds its control and chance. The control of a layer is its own "
    "predictions against targets permuted between the groups of test questions ({permutations} times, the same for "
    "all); the bound is what the largest of all {layers} layers of all {pairs} curves exceeds, each in its own "
    "spread, with probability {alpha:g} (max-T, Westfall and Young, stepping down). Intervals: {level:.0%}, over "
    "resampled test questions with probes and bounds held fixed, so "
    "not over other training sets; they reach towards the front, where a resample can lift a score of about nothing "
    "over a bound of about nothing. No onset: share of the resamples without one, which count as after the last layer. "
    "The highest layer is not shown as such: its score is the largest of many; the layer that training chose is not."
)
_LAG = "the onset of the self pass's confidence minus that of the mcq pass's entropy, each in its own pass's states"


def emergence_page(result: EmergenceResult, demonstration: bool) -> blocks.Page:
    """The page; demonstration: the data are the embedded model's."""
    counts, layers = result.questions, len(result.layers)
    return blocks.Page(
        title="Introspection: where in the model it becomes readable",
        question="In which layer do answer, uncertainty and confidence become readable, and does confidence come after "
        "uncertainty?",
        done=f"The trained probes of {layers} layers were scored on {counts.test} held-out questions of {counts.all}, "
        "and compared with the same predictions against permuted targets.",
        outcome=[_outcome(result), lag_sentence(result.lag)],
        certainty=f"With probability {result.alpha:g} at most any of the curves without signal has an onset; "
        f"intervals are {result.interval_level:.0%}, over the {counts.test} held-out questions.",
        sections=[
            blocks.Section(
                "Onsets",
                [
                    pair_matrix("onsets", result.pairs, _verdict, "score"),
                    blocks.Note(_MATRIX),
                    blocks.Table.of("onset_scores", "", _COLUMNS, named(result.pairs), most=40),
                ],
            ),
            blocks.Section("Emergence", [_curves(result), _bars(result)]),
            *left_out(result.statements),
        ],
        methods=method_texts(
            [_METHODS],
            {
                "permutations": result.permutations,
                "alpha": result.alpha,
                "layers": layers,
                "pairs": len(result.pairs),
            },
            result.interval_level,
        ),
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _outcome(result: EmergenceResult) -> str:
    onsets = [pair.onset for pair in result.pairs if pair.onset.layer is not None]
    count = f"{len(onsets)} of {len(result.pairs)} pairs of states and target have a layer above their control"
    if not onsets:
        return f"{count}."
    places = [onset.index for onset in onsets if onset.index is not None]
    first, last = result.layers[min(places)], result.layers[max(places)]
    range_ = f"the first such layer is {first if first == last else f'between {first} and {last}'}"
    clear = sum(_tone(pair) == "for" for pair in result.pairs)
    sure = "the onset's interval leaves out that there is none, and its score's leaves out chance"
    return f"{count}; {range_}. Clear: {clear} ({sure})."


def onset_interval(onset: Onset) -> str:
    """'1 to none', the layers by their numbers; or why there is no interval."""
    if onset.questions < LEAST_GROUPS:
        return f"no interval: {counted(onset.questions, 'group')}"
    if onset.low is None and onset.index is not None:
        return "no interval: any layer could be it"
    low, high = ((name or "none").rpartition(".")[2] for name in (onset.low, onset.high))
    return low if low == high == "none" else f"{low} to {high}"


def lag_sentence(lag: Lag) -> str:
    """The lag in words, by its interval."""
    if lag.absent:
        return f"No lag: there is no probe of {' or of '.join(lag.absent)}."
    estimate, share = lag.estimate, f"{lag.undefined_share:.0%} of the resamples leave one of the two without an onset"
    if np.isnan(estimate.value):
        return f"The lag ({_LAG}) is undefined: one of the two has no onset ({share})."
    value = f"The lag is {estimate.value:+.0f} layers: {_LAG}"
    if not (estimate.has_interval or estimate.unanimous):
        return f"{value}. It has no interval: {estimate.no_interval if estimate.too_few else share}."
    if estimate.unanimous:
        bounds, side = f"the same in all resamples of {estimate.n} questions", int(np.sign(estimate.value))
    else:
        bounds = f"{estimate.level:.0%} interval {estimate.low:+.0f} to {estimate.high:+.0f}, paired over questions"
        side = estimate.side_of(0)
    together = "both become readable in the same layer"
    verdict = {
        1: "confidence becomes readable later than entropy",
        -1: "confidence becomes readable earlier than entropy",
        0: together if estimate.unanimous else "it is not seen which comes first",
    }[side]
    return f"{value} ({bounds}; {share}): {verdict}."


def _verdict(pair: EmergencePair) -> blocks.Verdict:
    point = pair.at_onset or pair.at_chosen
    word = f"from {pair.onset.layer}" if pair.onset.layer else "no onset"
    return blocks.Verdict(word, _tone(pair), point.score)


def _tone(pair: EmergencePair) -> blocks.Tone:
    onset = pair.onset
    if onset.questions < LEAST_GROUPS:
        return "void"
    if pair.at_onset is None:
        return "against"
    clear = onset.high is not None and pair.at_onset.score.side_of(pair.chance) > 0
    return "for" if clear else "open"


def _curves(result: EmergenceResult) -> blocks.Curves:
    def series(pairs: list[EmergencePair]) -> list[blocks.Series]:
        scores = [blocks.Series(states_of(p.states), result.layers, [point.score for point in p.curve]) for p in pairs]
        bounds = [
            blocks.Series(
                f"bound, {PASS_NAMES[p.states]}", result.layers, [point.threshold for point in p.curve], "control"
            )
            for p in pairs
        ]
        points = list(zip(*(pair.curve for pair in pairs), strict=True))
        control = [
            blocks.Range(min(p.control_low for p in layer), max(p.control_high for p in layer)) for layer in points
        ]
        return [*scores, blocks.Series("permuted targets", result.layers, control, "control"), *bounds]

    return blocks.Curves("emergence", _CURVES, "layer", target_panels(result.pairs, series, lambda pairs: []))


def _bars(result: EmergenceResult) -> blocks.Bars:
    last = len(result.layers)
    bars = [
        blocks.Bar(pair.target, _place(pair.onset, last, result.interval_level), states_of(pair.states))
        for pair in by_target(result.pairs)
    ]
    return blocks.Bars("onset_intervals", _ONSETS.format(last=last), "layer, by its number", bars, reference=None)


def _place(onset: Onset, last: int, level: float) -> Estimate:
    """The onset as a number, `last` where there is none."""
    index, low, high = (
        float(last if place is None else place) for place in (onset.index, onset.index_low, onset.index_high)
    )
    void = onset.questions < LEAST_GROUPS or (onset.index is not None and onset.index_low is None)
    return Estimate(index, *((math.nan, math.nan) if void else (low, high)), onset.questions, level)
