"""What a result looks like, as data: statements, tables, curves and the like. A task yields blocks once; the renderers
next to this file show them on a terminal, in Markdown, in HTML, as pictures and as data files.

Does not know: how anything is drawn or written; where the numbers come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lit_experiments.statistics import Estimate

Kind = Literal["text", "token", "count", "number", "share", "estimate", "p"]
"""What a column holds: words; a piece of a tokenised text; whole numbers; a number without an interval; a number that
is shown in percent; an Estimate (or a Range); a p-value."""
Role = Literal["data", "control", "reference"]
"""data: what the study measured; control: the same without what is studied; reference: a bound, ceiling or baseline."""
Scale = Literal["linear", "log", "diverging"]
Tone = Literal["for", "against", "open", "void"]


@dataclass(frozen=True)
class Range:
    """Lowest and highest of several values, such as those of a repeated control: a spread, no interval of an estimate.
    middle: their mean; NaN where none is shown."""

    low: float
    high: float
    middle: float = math.nan


Cell = str | int | float | bool | Estimate | Range | None


@dataclass(frozen=True)
class Statement:
    """A sentence that says what came out. verdict: the page shows it first and in a frame."""

    text: str
    verdict: bool = False


@dataclass(frozen=True)
class Note:
    """How to read what stands above it: definitions, units, what was left out."""

    text: str


@dataclass(frozen=True)
class Column:
    """A column of a table.

    name: its head. kind: see `Kind`. digits: behind the decimal point; None shows about three significant figures of
    the largest number in the cell, in powers of ten when it is very small. meaning: one line, shown when the head is
    pointed at, and written with the data. of: where `Table.of` takes a cell from: an attribute of the row's object
    ("ridge.auroc"; None on the way is no value), or a function of it; empty takes the next of the row's labels.
    """

    name: str
    kind: Kind = "text"
    digits: int | None = 3
    meaning: str = ""
    of: str | Callable[[Any], Cell] = ""


@dataclass(frozen=True)
class Table:
    """Typed columns and rows of values; None is "no value".

    name: of its data file. title: above it. folded: the page shows it only when asked, for tables of detail.
    most: rows that a terminal shows; the page and the data file have all.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False
    most: int = 24

    @classmethod
    def of(
        cls,
        name: str,
        title: str,
        columns: Sequence[Column],
        labelled: Iterable[tuple[Any, ...]],
        folded: bool = False,
        most: int = 24,
    ) -> Table:
        """One row per (label, ..., object): columns without an `of` take the labels in turn, the others what their
        `of` says of the object, as in Table.of("fit", "", (Column("layer"), Column("R2", of="r2")), zip(names, fits)).
        """
        rows = [[*_cells(columns, labels, item)] for *labels, item in labelled]
        return cls(name, title, columns, rows, folded, most)


def _cells(columns: Sequence[Column], labels: Iterable[Cell], item: Any) -> Iterator[Cell]:
    remaining = iter(labels)
    for column in columns:
        if not column.of:
            yield next(remaining)
        else:
            yield _attribute(item, column.of) if isinstance(column.of, str) else column.of(item)


def _attribute(item: Any, path: str) -> Any:
    """What `path` ("ridge.auroc") leads to; None where something on the way is None."""
    for name in path.split("."):
        item = None if item is None else getattr(item, name)
    return item


@dataclass(frozen=True)
class Verdict:
    """One cell of a matrix of verdicts. word: the verdict; tone: what colour it has; value: the number behind it;
    reason: why it is this one, where the number alone would not give it."""

    word: str
    tone: Tone
    value: Estimate | float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Matrix:
    """Verdicts by two names, for example targets by states. cells: [row][column]; None where nothing was asked."""

    name: str
    title: str
    row_names: Sequence[str]
    column_names: Sequence[str]
    cells: Sequence[Sequence[Verdict | None]]
    value: str = "value"
    digits: int = 2


@dataclass(frozen=True)
class Series:
    """A line: y over x. x: numbers, or the names of layers in order. y: numbers, Estimates (a line with a band), or
    Ranges (a band, with a line where they have a middle)."""

    name: str
    x: Sequence[float | str]
    y: Sequence[Estimate | Range | float]
    role: Role = "data"


@dataclass(frozen=True)
class Level:
    """A horizontal line, with its interval where it has one."""

    name: str
    value: Estimate | float
    role: Role = "reference"


@dataclass(frozen=True)
class Panel:
    """One pair of axes of `Curves`. bounds: of the vertical axis; None in one place takes what the data need."""

    title: str
    series: Sequence[Series]
    y: str
    levels: Sequence[Level] = ()
    bounds: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True)
class Curves:
    """Lines with bands over layers, lengths or the like; series of one name have one colour in all panels."""

    name: str
    caption: str
    x: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Heatmap:
    """A number for every pair of two names. panels: title -> [row][column]. shown: numbers stand in the cells."""

    name: str
    caption: str
    x: str
    y: str
    value: str
    columns: Sequence[str]
    rows: Sequence[str]
    panels: dict[str, Sequence[Sequence[float]]]
    scale: Scale = "linear"
    shown: bool = False


@dataclass(frozen=True)
class Points:
    """Dots of one panel. group: colour; kind: shape; label: shown when pointed at; size: of each dot, 0 to 1."""

    title: str
    x: Sequence[float]
    y: Sequence[float]
    group: Sequence[str] = ()
    kind: Sequence[str] = ()
    label: Sequence[str] = ()
    size: Sequence[float] = ()
    x_name: str = ""
    y_name: str = ""


@dataclass(frozen=True)
class Scatter:
    """Dots against two axes. identity: the line on which both are equal is drawn. joined: dots of one group form a
    line. A panel may name its own axes."""

    name: str
    caption: str
    x: str
    y: str
    panels: Sequence[Points]
    identity: bool = False
    joined: bool = False


@dataclass(frozen=True)
class Bar:
    """One bar, or one dot with its interval where the value is an Estimate. group: colour; panel: which axes."""

    label: str
    value: Estimate | float
    group: str = ""
    panel: str = ""


@dataclass(frozen=True)
class Bars:
    """Values side by side, one line each. reference: a vertical line that they are compared with."""

    name: str
    caption: str
    value: str
    bars: Sequence[Bar]
    reference: float | None = 0.0


@dataclass(frozen=True)
class TokenStrip:
    """A text whose tokens carry a number each, shown as their background; None leaves a token bare."""

    name: str
    title: str
    tokens: Sequence[str]
    values: Sequence[float | None]
    value: str
    scale: Scale = "linear"


Block = Statement | Note | Table | Matrix | Curves | Heatmap | Scatter | Bars | TokenStrip
FIGURES = (Curves, Heatmap, Scatter, Bars)
Figure = Curves | Heatmap | Scatter | Bars


@dataclass(frozen=True)
class Section:
    """Blocks under one heading. folded: closed on the page until asked for. quiet: a terminal leaves it out."""

    title: str
    blocks: Sequence[Block]
    folded: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Page:
    """A task's page.

    question: what was asked; done: what was done, with the numbers of what it was done on; outcome: what came out, the
    verdict first; certainty: how sure that is. One or two plain sentences each, for a reader who has never seen the
    study. sections: the evidence. methods: the full method, generated from the parameters.
    """

    title: str
    question: str
    done: str
    outcome: Sequence[str]
    certainty: str
    sections: Sequence[Section]
    methods: Sequence[str] = ()
    cautions: Sequence[str] = field(default=())

    def blocks(self) -> Iterator[Block]:
        """All blocks of all sections, in order."""
        for section in self.sections:
            yield from section.blocks
