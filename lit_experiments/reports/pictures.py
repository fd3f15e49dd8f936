"""PNG and SVG of a figure, from the same declaration as the chart on the page."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import version
from pathlib import Path

from lit_experiments.remembered import remembered
from lit_experiments.reports.blocks import Figure
from lit_experiments.reports.vegalite import Spec, specification

FOLDER = "figures"
_DOTS = 2.0  # pixels of the PNG to a pixel of the page
_FONT = "DejaVu Sans, Liberation Sans, Arial, sans-serif"
_VL_VERSION = "6.1"


def look(dark: bool = False) -> Spec:
    """The Vega-Lite configuration that all figures share. dark: for the page's dark mode; pictures are light."""
    ink, faint, grid = ("#e6e8ea", "#aab4bd", "#ffffff22") if dark else ("#1c2126", "#59636e", "#0000001a")
    axis: Spec = {"labelColor": ink, "titleColor": ink, "domainColor": faint, "tickColor": faint, "gridColor": grid}
    axis |= {"titleFontWeight": "normal", "labelFontSize": 11, "titleFontSize": 12, "labelLimit": 220}
    return {
        "background": None if dark else "white",
        "font": _FONT,
        "axis": axis,
        "legend": {"labelColor": ink, "titleColor": ink, "labelFontSize": 11, "titleFontSize": 11},
        "title": {"color": ink, "fontSize": 13, "fontWeight": "normal", "anchor": "start"},
        "view": {"stroke": None},
        "text": {"color": ink},
    }


def write_pictures(figure: Figure, folder: Path) -> None:
    """Writes NAME.png and NAME.svg into `folder`, each whole or not at all."""
    import vl_convert

    spec = json.dumps(specification(figure))
    svg = vl_convert.vegalite_to_svg(spec, vl_version=_VL_VERSION, config=look())
    png = vl_convert.svg_to_png(svg, scale=_DOTS)
    folder.mkdir(parents=True, exist_ok=True)
    for ending, content in ((".svg", svg.encode()), (".png", png)):
        path = folder / f"{figure.name}{ending}"
        draft = path.with_name(path.name + ".tmp")
        draft.write_bytes(content)
        draft.replace(path)


@cache
def chart_library() -> str:
    """The JavaScript that draws charts, so that a page works from disk and without a network."""

    def make() -> str:
        import vl_convert

        return str(vl_convert.javascript_bundle(vl_version=_VL_VERSION))  # type: ignore[call-arg]  # its stub asks more

    return remembered("charts", [version("vl-convert-python").encode(), _VL_VERSION.encode()], make)
