"""`store.json`: format, backend, schema, fingerprint, provenance, and a checksum over them. Also makes new stores."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
from dataclasses import dataclass
from typing import Any

from .backends import backend as find_backend
from .errors import (
    BackendMismatch,
    CorruptStore,
    FingerprintMismatch,
    NewerFormat,
    NotAStore,
    NotWritable,
    SchemaError,
    SchemaMismatch,
)
from .files import Files, LocalFiles, open_files
from .fingerprint import canonical_json, fingerprint_difference, fingerprint_hash
from .schema import Schema

FORMAT = "lit-experiments-store"
VERSION = 1
STORE_JSON = "store.json"
_ZEROS = "0" * 64
_ZEROS_AT_END = re.compile(rb"0{64}(\"\s*\}\s*)\Z")


@dataclass(frozen=True)
class Header:
    """What store.json says."""

    backend: str
    schema: Schema
    fingerprint: dict[str, Any]
    provenance: dict[str, Any]
    created: str

    def to_bytes(self) -> bytes:
        """The file's content. Its checksum is the SHA-256 of these bytes with the checksum's digits as zeros."""
        document = {
            "format": FORMAT,
            "version": VERSION,
            "backend": self.backend,
            "created": self.created,
            "schema": self.schema.to_json(),
            "fingerprint": {"sha256": fingerprint_hash(self.fingerprint), "content": self.fingerprint},
            "provenance": self.provenance,
            "checksum": _ZEROS,
        }
        blank = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False).encode()
        return _ZEROS_AT_END.sub(hashlib.sha256(blank).hexdigest().encode() + rb"\1", blank)


def _checksum_holds(data: bytes, stated: Any) -> bool:
    if not isinstance(stated, str) or len(stated) != len(_ZEROS):
        return False
    head, found, tail = data.rpartition(stated.encode())
    return bool(found) and hashlib.sha256(head + _ZEROS.encode() + tail).hexdigest() == stated


def read_header(files: Files) -> Header:
    """Read and check store.json. Raises NotAStore, NewerFormat or CorruptStore."""
    place = files.locate(STORE_JSON)
    try:
        data = files.read(STORE_JSON)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise NotAStore(f"No store at {files.locate('')}: {STORE_JSON} is missing. Collect into it first.") from None
    try:
        document = json.loads(data)
    except ValueError as error:
        raise CorruptStore(f"{place} is not JSON: {error}. Restore it from a copy; the arrays may be whole.") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise NotAStore(f"{place} does not say format {FORMAT!r}; this is another program's folder, or damaged.")
    version = document.get("version")
    if isinstance(version, int) and version > VERSION:
        raise NewerFormat(f"{place} has format version {version}; this program reads up to {VERSION}. Update it.")
    if not _checksum_holds(data, document.get("checksum")):
        raise CorruptStore(f"{place} fails its checksum: it was damaged or edited. Restore it from a copy.")
    try:
        return Header(
            document["backend"],
            Schema.from_json(document["schema"]),
            document["fingerprint"]["content"],
            document["provenance"],
            document["created"],
        )
    except (KeyError, TypeError, SchemaError) as error:
        raise CorruptStore(f"{place} is incomplete: {error!r}.") from error


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
    header = Header(backend, schema, fingerprint, provenance, created)
    document = _encode(header)
    try:
        if not files.exists(STORE_JSON):
            _make(files, document)
    except OSError as error:
        raise NotWritable(
            f"Can't make a store at {files.locate('')}: {error.strerror or error}. Choose another folder."
        ) from error
    compare(read_header(files), header, files.locate(""))


def _encode(header: Header) -> bytes:
    """Raises FingerprintError if fingerprint or provenance are not plain JSON."""
    canonical_json(header.provenance, "Provenance")
    return header.to_bytes()


def _make(files: Files, document: bytes) -> None:
    if isinstance(files, LocalFiles):
        files.root.mkdir(parents=True, exist_ok=True)
    files.publish(STORE_JSON, document)
    if isinstance(files, LocalFiles):
        LocalFiles(files.root.parent).sync([files.root.name])


def compare(stored: Header, wanted: Header, place: str) -> None:
    """Raise unless the stored header is of the same fingerprint, schema and backend as the wanted one."""
    differences = fingerprint_difference(stored.fingerprint, wanted.fingerprint)
    if differences:
        lines = "\n".join(f"  {key}: stored {old!r}, now {new!r}" for key, old, new in differences)
        raise FingerprintMismatch(
            f"The store at {place} was collected with other settings:\n{lines}\n"
            "Go back to them, choose another run folder, or set this store aside with --restart.",
            differences,
        )
    changes = fingerprint_difference(stored.schema.to_json(), _plain(wanted.schema.to_json()))
    if changes:
        lines = "\n".join(f"  {key}: stored {old!r}, now {new!r}" for key, old, new in changes)
        raise SchemaMismatch(
            f"The store at {place} has other fields:\n{lines}\nChoose another run folder or --restart."
        )
    if stored.backend != wanted.backend:
        raise BackendMismatch(
            f"The store at {place} uses backend {stored.backend!r}, not {wanted.backend!r}. "
            f"Set the backend to {stored.backend!r}, choose another run folder, or --restart."
        )


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """As it would come back from JSON (tuples as lists)."""
    return dict(json.loads(json.dumps(document)))
