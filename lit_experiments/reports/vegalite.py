"""Figures as Vega-Lite declarations: from them come the interactive chart on the page, the PNG and the SVG.

One look for all figures: colours that colour-blind readers can tell apart (Okabe and Ito 2008), legends below the
axes, where they cover nothing, intervals as bands over numbers and ordered names and as rules on bars.
"""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from lit_experiments.reports.blocks import Bars, Curves, Figure, Heatmap, Level, Panel, Points, Scatter, Series
from lit_experiments.reports.frames import estimate_of, ordered, records

Spec = dict[str, Any]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
DATA_COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7d6608", "#6c3483"]
GREYS = ["#717d88", "#a0763a", "#5d6d5f", "#8a6d8f", "#995f5f"]
_WIDTHS = {1: 560, 2: 440}  # pixels of a panel, by the number of panels
_WIDTH, _HEIGHT, _PER_ROW = 310, 230, 3
_MOST_NAMES = 16  # of layers along an axis; more are thinned out
_ROW = 17  # pixels of a bar with its gap
_DASHES = {"data": [1, 0], "control": [3, 3], "reference": [7, 3]}
_POINTS = {"scale": {"type": "point", "padding": 0.4}}
_LEGEND = {"symbolType": "stroke", "symbolOpacity": 1, "symbolStrokeWidth": 3, "symbolSize": 180}
_DOT: Spec = {"type": "point", "filled": True, "opacity": 1, "fillOpacity": 0.7}
"""Marks are translucent by their fill or stroke, and none is clipped: each mark of an opacity of its own, and each
clipped group, is a layer as large as the picture to what draws the PNG, which took most of its time."""
_BOUNDS = ("y", "low", "high")
_TIP = {"type": "quantitative", "format": ".4~g"}


def specification(figure: Figure) -> Spec:
    """The Vega-Lite declaration of a figure, with its data; it says so where there is nothing to draw."""
    shown = {Heatmap: [getattr(figure, "value", "")], Scatter: ["y"]}.get(type(figure), ["value", "low", "high"])
    if any(record[key] is not None for record in records(figure) for key in shown):
        return _declaration(figure)
    mark = {"type": "text", "text": "nothing to draw", "fontSize": 12, "color": GREYS[0]}
    return {"$schema": SCHEMA, "width": _WIDTH, "height": _ROW, "data": {"values": [{}]}, "mark": mark}


@singledispatch
def _declaration(figure: Figure) -> Spec:
    raise TypeError(f"no such figure: {figure!r}")


@_declaration.register
def _(figure: Curves) -> Spec:
    names, colors = _palette(figure)
    panels = [_curves_panel(figure, panel, names, colors) for panel in figure.panels]
    return _page(panels)


def _palette(figure: Curves) -> tuple[list[str], list[str]]:
    """Names of all lines in order of their first appearance with a colour each: hues for data, greys for the rest."""
    lines: list[Series | Level] = []
    for panel in figure.panels:
        lines += [*panel.series, *panel.levels]
    roles: dict[str, str] = {}
    for line in lines:
        roles.setdefault(line.name, line.role)
    hues, greys, colors = 0, 0, []
    for role in roles.values():
        if role == "data":
            colors.append(DATA_COLORS[hues % len(DATA_COLORS)])
            hues += 1
        else:
            colors.append(GREYS[greys % len(GREYS)])
            greys += 1
    return list(roles), colors


