"""Whether all pages of a run say the same: every number has one interval wherever it stands, every verdict is its
claim's, every sentence on a claim is the claim's own, and what the text prints is in the results.

Reads what a finished run left on disk, as a reader would: result.json and its like, the tables behind the pages, the
text, the index. Knows no study.
"""

from __future__ import annotations

import csv
import html
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.claims.rule import WORDS
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE
from lit_experiments.statistics import LEAST_GROUPS

_MOST_PARTS = 3000
"""A share of so few parts may be the same number twice by chance, as two accuracies over 30 rows are."""
_DIGITS = 9
_NUMBER = r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"
_PRINTED = re.compile(rf"({_NUMBER}) \[({_NUMBER}), ({_NUMBER})\]")
_ON_A_CLAIM = re.compile(
    r"is readable from the states|is not seen to be readable|is readable from the states stays open|copies carry it"
)
_ABSENT = re.compile(r"\b(?:does not|do not|did not|no difference|no effect|not explained|neither more nor less)\b")
_SHOWN = re.compile(r"sure to be|\(within|equivalen", re.IGNORECASE)


@dataclass(frozen=True)
class Number:
    """An estimate with where it stands."""

    place: str
    value: float
    low: float
    high: float
    n: int

    @property
    def bounds(self) -> tuple[Any, ...]:
        """What must agree."""
        return tuple(None if math.isnan(bound) else float(f"{bound:.6g}") for bound in (self.low, self.high)), self.n


@dataclass(frozen=True)
class PageText:
    """A page's own text: its statements, and everything."""

    task: Path
    statements: list[str]
    text: str


def disagreements(folder: Path) -> list[str]:
    """Everything on which pages of the runs in a folder disagree, in words; audits the runs that have claims."""
    runs = [path.parent.parent for path in sorted(folder.glob("*/store/store.json"))]
    assert runs, f"{folder} holds no run"
    problems = []
    for run in runs:
        claims = claims_of(run)
        if claims:
            assert main(["audit", str(run)]) == EXIT_DONE
        numbers, pages = list(numbers_of(run)), list(pages_of(run))
        problems += [f"{run.name}: {problem}" for problem in _of_run(run, claims, numbers, pages)]
    assert main(["report", str(folder)]) == EXIT_DONE
    return problems + _index(folder, runs)


def _of_run(run: Path, claims: dict[str, Any], numbers: list[Number], pages: list[PageText]) -> Iterator[str]:
    yield from two_intervals(numbers)
    yield from few_groups(numbers)
    for page in pages:
        yield from unknown_numbers(page, numbers)
        yield from foreign_sentences(page, claims)
        yield from overstated(page)
        yield from _shown_everywhere(page)
    yield from foreign_verdicts(run, claims)
    yield from _audited(run, claims)


def claims_of(run: Path) -> dict[str, Any]:
    """id -> the judged claim, of all results of a run."""
    judged = [claim for path in run.glob("*/result.json") for claim in _json(path).get("claims", [])]
    return {claim["claim"]["id"]: claim for claim in judged}


def numbers_of(run: Path) -> Iterator[Number]:
    """Every estimate in a run's JSON files and tables."""
    for path in sorted(run.glob("*/*.json")):
        if path.name not in ("results.json", "config.json", "certificate.json", "page.json"):
            yield from _estimates(_json(path), f"{path.parent.name}/{path.name}")
    for path in sorted(run.glob("*/data/*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for line, row in enumerate(csv.DictReader(file)):
                for name in row:
                    if f"{name} n" in row or (name == "value" and "n" in row):
                        yield from _of_cells(row, name, f"{path.parent.parent.name}/{path.name} line {line} {name}")


def _estimates(value: Any, place: str) -> Iterator[Number]:
    if isinstance(value, dict):
        if {"value", "low", "high", "n", "level"} <= value.keys():
            yield Number(place, *(_float(value[key]) for key in ("value", "low", "high")), int(value["n"]))
            return
        for key, part in value.items():
            yield from _estimates(part, f"{place}/{key}")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _estimates(part, f"{place}/{index}")


def _of_cells(row: dict[str, str], name: str, place: str) -> Iterator[Number]:
    before = "" if name == "value" else f"{name} "
    try:
        value, low, high = (_float(row[cell] or None) for cell in (name, f"{before}low", f"{before}high"))
    except (KeyError, ValueError):
        return  # words among the numbers, or a range without groups
    if row[f"{before}n"]:
        yield Number(place, value, low, high, int(float(row[f"{before}n"])))


def two_intervals(numbers: list[Number]) -> Iterator[str]:
    """One number with different intervals at two places, apart from the one that holds for a whole family at once."""
    by_value: dict[float, list[Number]] = defaultdict(list)
    of_families = {number.bounds for number in numbers if "/together" in number.place}
    for number in numbers:
        if math.isfinite(number.value) and not _may_recur(number.value) and number.bounds not in of_families:
            by_value[float(f"{number.value:.{_DIGITS}g}")].append(number)
    for value, places in by_value.items():
        different = {number.bounds: number for number in places}
        if len(different) > 1:
            yield f"{value:g} has {len(different)} intervals: " + "; ".join(
                f"[{n.low:.4g}, {n.high:.4g}] of {n.n} in {n.place}" for n in different.values()
            )


def _may_recur(value: float) -> bool:
    part = Fraction(value).limit_denominator(_MOST_PARTS)
    return abs(float(part) - value) < 1e-12 or abs(round(value) - value) < 1e-6


def few_groups(numbers: list[Number]) -> Iterator[str]:
    """An interval from fewer groups than carry one."""
    for number in numbers:
        if number.n < LEAST_GROUPS and not math.isnan(number.low):
            yield f"{number.place} has an interval of {number.n} groups"


def pages_of(run: Path) -> Iterator[PageText]:
    """Every page of a run, the audit's too."""
    for path in sorted(run.glob("*/page.json")):
        text = (path.parent / "RESULTS.md").read_text(encoding="utf-8")
        # Bold lines are what the page says in its own voice, before and between its tables.
        yield PageText(path.parent, re.findall(r"^\*\*(.*)\*\*$", text, re.MULTILINE), text)


def unknown_numbers(page: PageText, numbers: list[Number]) -> Iterator[str]:
    """A printed interval that no result of the run rounds to."""
    known = np.array([(n.value, n.low, n.high) for n in numbers if not math.isnan(n.low)]).reshape(-1, 3)
    pool = np.concatenate([known, 100 * known, np.exp(np.minimum(known, 50))])
    for printed in set(_PRINTED.findall(page.text)):
        shown = np.array([float(part.replace(",", "")) for part in printed])
        step = np.array([_step(part) for part in printed])
        if not (np.abs(pool - shown) <= 0.5001 * step + 1e-12).all(1).any():
            yield f"{page.task.name} prints {printed[0]} [{printed[1]}, {printed[2]}], which no result is"


def _step(printed: str) -> float:
    mantissa, _, power = printed.partition("e")
    return 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))


