"""A Range is a control's spread: shown as such, drawn as a band, written with its bounds; lines stay in their panel."""

import math
import re

import vl_convert

from lit_experiments.reports.blocks import Column, Curves, Panel, Range, Series, Table
from lit_experiments.reports.cells import cell_text
from lit_experiments.reports.frames import records
from lit_experiments.reports.vegalite import Spec, specification

SHUFFLED = Range(-0.25, 0.5, 0.125)


def test_a_range_is_shown_with_its_middle_if_it_has_one() -> None:
    column = Column("shuffled", "estimate", 2)
    assert cell_text(SHUFFLED, column) == "0.12 (-0.25 to 0.50)"
    assert cell_text(Range(-0.25, 0.5), column) == "-0.25 to 0.50"
    assert cell_text(Range(math.nan, math.nan, math.nan), column) == "-"


def test_a_range_is_written_with_its_bounds() -> None:
    (record,) = records(Table("t", "", [Column("shuffled", "estimate")], [[SHUFFLED]]))
    bounds = {"shuffled low": -0.25, "shuffled high": 0.5, "shuffled n": None}
    assert record == {"shuffled": 0.125, **bounds}


def test_a_series_of_ranges_is_a_band_without_a_line_and_marks_end_at_the_bounds() -> None:
    band = Series("control", ["a.0", "a.1"], [Range(0, 1), Range(0, 3)], "control")
    spec = specification(Curves("c", "", "layer", [Panel("", [band], "score", bounds=(0.0, 1.0))]))
    values = spec["data"]["values"]
    assert [(v["y"], v["low"], v["high"]) for v in values] == [(None, 0, 1), (None, 0, 3)]
    within = Series("control", ["a.0", "a.1"], [Range(0, 1), Range(0, 1)], "control")
    assert _size(spec) == _size(
        specification(Curves("c", "", "layer", [Panel("", [within], "score", bounds=(0.0, 1.0))]))
    )


def _size(spec: Spec) -> list[str]:
    """Width and height of the drawn picture."""
    return re.findall(r'<svg[^>]* width="(\d+)" height="(\d+)"', vl_convert.vegalite_to_svg(spec))
