"""A store that is extended by fields, places along a dim, and rows: as if it had been written in one go."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import stores
from stores import rows, store_file
from stores.pieces import shares
from tests.stores.samples import FINGERPRINT, SCHEMA, assert_rows, create, records, write

ROWS = range(12)
FIRST = stores.Schema(
    tuple(
        replace(f, shape=tuple(1 if dim == "layer" else n for dim, n in zip(f.dims, f.shape, strict=True)))
        for f in SCHEMA.fields
        if f.name != "log_probs"
    ),
    SCHEMA.columns,
    {"layer": ["resid_post.0"]},
)


def part_of(batch: Iterable[int], store: stores.Store, piece: int) -> stores.Records:
    """What one piece of a store holds of some samples."""
    whole, held = records(batch), {}
    for field in store.pieces[piece].fields:
        (share,) = [s for s in shares(store.schema, field.name, store.pieces) if s.piece == piece]
        held[field.name] = share.of(whole.arrays[field.name])
    ragged = store.pieces[piece].ragged_dims
    rows = whole.rows if piece == 0 else [{k: row[k] for k in ("sample_id", "sample_index")} for row in whole.rows]
    return stores.Records(rows, held, {dim: whole.lengths[dim] for dim in ragged})


def begin(path: Path, backend: str, batches: Iterable[Iterable[int]]) -> None:
    """A store of the first schema with some rows."""
    first = stores.create_store(path, FIRST, {"sites": 1}, {"made": "first"}, backend)
    whole = replace(first._header, schema=SCHEMA, first=FIRST)
    with stores.PartWriter(path, 0, 1, 1e9) as writer:
        for batch in batches:
            store = stores.Store(path, whole, first._index, None)
            writer.append(part_of(batch, store, 0))


def extend(path: Path) -> stores.Store:
    stores.extend_store(path, SCHEMA, FINGERPRINT, {"made": "by a test"})
    return stores.open_store(path)


def fill(path: Path, batches: Iterable[Iterable[int]], pieces: Iterable[int]) -> None:
    store = stores.open_store(path)
    with stores.PartWriter(path, 1, 1 << 30, 1e9) as writer:
        for batch in batches:
            for piece in pieces:
                writer.append(part_of(batch, store, piece), piece)


@pytest.fixture(params=["zarr", "hdf5"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_an_extended_store_equals_one_that_was_written_in_one_go(tmp_path: Path, backend: str) -> None:
    create(tmp_path / "once", backend)
    write(tmp_path / "once", [ROWS])
    begin(tmp_path / "s", backend, [[3, 1, 2], [0, 5, 4, 6, 7]])
    before = {p: p.read_bytes() for p in (tmp_path / "s").rglob("*") if p.is_file() and "heads" not in p.parts}
    extend(tmp_path / "s")
    fill(tmp_path / "s", [[7, 0, 1], [2, 3, 4, 5, 6]], [1])  # the fields of rows that were there
    fill(tmp_path / "s", [[8, 9], [11, 10]], [0, 1])  # further rows
    store, once = stores.open_store(tmp_path / "s"), stores.open_store(tmp_path / "once")
    assert_rows(store, ROWS)
    assert stores.certify(store) == stores.certify(once)
    assert stores.verify(tmp_path / "s") == []
    assert all(path.read_bytes() == content for path, content in before.items())
    summary = stores.inspect(tmp_path / "s")
    assert (
        summary["fields"]["start"]["payload_bytes"]
        == stores.inspect(tmp_path / "once")["fields"]["start"]["payload_bytes"]
    )


def test_every_way_of_reading_joins_the_pieces(tmp_path: Path, backend: str) -> None:
    create(tmp_path / "once", backend)
    write(tmp_path / "once", [ROWS])
    begin(tmp_path / "s", backend, [ROWS])
    extend(tmp_path / "s")
    fill(tmp_path / "s", [reversed(ROWS)], [1])
    chosen = [7, 2, 9]
    views = [stores.open_store(tmp_path / name).select(chosen).field("resid_post") for name in ("s", "once")]
    joined, plain = views
    assert joined.shape == plain.shape
    for layer in (0, 1, 2, [2, 0], [], slice(1, None), slice(None, None, -1)):
        np.testing.assert_array_equal(joined.read(layer=layer), plain.read(layer=layer))
        np.testing.assert_array_equal(joined.read([1], raw=True, layer=layer), plain.read([1], raw=True, layer=layer))
    np.testing.assert_array_equal(joined.gather([3, 0, 3], hidden=[1, 4]), plain.gather([3, 0, 3], hidden=[1, 4]))
    np.testing.assert_array_equal(joined[::2, 1, -1], plain[::2, 1, -1])
    np.testing.assert_array_equal(joined.exponents(layer=[1, 0]), plain.exponents(layer=[1, 0]))
    np.testing.assert_array_equal(np.stack(list(joined)), np.stack(list(plain)))


def test_a_row_is_shown_when_all_pieces_have_it(tmp_path: Path) -> None:
    begin(tmp_path / "s", "zarr", [ROWS])
    assert len(extend(tmp_path / "s")) == 0
    fill(tmp_path / "s", [[4, 2]], [1])
    store = stores.open_store(tmp_path / "s")
    assert_rows(store, [2, 4])
    pieces = store.in_pieces()
    assert pieces[0].sample_ids == [f"sample-{i}" for i in ROWS]
    assert pieces[1].sample_ids == ["sample-2", "sample-4"]
    assert pieces[0].to_pandas(["text"])["text"].tolist()[3] == "text 3 é"


def opened_by_an_older_program(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Rows that a program sees which reads manifests up to version 3, and does not know of extensions."""
    with monkeypatch.context() as older:
        older.setattr(rows, "VERSION", 3)
        older.setattr(store_file, "read_extensions", lambda files, identity: ())
        return len(stores.open_store(path))