def _curves_panel(figure: Curves, panel: Panel, names: list[str], colors: list[str]) -> Spec:
    values: list[Spec] = [
        {"series": series.name, "x": x, "role": series.role, **dict(zip(_BOUNDS, estimate_of(y), strict=True))}
        for series in panel.series
        for x, y in zip(series.x, series.y, strict=True)
    ]
    named = any(isinstance(v["x"], str) for v in values)
    x = _name_axis(figure.x, ordered(v["x"] for v in values)) | _POINTS if named else _number_axis(figure.x, nice=False)
    y = _number_axis(panel.y) | {"field": "y"}
    y["scale"] = _domain(panel.bounds)
    color: Spec = {
        "field": "series",
        "type": "nominal",
        "title": None,
        "scale": {"domain": names, "range": colors},
        "legend": {"orient": "bottom", "columns": 2, "labelLimit": 260, **_LEGEND},
    }
    dash: Spec = {"field": "role", "type": "nominal", "legend": None}
    dash["scale"] = {"domain": list(_DASHES), "range": list(_DASHES.values())}
    tip = [_text_tip("series"), {"field": "x", "title": figure.x}, *_interval_tips("y", panel.y)]
    base = {"x": x | {"field": "x"}, "color": color}
    single = len({v["x"] for v in values}) == 1
    rule, area = {"type": "rule", "strokeOpacity": 0.45, "strokeWidth": 4}, {"type": "area", "fillOpacity": 0.18}
    around = base | {"y": y | {"field": "low"}, "y2": {"field": "high"}}
    band: Spec = {"mark": rule if single else area, "encoding": around}
    band["transform"] = [{"filter": "isValid(datum.low)"}]
    line = {"mark": {"type": "line", "strokeWidth": 1.8}, "encoding": base | {"y": y, "strokeDash": dash}}
    dots = {"mark": _DOT | {"size": 34}, "encoding": base | {"y": y, "tooltip": tip}}
    layers: list[Spec] = [band, line, dots, *(_level_layer(level, color, panel.y) for level in panel.levels)]
    return _panel(panel.title, layers, _clean(values))


def _level_layer(level: Level, color: Spec, title: str) -> Spec:
    value, low, high = estimate_of(level.value)
    record = {"series": level.name, "y": value, "low": low, "high": high}
    tip = [_text_tip("series"), *_interval_tips("y", title)]
    mark = {"type": "rule", "strokeDash": _DASHES[level.role], "strokeWidth": 1.5}
    line = {"mark": mark, "encoding": {"y": {"field": "y", "type": "quantitative"}, "color": color, "tooltip": tip}}
    band = {
        "mark": {"type": "rect", "fillOpacity": 0.14},
        "encoding": {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}, "color": color},
        "transform": [{"filter": "isValid(datum.low)"}],
    }
    return {"data": {"values": _clean([record])}, "layer": [band, line]}


@_declaration.register
def _(figure: Heatmap) -> Spec:
    scale: Spec = {"scheme": "viridis"}
    if figure.scale == "log":
        scale["type"] = "log"
    if figure.scale == "diverging":
        largest = max((abs(r[figure.value]) for r in records(figure) if r[figure.value] is not None), default=0) or 1
        scale = {"scheme": "blueorange", "domain": [-largest, largest]}  # equal colours on both sides are equal sizes
    panels = []
    fields = {"x": figure.x, "y": figure.y, "value": figure.value}  # names with quotes are no names of fields
    for title in figure.panels:
        values = [{k: r[name] for k, name in fields.items()} for r in records(figure) if r["panel"] == title]
        if figure.scale == "log":
            values = [r for r in values if (r["value"] or 0) > 0]
        x, y = _name_axis(figure.x, figure.columns) | {"field": "x"}, _name_axis(figure.y, figure.rows) | {"field": "y"}
        y["axis"] = y["axis"] | {"labelAngle": 0}
        color = {"field": "value", "type": "quantitative", "title": figure.value, "scale": scale}
        tip: list[Spec] = [{"field": k, "type": "nominal", "title": fields[k]} for k in ("y", "x")]
        tip.append({"field": "value", "title": figure.value, **_TIP})
        layers: list[Spec] = [{"mark": "rect", "encoding": {"x": x, "y": y, "color": color, "tooltip": tip}}]
        if figure.shown:
            text = {"field": "value", "type": "quantitative", "format": ".3~g"}
            encoding = {"x": x, "y": y, "text": text, "color": _ink(figure)}
            layers.append({"mark": {"type": "text", "fontSize": 10}, "encoding": encoding})
        panel = _panel(title, layers, values)
        panel["width"] = max(200, min(640, 44 * len(figure.columns)))
        panel["height"] = max(120, min(760, 20 * len(figure.rows)))
        panels.append(panel)
    return _page(panels, shared={"color": "shared"})


