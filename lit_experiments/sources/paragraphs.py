"""Paragraphs of running text: from text files, a folder of them, a dataset's column, or Python's documentation.

Owns: which files are read, what counts as one paragraph in each kind of source, ids.
Does not know: sentences, prompts, how many tokens a paragraph may have.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lit_experiments.sources.blocks import Counts, layout_of, paragraphs_in
from lit_experiments.sources.dialect import Quoting
from lit_experiments.sources.documentation import held_out_documentation
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.files import KINDS, TEXT, data_suffix
from lit_experiments.sources.folders import data_files, split_folder
from lit_experiments.sources.records import (
    REASONS_KEPT,
    Malformed,
    RecordStream,
    Skipped,
    check_quoting,
    open_records,
)
from lit_experiments.sources.repeats import repeats_note
from lit_experiments.sources.values import text_values

EMBEDDED = "embedded"


@dataclass(frozen=True)
class Paragraph:
    """One paragraph.

    Attributes:
        paragraph_id: "line-000012", "row-000012" (and "-1" for a second paragraph of the row), with the file's name in
            front for folders; for the documentation, the document's name and a number.
        text: without surrounding white space; wrapped lines joined by spaces.
        place: line (from 1) of its file, row (from 0) of its dataset; number (from 0) in the documentation.
    """

    paragraph_id: str
    text: str
    place: int


@dataclass(frozen=True)
class Paragraphs:
    """What was read.

    Attributes:
        records: in the source's order.
        layout: what a paragraph was: "blocks" between blank lines, single "lines", "rows" of a dataset,
            or the "documentation"'s own paragraphs.
        headings: headings passed over.
        blank: blank lines or rows passed over.
        name: what was read, for people; has the version of Python for its documentation.
        digest: sha256 of the texts: the data's part of a fingerprint.
        skipped: malformed lines or records that were left out.
        broken: text blocks left out because one of their lines was.
        notes: what is worth knowing of the source as a whole: how quotes were read, repeated paragraphs.
    """

    records: tuple[Paragraph, ...]
    layout: Literal["blocks", "lines", "rows", "documentation"]
    headings: int
    blank: int
    name: str
    digest: str
    skipped: Skipped
    broken: int = 0
    notes: tuple[str, ...] = ()


def read_paragraphs(
    source: str, text_column: str | None = None, malformed: Malformed = "stop", quoting: Quoting = "auto"
) -> Paragraphs:
    """Reads paragraphs from "embedded", a text file, a folder of text files, a file of records, a dataset or a Hub id.

    Args:
        source: where they are; a Hub id is NAME[@CONFIG][:SPLIT], split `train` unless given.
        text_column: the key or column that holds the text; needed for everything but text files.
        malformed: raise at the first line or record that cannot be read, or leave them out and count.
        quoting: what quotes are in CSV and TSV files.

    Raises:
        SourceError: unusable source or record, unknown column, a Python without documentation.
    """
    if source == EMBEDDED:
        check_quoting(quoting, "the documentation", "text")
        return _documentation()
    files = _text_files(source)
    if files is not None and text_column in (None, "text"):
        check_quoting(quoting, source, TEXT)
        return _from_text(source, files, malformed)
    stream = open_records(source, "--paragraphs", malformed, quoting=quoting)
    if text_column is None:
        raise SourceError(f"{stream.name}: name the column that holds the text with --text_column.")
    stream.require_column(text_column, "--text_column")
    return _from_rows(source, stream, text_column)


def _documentation() -> Paragraphs:
    documentation = held_out_documentation()
    records = tuple(Paragraph(identity, text, i) for i, (identity, text) in enumerate(documentation.paragraphs))
    name = f"embedded paragraphs (held-out documentation of {documentation.python})"
    return Paragraphs(records, "documentation", 0, 0, name, _digest(records), Skipped(), notes=_repeats(records))


def _text_files(source: str) -> list[Path] | None:
    """The text files of a source, None if it is of another kind or is not there."""
    path, folder = Path(source).expanduser(), split_folder(source)
    if path.is_file():
        files = [path]
    elif folder is not None and not (folder[0] / "dataset_dict.json").is_file():
        files = data_files(*folder)
    else:
        return None
    return files if all(KINDS.get(data_suffix(file)) == TEXT for file in files) else None


def _from_text(source: str, files: list[Path], malformed: Malformed) -> Paragraphs:
    """One layout for all files: what a paragraph is should not change within a source."""
    streams = {file: open_records(str(file), "--paragraphs", malformed) for file in files}
    lines = {file: [(place, record["text"]) for place, record in stream] for file, stream in streams.items()}
    layout, counts = layout_of(line for file_lines in lines.values() for _, line in file_lines), Counts()
    folder = split_folder(source)
    root = folder[0] if folder is not None and len(files) > 1 else None
    records = tuple(
        Paragraph(_file_prefix(file, root) + f"line-{number:06d}", text, number)
        for file in files
        for number, text in paragraphs_in(lines[file], layout, counts)
    )
    skipped = _together([stream.skipped for stream in streams.values()])
    if not records:
        raise SourceError(_nothing(source, counts, skipped))
    totals = (counts.headings, counts.blank, source, _digest(records), skipped, counts.broken)
    return Paragraphs(records, layout, *totals, _repeats(records))


def _file_prefix(file: Path, root: Path | None) -> str:
    if root is None:
        return ""
    return ".".join(file.relative_to(root).parts) + "-"


def _together(parts: list[Skipped]) -> Skipped:
    reasons = [reason for part in parts for reason in part.reasons]
    return Skipped(sum(part.count for part in parts), tuple(reasons[:REASONS_KEPT]))


def _from_rows(source: str, stream: RecordStream, column: str) -> Paragraphs:
    counts = Counts()
    records: list[Paragraph] = []
    for place, text in text_values(stream, column):
        rows = enumerate(text.strip().split("\n"), start=1)
        for part, (_, paragraph) in enumerate(paragraphs_in(rows, "blocks", counts)):
            suffix = f"-{part}" if part else ""
            records.append(Paragraph(f"{stream.unit}-{place:06d}{suffix}", paragraph, place))
    if not records:
        raise SourceError(_nothing(source, counts, stream.skipped))
    paragraphs = tuple(records)
    totals = (counts.headings, counts.blank, source, _digest(paragraphs), stream.skipped)
    return Paragraphs(paragraphs, "rows", *totals, notes=(*stream.notes, *_repeats(paragraphs)))


def _repeats(records: tuple[Paragraph, ...]) -> tuple[str, ...]:
    note = repeats_note((record.text for record in records), "paragraphs")
    return (note,) if note else ()


def _nothing(source: str, counts: Counts, skipped: Skipped) -> str:
    left_out = f"; {skipped.note()}" if skipped.count else ""
    return f"{source} holds no paragraph: {counts.headings} headings and {counts.blank} blank lines{left_out}."


def _digest(records: tuple[Paragraph, ...]) -> str:
    digest = hashlib.sha256()
    for record in records:
        digest.update(record.text.encode() + b"\0")
    return digest.hexdigest()
