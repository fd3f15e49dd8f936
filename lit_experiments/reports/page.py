"""A report written twice from one description: RESULTS.md for repositories, report.html for browsers."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass, field
from pathlib import Path

from lit_experiments.reports.tables import Rows, markdown_table
from stores import Store

DEMONSTRATION = "The embedded model is a demonstration subject; nothing here is a scientific result."
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #8884; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; background: white; border-radius: 6px; }
figcaption, .note { color: #718096; font-size: .92rem; }
figure { margin: 1.2rem 0; }
"""


@dataclass
class Report:
    """Headings, paragraphs, tables and figures in order. Figures are files in the report's own folder."""

    title: str
    _markdown: list[str] = field(default_factory=list)
    _html: list[str] = field(default_factory=list)

    def heading(self, text: str) -> None:
        self._markdown.append(f"## {text}")
        self._html.append(f"<h2>{html.escape(text)}</h2>")

    def text(self, text: str) -> None:
        self._markdown.append(text)
        self._html.append(f"<p>{html.escape(text)}</p>")

    def table(self, headers: list[str], rows: Rows) -> None:
        self._markdown.append(markdown_table(headers, rows))
        head = "".join(f"<th>{html.escape(h)}</th>" for h in headers)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows)
        self._html.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")

    def figure(self, file: Path, caption: str) -> None:
        """Links the file in Markdown; embeds it in the HTML page, which so stays whole when it is sent around."""
        self._markdown.append(f"![{caption}]({file.name})\n\n*{caption}*")
        data = base64.b64encode(file.read_bytes()).decode()
        alt = html.escape(caption, quote=True)
        image = f'<img src="data:image/png;base64,{data}" alt="{alt}">'
        self._html.append(f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>")

    def write(self, folder: Path) -> Path:
        """Writes RESULTS.md and report.html; returns the page."""
        markdown = "\n\n".join([f"# {self.title}", *self._markdown]) + "\n"
        (folder / "RESULTS.md").write_text(markdown, encoding="utf-8")
        page = folder / "report.html"
        page.write_text(html_document(self.title, "\n".join(self._html)), encoding="utf-8")
        return page


def html_document(title: str, body: str) -> str:
    """A whole HTML page in the project's look: `title` as its heading, then `body`, which is HTML."""
    name = html.escape(title)
    head = f'<meta charset="utf-8"><title>{name}</title><meta name="viewport" content="width=device-width">'
    head += f"<style>{_STYLE}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n<h1>{name}</h1>\n{body}\n</body></html>\n'


def demonstration(store: Store) -> list[str]:
    """The sentence that a report on data of the embedded model begins with; none for other models."""
    embedded = store.provenance.get("config", {}).get("options", {}).get("model") == "embedded"
    return [DEMONSTRATION] if embedded else []
