"""The page of the path sensitivity, as blocks."""

from __future__ import annotations

import math

from lit_experiments.experiments.geometry.path_points import Point
from lit_experiments.experiments.geometry.path_result import PathResult
from lit_experiments.experiments.geometry.statements import certainty, problem_statement, visible
from lit_experiments.reports.blocks import (
    Bar,
    Bars,
    Block,
    Cell,
    Column,
    Curves,
    Matrix,
    Note,
    Page,
    Panel,
    Points,
    Scatter,
    Section,
    Series,
    Table,
)
from lit_experiments.reports.cells import interval
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.reports.findings import held_against, power_of_correlation
from lit_experiments.statistics import Estimate

_METHODS = (
    "At one in {interval} generated tokens of a greedy solution the second most likely token is taken and decoding "
    "goes on greedily. D: distance between the means of {layer} over the branch's next {lookahead} tokens and over the "
    "solution's own, over the mean length of the two; windows that end early are halved until both texts fill them, "
    "and points whose texts are too short for the shortest window have no D. Merges: the token from which on the "
    "branch repeats a run of the solution. Answers are compared by math-verify. Intervals: {level:.0%}, over "
    "problems."
)
_ANSWERS = {True: "answer changes", False: "answer stays", None: "no answer to compare"}
_POINTS = (
    Column("rank", "count", meaning="1 leads farthest away"),
    Column("problem"),
    Column("token", "count", meaning="number of the generated token that was replaced, from 1"),
    Column("taken", "token", meaning="the most likely token, which the solution takes"),
    Column("instead", "token", meaning="the second most likely one, which the branch takes"),
    Column("p of that", "number", None, "probability under the model at temperature 1"),
    Column("D", "number", 3, "distance of the two windows' means over their mean length"),
    Column("merges", "count", meaning="token from which on the branch repeats the solution"),
    Column("answer"),
)
_DETAILS = (
    Column("rank", "count"),
    Column("p of the taken", "number", None, "probability under the model at temperature 1"),
    Column("logit difference", "number", 3, "first minus second, nats"),
    Column("window", "count", meaning="tokens that D is taken over"),
    Column("stride", "count", meaning="every how many of them one is counted"),
    Column("text differs from", "count", meaning="token with which the text becomes another one"),
    Column("solution correct"),
    Column("branch correct"),
)
_WINDOWS = (
    Column("tokens of the window", "count"),
    Column("every how many counted", "count"),
    Column("points", "count"),
)
_SUMMARY = (Column("branches"), Column("value", "estimate", 3))
_RELATED = {
    "logit_difference": "how much likelier the first token was (logit difference)",
    "place_in_solution": "how far along the solution it stands",
}


