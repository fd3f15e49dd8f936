"""The frame of every page that is made here, and the files that such pages load from this server."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from lit_experiments.reports.document import asset, chart_looks
from lit_experiments.reports.html import escape
from lit_experiments.reports.pictures import chart_library
from lit_experiments.serving.answers import Answer

ASSETS = "/-/"
_SCRIPT, _STYLE = "text/javascript; charset=utf-8", "text/css; charset=utf-8"


def document(title: str, body: str, trail: Sequence[tuple[str, str]] = (), charts: bool = False) -> Answer:
    """A page. body: HTML; trail: (name, address) of the pages above it; charts: it holds some to be drawn."""
    scripts = [*(["charts.js"] if charts else []), "page.js", "browse.js"]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title>'
    head += '<meta name="viewport" content="width=device-width, initial-scale=1">'
    head += '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
    head += "".join(f'<link rel="stylesheet" href="{ASSETS}{name}">' for name in ("page.css", "browse.css"))
    head += "".join(f'<script defer src="{ASSETS}{name}"></script>' for name in scripts)
    crumbs = "".join(f'<li><a href="{escape(address)}">{escape(name)}</a></li>' for name, address in trail)
    above = f'<nav class="crumbs" aria-label="Where this page is"><ul>{crumbs}</ul></nav>' if crumbs else ""
    skip = '<a class="skip" href="#content">Skip to the content</a>'
    main = f'<main id="content" tabindex="-1">{body}</main>'
    looks = chart_looks() if charts else ""
    page = f'<html lang="en"><head>{head}</head>\n<body class="browse">{skip}{above}{main}{looks}</body></html>'
    return Answer(f"<!doctype html>\n{page}\n".encode())


def asset_answer(name: str) -> Answer | None:
    """A script or style sheet of the pages; None for another name."""
    if name == "charts.js":
        return Answer(chart_library().encode(), _SCRIPT)
    if name in ("page.js", "page.css"):
        return Answer(asset(name).encode(), _SCRIPT if name.endswith(".js") else _STYLE)
    if name in ("browse.js", "browse.css"):
        text = (files("lit_experiments.serving") / "assets" / name).read_bytes()
        return Answer(text, _SCRIPT if name.endswith(".js") else _STYLE)
    return None


def paragraphs(text: str, kind: str = "note") -> str:
    """Lines of text as paragraphs."""
    return "".join(f'<p class="{kind}">{escape(line)}</p>' for line in text.splitlines() if line.strip())