@pytest.mark.parametrize("pieces", [[1], [0, 1]])
def test_an_older_program_refuses_an_extended_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, pieces: list[int]
) -> None:
    """It would show the first piece alone, as if that were all."""
    begin(tmp_path / "s", backend, [[0, 1]])
    assert opened_by_an_older_program(tmp_path / "s", monkeypatch) == 2
    extend(tmp_path / "s")
    fill(tmp_path / "s", [[0, 1] if pieces == [1] else [2, 3]], pieces)
    with pytest.raises(stores.NewerFormat, match=r"rows-.* has format version 4; this program reads up to 3\. Update"):
        opened_by_an_older_program(tmp_path / "s", monkeypatch)
    assert_rows(stores.open_store(tmp_path / "s"), [0, 1] if pieces == [1] else [2, 3])


def test_an_older_program_refuses_a_store_that_was_extended_by_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(tmp_path / "s", "zarr")
    write(tmp_path / "s", [[0, 1]])
    stores.extend_store(tmp_path / "s", SCHEMA, {**FINGERPRINT, "seed": [1, 2]}, {})
    write(tmp_path / "s", [[2]])
    with pytest.raises(stores.NewerFormat):
        opened_by_an_older_program(tmp_path / "s", monkeypatch)


def test_an_older_program_reads_a_store_made_in_one_go_or_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(tmp_path / "once", "zarr")
    write(tmp_path / "once", [ROWS])
    begin(tmp_path / "s", "zarr", [ROWS])
    extend(tmp_path / "s")
    fill(tmp_path / "s", [ROWS], [1])
    stores.merge([tmp_path / "s"], tmp_path / "m")
    for name in ("once", "m"):
        assert opened_by_an_older_program(tmp_path / name, monkeypatch) == len(ROWS)


def test_a_second_extension_may_come_in_the_middle_of_the_order(tmp_path: Path) -> None:
    begin(tmp_path / "s", "zarr", [ROWS])
    two = replace(
        SCHEMA,
        fields=tuple(
            replace(f, shape=tuple(2 if dim == "layer" else n for dim, n in zip(f.dims, f.shape, strict=True)))
            for f in SCHEMA.fields
        ),
        coords={"layer": ["embed", "resid_post.0"]},
    )
    stores.extend_store(tmp_path / "s", two, {"sites": 2}, {})
    extend(tmp_path / "s")
    fill(tmp_path / "s", [ROWS], [1, 2])
    assert_rows(stores.open_store(tmp_path / "s"), ROWS)


