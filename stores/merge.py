"""Stores of one collection that were filled apart, made one.

A commit whose rows no earlier store has is taken over as it is: its arrays are linked (copied where links can't serve),
and only its rows file is written anew, for that names the store it belongs to. Of other commits the new rows are read
and written again, bit for bit. A sample that several stores have must be the same in all of them.

The merged store appears under its name when it is whole; a merge that is killed leaves a folder whose name begins with
a dot, and nothing else. The stores it is made of are only read.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .certificate import certify
from .checksums import BLOCK_BYTES, FileChecksums
from .errors import BackendMismatch, CorruptStore, FingerprintMismatch, MergeConflict, NotWritable, SchemaMismatch
from .files import Files, LocalFiles, open_files
from .fingerprint import fingerprint_difference
from .heads import Head, publish_head, start_head
from .reader import Store, create_store, open_store
from .records import Records
from .rows import Place, encode_rows, read_rows
from .segments import Segment
from .selection import blocks
from .store_file import read_header, require_current
from .writer import PartWriter

Ints = NDArray[np.int64]
_BLOCK_BYTES = 64 << 20
_COPY_BYTES = 16 << 20


@dataclass(frozen=True)
class Merged:
    """rows: in the merged store. shared: samples that more than one store had, equal in all. linked, copied, rewritten:
    commits whose arrays were linked, copied, or written again because only some of their rows were new."""

    rows: int
    shared: int
    linked: int
    copied: int
    rewritten: int


def merge(sources: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> Merged:
    """Makes one store at `out` of the rows of several, which were collected with the same settings.

    Args:
        sources: folders or fsspec URLs of stores, as they are now: rows that are committed later are not taken.
        out: a folder of this machine that does not exist yet.

    Raises:
        FingerprintMismatch, SchemaMismatch, BackendMismatch: the stores are of different collections.
        MergeConflict: a sample differs between two of them; names it and where it differs.
        CorruptStore, NotAStore, OlderFormat: a source can't be taken as it is.
        NotWritable: `out` exists, or can't be made.
    """
    opened = [_open(path) for path in sources]
    for store in opened[1:]:
        _require_same(opened[0], store)
    fresh = _fresh_rows(opened)
    target = Path(out)
    if target.exists():
        raise NotWritable(f"{target} exists already; a merge makes a new store. Choose another folder.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.merging-") as folder:
            made = Path(folder) / target.name
            merged = _fill(opened, fresh, made)
            made.rename(target)
            LocalFiles(target.parent).sync([target.name])
    except OSError as error:
        raise NotWritable(f"Can't merge into {target}: {error.strerror or error}. Nothing was made.") from error
    return merged


def _open(path: str | os.PathLike[str]) -> Store:
    files = open_files(path)
    require_current(read_header(files), files.locate(""))
    return open_store(path)


def _require_same(first: Store, other: Store) -> None:
    """Raise unless two stores are of one collection."""
    both = f"{other.path} is not of the same collection as {first.path}"
    differences = fingerprint_difference(first.fingerprint, other.fingerprint)
    if differences:
        lines = "\n".join(f"  {key}: {here!r} there, {there!r} here" for key, here, there in differences)
        raise FingerprintMismatch(f"{both}:\n{lines}\nOnly rows of one model and one setting go together.", differences)
    changes = fingerprint_difference(first.schema.to_json(), other.schema.to_json())
    if changes:
        lines = "\n".join(f"  {key}: {here!r} there, {there!r} here" for key, here, there in changes)
        raise SchemaMismatch(f"{both}; its fields or columns differ:\n{lines}")
    if first.backend != other.backend:
        raise BackendMismatch(
            f"{other.path} uses backend {other.backend!r}, {first.path} {first.backend!r}: arrays are taken over as "
            f"they are. Collect one of them again with --backend {first.backend}."
        )


def _fresh_rows(opened: Sequence[Store]) -> list[NDArray[np.bool_]]:
    """[store][row] whether no earlier store has the row's sample.

    Raises MergeConflict where one has it with other values.
    """
    fresh = []
    for number, store in enumerate(opened):
        new = np.ones(len(store), bool)
        for earlier in opened[:number]:
            rows, others = _shared(store, earlier)
            _require_equal(store.select(rows), earlier.select(others))
            new[rows] = False
        fresh.append(new)
    return fresh


def _shared(store: Store, earlier: Store) -> tuple[Ints, Ints]:
    """Rows of two stores that are of one sample."""
    import pyarrow.compute as pc

    ids, others = (opened.table(["sample_id"]).column(0) for opened in (store, earlier))
    places = pc.index_in(ids, value_set=others)
    return np.flatnonzero(pc.is_valid(places)), places.drop_null().to_numpy().astype(np.int64)


def _require_equal(here: Store, there: Store) -> None:
    """Raise MergeConflict unless rows that are of the same samples hold the same."""
    if certify(here).root == certify(there).root:
        return
    first, last = 0, len(here)  # the first row that differs lies in first .. last - 1
    while last - first > 1:
        middle = (first + last) // 2
        equal = certify(here.select(slice(first, middle))).root == certify(there.select(slice(first, middle))).root
        first, last = (middle, last) if equal else (first, middle)
    row = slice(first, first + 1)
    differing = certify(here.select(row)).differences(certify(there.select(row)))
    lines = [text.partition(" differs in ")[0] for text in differing]
    raise MergeConflict(
        f"Sample {here.select(row).sample_ids[0]!r} is not the same in {here.path} and {there.path}: "
        f"{', '.join(lines[:3])}{f' and {len(lines) - 3} more' if len(lines) > 3 else ''} differ. Nothing was made. "
        "`lit-experiments verify RUN --recompute 5%` says which of them its model computes."
    )


def _fill(opened: Sequence[Store], fresh: Sequence[NDArray[np.bool_]], out: Path) -> Merged:
    first = opened[0]
    provenance = first.provenance | {"merged": [{"store": store.identity, "path": store.path} for store in opened]}
    create_store(out, first.schema, first.fingerprint, provenance, first.backend)
    files = LocalFiles(out)
    counts = {"linked": 0, "copied": 0, "rewritten": 0}
    for store, new in zip(opened, fresh, strict=True):
        left = _take_commits(store, new, files, counts)
        if len(left):
            _write_again(store.select(left), out)
    shared = sum(int((~new).sum()) for new in fresh)
    return Merged(sum(int(new.sum()) for new in fresh), shared, **counts)


def _take_commits(store: Store, fresh: NDArray[np.bool_], files: LocalFiles, counts: dict[str, int]) -> Ints:
    """Takes over the commits that are new altogether; returns the new rows of the others, and of a store whose rows lie
    in several pieces all of them."""
    if store.divided:
        return np.flatnonzero(fresh)
    header = read_header(files)
    assert header.identity is not None
    places = store.commit_places()
    heads: dict[str, Head] = {}
    left = []
    begin = 0
    for segment in store.row_segments:
        rows = places[begin : begin + segment.manifest.rows]
        begin += segment.manifest.rows
        new = rows[rows >= 0]
        new = new[fresh[new]]
        if len(new) == segment.manifest.rows:
            if segment.part not in heads:
                heads[segment.part] = _start_part(files, header.identity, segment.part)
            head = heads[segment.part]
            counts["linked" if _link(segment, files, head.part) else "copied"] += 1
            heads[segment.part] = _commit(segment, files, head)
        elif len(new):
            counts["rewritten"] += 1
            left.append(new)
    return np.sort(np.concatenate([np.empty(0, np.int64), *left]))


def _start_part(files: LocalFiles, store: str, name: str) -> Head:
    """A part under the name that it had; under another one where two stores have parts of one name."""
    part, attempt = name, 1
    while not files.make_folder(f"parts/{part}"):
        attempt += 1
        part = f"{name}-{attempt}"
    return start_head(files, store, part)


def _link(segment: Segment, files: LocalFiles, part: str) -> bool:
    """Puts a commit's arrays into a part; whether by links alone."""
    linked, taken = True, []
    for rel, checksums in segment.manifest.files.items():
        source, target = f"{segment.folder}/{rel}", f"parts/{part}/{rel}"
        taken.append(target)
        (files.root / target).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(segment.files, LocalFiles):
            segment.files.size(source)  # raises unless it is a plain file
            with suppress(OSError):  # another disk, or a file system without links
                os.link(segment.files.root / source, files.root / target)
                continue
        linked = False
        copied = files.write(target, _pieces(segment.files, source, checksums))
        if segment.manifest.checksum_block == BLOCK_BYTES and copied != checksums:
            raise CorruptStore(f"{segment.files.locate(source)} is not what was written. Run `lit-experiments verify`.")
    files.sync(taken)
    return linked