def _ink(figure: Heatmap) -> Spec:
    """The colour of numbers in the cells: black on bright ones, white on dark ones."""
    values = [r[figure.value] for r in records(figure) if r[figure.value] is not None]
    known = [value for value in values if value > 0 or figure.scale != "log"] or [1.0]
    low, high = min(known), max(known)
    if figure.scale == "diverging":
        dark = 0.6 * max(abs(low), abs(high))
        return {"condition": {"test": f"abs(datum.value) > {dark!r}", "value": "white"}, "value": "black"}
    bright = low * (high / low) ** 0.6 if figure.scale == "log" else low + 0.6 * (high - low)
    return {"condition": {"test": f"datum.value > {bright!r}", "value": "black"}, "value": "white"}


@_declaration.register
def _(figure: Scatter) -> Spec:
    groups = ordered(name for panel in figure.panels for name in panel.group)
    return _page([_scatter_panel(figure, panel, groups) for panel in figure.panels])


def _scatter_panel(figure: Scatter, panel: Points, groups: list[str]) -> Spec:
    values = [r for r in records(figure) if r["panel"] == panel.title]
    x_name, y_name = panel.x_name or figure.x, panel.y_name or figure.y
    x, y = _number_axis(x_name) | {"field": "x"}, _number_axis(y_name) | {"field": "y"}
    x["scale"] = y["scale"] = {"zero": False, "nice": True}
    tip = [{"field": "x", "title": x_name, **_TIP}, {"field": "y", "title": y_name, **_TIP}]
    encoding: Spec = {"x": x, "y": y}
    if len(panel.group):
        encoding["color"] = {
            "field": "group",
            "type": "nominal",
            "title": None,
            "scale": {"domain": groups, "range": [DATA_COLORS[i % len(DATA_COLORS)] for i in range(len(groups))]},
            "legend": {"orient": "bottom", "columns": 3, "labelLimit": 260},
        }
        tip.append(_text_tip("group"))
    if len(panel.kind):
        encoding["shape"] = {"field": "kind", "type": "nominal", "title": None, "legend": {"orient": "bottom"}}
        tip.append(_text_tip("kind"))
    if len(panel.label):
        tip.append(_text_tip("label"))
    if len(panel.size):
        size = {"field": "size", "type": "quantitative", "legend": None}
        encoding["size"] = size | {"scale": {"domain": [0, 1], "range": [12, 500]}}
    mark: Spec = _DOT | {"fillOpacity": 0.6}
    if not len(panel.size):
        mark["size"] = 28
    layers: list[Spec] = [{"mark": mark, "encoding": encoding | {"tooltip": tip}}]
    if not len(panel.group):
        mark["color"] = DATA_COLORS[0]
    if figure.joined:
        layers.insert(0, {"mark": {"type": "line", "strokeWidth": 1.3}, "encoding": encoding})
    if figure.identity:
        layers.append(_identity(values))
    return _panel(panel.title, layers, values)


def _identity(values: list[Spec]) -> Spec:
    known = [r for r in values if r["x"] is not None and r["y"] is not None]
    low = max(min((r[axis] for r in known), default=0.0) for axis in ("x", "y"))
    high = min(max((r[axis] for r in known), default=1.0) for axis in ("x", "y"))
    ends = [{"x": end, "y": end} for end in (low, high)]
    encoding = {axis: {"field": axis, "type": "quantitative"} for axis in ("x", "y")}
    mark = {"type": "line", "strokeWidth": 1, "strokeDash": [4, 3], "color": GREYS[0]}
    return {"data": {"values": ends}, "mark": mark, "encoding": encoding}


@_declaration.register
def _(figure: Bars) -> Spec:
    groups = ordered(bar.group for bar in figure.bars)
    panels = [_bars_panel(figure, panel, groups) for panel in ordered(bar.panel for bar in figure.bars)]
    return _page(panels, per_row=2)  # labels take the place of a third


