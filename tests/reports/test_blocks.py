"""Blocks are shown alike everywhere, and what is drawn can be read back."""

import csv
import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyarrow import parquet

from lit_experiments.reports.blocks import (
    Bar,
    Bars,
    Column,
    Curves,
    Figure,
    Heatmap,
    Level,
    Matrix,
    Note,
    Page,
    Panel,
    Points,
    Scatter,
    Section,
    Series,
    Statement,
    Table,
    TokenStrip,
    Verdict,
)
from lit_experiments.reports.cells import cell_text
from lit_experiments.reports.document import Source
from lit_experiments.reports.frames import records
from lit_experiments.reports.markdown import markdown_page
from lit_experiments.reports.pictures import write_pictures
from lit_experiments.reports.terminal import terminal_text
from lit_experiments.reports.vegalite import specification
from lit_experiments.reports.write import write_page
from lit_experiments.statistics import Estimate

LAYERS = [f"resid_post.{n}" for n in range(32)]
TABLE = Table(
    "scores",
    "Scores <of> probes",
    [Column("layer"), Column("R2", "estimate"), Column("p", "p"), Column("share", "share", 2), Column("word", "token")],
    [[name, Estimate(0.5, 0.25 + n / 100, 0.75, 20, 0.95), 1e-5, 0.25, " the"] for n, name in enumerate(LAYERS)],
)
CURVES = Curves(
    "curve",
    "R2 by layer.",
    "layer",
    [
        Panel(
            "self",
            [
                Series("states", LAYERS, [Estimate(n / 32, n / 32 - 0.1, n / 32 + 0.1, 20, 0.95) for n in range(32)]),
                Series("control", LAYERS, [0.0] * 32, "control"),
            ],
            "R2",
            [Level("ceiling", Estimate(0.9, 0.8, 0.95, 20, 0.95))],
            (None, 1.05),
        )
    ],
)
HEAT = Heatmap(
    "heat",
    "Spread.",
    "tokens",
    "layer",
    "Var / |z|²",
    ["8", "16"],
    LAYERS[:3],
    {"T = 1": [[1.0, 2.0]] * 3},
    "log",
    True,
)
SCATTER = Scatter(
    "dots", "Dots.", "x", "y", [Points("", [0.0, 1.0], [1.0, math.nan], ["a", "b"], label=["p", "q"])], True
)
BARS = Bars(
    "bars", "Onsets.", "layer", [Bar("entropy", Estimate(2, 1, 3, 20, 0.95), "mcq"), Bar("margin", 1.0, "self")]
)
SUPPORTED = Verdict("supported", "for", Estimate(1, 0.5, 2, 9, 0.95))
MATRIX = Matrix(
    "verdicts",
    "Verdicts",
    ["entropy"],
    ["mcq", "self"],
    [[Verdict("supported", "for", Estimate(1, 0.5, 2, 9, 0.95)), None]],
)
STRIP = TokenStrip("strip", "A text", ["The", " <b>", " sat"], [0.5, -1.0, None], "step")
PAGE = Page(
    "A page",
    "Does it?",
    "It was done on 20 texts.",
    ["It does."],
    "95% intervals.",
    [
        Section("Verdicts", [MATRIX, Statement("Said.", verdict=True)]),
        Section("Numbers", [TABLE, CURVES, HEAT, SCATTER, BARS, STRIP, Note("How to read this.")]),
    ],
    ["The method."],
    ["A demonstration."],
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    write_page(PAGE, folder, Source([("model", "tiny <1>")], ["collect"], "seed: 0", [("All runs", "../index.html")]))
    return folder


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (None, Column("x", "number"), "-"),
        (math.nan, Column("x", "number"), "-"),
        (0.5, Column("x", "share"), "50.0%"),
        (1234, Column("x", "count"), "1,234"),
        (3e-7, Column("x", "p"), "3e-07"),
        (0.0123, Column("x", "p"), "0.0123"),
        (1234.5, Column("x", "number", None), "1,234"),
        (-0.0004, Column("x", "number", 3), "0.000"),
        (0.001234, Column("x", "number", None), "0.00123"),
        (Estimate(0.5, 0.25, 0.75, 20, 0.95), Column("x", "estimate", 2), "0.50 [0.25, 0.75]"),
        (Estimate(0.5, 0.1, 0.9, 3, 0.95), Column("x", "estimate", 2), "0.50 (no interval: 3 groups)"),
        (" the", Column("x", "token"), "' the'"),
        (True, Column("x"), "yes"),
    ],
)
def test_a_cell_reads_alike_everywhere(value: object, column: Column, text: str) -> None:
    assert cell_text(value, column) == text  # type: ignore[arg-type]


def test_the_terminal_shows_what_came_out_and_never_breaks_a_number() -> None:
    text = terminal_text(PAGE, width=60)
    lines = text.splitlines()
    assert lines[:5] == ["A demonstration.", "It was done on 20 texts.", "It does.", "95% intervals.", ""]
    assert any("0.500 [0.250, 0.750]" in line for line in lines)
    assert "... and 8 more rows in the report" in text
    assert "supported: 1.00 [0.50, 2.00]" in text


