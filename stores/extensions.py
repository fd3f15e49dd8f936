"""Extensions of a store: `extensions/00001.json`, ...: each says of which schema and fingerprint the store is from
there on, and what its new piece holds. Made once, never changed, like all that a store holds.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from . import sealed
from .errors import CorruptStore, NewerFormat, SchemaError
from .files import Files
from .fingerprint import canonical_json, fingerprint_hash
from .schema import Schema

FORMAT = "lit-experiments-extension"
VERSION = 1
FOLDER = "extensions"


@dataclass(frozen=True)
class Extension:
    """One record. store: the store's identity; number: from 1; previous: the checksum of the record before it, or the
    store's identity. schema, fingerprint: of the whole store from here on; provenance: of the command that asked for
    it. piece: the fields that it adds, without columns; without fields where it adds rows alone. checksum: the record's
    own, "" of a new one.
    """

    store: str
    number: int
    previous: str
    schema: Schema
    fingerprint: dict[str, Any]
    provenance: dict[str, Any]
    piece: Schema
    checksum: str = ""

    def to_bytes(self) -> bytes:
        """The content of the record's file."""
        return sealed.seal(
            {
                "format": FORMAT,
                "version": VERSION,
                "store": self.store,
                "number": self.number,
                "previous": self.previous,
                "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "schema": self.schema.to_json(),
                "fingerprint": {"sha256": fingerprint_hash(self.fingerprint), "content": self.fingerprint},
                "piece": self.piece.to_json(),
                "provenance": self.provenance,
            }
        )


def read_extensions(files: Files, identity: str) -> tuple[Extension, ...]:
    """All records, in order.

    Raises:
        CorruptStore: one is damaged, missing before another, or of another store. NewerFormat.
    """
    present = sorted(name for name in files.names(FOLDER) if name.endswith(".json") and not name.startswith("."))
    records: list[Extension] = []
    for number in range(1, len(present) + 1):
        record = _read(files, number)
        before = records[-1].checksum if records else identity
        if record.store != identity or record.number != number or record.previous != before:
            raise CorruptStore(f"{files.locate(_rel(number))} is of another store, or not the record that lay here.")
        records.append(record)
    return tuple(records)


def publish_extension(files: Files, record: Extension) -> None:
    """Makes the record's file, unless there is one of its number. Raises OSError, FingerprintError."""
    canonical_json(record.provenance, "Provenance")
    files.make_folder(FOLDER)
    files.publish_first(_rel(record.number), record.to_bytes())
    files.sync([_rel(record.number)])


def _rel(number: int) -> str:
    return f"{FOLDER}/{number:05d}.json"


def _read(files: Files, number: int) -> Extension:
    rel = _rel(number)
    place = files.locate(rel)
    if not files.exists(rel):
        raise CorruptStore(f"{place} is missing, though there are later extensions. Restore it from a copy.")
    data = files.read(rel)
    document = sealed.parse(data, place)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CorruptStore(f"{place} does not say format {FORMAT!r}.")
    if isinstance(document.get("version"), int) and document["version"] > VERSION:
        raise NewerFormat(f"{place} has format version {document['version']}; this program reads {VERSION}. Update it.")
    checksum = sealed.check(data, document, place)
    try:
        return Extension(
            document["store"],
            document["number"],
            document["previous"],
            Schema.from_json(document["schema"]),
            document["fingerprint"]["content"],
            document["provenance"],
            Schema.from_json(document["piece"]),
            checksum,
        )
    except (KeyError, TypeError, ValueError, AttributeError, SchemaError) as error:
        raise CorruptStore(f"{place} is incomplete: {error!r}.") from error
