"""The page of the ridge on log-tempnorm, as blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lit_experiments.claims import Judged
from lit_experiments.claims.claim import OUTPUT, SURFACE
from lit_experiments.controls.split import SplitSummary
from lit_experiments.experiments.tempnorm.result import LengthResult, PredictedTrue, TempnormResult
from lit_experiments.experiments.tempnorm.single_numbers import BASELINES, ENTROPY, EXACT
from lit_experiments.reports.blocks import (
    Cell,
    Column,
    Curves,
    Note,
    Page,
    Panel,
    Points,
    Scatter,
    Section,
    Series,
    Table,
)
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.statistics import Estimate
from lit_experiments.tasks.task import Opened

_LOWEST_R2 = -1.0  # where the figure ends: intervals from few contexts may reach thousands below, the table has them
_MOST_DOTS = 1200
_HEADS = {"prefix_length": "length", ENTROPY: "entropy", "log_one_step": "one step"}


def _baseline(name: str) -> Callable[[LengthResult], float]:
    return lambda scores: scores.baselines[name].value


def _less(name: str) -> Callable[[LengthResult], Estimate | None]:
    return lambda scores: scores.hidden_less.get(name)


_SCORES = (
    Column("L", "count", meaning="eval length in tokens"),
    Column("test R2", "estimate", of="test.r2"),
    Column("ceiling", "estimate", 3, "share of the variance that lies between starting points", "ceiling"),
    Column("R2 / ceiling", "number", of="of_ceiling.value"),
    Column("Spearman", "number", of="test.spearman.value"),
    *(
        Column(
            f"R2 of {head}",
            "number",
            meaning=f"a regression on {BASELINES[name]} alone",
            of=_baseline(name),
        )
        for name, head in _HEADS.items()
    ),
    Column("at fixed penalty", "number", of="fixed_penalty.test.r2.value"),
    Column(
        "R2 of the mean",
        "number",
        meaning="of the log of the mean over a starting point's continuations",
        of="starting_point_mean.test.r2.value",
    ),
    Column("shuffled p", "p", 3, "of the same procedure on targets permuted between contexts", of="shuffled.p_value"),
)
_AGAINST = (
    Column("L", "count"),
    Column(
        "exact expectation",
        "estimate",
        meaning="-(alpha - 1) times the next-token entropy, unfitted",
        of=lambda scores: scores.exact and scores.exact.r2,
    ),
    *(Column(f"hidden - {head}", "estimate", of=_less(name)) for name, head in (*_HEADS.items(), (EXACT, "exact"))),
    Column(
        "beyond entropy",
        "estimate",
        meaning="R2 of entropy and states together minus that of the entropy",
        of="beyond_entropy",
    ),
)
_SPACE = (
    Column("L", "count"),
    Column("R2", "estimate", of="tempnorm_space.r2"),
    Column("MAE", "estimate", None, of="tempnorm_space.mae"),
    Column("MSE", "estimate", None, of="tempnorm_space.mse"),
)
_VERDICTS = (
    Column("L", "count"),
    Column("verdict"),
    Column("test R2", "estimate"),
    Column("repeated splits", "estimate", meaning="mean test R2 over random group splits (Nadeau and Bengio 2003)"),
    Column("beyond surface", "estimate", meaning="R2 of text, lengths and states together minus that without states"),
    Column(
        "beyond output", "estimate", meaning="R2 of entropy, one step and states together minus that without states"
    ),
    Column("best twin", "estimate", meaning="R2 of a ridge on a random twin's states, the highest of them"),
    Column("beyond twin", "estimate", meaning="R2 of the ridge minus that"),
    Column("no like context", "estimate", meaning="R2 on test rows without a like context in training"),
)
_METHODS = (
    "log-tempnorm_L = (alpha - 1) times the sum of log p over a continuation's first L tokens. One standardised ridge "
    "per L, exact; penalty by cross-validation over contexts inside the training part; all starting points of a "
    "context are on one side of every split. Intervals: {level:.0%}, over held-out contexts. The ceiling is "
    "the share of the variance that lies between starting points (one-way random effects): the most that any function "
    "of the starting point can explain.",
    "Exact expectation: at L = 1 the expectation of a continuation's log-tempnorm is -(alpha - 1) times the "
    "next-token entropy; nothing predicts better on average. One step: log of sum p^alpha, which at L = 1 is the log "
    "of E[tempnorm], not the expectation of its log. Differences (hidden - one number) are paired by "
    "context; below 0 the one number predicts better. Beyond entropy: R2 of the entropy and a ridge on the hidden "
    "vector for what it leaves, minus that of the entropy.",
)


def tempnorm_page(result: TempnormResult, data: Opened, demonstration: bool) -> Page:
    """The page; demonstration: the data are the embedded model's."""
    return Page(
        title="Tempnorm: log-tempnorm from the hidden state at the starting point",
        question="Can the hidden state at a prefix predict how much mass its continuations keep when every probability "
        "is raised to a power?",
        done=_done(result, data),
        outcome=[*(claim.verdict.sentence for claim in result.claims), *result.against_single_numbers],
        certainty=f"Intervals are {result.interval_level:.0%}, over {result.held_out_contexts} "
        f"held-out contexts; layer and penalty were chosen without them. {_split(result.split)}",
        sections=[
            Section(
                "What the numbers allow to be said", [_verdicts(result), *(Note(line) for line in result.statements)]
            ),
            Section("Ridge per eval length", [_table("scores", _SCORES, result), _curve(result)]),
            Section("The hidden vector versus one number", [_table("against_one_number", _AGAINST, result)]),
            Section("Predicted and true", [_scatter(result)]),
            Section("In tempnorm space", [_table("tempnorm_space", _SPACE, result), Note(_IN_SPACE)], quiet=True),
        ],
        methods=[text.format(level=result.interval_level) for text in _METHODS],
        cautions=[DEMONSTRATION] if demonstration else [],
    )