def test_every_block_with_data_is_written_as_csv_and_parquet(written: Path) -> None:
    for block in (TABLE, CURVES, HEAT, SCATTER, BARS, MATRIX, STRIP):
        expected = records(block)
        with (written / "data" / f"{block.name}.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert rows == [{k: "" if v is None else str(v) for k, v in record.items()} for record in expected]
        assert parquet.read_table(written / "data" / f"{block.name}.parquet").num_rows == len(expected)
    first = records(TABLE)[0]
    assert (first["R2"], first["R2 low"], first["R2 high"], first["R2 n"]) == (0.5, 0.25, 0.75, 20)
    assert records(SCATTER)[1]["y"] is None


@pytest.mark.parametrize("figure", [CURVES, HEAT, SCATTER, BARS])
def test_a_figure_is_drawn_from_the_numbers_that_are_written(figure: Curves, written: Path) -> None:
    text = json.dumps(specification(figure), allow_nan=False)
    assert text.count('"mark"') >= 1
    assert (written / "figures" / f"{figure.name}.png").read_bytes().startswith(b"\x89PNG")
    assert (written / "figures" / f"{figure.name}.svg").read_text().startswith("<svg")
    for record in records(figure):
        for key in ("value", "low", "high"):
            if record.get(key) is not None:
                assert json.dumps(record[key]) in text


@pytest.mark.parametrize(
    "figure",
    [
        Curves("empty", "", "layer", [Panel("", [], "R2")]),
        Curves("void", "", "layer", [Panel("", [Series("a", LAYERS[:2], [math.nan, math.nan])], "R2")]),
        Heatmap("heat", "", "x", "y", "v", ["a"], ["b"], {"": [[math.nan]]}, "log"),
        Scatter("dots", "", "x", "y", [Points("", [], [])], identity=True),
        Bars("bars", "", "v", []),
    ],
    ids=lambda figure: figure.name,
)
def test_a_figure_without_a_number_says_so(figure: Figure, tmp_path: Path) -> None:
    write_pictures(figure, tmp_path)
    assert "nothing to draw" in (tmp_path / f"{figure.name}.svg").read_text()


def test_what_lies_outside_of_the_bounds_does_not_enlarge_the_picture(tmp_path: Path) -> None:
    values = [Estimate(0.5, -3456.0, 0.75, 20, 0.95), Estimate(-900.0, -1e6, 0.75, 20, 0.95)]
    levels = [Level("far", Estimate(-1e5, -1e6, 0.5, 20, 0.95))]
    panel = Panel("", [Series("states", [1, 2], values)], "R2", levels, (-1, 1.05))
    write_pictures(Curves("far", "Far.", "length", [panel]), tmp_path)
    assert (tmp_path / "far.png").stat().st_size < 300_000
    height = float(re.search(r'height="([\d.]+)"', (tmp_path / "far.svg").read_text())[1])
    assert height < 600


def test_the_page_is_one_file_that_needs_no_network(written: Path) -> None:
    page = (written / "report.html").read_text(encoding="utf-8")
    assert len(page) < 3_000_000
    body = page.split("<body>")[1]
    for tag in ('src="http', "src='http", 'href="http', "@import"):
        assert tag not in body.split("<script>")[0]
    assert "Scores &lt;of&gt; probes" in body
    assert "tiny &lt;1&gt;" in body
    assert body.index("It does.") < body.index("Question") < body.index("Verdicts")
    assert 'href="data/scores.csv"' in body
    assert 'href="figures/curve.svg"' in body


def test_markdown_escapes_what_would_end_a_cell_and_names_pictures() -> None:
    text = markdown_page(PAGE)
    assert "![R2 by layer.](figures/curve.png)" in text
    wide = Table("t", "", [Column("a")], [["x | y"]])
    assert "| x \\| y |" in markdown_page(Page("", "", "", [], "", [Section("", [wide])]))


def test_two_blocks_of_one_name_are_refused(tmp_path: Path) -> None:
    page = Page("", "", "", [], "", [Section("", [TABLE, TABLE])])
    with pytest.raises(ValueError, match="scores"):
        write_page(page, tmp_path, Source())


def test_a_table_takes_labels_in_turn_and_the_rest_from_objects() -> None:
    columns = (
        Column("layer"),
        Column("real", "number", of="real"),
        Column("pass"),
        Column("size", "number", of=lambda value: abs(value)),
    )
    table = Table.of("t", "T", columns, [("a", "mcq", 3 + 4j), ("b", "self", 1j)], folded=True)
    assert table.rows == [["a", 3.0, "mcq", 5.0], ["b", 0.0, "self", 1.0]]
    assert table.folded


def test_a_cell_behind_something_that_is_absent_is_no_value() -> None:
    present = SimpleNamespace(control=SimpleNamespace(score=0.5))
    columns = (Column("name"), Column("score", "number", of="control.score"))
    table = Table.of("t", "", columns, [("a", present), ("b", SimpleNamespace(control=None))])
    assert table.rows == [["a", 0.5], ["b", None]]