def foreign_sentences(page: PageText, claims: dict[str, Any]) -> Iterator[str]:
    """A statement on a claim in other words than the claim's verdict has."""
    allowed = [claim["verdict"]["sentence"] for claim in claims.values()]
    for statement in page.statements:
        if _ON_A_CLAIM.search(statement) and not any(statement.endswith(sentence) for sentence in allowed):
            yield f"{page.task.name} says {statement!r}, which is no claim's sentence"


def overstated(page: PageText) -> Iterator[str]:
    """A statement that something is not there, without the test that shows it."""
    for statement in page.statements:
        if _ABSENT.search(statement) and not _SHOWN.search(statement):
            yield f"{page.task.name} says that something is absent: {statement!r}"


def _shown_everywhere(page: PageText) -> Iterator[str]:
    """The outcome of page.json, which the index shows, in both forms of the page."""
    summary = _json(page.task / "page.json")
    whole = html.unescape((page.task / "report.html").read_text(encoding="utf-8"))
    for line in summary["outcome"]:
        if line not in page.statements:
            yield f"{page.task.name}/RESULTS.md lacks {line!r}"
        if line not in whole:
            yield f"{page.task.name}/report.html lacks {line!r}"


def foreign_verdicts(run: Path, claims: dict[str, Any]) -> Iterator[str]:
    """A verdict in a table that is not that of the claim it is about."""
    for path in sorted(run.glob("*/data/*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                word = row.get("verdict")
                if word not in WORDS:
                    continue
                place = f"{path.parent.parent.name}/{path.name} {' '.join(list(row.values())[:2])}"
                about = [claim for claim in claims.values() if _is_about(claim["claim"], [*row.values()])]
                if not about:
                    yield f"{place} has a verdict without a claim"
                elif word not in {claim["verdict"]["word"] for claim in about}:
                    yield f"{place} says {word}, its claim {about[0]['verdict']['word']}"


def _is_about(claim: dict[str, Any], cells: list[str]) -> bool:
    if claim["id"] in cells:
        return True
    target = any(cell and (claim["target"] == cell or claim["target"].endswith(f"_{cell}")) for cell in cells)
    states = [cell.removeprefix("states of ") for cell in cells if cell and cell.startswith("states of ")]
    return target and (not states or any(claim["states"].startswith(name) for name in states))


def _audited(run: Path, claims: dict[str, Any]) -> Iterator[str]:
    if not claims:
        return
    audit = {claim["id"]: claim for claim in _json(run / "audit" / "audit.json")["claims"]}
    if audit.keys() != claims.keys():
        yield f"the audit has the claims {sorted(audit)}, the results {sorted(claims)}"
    for name in audit.keys() & claims.keys():
        made = claims[name]["verdict"]
        for key, value in (("verdict", made["word"]), ("sentence", made["sentence"]), ("claims", made["claims"])):
            if audit[name][key] != value:
                yield f"the audit's {key} of {name} is {audit[name][key]!r}, the result's {value!r}"


def _index(folder: Path, runs: list[Path]) -> list[str]:
    shown = html.unescape((folder / "index.html").read_text(encoding="utf-8"))
    first = [(path, _json(path)["outcome"][:1]) for run in runs for path in sorted(run.glob("*/page.json"))]
    return [
        f"index.html lacks {line!r} of {path.parent}" for path, lines in first for line in lines if line not in shown
    ]


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _float(value: Any) -> float:
    return math.nan if value is None else float(value)