def _pieces(files: Files, rel: str, checksums: FileChecksums) -> Iterator[bytes]:
    for start in range(0, checksums.size, _COPY_BYTES):
        yield files.read_range(rel, start, min(_COPY_BYTES, checksums.size - start))


def _commit(segment: Segment, files: LocalFiles, head: Head) -> Head:
    """Writes a commit's rows file for its new store; returns the part's new head."""
    table, manifest = read_rows(segment.files, segment.rows_rel, None, segment.place)
    place = Place(head.store, head.part, segment.number)
    name, data = encode_rows(table, replace(manifest, place=place, previous=head.last, extensions=0), segment.number)
    files.publish(f"parts/{head.part}/{name}", data)
    head = head.after(name, len(table))
    publish_head(files, head)
    return head


def _write_again(store: Store, out: Path) -> None:
    """Rows as they are stored, in commits of their own."""
    views = {field.name: store.field(field.name) for field in store.schema.fields}
    sizes = np.full(len(store), 1024, np.int64)
    for view in views.values():
        sizes += view.lengths() * view.entry_bytes
    texts = [column.name for column in store.schema.columns if column.type == "json"]
    with PartWriter(out, 0, _BLOCK_BYTES, float("inf")) as writer:
        for block in blocks(sizes, _BLOCK_BYTES):
            rows = store.select(block).table().to_pylist()
            for row in rows:
                row.update({name: None if row[name] is None else json.loads(row[name]) for name in texts})
            arrays: dict[str, Any] = {name: view.read(block, raw=True) for name, view in views.items()}
            lengths = {view.field.stacking: view.lengths(block) for view in views.values() if view.field.ragged}
            halves = [name for name, view in views.items() if view.field.dtype == "float16"]
            exponents = {name: views[name].exponents(block) for name in halves}
            writer.append(Records(rows, arrays, lengths, exponents))
