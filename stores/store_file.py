"""`store.json`: format, identity, backend, schema, fingerprint, provenance, and a checksum. Also makes new stores."""

from __future__ import annotations

import datetime
import json
import os
import secrets
from dataclasses import dataclass, replace
from typing import Any

from . import sealed
from .backends import backend as find_backend
from .errors import (
    BackendMismatch,
    CorruptStore,
    FingerprintMismatch,
    NewerFormat,
    NotAStore,
    NotWritable,
    OlderFormat,
    SchemaError,
    SchemaMismatch,
)
from .extensions import Extension, publish_extension, read_extensions
from .files import Files, LocalFiles, open_files
from .fingerprint import canonical_json, fingerprint_difference, fingerprint_hash
from .pieces import missing_piece
from .schema import Schema

FORMAT = "lit-experiments-store"
VERSION = 2
STORE_JSON = "store.json"


@dataclass(frozen=True)
class Header:
    """What store.json says, and the extensions after it: schema, fingerprint and provenance are the last one's.

    `identity` is the checksum of store.json, which every commit of version 2 names. `id` is random, so that two stores
    of equal settings are two; it and `identity` are None in version 1. `first` is the schema of store.json itself.
    """

    backend: str
    schema: Schema
    fingerprint: dict[str, Any]
    provenance: dict[str, Any]
    created: str
    id: str | None = None
    version: int = VERSION
    identity: str | None = None
    first: Schema | None = None
    extensions: tuple[Extension, ...] = ()

    @property
    def pieces(self) -> tuple[Schema, ...]:
        """What each piece of the rows' fields holds: the first that of store.json, then one of each extension."""
        return (self.first or self.schema, *(extension.piece for extension in self.extensions))

    @property
    def divided(self) -> bool:
        """Whether fields lie in more than the first piece."""
        return any(extension.piece.fields for extension in self.extensions)

    def to_bytes(self) -> bytes:
        """The content of a new file, in the latest version."""
        document = {
            "format": FORMAT,
            "version": VERSION,
            "id": self.id,
            "backend": self.backend,
            "created": self.created,
            "schema": self.schema.to_json(),
            "fingerprint": {"sha256": fingerprint_hash(self.fingerprint), "content": self.fingerprint},
            "provenance": self.provenance,
        }
        return sealed.seal(document)


def read_header(files: Files) -> Header:
    """Read and check store.json. Raises NotAStore, NewerFormat or CorruptStore."""
    place = files.locate(STORE_JSON)
    if not files.exists(STORE_JSON):
        _refuse_headless(files)
        raise NotAStore(f"No store at {files.locate('')}: {STORE_JSON} is missing. Collect into it first.")
    data = files.read(STORE_JSON)
    document = sealed.parse(data, place)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise NotAStore(f"{place} does not say format {FORMAT!r}; this is another program's folder, or damaged.")
    version = document.get("version")
    if isinstance(version, int) and version > VERSION:
        raise NewerFormat(f"{place} has format version {version}; this program reads up to {VERSION}. Update it.")
    checksum = sealed.check(data, document, place)
    try:
        if not (isinstance(document["provenance"], dict) and isinstance(document["fingerprint"]["content"], dict)):
            raise TypeError("fingerprint and provenance need to be objects")
        header = Header(
            document["backend"],
            Schema.from_json(document["schema"]),
            document["fingerprint"]["content"],
            document["provenance"],
            document["created"],
            document["id"] if document["version"] > 1 else None,
            document["version"],
            checksum if document["version"] > 1 else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, SchemaError) as error:
        raise CorruptStore(f"{place} is incomplete: {error!r}.") from error
    return header if header.identity is None else _extended(header, read_extensions(files, header.identity))


def _extended(header: Header, extensions: tuple[Extension, ...]) -> Header:
    if not extensions:
        return header
    last = extensions[-1]
    return replace(
        header,
        schema=last.schema,
        fingerprint=last.fingerprint,
        provenance=last.provenance,
        first=header.schema,
        extensions=extensions,
    )


def _refuse_headless(files: Files) -> None:
    """Raise CorruptStore where commits may lie but store.json is gone: a new one would not be theirs."""
    for folder in ("parts", "heads"):
        if files.names(folder):
            raise CorruptStore(
                f"{files.locate(STORE_JSON)} is missing, though {files.locate(folder)} isn't empty. Restore it from a "
                "copy, or set the store aside with --restart."
            )


