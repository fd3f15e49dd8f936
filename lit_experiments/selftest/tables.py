"""The selftest's result as Markdown, which is also what the command prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lit_experiments.selftest.coverage import LARGE, LEAST_COVERAGE, LEAST_COVERAGE_OF_FEW, MANY, Coverage
from lit_experiments.selftest.run import SelftestResult

_HEAD = """# Selftest

What the package's intervals and tests hold on simulated data: groups of 1 to 8 rows that are alike within a group
(correlation 0.3), with skewed values too. Made by `lit-experiments selftest --full > docs/selftest.md`.
"""
_COVERAGE = f"""## Coverage of intervals of 95 %

By number of groups (of the rarer class, where two are compared): the share of intervals that hold the truth. In
brackets: the share of repeats that gave an interval, where not all did; "-": none. Promised: {LEAST_COVERAGE:.0%} or
more from {MANY} groups on, {LEAST_COVERAGE_OF_FEW:.0%} or more with fewer; not as promised is what chance leaves so low
once in 10,000 times. {LARGE:,} groups are more than the jackknife leaves out, and are resampled.
"""
_NOISE = """## Statements made of pure noise

By number of groups: the share of repeats in which a report would say so; 5 % at most, but for chance.
"""
_PLANTED = """## Planted truths

Statistics that are shown without an interval, on data of which the answer is known.
"""


def markdown(result: SelftestResult) -> str:
    """The whole page."""
    faults = result.faults
    verdict = "Nothing is lower than chance explains."
    if faults:
        verdict = "\n".join(["Not as promised:", *(f"* {line}" for line in faults)])
    parts = [
        _HEAD,
        f"{result.seeds} repeats of each simulation. {verdict}\n",
        _COVERAGE,
        _by_size("estimator", ((row.estimator, row.groups, _cell(row)) for row in result.coverage), _methods(result)),
        _NOISE,
        _by_size("statement", ((row.statement, row.groups, f"{row.share:.1%}") for row in result.false_positives), {}),
        _PLANTED,
        _table(
            ["statistic", "truth", "measured", "may differ by"],
            [
                [row.statistic, f"{row.truth:.4g}", f"{row.measured:.4g}", f"{row.tolerance:.2g}"]
                for row in result.planted
            ],
        ),
    ]
    return "\n".join(parts)


def _methods(result: SelftestResult) -> dict[str, str]:
    """By estimator: how its intervals are made, with few groups."""
    out: dict[str, str] = {}
    for row in result.coverage:
        if row.groups >= MANY:
            out.setdefault(row.estimator, row.method)
    return out


def _cell(row: Coverage) -> str:
    if not row.intervals:
        return "-"
    some = f" ({row.intervals / row.seeds:.0%})" if row.intervals < row.seeds else ""
    return f"{row.share:.1%}{some}"


def _by_size(head: str, cells: Iterable[tuple[str, int, str]], last: dict[str, str]) -> str:
    rows: dict[str, dict[int, str]] = {}
    for name, groups, text in cells:
        rows.setdefault(name, {})[groups] = text
    sizes = sorted({groups for row in rows.values() for groups in row})
    heads = [head, *(f"{groups:,}" for groups in sizes), *(["interval"] if last else [])]
    body = [
        [name, *(row.get(groups, "") for groups in sizes), *([last.get(name, "")] if last else [])]
        for name, row in rows.items()
    ]
    return _table(heads, body)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