def _bars_panel(figure: Bars, panel: str, groups: list[str]) -> Spec:
    values = [r for r in records(figure) if r["panel"] == panel]
    y: Spec = {"field": "label", "type": "nominal", "title": None, "sort": None, "axis": {"labelLimit": 240}}
    x = _number_axis(figure.value) | {"field": "value"}
    x["scale"] = {"zero": False, "nice": True}
    tip = [_text_tip("label"), *_interval_tips("value", figure.value)]
    color: Spec = {"value": DATA_COLORS[0]}
    if len(groups) > 1:
        scale = {"domain": groups, "range": [DATA_COLORS[i % len(DATA_COLORS)] for i in range(len(groups))]}
        color = {"field": "group", "type": "nominal", "title": None, "scale": scale, "legend": {"orient": "bottom"}}
        y["scale"] = {"paddingInner": 0.25}
    lines = len({r["label"] for r in values})
    shared = len({(r["label"], r["group"]) for r in values}) > lines  # several groups have a bar of one label
    offset = {"yOffset": {"field": "group", "sort": None}} if shared else {}
    rule = {
        "mark": {"type": "rule", "strokeWidth": 2.4, "strokeOpacity": 0.55},
        "encoding": {"y": y, "x": x | {"field": "low"}, "x2": {"field": "high"}, "color": color, **offset},
        "transform": [{"filter": "isValid(datum.low)"}],
    }
    dots = {
        "mark": _DOT | {"size": 50},
        "encoding": {"y": y, "x": x, "color": color, "tooltip": tip, **offset},
    }
    layers: list[Spec] = [rule, dots]
    if figure.reference is not None:
        mark = {"type": "rule", "strokeWidth": 1, "strokeDash": [4, 3], "color": GREYS[0]}
        layers.insert(0, {"mark": mark, "encoding": {"x": {"datum": figure.reference}}})
    spec = _panel(panel, layers, values)
    spec["height"] = _ROW * max(2, lines) * (max(1, len(groups) / 2) if shared else 1)
    return spec


def _page(panels: list[Spec], shared: dict[str, str] | None = None, per_row: int = _PER_ROW) -> Spec:
    for panel in panels:
        panel.setdefault("width", _WIDTHS.get(len(panels), _WIDTH))
    top: Spec = {"$schema": SCHEMA, "spacing": 28}
    top["resolve"] = {"scale": shared or {"color": "shared"}, "legend": {"color": "shared"}}
    if len(panels) == 1:
        return {"$schema": SCHEMA, **panels[0]}
    return top | {"concat": panels, "columns": per_row}


def _panel(title: str, layers: list[Spec], values: list[Spec]) -> Spec:
    spec: Spec = {"height": _HEIGHT, "data": {"values": values}, "layer": layers}
    return spec | ({"title": title} if title else {})


def _name_axis(title: str, names: Any) -> Spec:
    """An axis of names in their order; sites of one kind are numbered, and the kind stands in the title."""
    kinds = {str(name).rpartition(".")[0] for name in names}
    numbered = len(kinds) == 1 and all(str(name).rpartition(".")[2].isdigit() for name in names) and "" not in kinds
    short = numbered or all(len(str(name)) <= 5 for name in names)
    axis: Spec = {"labelAngle": 0 if short else -40, "grid": False}
    if numbered:
        axis["labelExpr"] = "split(datum.label, '.')[length(split(datum.label, '.')) - 1]"
        title = f"{title} ({kinds.pop()})"
    every = -(-len(names) // _MOST_NAMES)
    if every > 1:
        axis["values"] = list(names)[::every]
    return {"type": "ordinal", "title": title, "sort": list(names), "axis": axis}


def _number_axis(title: str, nice: bool = True) -> Spec:
    return {"type": "quantitative", "title": title, "scale": {"zero": False, "nice": nice}}


def _domain(bounds: tuple[float | None, float | None]) -> Spec:
    low, high = bounds
    # Clamped: what lies far outside of the bounds would make the picture as large. Pointing at it shows the number.
    scale: Spec = {"zero": False, "nice": None in bounds, "clamp": bounds != (None, None)}
    if low is not None:
        scale["domainMin"] = low
    if high is not None:
        scale["domainMax"] = high
    return scale


def _text_tip(field: str) -> Spec:
    return {"field": _field(field), "type": "nominal", "title": field}


def _interval_tips(field: str, title: str) -> list[Spec]:
    parts = ((field, title), ("low", "low"), ("high", "high"))
    return [{"field": name, "title": shown, **_TIP} for name, shown in parts]


def _field(name: str) -> str:
    """A key of a record as Vega-Lite reads it, where dots and brackets mean nesting."""
    return name.replace(".", "\\.").replace("[", "\\[").replace("]", "\\]")


def _clean(values: list[Spec]) -> list[Spec]:
    """NaN is null in JSON."""
    return [{k: None if isinstance(v, float) and v != v else v for k, v in record.items()} for record in values]