def path_page(result: PathResult, solutions: int, listed: int, demonstration: bool) -> Page:
    """The page. solutions: how many are shown with their tokens; listed: points in the table; demonstration: the data
    are the embedded model's."""
    sections = [Section("What branches do", [_verdicts(result), *_shares(result), _summary(result)])]
    if result.ranked:
        sections.append(Section("How far they lead", [_overview(result), _over_depth(result)]))
        shown = list(dict.fromkeys(p.problem_id for p in result.ranked))[:solutions]
        if shown:
            sections.append(Section("Along single solutions", [_solutions(result, shown)]))
        points = result.ranked[:listed]
        sections.append(Section(f"The {len(points)} farthest points", [_point_table(points), _details(points)]))
    sections.append(Section("What was compared", _compared(result)))
    return Page(
        title="Geometry: where a single other token leads away",
        question="Where along a solution does taking the second most likely token lead far away, and does it change "
        "the final answer?",
        done=f"{problem_statement(result.problems)} On their greedy solutions, {result.solved} of them correct, the "
        f"second most likely token was forced at {result.points} points, and both texts went on greedily.",
        outcome=[_answers(result), *_relations(result)],
        certainty=certainty(result.interval_level),
        sections=sections,
        methods=[
            _METHODS.format(
                interval=result.interval,
                layer=result.ranked_by,
                lookahead=result.lookahead,
                level=result.interval_level,
            )
        ],
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _answers(result: PathResult) -> str:
    merged = f"Of the branches, {interval(result.merged, 2)} merge with the solution again within the window"
    if math.isnan(result.answer_changed.value):
        return f"No final answer can be compared, so nothing is said of changed answers. {merged}."
    return (
        f"The final answer changes at {interval(result.answer_changed, 2)} of the branches: at "
        f"{interval(result.answer_changed_far, 2)} where D is above its median, at "
        f"{interval(result.answer_changed_near, 2)} where it is not. {merged}."
    )


def _relations(result: PathResult) -> list[str]:
    likelier = result.spearman_with_distance["logit_difference"]
    if math.isnan(likelier.value):
        return []
    words = {1: "larger", -1: "smaller", 0: f"not seen to be larger or smaller{power_of_correlation(likelier)}"}
    return [
        f"D is {words[likelier.side_of(0)]} the likelier the first token was, next to the second: Spearman "
        f"correlation {interval(likelier, 2)}."
    ]


def _verdicts(result: PathResult) -> Matrix:
    cells = [
        [held_against(result.spearman_with_distance[name], 0, ("rises with it", "for"), ("falls with it", "against"))]
        for name in _RELATED
    ]
    return Matrix("verdicts", "", list(_RELATED.values()), ["D (Spearman correlation)"], cells)


def _named(result: PathResult) -> list[tuple[str, Estimate]]:
    return [
        ("text becomes another one", result.other_text),
        ("merges again within the window", result.merged),
        ("final answer changed", result.answer_changed),
        ("final answer changed, D above median", result.answer_changed_far),
        ("final answer changed, D below", result.answer_changed_near),
        ("correct solutions spoiled", result.spoiled),
        ("wrong solutions mended", result.mended),
    ]


def _shares(result: PathResult) -> list[Bars]:
    bars = [Bar(name, share) for name, share in _named(result) if share.n]
    caption = "Shares of the branches, with intervals over problems."
    return [Bars("shares", caption, "share", bars, None)] if bars else []


def _summary(result: PathResult) -> Table:
    related = [(f"Spearman of D: {_RELATED[name]}", value) for name, value in result.spearman_with_distance.items()]
    return Table("summary", "The same in numbers", _SUMMARY, [*_named(result), *related])


def _overview(result: PathResult) -> Scatter:
    points = [p for changed in _ANSWERS for p in result.ranked if p.answer_changed is changed]
    panels = [
        _against(points, [p.logit_difference for p in points], "logit difference, first minus second (nats)"),
        _against(points, [p.position / p.solution_tokens for p in points], "place in the solution, 1: its end"),
    ]
    caption = "D against how much likelier the first token was, and against the place in the solution."
    return Scatter("path_overview", caption, "", f"D at {result.ranked_by}", panels)


def _against(points: list[Point], values: list[float], name: str) -> Points:
    return Points(
        name.partition(",")[0],
        values,
        [p.relative_distance for p in points],
        group=[_ANSWERS[p.answer_changed] for p in points],
        label=[f"{p.problem_id}, token {p.position}: {_tokens(p)}" for p in points],
        x_name=name,
    )


def _over_depth(result: PathResult) -> Curves:
    series = [Series("mean of D", result.layers, result.by_layer)]
    panel = Panel("", series, "D", bounds=(0, None))
    return Curves("path_depth", "D over depth, mean over points.", "layer", [panel])


def _solutions(result: PathResult, shown: list[str]) -> Bars:
    bars = [
        Bar(f"{p.position}: {_tokens(p)}", p.relative_distance, _ANSWERS[p.answer_changed], _solution(result, problem))
        for problem in shown
        for p in result.branching_points
        if p.problem_id == problem
    ]
    caption = (
        "D along single solutions, those with the farthest points, from top to bottom. Each line names the number of "
        "the branching token, what was taken / what was forced instead. Without a dot: no D."
    )
    return Bars("path_solutions", caption, "D", bars, None)


def _solution(result: PathResult, problem: str) -> str:
    first = next(p for p in result.branching_points if p.problem_id == problem)
    correct = {True: "correct", False: "wrong", None: "undecided"}[first.baseline_correct]
    return f"{problem} (answer {first.baseline_answer or 'none'}, {correct})"


def _tokens(point: Point) -> str:
    return f"{visible(point.first.text)} / {visible(point.second.text)}"


def _point_table(points: list[Point]) -> Table:
    rows: list[list[Cell]] = [
        [
            p.rank,
            p.problem_id,
            p.position,
            p.first.text,
            p.second.text,
            p.second.probability,
            p.relative_distance,
            p.merged_at,
            _answer(p),
        ]
        for p in points
    ]
    return Table("points", "", _POINTS, rows)


def _answer(point: Point) -> str | None:
    if not point.answer_changed:
        return None if point.answer_changed is None else "same"
    return f"{point.baseline_answer or 'none'} → {point.branch_answer or 'none'}"


def _details(points: list[Point]) -> Table:
    rows: list[list[Cell]] = [
        [
            p.rank,
            p.first.probability,
            p.logit_difference,
            p.window,
            p.stride,
            p.differs_at,
            p.baseline_correct,
            p.branch_correct,
        ]
        for p in points
    ]
    return Table("point_details", "More of the same points", _DETAILS, rows, folded=True)


def _compared(result: PathResult) -> list[Block]:
    rows: list[list[Cell]] = [[w.tokens, w.stride, w.points] for w in result.windows if w.tokens]
    without = result.points - result.points_with_distance
    blocks: list[Block] = [
        Table("windows", "", _WINDOWS, rows),
        Note(f"{without} of {result.points} points have no D: a text ended too soon for the shortest window."),
    ]
    if result.points_past_special_tokens:
        blocks.append(
            Note(
                f"At {result.points_past_special_tokens} of these points a likelier second choice was a special token "
                f"(such as the end of the text), which is passed over; collecting with --allow_special true takes it."
            )
        )
    return blocks
