"""The dataset store: chunked, checksummed, append-only, readable as one. Needs numpy, zarr, h5py and pyarrow; no
torch, no model code.

    store = create_store(path, schema, fingerprint, provenance, "zarr")
    with PartWriter(path, rank=0, flush_bytes=1 << 28, flush_seconds=60) as writer:
        writer.append(Records(rows, arrays, lengths))
    open_store(path)["resid_post"].read(rows=slice(0, 10), layer=3)

The format is described in docs/store-format.md.
"""

from . import lock
from .certificate import Certificate, certify, commits_key
from .errors import (
    BackendMismatch,
    CorruptStore,
    ExportError,
    FingerprintError,
    FingerprintMismatch,
    LeaseLost,
    LockedError,
    MergeConflict,
    MissingLibrary,
    NewerFormat,
    NonFiniteError,
    NotAStore,
    NotWritable,
    OlderFormat,
    Problem,
    RecordError,
    SchemaError,
    SchemaMismatch,
    SelectionError,
    StoreError,
    WriteFailed,
)
from .export import export
from .field_view import FieldView
from .files import copies_in, is_store, runs_in
from .fingerprint import fingerprint_difference, fingerprint_hash
from .inspection import inspect
from .merge import Merged, merge
from .reader import Store, create_store, open_store
from .records import Records
from .schema import Column, Field, Schema
from .store_file import extend_store
from .verify import verify
from .writer import PartWriter, new_launch_name

__all__ = [
    "BackendMismatch",
    "Certificate",
    "Column",
    "CorruptStore",
    "ExportError",
    "Field",
    "FieldView",
    "FingerprintError",
    "FingerprintMismatch",
    "LeaseLost",
    "LockedError",
    "MergeConflict",
    "Merged",
    "MissingLibrary",
    "NewerFormat",
    "NonFiniteError",
    "NotAStore",
    "NotWritable",
    "OlderFormat",
    "PartWriter",
    "Problem",
    "RecordError",
    "Records",
    "Schema",
    "SchemaError",
    "SchemaMismatch",
    "SelectionError",
    "Store",
    "StoreError",
    "WriteFailed",
    "certify",
    "commits_key",
    "copies_in",
    "create_store",
    "export",
    "extend_store",
    "fingerprint_difference",
    "fingerprint_hash",
    "inspect",
    "is_store",
    "lock",
    "merge",
    "new_launch_name",
    "open_store",
    "runs_in",
    "verify",
]
