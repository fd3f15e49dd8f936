"""All figures of several reports in one folder, with an index that shows them and leads to the reports.

Reads what `write_page` left in each results folder: RESULTS.md names the figures and their captions. Does not know:
what the figures show.
"""

from __future__ import annotations

import html
import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from lit_experiments.reports.document import DEMONSTRATION, html_document
from lit_experiments.reports.pictures import FOLDER
from lit_experiments.reports.write import MARKDOWN, PAGE

INDEX = "index.html"
_FIGURE = re.compile(rf"^!\[.*\]\({FOLDER}/(?P<file>[^()/]+\.png)\)\n\n\*(?P<caption>.*)\*$", re.MULTILINE)
_SHOWN = re.compile(r'<img src="([^"/]+\.png)"')
_WIDE = 1800  # pixels; two panels next to each other are wider
_STYLE = """<style>
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 1.2rem; }
.figures figure { margin: 0; }
.figures .wide { grid-column: 1 / -1; }
.figures img { max-width: 100%; background: white; border-radius: 4px; }
</style>"""


@dataclass(frozen=True)
class Chapter:
    """One report. key: what the file names of its figures begin with; name: its heading when it is not there yet;
    folder: where its results lie."""

    key: str
    name: str
    folder: Path


@dataclass(frozen=True)
class _Figure:
    source: Path
    file: str
    caption: str


def write_gallery(folder: Path, title: str, chapters: Sequence[Chapter]) -> Path | None:
    """Copies the figures of all chapters that have a report into `folder`, with an index.

    Figures of an earlier index that no report has any more are removed; other files in the folder are left alone.

    Returns:
        The index; None where no chapter has a report yet, and nothing is written.
    """
    figures = {chapter.key: _figures(chapter) for chapter in chapters if (chapter.folder / MARKDOWN).is_file()}
    if not figures:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / INDEX
    earlier = set(_SHOWN.findall(index.read_text(encoding="utf-8"))) if index.is_file() else set()
    for figure in (figure for some in figures.values() for figure in some):
        _write(folder / figure.file, figure.source.read_bytes())
    notes = [f'<p class="note">{DEMONSTRATION}</p>'] if any(map(_is_demonstration, chapters)) else []
    heading = f"{title}: all figures"
    body = [
        _STYLE,
        f"<h1>{html.escape(heading)}</h1>",
        *notes,
        *(_section(folder, chapter, figures.get(chapter.key)) for chapter in chapters),
    ]
    _write(index, html_document(heading, "\n".join(body)).encode())
    for stale in earlier - {figure.file for some in figures.values() for figure in some}:
        (folder / stale).unlink(missing_ok=True)
    return index


def _figures(chapter: Chapter) -> list[_Figure]:
    text = (chapter.folder / MARKDOWN).read_text(encoding="utf-8")
    return [
        _Figure(chapter.folder / FOLDER / match["file"], f"{chapter.key}-{match['file']}", match["caption"])
        for match in _FIGURE.finditer(text)
    ]


def _section(folder: Path, chapter: Chapter, figures: Sequence[_Figure] | None) -> str:
    """A chapter of the index; None figures: it has no report yet."""
    if figures is None:
        return f'<h2>{html.escape(chapter.name)}</h2>\n<p class="note">Not run yet.</p>'
    results = chapter.folder / MARKDOWN
    title = results.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
    page = quote(Path(os.path.relpath(chapter.folder / PAGE, folder)).as_posix())
    shown = "\n".join(_shown(figure) for figure in figures) or '<p class="note">No figures.</p>'
    heading = f"<h2>{html.escape(title)}</h2>\n"
    return (
        f'{heading}<p><a href="{page}">Report with tables and explanations</a></p>\n<div class="figures">{shown}</div>'
    )


def _is_demonstration(chapter: Chapter) -> bool:
    results = chapter.folder / MARKDOWN
    return results.is_file() and DEMONSTRATION in results.read_text(encoding="utf-8")


def _shown(figure: _Figure) -> str:
    """A figure that leads to itself at full size; one of many panels gets the page's whole width."""
    [width] = struct.unpack(">I", figure.source.read_bytes()[16:20])  # of a PNG's header
    kind = ' class="wide"' if width > _WIDE else ""
    file, caption = quote(figure.file), html.escape(figure.caption)
    image = f'<a href="{file}"><img src="{file}" alt="{caption}"></a>'
    return f"<figure{kind}>{image}<figcaption>{caption}</figcaption></figure>"


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    draft = path.with_name(path.name + ".tmp")
    draft.write_bytes(content)
    draft.replace(path)
