"""The certificate: the same for the same content however it lies on disk, another one after any change of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stores
from stores import certificate as certificates
from stores import chunks
from stores.encoding import encode_float16
from tests.stores.conftest import Place
from tests.stores.forge import forge
from tests.stores.samples import FINGERPRINT, LAYERS, SCHEMA, create, records, write

N = 40


def made(path: Path | str, backend: str, batches: Iterable[Iterable[int]], flush_bytes: int = 1 << 30) -> Path | str:
    create(path, backend)
    write(path, batches, flush_bytes=flush_bytes)
    return path


def root_of(path: Path | str) -> str:
    return stores.certify(stores.open_store(path)).root


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "store"
    made(path, "zarr", [range(N)])
    return path


def _digest(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _line(rows: list[bytes], lengths: list[int], scaled: list[bool]) -> str:
    blocks = b""
    for start in range(0, len(rows), 256):
        chosen = slice(start, start + 256)
        tail = b"".join(n.to_bytes(8, "little") for n in lengths[chosen]) + bytes(scaled[chosen])
        blocks += _digest(b"".join(rows[chosen]), tail)
    return _digest(blocks).hex()


def by_hand(store: stores.Store) -> str:
    """docs/certificate.md, row by row in Python, from what `iter_rows` gives."""
    rows = list(store.iter_rows())
    lines: list[list[str]] = []
    for field in store.schema.fields:
        for place in np.ndindex(*field.leading):
            hashes, lengths, scaled = [], [], []
            for row in rows:
                values = row[field.name][place]
                values = values if field.ragged else values[None] if field.axis == len(field.dims) - 1 else values
                is_half = field.dtype == "float16"
                mantissas, exponents = encode_float16(values) if is_half else (values, np.zeros(1, np.int8))
                scaled.append(bool(exponents.any()))
                hashes.append(_digest(mantissas.tobytes(), exponents.tobytes() if scaled[-1] else b""))
                lengths.append(len(values) if field.ragged else 1)
            labels = [store.schema.label(dim, i) for dim, i in zip(field.dims, place, strict=False)]
            lines.append([", ".join([f"field {field.name!r}", *labels]), _line(hashes, lengths, scaled)])
    table = store.table().to_pydict()
    for name, cells in table.items():
        hashes = [_digest(json.dumps(cell, ensure_ascii=False, separators=(",", ":")).encode()) for cell in cells]
        lines.append([f"column {name!r}", _line(hashes, [1] * len(rows), [False] * len(rows))])
    content = {
        "format": "lit-experiments-certificate",
        "version": 1,
        "rows": len(rows),
        "schema": hashlib.sha256(_canonical(store.schema.to_json())).hexdigest(),
        "fingerprint": hashlib.sha256(_canonical(store.fingerprint)).hexdigest(),
        "lines": lines,
    }
    return hashlib.sha256(_canonical(content)).hexdigest()


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_the_root_is_what_the_documentation_says(tmp_path: Path) -> None:
    """By another, slower road, over more rows than a block has, with vectors that float16 cannot hold."""
    path = tmp_path / "store"
    create(path, "zarr")
    batch = records(range(600))
    batch.arrays["resid_post"][:, 5] *= 2.0**20
    with stores.PartWriter(path, 0, 1 << 30, 1e9) as writer:
        writer.append(batch)
    store = stores.open_store(path)
    assert store["resid_post"].scaled
    assert stores.certify(store).root == by_hand(store)


def test_every_way_of_writing_the_same_rows_gives_the_same_root(
    plain: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backend, number and order of commits, number of parts, and chunk size."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 64)
    create(place.path, place.backend)
    write(place.path, [[17, 3], range(20, N), [0, 1]], rank=1, flush_bytes=1)
    write(place.path, [[2], [16, 18, 19], range(4, 16)], rank=0, flush_bytes=1)
    assert root_of(place.path) == root_of(plain)


def test_small_reads_and_columns_in_turns_change_nothing(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = root_of(plain)
    monkeypatch.setattr(certificates, "_READ_BYTES", 100)
    monkeypatch.setattr(certificates, "_COLUMN_BYTES", 1)
    assert root_of(plain) == expected


def test_equal_values_stored_with_other_exponents_are_equal(tmp_path: Path) -> None:
    """float16 counts as the values it stands for: 2 * 2**3 is 16 * 2**0."""
    schema = stores.Schema((stores.Field("x", ("sample", "hidden"), (None, 2), "float16", "1", ""),), ())
    values = np.array([[16.0, 3.0]], np.float16)
    for name, exponent in (("plain", 0), ("shifted", 3)):
        stores.create_store(tmp_path / name, schema, {}, {}, "zarr")
        with stores.PartWriter(tmp_path / name, 0, 1, 1e9) as writer:
            arrays = {"x": values / np.float16(2**exponent)}
            exponents = {"x": np.array([exponent], np.int8)}
            writer.append(stores.Records([{"sample_id": "s", "sample_index": 0}], arrays, {}, exponents))
    assert root_of(tmp_path / "plain") == root_of(tmp_path / "shifted")


def _with(name: str, change: Any) -> Any:
    """An edit of the store's rows: the array `name` through `change`, in place."""

    def edit(held: stores.Records) -> None:
        change(held.arrays[name])

    return edit


