"""Contexts: short texts, one per line of a file, per record of a JSONL file, or per row of a dataset."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lit_experiments.sources.dialect import Quoting
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.files import TEXT
from lit_experiments.sources.records import Malformed, RecordStream, Skipped, open_records
from lit_experiments.sources.repeats import repeats_note
from lit_experiments.sources.values import text_values

EMBEDDED = "embedded"
_SHIPPED = Path(__file__).resolve().parent.parent / "embedded" / "data" / "contexts.txt"


@dataclass(frozen=True)
class Contexts:
    """Texts with the place that each came from.

    Attributes:
        texts: non-blank, surrounding white space removed.
        places: line (from 1) or row (from 0) of each text.
        blank: how many blank entries were skipped.
        name: what was read, for people.
        digest: sha256 of the texts: the data's part of a fingerprint.
        skipped: malformed records that were left out.
        notes: what is worth knowing of the source as a whole: how quotes were read, repeated texts.
    """

    texts: list[str]
    places: list[int]
    blank: int
    name: str
    digest: str
    skipped: Skipped
    notes: tuple[str, ...] = ()


def read_contexts(
    source: str,
    text_column: str | None,
    malformed: Malformed = "stop",
    quoting: Quoting = "auto",
    option: str = "--contexts",
) -> Contexts:
    """Reads contexts from "embedded", a text file (one per line), a file of records, a dataset folder or a Hub id.

    Args:
        source: where they are; a Hub id is NAME[@CONFIG][:SPLIT], split `train` unless given.
        text_column: the key or column that holds the text; needed for everything but text files.
        malformed: raise at the first malformed record, or leave them out and count.
        quoting: what quotes are in CSV and TSV files.
        option: the command line option that names the source, for messages.

    Raises:
        SourceError: missing, empty, binary or badly encoded file; malformed record; unknown column; no such dataset.
    """
    path = str(_SHIPPED) if source == EMBEDDED else source
    stream = open_records(path, option, malformed, quoting=quoting)
    if text_column is None and stream.kind != TEXT:
        raise SourceError(f"{stream.name}: name the column that holds the text with --text_column.")
    column = "text" if text_column is None else text_column
    stream.require_column(column, "--text_column")
    return _contexts(stream, column, "embedded contexts" if source == EMBEDDED else source)


def _contexts(stream: RecordStream, column: str, name: str) -> Contexts:
    texts: list[str] = []
    places: list[int] = []
    blank = 0
    digest = hashlib.sha256()
    for place, raw in text_values(stream, column):
        text = raw.strip()
        if not text:
            blank += 1
            continue
        texts.append(text)
        places.append(place)
        digest.update(text.encode() + b"\0")
    stream.require_some(len(texts), f"context, but {blank} blank entries")
    repeats = repeats_note(texts, "texts")
    notes = (*stream.notes, repeats) if repeats else stream.notes
    return Contexts(texts, places, blank, name, digest.hexdigest(), stream.skipped, notes)
