"""A whole HTML page from a `Page`: it stays one file that works from disk, without a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from lit_experiments.reports.blocks import FIGURES, Page
from lit_experiments.reports.html import escape, html_section
from lit_experiments.reports.pictures import chart_library, look

DEMONSTRATION = "The embedded model is a demonstration subject; nothing here is a scientific result."
_CITE = (
    "Give the commit or version of lit_experiments, the model with its revision and the data with its digest, all of "
    "which stand above, and the paper of the method that the page names."
)


@dataclass(frozen=True)
class Source:
    """Where a page's numbers come from.

    facts: (name, value) pairs: model, revision, data with digest, versions, date. commands: that made the run and the
    results. settings: the resolved configuration, as YAML. links: (title, address) of the run's other pages.
    """

    facts: Sequence[tuple[str, str]] = ()
    commands: Sequence[str] = ()
    settings: str = ""
    links: Sequence[tuple[str, str]] = ()


def html_page(page: Page, source: Source) -> str:
    """The page: outcome first, then what it rests on, the method, and where the numbers come from."""
    lead = (("Question", page.question), ("What was done", page.done), ("How sure", page.certainty))
    terms = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in lead if text)
    outcome = "".join(f"<p>{escape(line)}</p>" for line in page.outcome)
    cautions = "".join(f'<p class="caution">{escape(line)}</p>' for line in page.cautions)
    anchors = [f"section-{number}" for number in range(len(page.sections))]
    body = [
        _links(source),
        f"<h1>{escape(page.title)}</h1>",
        cautions,
        f'<div class="outcome">{outcome}</div>',
        f'<dl class="lead">{terms}</dl>',
        _contents(page, anchors),
        *(html_section(section, anchor) for section, anchor in zip(page.sections, anchors, strict=True)),
        _methods(page),
        _provenance(source),
    ]
    charts = any(isinstance(block, FIGURES) for block in page.blocks())
    return html_document(page.title, "\n".join(filter(None, body)), charts)


def html_document(title: str, body: str, charts: bool = False) -> str:
    """A whole page in the project's look around `body`, which is HTML. charts: it holds declarations to draw."""
    name = escape(title)
    scripts = [asset("page.js")]
    if charts:
        scripts.insert(0, chart_library().replace("</script", "<\\/script"))
    configurations = chart_looks() if charts else ""
    head = f'<meta charset="utf-8"><title>{name}</title><meta name="viewport" content="width=device-width">'
    head += '<link rel="icon" href="data:,">'
    head += f"<style>{asset('page.css')}</style>"
    end = configurations + "".join(f"<script>{script}</script>" for script in scripts)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n{end}</body></html>\n'


def chart_looks() -> str:
    """The colours of charts by day and by night, where page.js finds them."""
    looks = json.dumps({"light": look(), "dark": look(dark=True)})
    return f'<script type="application/json" id="looks">{looks}</script>'


def _links(source: Source) -> str:
    shown = " · ".join(f'<a href="{escape(address)}">{escape(title)}</a>' for title, address in source.links)
    return f'<p class="note">{shown}</p>' if shown else ""


def _contents(page: Page, anchors: Sequence[str]) -> str:
    titles = [*zip((section.title for section in page.sections), anchors, strict=True)]
    titles += [("Methods", "methods")] * bool(page.methods) + [("Where these numbers come from", "provenance")]
    items = "".join(f'<li><a href="#{anchor}">{escape(title)}</a></li>' for title, anchor in titles)
    return f'<nav aria-label="Contents"><ol>{items}</ol></nav>'


def _methods(page: Page) -> str:
    if not page.methods:
        return ""
    return '<h2 id="methods">Methods</h2>' + "".join(f"<p>{escape(line)}</p>" for line in page.methods)


def _provenance(source: Source) -> str:
    facts = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in source.facts)
    parts = ['<h2 id="provenance">Where these numbers come from</h2>']
    parts += [f'<div class="grid facts"><table><tbody>{facts}</tbody></table></div>'] if facts else []
    parts += ["<p>Made by:</p>", f"<pre>{escape(chr(10).join(source.commands))}</pre>"] if source.commands else []
    if source.settings:
        parts.append(f"<details><summary>All settings</summary><pre>{escape(source.settings)}</pre></details>")
    return "\n".join([*parts, f'<p class="note">To cite: {_CITE}</p>'])


def asset(name: str) -> str:
    """A file that pages are made with: page.css, page.js."""
    return (files("lit_experiments.reports") / "assets" / name).read_text(encoding="utf-8")