_IN_SPACE = "The predicted log of the mean tempnorm, exponentiated (at most 1), against the mean itself."


def _done(result: TempnormResult, data: Opened) -> str:
    return (
        f"{result.starting_points} starting points of {result.contexts} different contexts "
        f"({result.held_out_contexts} held out), {result.generations} continuations each of "
        f"{data.setting('gen_length')} tokens after {data.setting('initial_wander')} wandering ones; alpha = "
        f"{data.setting('alpha'):g}; hidden vector at {', '.join(data.setting('sites'))}."
    )


def _split(summary: SplitSummary) -> str:
    """What was put together, and what a split row by row would have let through."""
    joined = f"{summary.copies} copies, {summary.near_copies} near copies, {summary.templates} of a template"
    lines = [
        f"Starting points are split by {summary.by}: {summary.groups} groups (the largest of {summary.largest_group}; "
        f"{joined}). Split one by one, {summary.twins_by_row} of {summary.test_rows} test rows would have a like "
        f"context in training; {summary.neighbours} have one.",
        *summary.notes,
    ]
    return " ".join(lines)


def _verdicts(result: TempnormResult) -> Table:
    """The claim of each length, and the numbers that decide it."""
    rows: list[list[Cell]] = [
        [
            int(length),
            judged.verdict.word,
            scores.test.r2,
            scores.repeated,
            *(_gain(judged, name) for name in (SURFACE, OUTPUT)),
            *_twins(judged),
            scores.apart if scores.apart is not None else scores.test.r2,
        ]
        for (length, scores), judged in zip(result.per_length.items(), result.claims, strict=True)
    ]
    return Table("verdicts", "", _VERDICTS, rows)


def _gain(judged: Judged, name: str) -> Estimate | None:
    return next((control.gain for control in judged.evidence.controls if control.name == name), None)


def _twins(judged: Judged) -> tuple[Estimate | None, Estimate | None]:
    """The best random twin's score, and what the states' is above it."""
    twins = judged.evidence.twins
    return (None, None) if twins is None else (twins.best, twins.difference)


def _table(name: str, columns: Sequence[Column], result: TempnormResult) -> Table:
    """One row per eval length."""
    return Table.of(name, "", columns, [(int(length), scores) for length, scores in result.per_length.items()])


def _curve(result: TempnormResult) -> Curves:
    lengths = [int(length) for length in result.per_length]
    lines = list(result.per_length.values())
    series = [
        Series("ridge on the hidden vector", lengths, [scores.test.r2 for scores in lines]),
        Series("noise ceiling", lengths, [scores.ceiling for scores in lines], "reference"),
        Series(
            "best single number",
            lengths,
            [max(r2.value for r2 in scores.baselines.values()) for scores in lines],
            "control",
        ),
    ]
    exact = [(length, scores.exact.r2) for length, scores in zip(lengths, lines, strict=True) if scores.exact]
    if exact:
        series.append(Series("exact expectation", [exact[0][0]], [exact[0][1].value], "reference"))
    lowest = _LOWEST_R2 if any(scores.test.r2.low < _LOWEST_R2 for scores in lines) else None
    panel = Panel("", series, "R2 on held-out starting points", bounds=(lowest, 1.05))
    caption = "Test R2 of the ridge with its interval, the noise ceiling, and the best baseline."
    return Curves("r2_by_length", caption, "eval length L (tokens)", [panel])


def _scatter(result: TempnormResult) -> Scatter:
    caption = "Predicted and true log-tempnorm of held-out starting points, shortest and longest L; dashed: equal."
    panels = [_points(shown) for shown in result.shown]
    return Scatter("predicted_and_true", caption, "predicted (nats)", "true (nats)", panels, identity=True)


def _points(shown: PredictedTrue) -> Points:
    repeats = len(shown.single) // max(1, len(shown.predicted))
    singles = [value for value in shown.predicted for _ in range(repeats)]
    step = -(-len(singles) // _MOST_DOTS)
    single, mean = "single continuations", "mean over continuations"
    x, y = singles[::step], shown.single[::step]
    groups = [single] * len(x) + [mean] * len(shown.mean)
    return Points(f"L = {shown.length}", [*x, *shown.predicted], [*y, *shown.mean], group=groups)
