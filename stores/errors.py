"""Every error a store raises. Each carries one message: what, where, what was found, what is allowed, what to do next.

`exit_code` is what a command line should exit with: 2 where the user can put it right, 1 where the run or the disk
failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class StoreError(RuntimeError):
    """Base of everything raised by this package."""

    exit_code = 2


class NotAStore(StoreError):
    """There is no store at that place."""


class NewerFormat(StoreError):
    """The store was written by a later version of this format."""


class OlderFormat(StoreError):
    """The store was written in an earlier version of this format, which can be read but not added to."""


class CorruptStore(StoreError):
    """Stored bytes are missing or not what was written; `lit-experiments verify` lists all of them."""


class FingerprintMismatch(StoreError):
    """The store holds data of another configuration. `differences` has (dotted key, stored value, value asked for)."""

    def __init__(self, message: str, differences: list[tuple[str, Any, Any]]):
        super().__init__(message)
        self.differences = differences


class SchemaMismatch(StoreError):
    """The store was created with other fields, columns or coordinates."""


class BackendMismatch(StoreError):
    """The store was created with the other backend, or a backend is unknown or can't be used there."""


class MergeConflict(StoreError):
    """Two stores that are to be merged hold different values for one sample."""


class SchemaError(StoreError, ValueError):
    """A field, column or coordinate is declared in a way that can't be stored."""


class FingerprintError(StoreError, ValueError):
    """A fingerprint holds something that is not plain JSON."""


class RecordError(StoreError, ValueError):
    """Records don't fit the schema: a missing or unknown name, a wrong shape, length or type."""


class NonFiniteError(RecordError):
    """A NaN or an infinity in a field that does not record them. The message names sample, field and place."""

    exit_code = 1


class SelectionError(StoreError, ValueError):
    """A row, field, column or index that the store doesn't have."""


class NotWritable(StoreError):
    """The folder can't be created or written to."""


class WriteFailed(StoreError):
    """The disk refused (full, quota, failure). What was committed before is whole; the writer takes no more."""

    exit_code = 1


class LeaseLost(WriteFailed):
    """Another collection took the run over after this one's lease had ended; it is the one that goes on."""


class LockedError(StoreError):
    """Another process is collecting into this store."""


class MissingLibrary(StoreError):
    """A library that only some uses need isn't installed."""


class ExportError(StoreError):
    """The export can't be made: unknown format, or the target exists."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with a store. `path` is the file, `what` says what was found, with field and chunk where that
    can be told.
    """

    path: str
    what: str

    def __str__(self) -> str:
        return self.what if self.path in self.what else f"{self.path}: {self.what}"