def require_current(header: Header, place: str) -> None:
    """Raise OlderFormat unless commits may be added."""
    if header.version < VERSION:
        raise OlderFormat(
            f"The store at {place} has format version {header.version}, which can be read but not added to: its "
            "commits don't say which store they belong to. Choose another run folder, or set this one aside with "
            "--restart."
        )


def ensure_store(
    path: str | os.PathLike[str],
    schema: Schema,
    fingerprint: dict[str, Any],
    provenance: dict[str, Any],
    backend: str,
) -> None:
    """Make the store, or check that the one there is the same.

    Raises FingerprintMismatch with every differing key, SchemaMismatch, BackendMismatch, NotWritable.
    """
    find_backend(backend)
    files = open_files(path)
    if backend == "hdf5" and not files.is_local:
        raise BackendMismatch(f"HDF5 can't be written to {os.fspath(path)}; use the zarr backend there.")
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    header = Header(backend, schema, fingerprint, provenance, created, secrets.token_hex(16))
    document = _encode(header)
    try:
        if not files.exists(STORE_JSON):
            _refuse_headless(files)
            _make(files, document)
    except OSError as error:
        raise NotWritable(
            f"Can't make a store at {files.locate('')}: {error.strerror or error}. Choose another folder."
        ) from error
    stored = read_header(files)
    require_current(stored, files.locate(""))
    compare(stored, header, files.locate(""))


def extend_store(
    path: str | os.PathLike[str], schema: Schema, fingerprint: dict[str, Any], provenance: dict[str, Any]
) -> None:
    """Says that a store is of this schema and fingerprint from now on; does nothing where it is already.

    What was committed stays as it is. Fields, and places along their leading dims, that the store lacks are a piece of
    their own: a row is shown when it has been committed to all pieces. Only for who holds the store's lock.

    Raises:
        SchemaMismatch: the schema lacks something that the store has, or differs otherwise than by more of it.
        OlderFormat, NotWritable, CorruptStore.
    """
    files = open_files(path)
    stored = read_header(files)
    require_current(stored, files.locate(""))
    assert stored.identity is not None
    same_schema = stored.schema.to_json() == _plain(schema.to_json())
    if same_schema and not fingerprint_difference(stored.fingerprint, fingerprint):
        return
    piece = missing_piece(schema, stored.pieces)
    before = stored.extensions[-1].checksum if stored.extensions else stored.identity
    number = len(stored.extensions) + 1
    try:
        publish_extension(files, Extension(stored.identity, number, before, schema, fingerprint, provenance, piece))
    except OSError as error:
        where = files.locate("")
        raise NotWritable(f"Can't extend the store at {where}: {error.strerror or error}. Nothing changed.") from error
    compare(read_header(files), replace(stored, schema=schema, fingerprint=fingerprint), files.locate(""))


def _encode(header: Header) -> bytes:
    """Raises FingerprintError if fingerprint or provenance are not plain JSON."""
    canonical_json(header.provenance, "Provenance")
    return header.to_bytes()


def _make(files: Files, document: bytes) -> None:
    if isinstance(files, LocalFiles):
        files.root.mkdir(parents=True, exist_ok=True)
    files.publish_first(STORE_JSON, document)
    if isinstance(files, LocalFiles):
        LocalFiles(files.root.parent).sync([files.root.name])


def compare(stored: Header, expected: Header, place: str) -> None:
    """Raise unless the stored header is of the same fingerprint, schema and backend as the expected one."""
    differences = fingerprint_difference(stored.fingerprint, expected.fingerprint)
    if differences:
        lines = "\n".join(f"  {key}: stored {old!r}, now {new!r}" for key, old, new in differences)
        raise FingerprintMismatch(
            f"The store at {place} was collected with other settings:\n{lines}\n"
            "Go back to them, choose another run folder, or set this store aside with --restart.",
            differences,
        )
    changes = fingerprint_difference(stored.schema.to_json(), _plain(expected.schema.to_json()))
    if changes:
        lines = "\n".join(f"  {key}: stored {old!r}, now {new!r}" for key, old, new in changes)
        raise SchemaMismatch(
            f"The store at {place} has other fields:\n{lines}\nChoose another run folder or --restart."
        )
    if stored.backend != expected.backend:
        raise BackendMismatch(
            f"The store at {place} uses backend {stored.backend!r}, not {expected.backend!r}. "
            f"Set the backend to {stored.backend!r}, choose another run folder, or --restart."
        )


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """As it would come back from JSON (tuples as lists)."""
    return dict(json.loads(json.dumps(document)))
