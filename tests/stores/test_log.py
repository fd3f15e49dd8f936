"""What was committed is all there and this store's, or reading and `verify` say what isn't: the heads and the chain.

Killing a writer at any point is no fault; losing, adding or renaming what it wrote is.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import stores
from stores import heads
from stores.files import LocalFiles, open_files
from stores.store_file import Header, read_header

from .samples import FINGERPRINT, SCHEMA, assert_rows, create, records, write


@pytest.fixture
def two(local):
    """A store with two parts of two commits each; its folder."""
    create(local.path, local.backend)
    write(local.path, [[0], [1]], rank=0, flush_bytes=1)
    write(local.path, [[2], [3]], rank=1, flush_bytes=1)
    return Path(local.path)


def parts(store):
    return sorted((store / "parts").iterdir())


def refused(store, path):
    """`verify` names the path, alone, and reading refuses; what was said."""
    problems = stores.verify(store)
    assert [p.path for p in problems] == [str(path)], problems
    with pytest.raises(stores.CorruptStore, match=path.name):
        stores.open_store(store)
    return problems[0].what


def another(store, backend):
    """A second store of the same settings, with the same rows."""
    create(store, backend)
    for rank, batches in enumerate([[[0], [1]], [[2], [3]]]):
        write(store, batches, rank=rank, flush_bytes=1)
    return store


def test_a_deleted_part_is_missed(two):
    lost = parts(two)[0]
    shutil.rmtree(lost)
    assert "2 commits with 2 rows" in refused(two, lost)


def test_all_parts_gone_are_missed(two):
    shutil.rmtree(two / "parts")
    assert "2 parts with 4 rows" in refused(two, two / "parts")
    (two / "parts").mkdir()
    refused(two, two / "parts")


@pytest.mark.parametrize("n", [1, 2])
def test_lost_last_commits_are_missed(two, n):
    rows = sorted(parts(two)[0].glob("rows-*"))
    for file in rows[-n:]:
        file.unlink()
    what = refused(two, rows[-1] if n == 1 else parts(two)[0])
    assert "names" in what


def test_a_lost_first_commit_is_missed(two):
    first = min(parts(two)[0].glob("rows-*"))
    first.unlink()
    assert "rows-00001" in refused(two, first)


def test_lost_heads_are_missed(two):
    file = two / "heads" / f"{parts(two)[0].name}.json"
    whole = file.read_bytes()
    file.unlink()
    assert "its head was lost, or the part was copied here" in refused(two, file)
    file.write_bytes(whole[:-3])
    refused(two, file)
    shutil.rmtree(two / "heads")
    assert "4 commits" in refused(two, two / "heads")


def test_a_part_of_a_second_run_of_the_same_settings_is_foreign(two, local, tmp_path):
    """Copying part folders together is no merge, with their heads or without."""
    other = another(tmp_path / "other", local.backend)
    part = parts(other)[0]
    copied = two / "parts" / part.name
    shutil.copytree(part, copied)
    assert "Copying parts together is no merge" in refused(two, copied)
    shutil.copy(other / "heads" / f"{part.name}.json", two / "heads")
    refused(two, copied)
    shutil.rmtree(copied)
    assert "another store" in refused(two, two / "heads" / f"{part.name}.json")


def test_a_foreign_part_in_the_place_of_one_is_foreign(two, local, tmp_path):
    other = another(tmp_path / "other", local.backend)
    into = parts(two)[0]
    shutil.rmtree(into)
    shutil.copytree(parts(other)[0], into)
    refused(two, into)


def test_a_copied_or_renamed_part_is_refused(two):
    part = parts(two)[0]
    again = part.with_name("again")
    shutil.copytree(part, again)
    assert f"committed to part {part.name!r}" in refused(two, again)
    shutil.rmtree(part)
    assert {str(again), str(part)} <= {p.path for p in stores.verify(two)}


def test_a_foreign_store_json_is_found_and_nothing_else_is_said(two, local, tmp_path):
    other = another(tmp_path / "other", local.backend)
    shutil.copy(other / "store.json", two / "store.json")
    assert "of another store" in refused(two, two / "store.json")


def test_an_edited_store_json_with_a_right_checksum_is_found(two):
    header = read_header(LocalFiles(two))
    forged = Header(header.backend, header.schema, {"seed": 2}, {}, header.created, header.id)
    (two / "store.json").write_bytes(forged.to_bytes())
    refused(two, two / "store.json")


def test_a_lost_store_json_is_not_made_anew_over_commits(two, local):
    """A new one would not be theirs, and would stand in the way of the old one."""
    (two / "store.json").unlink()
    for attempt in (lambda: stores.open_store(two), lambda: create(two, local.backend)):
        with pytest.raises(stores.CorruptStore, match=r"store\.json is missing, though"):
            attempt()
    assert [p.path for p in stores.verify(two)] == [str(two / "store.json")]
    assert not (two / "store.json").exists()


def test_segments_that_change_places_are_found(two):
    """Rows files renamed to each other's number, and array files of equal size swapped."""
    first, second = sorted(parts(two)[0].glob("rows-*"))
    renamed = first.with_name(second.name.replace(second.name[11:19], first.name[11:19]))
    first.rename(renamed)
    assert "committed as segment 0" in " ".join(p.what for p in stores.verify(two))
    with pytest.raises(stores.CorruptStore):
        stores.open_store(two)


def equal_sizes(path, backend, salt):
    """A store whose shards have the same size whatever the salt: numbers that don't compress."""
    field = stores.Field("x", ("token", "hidden"), (None, 256), "uint8", "1", "")
    stores.create_store(path, stores.Schema((field,), ()), {}, {}, backend)
    values = np.random.default_rng(salt).integers(0, 256, (3000, 256)).astype(np.uint8)
    with stores.PartWriter(path, 0, 1, 1e9, "launch") as writer:
        rows = [{"sample_id": "a", "sample_index": 0}]
        writer.append(stores.Records(rows, {"x": values}, {"token": np.array([3000])}))
    return max(Path(path).rglob("*"), key=lambda p: p.stat().st_size)


