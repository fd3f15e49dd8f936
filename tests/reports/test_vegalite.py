"""What figures declare where a reader would be misled otherwise."""

from lit_experiments.reports.blocks import Bar, Bars, Column, Heatmap
from lit_experiments.reports.cells import cell_text
from lit_experiments.reports.vegalite import specification


def bars(*pairs: tuple[str, str]) -> Bars:
    return Bars("b", "", "x", [Bar(label, 1.0, group) for label, group in pairs])


def test_equal_colours_on_both_sides_of_a_diverging_scale_are_equal_sizes() -> None:
    panels = {"a": [[-1.0, 0.5]], "b": [[10.0, float("nan")]]}
    spec = specification(Heatmap("h", "", "x", "y", "v", ["1", "2"], ["r"], panels, scale="diverging"))
    domains = [panel["layer"][0]["encoding"]["color"]["scale"]["domain"] for panel in spec["concat"]]
    assert domains == [[-10, 10], [-10, 10]]


def test_bars_step_aside_only_where_several_groups_share_a_label() -> None:
    shared = specification(bars(("one", "a"), ("one", "b")))
    alone = specification(bars(("one", "a"), ("two", "b")))
    assert "yOffset" in shared["layer"][-1]["encoding"]
    assert "yOffset" not in alone["layer"][-1]["encoding"]


def test_tiny_numbers_keep_their_size() -> None:
    column = Column("p", "number", None)
    assert cell_text(5.5e-7, column) == "5.50e-07"
    assert cell_text(0.0, column) == "0"
    assert cell_text(0.25, column) == "0.250"
