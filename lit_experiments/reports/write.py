"""Writes a page with everything that belongs to it into a folder: HTML, Markdown, pictures, data files."""

from __future__ import annotations

from pathlib import Path

from lit_experiments.plain import write_json
from lit_experiments.reports import data_files, pictures
from lit_experiments.reports.blocks import FIGURES, Page
from lit_experiments.reports.document import Source, html_page
from lit_experiments.reports.frames import has_data
from lit_experiments.reports.markdown import markdown_page

PAGE, MARKDOWN, SUMMARY = "report.html", "RESULTS.md", "page.json"


def write_page(page: Page, folder: Path, source: Source) -> Path:
    """Writes report.html, RESULTS.md, page.json (its lead), figures/ and data/ into `folder`; returns the HTML page.

    Raises:
        ValueError: two blocks of one name, whose files would be the same.
    """
    names = [block.name for block in page.blocks() if has_data(block)]  # type: ignore[union-attr]
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise ValueError(f"two blocks of one page have the same name: {sorted(repeated)}")
    for block in page.blocks():
        if has_data(block):
            data_files.write_data(block, folder / data_files.FOLDER)
        if isinstance(block, FIGURES):
            pictures.write_pictures(block, folder / pictures.FOLDER)
    lead = {"title": page.title, "question": page.question, "outcome": list(page.outcome), "certainty": page.certainty}
    write_json(folder / SUMMARY, lead)
    write_text(folder / MARKDOWN, markdown_page(page))
    write_text(folder / PAGE, html_page(page, source))
    return folder / PAGE


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    draft = path.with_name(path.name + ".tmp")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