def test_another_store_s_arrays_of_equal_size_are_not_read_as_data(local, tmp_path):
    """Every chunk of them is whole; the CRC-32C of all of them together was the same, whatever they held."""
    ours = equal_sizes(local.path, local.backend, 1)
    theirs = equal_sizes(tmp_path / "other", local.backend, 2)
    assert ours.stat().st_size == theirs.stat().st_size
    shutil.copy(theirs, ours)
    (problem,) = stores.verify(local.path)
    assert problem.path == str(ours)
    assert "field 'x', chunk at token=0" in problem.what
    with pytest.raises(stores.CorruptStore, match="Checksum error"):
        stores.open_store(local.path)["x"].read()


class Killed(BaseException):
    """As if the process had ended here."""


def die_at(monkeypatch, call):
    """The next writer publishes `call` times, then its process is gone."""
    calls = []
    for name in ("publish", "publish_first"):
        true = getattr(LocalFiles, name)

        def publish(self, rel, data, true=true):
            if len(calls) == call:
                raise Killed
            calls.append(rel)
            true(self, rel, data)

        monkeypatch.setattr(LocalFiles, name, publish)


@pytest.mark.parametrize("call", range(7))
def test_a_writer_that_dies_between_any_two_steps_leaves_no_fault(local, monkeypatch, call):
    """store.json, first head, commit, head, commit, head: whatever appeared last, all committed rows are there."""
    with monkeypatch.context() as patched:
        die_at(patched, call)
        done = 0
        try:
            create(local.path, local.backend)
            writer = stores.PartWriter(local.path, 0, 1, 1e9)
            for index in range(2):
                writer.append(records([index]))
        except Killed:
            pass
    if call == 0:
        assert not (Path(local.path) / "store.json").exists()
        create(local.path, local.backend)
    done = max(0, (call - 1) // 2)  # a commit counts once its rows file is there, head or not
    assert stores.verify(local.path) == []
    assert_rows(stores.open_store(local.path), range(done))
    write(local.path, [range(done, 4)])
    assert stores.verify(local.path) == []
    assert_rows(stores.open_store(local.path), range(4))


def test_the_next_launch_brings_a_head_up_to_date(local, monkeypatch):
    """A commit whose head was never written is protected from then on."""
    create(local.path, local.backend)
    writer = stores.PartWriter(local.path, 0, 1, 1e9)
    with monkeypatch.context() as patched:
        die_at(patched, 1)  # the commit, and no head for it
        with pytest.raises(Killed):
            writer.append(records([0]))
    files = open_files(local.path)
    (part,) = files.names("parts")
    assert heads.read_head(files, part).commits == 0
    write(local.path, [[1]])
    head = heads.read_head(files, part)
    assert (head.commits, head.rows) == (1, 1)
    (lost,) = Path(local.path).glob(f"parts/{part}/rows-*")
    lost.unlink()
    assert [p.path for p in stores.verify(local.path)] == [str(lost.parent)]


def test_a_head_that_cannot_be_written_leaves_the_commit_and_closes_the_writer(local, monkeypatch):
    create(local.path, local.backend)
    writer = stores.PartWriter(local.path, 0, 1, 1e9)
    publish = LocalFiles.publish

    def full(self, rel, data):
        if rel.startswith("heads/"):
            raise OSError(28, "No space left on device")
        publish(self, rel, data)

    with monkeypatch.context() as patched:
        patched.setattr(LocalFiles, "publish", full)
        with pytest.raises(stores.WriteFailed, match="The 1 rows this writer committed are whole"):
            writer.append(records([0]))
    assert stores.verify(local.path) == []
    assert_rows(stores.open_store(local.path), [0])


def test_readers_beside_a_writer_never_see_a_fault(local):
    """A part, its head and its commits appear one after the other; every state between is whole."""
    create(local.path, local.backend)
    seen = []
    for rank in range(2):
        with stores.PartWriter(local.path, rank, 1, 1e9) as writer:
            for index in range(rank * 3, rank * 3 + 3):
                seen.append(len(stores.open_store(local.path)))
                writer.append(records([index]))
                assert stores.verify(local.path) == []
    assert seen == list(range(6))


def test_two_that_make_one_store_at_once_make_one(local, monkeypatch):
    """The second finds store.json only when it wants to put its own there."""
    create(local.path, local.backend)
    identity = read_header(open_files(local.path)).identity
    exists = LocalFiles.exists
    answers = iter([False])
    monkeypatch.setattr(LocalFiles, "exists", lambda self, rel: next(answers, None) is None and exists(self, rel))
    stores.create_store(local.path, SCHEMA, FINGERPRINT, {"made": "by the second"}, local.backend)
    assert read_header(open_files(local.path)).identity == identity


def test_parts_on_an_object_store_are_missed_too():
    path = "memory://log/store"
    create(path, "zarr")
    part = write(path, [[0], [1]], flush_bytes=1).part
    files = open_files(path)
    for name, _ in files.walk("parts"):
        files.delete(name)
    with pytest.raises(stores.CorruptStore, match="1 parts with 2 rows"):
        stores.open_store(path)
    create("memory://log/second", "zarr")
    write("memory://log/second", [[0]])
    second = open_files("memory://log/second")
    for name, _ in second.walk("parts"):
        files.publish(name, second.read(name))
    problems = stores.verify(path)
    assert any("no merge" in p.what for p in problems)
    assert any(part in p.path for p in problems)