def _column(name: str, value: Any, row: int = 7) -> Any:
    def edit(held: stores.Records) -> None:
        held.rows[row][name] = value

    return edit


def _last_bit(array: np.ndarray) -> None:
    array.view(np.uint16 if array.dtype == np.float16 else np.uint32)[1, 9, 2] ^= 1


def _swap_rows(held: stores.Records) -> None:
    held.rows[3]["sample_index"], held.rows[4]["sample_index"] = 4, 3


def _move_a_token(held: stores.Records) -> None:
    """The tokens of two neighbouring rows are cut elsewhere; the arrays stay as they are."""
    held.lengths["token"][5] += 1
    held.lengths["token"][6] -= 1


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (_with("resid_post", _last_bit), "field 'resid_post', layer='resid_post.0' differs in rows 0-255"),
        (_with("start", lambda a: a.__setitem__((2, 7, 0), 9.5)), "field 'start', layer='resid_post.1'"),
        (_with("log_probs", lambda a: a.__setitem__((7, 1, 2), 0.25)), "field 'log_probs'"),
        (_with("ids", lambda a: a.__setitem__(3, 4)), "field 'ids'"),
        (_column("text", "another"), "column 'text'"),
        (_column("text", None), "column 'text'"),
        (_column("right", None), "column 'right'"),
        (_column("score", 1e-300), "column 'score'"),
        (_column("tags", ["t7", "all", ""]), "column 'tags'"),
        (_column("options", {"index": 8, "list": [1, None]}), "column 'options'"),
        (_column("sample_id", "sample-x"), "column 'sample_id'"),
        (_swap_rows, "column 'sample_id'"),
        (_move_a_token, "field 'ids'"),
    ],
)
def test_one_changed_value_changes_the_root_and_is_named(plain: Path, tmp_path: Path, edit: Any, line: str) -> None:
    """Every checksum of the forged store is right: `verify` finds nothing."""
    forge(plain, tmp_path / "store", edit)
    assert stores.verify(tmp_path / "store") == []
    before, after = (stores.certify(stores.open_store(path)) for path in (plain, tmp_path / "store"))
    assert before.root != after.root
    assert any(difference.startswith(line) for difference in before.differences(after))


def test_forging_nothing_changes_nothing(plain: Path, tmp_path: Path) -> None:
    forge(plain, tmp_path / "store", lambda held: None)
    assert root_of(plain) == root_of(tmp_path / "store")


def test_a_lost_row_another_schema_and_another_fingerprint_change_the_root(plain: Path, tmp_path: Path) -> None:
    made(tmp_path / "fewer", "zarr", [range(N - 1)])
    described = replace(SCHEMA, coords={"layer": ["a", "b", "c"]})
    for name, schema, fingerprint in (("schema", described, FINGERPRINT), ("seed", SCHEMA, FINGERPRINT | {"seed": 2})):
        stores.create_store(tmp_path / name, schema, fingerprint, {}, "zarr")
        write(tmp_path / name, [range(N)])
    roots = {root_of(path) for path in (plain, *(tmp_path / name for name in ("fewer", "schema", "seed")))}
    assert len(roots) == 4


def test_provenance_does_not_count(plain: Path, tmp_path: Path) -> None:
    stores.create_store(tmp_path / "store", SCHEMA, FINGERPRINT, {"started": "another day", "packages": {}}, "hdf5")
    write(tmp_path / "store", [range(N)])
    assert root_of(plain) == root_of(tmp_path / "store")


def test_a_certificate_comes_back_from_json_and_one_that_was_edited_does_not(plain: Path) -> None:
    certificate = stores.certify(stores.open_store(plain))
    content = json.loads(json.dumps(certificate.to_json()))
    assert stores.Certificate.from_json(content) == certificate
    assert sum(name.startswith("field 'resid_post'") for name in (line.name for line in certificate.lines)) == LAYERS
    content["rows"] += 1
    with pytest.raises(stores.StoreError, match="do not give its root"):
        stores.Certificate.from_json(content)
    for content in ({}, [], None, {"format": "x"}):
        with pytest.raises(stores.StoreError, match="no certificate"):
            stores.Certificate.from_json(content)


def test_damage_is_an_error_and_no_certificate(local: Place) -> None:
    made(local.path, local.backend, [range(N)])
    file = max((p for p in Path(local.path).rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(stores.CorruptStore):
        stores.certify(stores.open_store(local.path))


def test_an_empty_store_has_one(tmp_path: Path) -> None:
    create(tmp_path / "store", "zarr")
    store = stores.open_store(tmp_path / "store")
    assert stores.certify(store).root == by_hand(store)


def test_another_set_of_commits_has_another_key(plain: Path, tmp_path: Path) -> None:
    made(tmp_path / "store", "zarr", [range(N)])
    one, other = stores.open_store(plain), stores.open_store(tmp_path / "store")
    assert stores.commits_key(one) == stores.commits_key(stores.open_store(plain))
    assert stores.commits_key(one) != stores.commits_key(other)