def test_extending_twice_by_the_same_is_nothing(tmp_path: Path) -> None:
    begin(tmp_path / "s", "zarr", [ROWS])
    once = extend(tmp_path / "s")
    assert extend(tmp_path / "s").extended == once.extended
    assert [p.name for p in (tmp_path / "s" / "extensions").iterdir()] == ["00001.json"]


def test_rows_alone_need_no_piece(tmp_path: Path) -> None:
    create(tmp_path / "s", "zarr")
    write(tmp_path / "s", [[0, 1]])
    stores.extend_store(tmp_path / "s", SCHEMA, {**FINGERPRINT, "seed": [1, 2]}, {})
    write(tmp_path / "s", [[2]])
    store = stores.open_store(tmp_path / "s")
    assert_rows(store, [0, 1, 2])
    assert not store.divided
    assert store.fingerprint["seed"] == [1, 2]


@pytest.mark.parametrize("content", [b"", b"{}", None])
def test_a_lost_or_damaged_extension_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    begin(tmp_path / "s", "zarr", [ROWS])
    extend(tmp_path / "s")
    fill(tmp_path / "s", [ROWS], [1])
    record = tmp_path / "s" / "extensions" / "00001.json"
    record.unlink() if content is None else record.write_bytes(content)
    with pytest.raises(stores.CorruptStore, match=r"00001\.json"):
        stores.open_store(tmp_path / "s")
    assert "00001.json" in str(stores.verify(tmp_path / "s")[0])


def test_damage_in_a_further_piece_is_named(tmp_path: Path) -> None:
    begin(tmp_path / "s", "hdf5", [ROWS])
    extend(tmp_path / "s")
    fill(tmp_path / "s", [ROWS], [1])
    (file,) = (tmp_path / "s" / "parts").glob("*-r001*/*.h5")
    content = bytearray(file.read_bytes())
    content[-300] ^= 1
    file.write_bytes(content)
    (problem,) = stores.verify(tmp_path / "s")
    assert problem.path == str(file)


@pytest.mark.parametrize("change", ["fewer", "column", "dtype", "hidden"])
def test_what_a_store_has_stays_as_it_is(tmp_path: Path, change: str) -> None:
    create(tmp_path / "s", "zarr")
    fields = SCHEMA.fields
    others = {
        "fewer": replace(SCHEMA, fields=fields[:-1]),
        "column": replace(SCHEMA, columns=SCHEMA.columns[1:]),
        "dtype": replace(SCHEMA, fields=(*fields[:-1], replace(fields[-1], dtype="int32"))),
        "hidden": replace(SCHEMA, fields=(replace(fields[0], dims=("layer", "token", "width")), *fields[1:])),
    }
    with pytest.raises(stores.SchemaMismatch):
        stores.extend_store(tmp_path / "s", others[change], {"now": 1}, {})
    assert stores.open_store(tmp_path / "s").extended is None


def test_merging_makes_one_piece_of_several(tmp_path: Path) -> None:
    create(tmp_path / "once", "zarr")
    write(tmp_path / "once", [ROWS])
    begin(tmp_path / "s", "zarr", [[0, 1, 2, 3]])
    extend(tmp_path / "s")
    fill(tmp_path / "s", [[0, 1, 2, 3]], [1])
    create(tmp_path / "rest", "zarr")
    write(tmp_path / "rest", [[2, 3], range(4, 12)])
    merged = stores.merge([tmp_path / "s", tmp_path / "rest"], tmp_path / "m")
    assert (merged.rows, merged.shared) == (12, 2)
    store = stores.open_store(tmp_path / "m")
    assert not store.divided
    assert stores.verify(tmp_path / "m") == []
    assert stores.certify(store) == stores.certify(stores.open_store(tmp_path / "once"))
