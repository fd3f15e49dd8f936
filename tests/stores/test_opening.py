"""Opening and making a store: what can be wrong has one message each, and nothing there is ever overwritten."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import stores
from stores.store_file import Header

from .samples import FINGERPRINT, SCHEMA, assert_rows, create, write


def test_the_same_settings_continue(place):
    create(place.path, place.backend)
    write(place.path, [[0, 1]])
    assert_rows(create(place.path, place.backend), [0, 1])


def test_another_fingerprint_is_refused_with_every_difference(place):
    create(place.path, place.backend)
    other = {"model": {"name": "other", "layers": 3}, "seed": 2, "sites": ["embed"], "new": None}
    with pytest.raises(stores.FingerprintMismatch) as caught:
        stores.create_store(place.path, SCHEMA, other, {}, place.backend)
    assert caught.value.differences == [
        ("model.name", "toy", "other"),
        ("new", "(absent)", None),
        ("seed", 1, 2),
        ("sites", ["embed", "resid_post.0"], ["embed"]),
    ]
    for text in ("model.name: stored 'toy', now 'other'", "seed: stored 1, now 2", "--restart"):
        assert text in str(caught.value)
    assert caught.value.exit_code == 2


def test_another_schema_or_backend_is_refused(place):
    create(place.path, place.backend)
    fewer = stores.Schema(SCHEMA.fields[:2], SCHEMA.columns, SCHEMA.coords)
    with pytest.raises(stores.SchemaMismatch, match="other fields"):
        stores.create_store(place.path, fewer, FINGERPRINT, {}, place.backend)
    with pytest.raises(stores.BackendMismatch):
        stores.create_store(place.path, SCHEMA, FINGERPRINT, {}, "hdf5" if place.backend == "zarr" else "zarr")
    with pytest.raises(stores.BackendMismatch, match="did you mean 'zarr'"):
        stores.create_store(place.path, SCHEMA, FINGERPRINT, {}, "zar")


def test_hdf5_needs_a_local_disk():
    with pytest.raises(stores.BackendMismatch, match="use the zarr backend"):
        stores.create_store("memory://hdf5/store", SCHEMA, FINGERPRINT, {}, "hdf5")


@pytest.mark.parametrize("path", ["nothing/here", "memory://nothing/here"])
def test_no_store_there(path):
    for opening in (stores.open_store, stores.verify, stores.inspect):
        with pytest.raises(stores.NotAStore, match=r"store\.json is missing"):
            opening(path)


def test_a_newer_format_is_refused(local):
    create(local.path, local.backend)
    file = Path(local.path) / "store.json"
    file.write_text(file.read_text().replace('"version": 2', '"version": 3'))
    with pytest.raises(stores.NewerFormat, match="format version 3; this program reads up to 2") as caught:
        stores.open_store(local.path)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda text: text[: len(text) // 2], stores.CorruptStore),
        (lambda text: "", stores.CorruptStore),
        (lambda text: text.replace('"seed": 1', '"seed": 3'), stores.CorruptStore),
        (lambda text: text.replace("\n", "\t", 1), stores.CorruptStore),
        (lambda text: "{}", stores.NotAStore),
        (lambda text: "[1]", stores.NotAStore),
    ],
)
def test_a_damaged_store_json_is_refused_and_not_overwritten(local, change, error):
    create(local.path, local.backend)
    file = Path(local.path) / "store.json"
    damaged = change(file.read_text())
    file.write_text(damaged)
    with pytest.raises(error, match=r"store\.json"):
        stores.open_store(local.path)
    with pytest.raises(error, match=r"store\.json"):
        create(local.path, local.backend)
    assert file.read_text() == damaged
    assert len(stores.verify(local.path)) == 1


def test_store_json_is_readable_by_people(local):
    create(local.path, local.backend)
    document = json.loads((Path(local.path) / "store.json").read_text())
    assert document["format"] == "lit-experiments-store"
    assert document["fingerprint"]["content"] == FINGERPRINT
    assert document["fingerprint"]["sha256"] == stores.fingerprint_hash(FINGERPRINT)


def test_a_checksum_of_zeros_in_the_provenance_confuses_nothing(tmp_path):
    header = Header("zarr", SCHEMA, FINGERPRINT, {"zeros": "0" * 64}, "now")
    (tmp_path / "store.json").write_bytes(header.to_bytes())
    assert stores.open_store(tmp_path).provenance == {"zeros": "0" * 64}


def test_provenance_that_is_not_json_is_refused(place):
    with pytest.raises(stores.StoreError, match="Provenance value 'when'"):
        stores.create_store(place.path, SCHEMA, FINGERPRINT, {"when": b"now"}, place.backend)


READ_ONLY = """
import os, sys, stores
from tests.stores.samples import SCHEMA, FINGERPRINT, write

run, rehearsal, in_the_way = sys.argv[1:]

def attempts(place):
    yield lambda: stores.create_store(place + "/new", SCHEMA, FINGERPRINT, {}, "zarr")
    yield lambda: stores.lock.exclusive(place + "/new", 0)
    yield lambda: stores.PartWriter(place + "/store", 0, 1, 1)

def refused(place):
    for attempt in attempts(place):
        try:
            attempt()
        except stores.StoreError as error:
            yield f"{type(error).__name__} {error.exit_code} {error}"

# Success and refusal once, as whoever starts this: the program itself may lie where nobody else can read it, so all
# that it imports on the way must be loaded before its rights are given up.
write(rehearsal + "/store", [[3]])
len(stores.open_store(rehearsal + "/store"))
list(refused(in_the_way))
if os.geteuid() == 0:
    os.setuid(65534)
print(*refused(run), sep="\\n")
print(len(stores.open_store(run + "/store")), "rows read")
"""


def test_a_read_only_folder_can_be_read_and_its_refusal_is_one_message(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    create(folder / "store", "zarr")
    write(folder / "store", [[0, 1, 2]])
    for parent in (tmp_path, *list(tmp_path.parents)[:3]):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/tmp"):
            parent.chmod(0o755)
    folder.chmod(0o555)
    (folder / "store").chmod(0o555)
    (folder / "store" / "parts").chmod(0o555)
    create(tmp_path / "rehearsal" / "store", "zarr")
    (tmp_path / "file").write_text("x")
    command = [sys.executable, "-c", READ_ONLY, str(folder), str(tmp_path / "rehearsal"), str(tmp_path / "file")]
    completed = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    lines = completed.stdout.splitlines()
    assert len(lines) == 4, completed.stderr
    assert lines[0].startswith("NotWritable 2 Can't make a store at")
    assert lines[1].startswith("NotWritable 2 Can't lock")
    assert lines[2].startswith("WriteFailed 1 Can't make a part")
    assert lines[3] == "3 rows read"


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(stores.NotWritable, match="Choose another folder"):
        create(tmp_path / "file" / "store", "zarr")
