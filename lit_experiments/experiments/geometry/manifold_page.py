"""The page of distances to oracle solutions, as blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lit_experiments.experiments.geometry.answers import VERDICTS
from lit_experiments.experiments.geometry.manifold_result import Drift, ManifoldResult, ShareDistances
from lit_experiments.experiments.geometry.statements import (
    certainty,
    problem_statement,
    verdict_sentence,
    without_answers,
)
from lit_experiments.reports.blocks import (
    Block,
    Cell,
    Column,
    Curves,
    Level,
    Matrix,
    Note,
    Page,
    Panel,
    Section,
    Series,
    Table,
    Verdict,
)
from lit_experiments.reports.cells import interval
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.reports.findings import held_against, power_of
from lit_experiments.statistics import Estimate

_METHODS = (
    "Latent z of a completion at a layer: mean of the residual stream over one in {stride} generated tokens. The "
    "oracle's latent z* is the same mean over its own tokens, read by teacher forcing. Distance: ||z - z*||, mean over "
    "a problem's completions, then over problems, with {level:.0%} intervals over problems. Other oracles: "
    "distance to those of the other problems. Relative: the first over the second, problem by problem; 1 would be no "
    "nearer than to any other solution. Difference: right minus wrong (relative), within problems that have both. "
    "Right and wrong answers are compared by math-verify; without an answer counts as wrong. Nearest: share of "
    "completions whose own oracle is nearer than every other one. A dash: no completion of that kind.",
    "Drift: distance between a completion's mean over a window of {tokens} tokens and the oracle's over the same "
    "tokens, over the completions' mean distance to other oracles. Windows follow each other behind the end of the "
    "prefix; free completions are measured at the same places. Growth: least-squares slope per window. Windows that a "
    "completion or the oracle does not reach are left out, so later ones hold longer solutions.",
)
_KINDS = (
    Column("right", "estimate", 2, "distance of right completions to their problem's oracle"),
    Column("wrong", "estimate", 2, "distance of wrong completions to their problem's oracle"),
    Column("other oracles", "estimate", 2, "distance of all completions to other problems' oracles"),
    Column("relative: right", "estimate", 2, "distance over that to other oracles; 1: no nearer"),
    Column("relative: wrong", "estimate", 2, "distance over that to other oracles; 1: no nearer"),
)
_SHARES = (
    Column("begins with"),
    *_KINDS,
    Column("difference", "estimate", 2, "relative: right minus wrong, within problems that have both"),
)
_LAYERS = (
    Column("layer"),
    *_KINDS,
    Column("own is nearest", "estimate", 2, "share of completions to which no other oracle is nearer"),
)
_COMPLETIONS = (
    Column("begins with"),
    Column("prefix tokens", "number", 1, "mean over problems"),
    Column("completions", "count"),
    *(Column(verdict, "count") for verdict in VERDICTS),
    Column("repeat the oracle", "count", meaning="token for token"),
    Column("without latent", "count", meaning="shorter than the stride"),
)
_VERDICTS = ("nearer to its own oracle than to others (relative distance)", "right nearer than wrong (difference)")
_DRIFTS = "drifts away behind the prefix (growth per window)"
_NO_NEARER = Level("no nearer than to other oracles", 1.0)


def manifold_page(result: ManifoldResult, demonstration: bool) -> Page:
    """The page; demonstration: the data are the embedded model's."""
    layer = result.layers[result.shown]
    sections = [
        Section("Verdicts", [_verdicts(result)]),
        Section(f"Distances at {layer}", [*_over_depth(result), *_over_shares(result), _share_table(result)]),
        Section("What the completions are", [_completions(result)]),
        Section("Over layers", [_layer_table(result, share) for share in result.shares]),
    ]
    if result.drift:
        sections.insert(2, Section(f"Drift at {layer}", _drift(result)))
    return Page(
        title="Geometry: distance to oracle solutions",
        question="Do a model's own solutions lie near a given (oracle) solution of the same problem, nearer when they "
        "are right, and does beginning with a part of it keep them there?",
        done=f"{problem_statement(max(share.problems for share in result.shares))} "
        f"{verdict_sentence(result.verdicts)} They began freely or with "
        f"{', '.join(f'{drift.share:.0%}' for drift in result.drift) or 'a part'} of the oracle's tokens.",
        outcome=[*(_statement(result, share) for share in result.shares), *without_answers(result.verdicts)],
        certainty=certainty(result.interval_level),
        sections=sections,
        methods=[
            text.format(stride=result.stride, level=result.interval_level, tokens=result.window_tokens)
            for text in _METHODS
        ],
        cautions=[DEMONSTRATION] if demonstration else [],
    )


def _name(share: float) -> str:
    return f"{share:.0%} of the oracle" if share else "nothing (free)"


def _statement(result: ManifoldResult, share: ShareDistances) -> str:
    relative, gap = share.relative["all"][result.shown], share.correct_less_incorrect[result.shown]
    begin = f"Beginning with {_name(share.share)}, completions"
    if not relative.n:
        return f"{begin} have no other problem's oracle to be compared with."
    side = {-1: "nearer to it than to those", 1: "farther from it than from those"}
    unseen = f"not seen to be nearer to it or farther than from those{power_of(relative)}"
    sentence = (
        f"{begin} lie from their own oracle at {interval(relative, 2)} of the distance to other problems' oracles: "
        f"{side.get(relative.side_of(1), unseen)}."
    )
    if gap.n:
        kind = {-1: "right ones lie nearer", 1: "right ones lie farther", 0: f"no difference is seen{power_of(gap)}"}
        sentence += f" Within problems, right minus wrong is {interval(gap, 2)}: {kind[gap.side_of(0)]}."
    return sentence


def _verdicts(result: ManifoldResult) -> Matrix:
    growth = {drift.share: drift.growth["forced, all"][result.shown] for drift in result.drift}
    cells: list[list[Verdict | None]] = []
    for share in result.shares:
        relative, gap = share.relative["all"][result.shown], share.correct_less_incorrect[result.shown]
        cells.append(
            [
                held_against(relative, 1, ("farther", "against"), ("nearer", "for")),
                held_against(gap, 0, ("farther", "against"), ("nearer", "for")),
                held_against(growth[share.share], 0, ("drifts away", "for"), ("comes nearer", "against"))
                if share.share in growth
                else None,
            ]
        )
    names = [f"begins with {_name(share.share)}" for share in result.shares]
    return Matrix("verdicts", "", names, [*_VERDICTS, _DRIFTS], cells)


def _distances(share: ShareDistances, layer: int) -> list[Cell]:
    values = [share.own["correct"], share.own["incorrect"], share.other]
    values += [share.relative["correct"], share.relative["incorrect"]]
    return [by_layer[layer] for by_layer in values]


def _share_table(result: ManifoldResult) -> Table:
    rows: list[list[Cell]] = [
        [
            _name(share.share),
            *_distances(share, result.shown),
            share.correct_less_incorrect[result.shown],
        ]
        for share in result.shares
    ]
    return Table("shares", "", _SHARES, rows)


def _layer_table(result: ManifoldResult, share: ShareDistances) -> Table:
    rows: list[list[Cell]] = [
        [name, *_distances(share, layer), share.nearest[layer]] for layer, name in enumerate(result.layers)
    ]
    name = f"layers_{share.share * 100:g}"
    return Table(name, f"Beginning with {_name(share.share)}", _LAYERS, rows, folded=share is not result.shares[0])


def _completions(result: ManifoldResult) -> Table:
    rows: list[list[Cell]] = [
        [
            _name(share.share),
            share.forced_tokens,
            share.repeat_the_oracle[1],
            *(share.verdicts[verdict] for verdict in VERDICTS),
            share.repeat_the_oracle[0],
            share.without_latent,
        ]
        for share in result.shares
    ]
    return Table("completions", "", _COMPLETIONS, rows)


def _over_depth(result: ManifoldResult) -> list[Curves]:
    panels = [
        Panel(
            f"begins with {_name(share.share)}",
            _known([Series(name, result.layers, values) for name, values in share.relative.items()]),
            "relative distance to the oracle",
            [_NO_NEARER],
            (0, None),
        )
        for share in result.shares
    ]
    caption = "Distance to the own oracle over that to other problems' oracles, over depth; 1: no nearer."
    return _with_lines(Curves("distances", caption, "layer", panels))


def _over_shares(result: ManifoldResult) -> list[Curves]:
    shares = sorted(result.shares, key=lambda share: share.share)
    positions = [f"{share.share:.0%}" for share in shares]
    series = [
        Series(name, positions, [share.relative[name][result.shown] for share in shares]) for name in shares[0].relative
    ]
    panel = Panel("", _known(series), "relative distance to the oracle", [_NO_NEARER], (0, None))
    caption = f"The same at {result.layers[result.shown]}, over the share of the oracle that completions begin with."
    return _with_lines(Curves("shares_swept", caption, "share of the oracle forced", [panel]))


def _drift(result: ManifoldResult) -> list[Block]:
    panels = [_drift_panel(drift, result.shown) for drift in result.drift]
    caption = "Relative distance to the oracle by window behind the end of the prefix; free completions, same places."
    most = max(drift.windows for drift in result.drift)
    columns = [Column("behind"), Column("completions")]
    columns += [Column(f"window {k}", "estimate", 2) for k in range(1, most + 1)]
    columns.append(Column("growth", "estimate", 3, "least-squares slope per window"))
    rows: list[list[Cell]] = [
        [_name(drift.share), name, *values, *[None] * (most - len(values)), drift.growth[name][result.shown]]
        for drift in result.drift
        for name, values in _curves(drift, result.shown).items()
    ]
    note = Note(f"Windows of {result.window_tokens} tokens; later ones hold longer solutions.")
    return [
        *_with_lines(Curves("drift", caption, "window behind the prefix", panels)),
        Table("drift_windows", "", columns, rows),
        note,
    ]


def _drift_panel(drift: Drift, layer: int) -> Panel:
    windows = [str(k) for k in range(1, drift.windows + 1)]
    lines = [
        Series(name, windows, values, "control" if name == "free" else "data")
        for name, values in _curves(drift, layer).items()
    ]
    return Panel(f"behind {_name(drift.share)}", _known(lines), "relative distance to the oracle", bounds=(0, None))


def _curves(drift: Drift, layer: int) -> dict[str, list[Estimate]]:
    return {name: [window[layer] for window in windows] for name, windows in drift.curves.items()}


def _with_lines(curves: Curves) -> list[Curves]:
    """Without panels that have no line, as of a single problem, which has no other oracle; nothing where none has."""
    panels = [panel for panel in curves.panels if panel.series]
    return [replace(curves, panels=panels)] if panels else []


def _known(series: Sequence[Series]) -> list[Series]:
    """Without lines of no value: an entry in the legend would promise a line."""
    return [line for line in series if any(isinstance(y, Estimate) and y.n for y in line.y)]
