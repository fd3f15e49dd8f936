"""The small files of a run on object storage: fetched, sent back, and never lost where two sides changed them."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from lit_experiments.cli.working_copy import run_place, working_copy
from lit_experiments.collecting.aside import set_aside
from lit_experiments.errors import UserError
from stores.elsewhere import pointed
from stores.files import open_files
from stores.remote_files import RemoteFiles


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}/run"


def there(url: str) -> RemoteFiles:
    files = open_files(url)
    assert isinstance(files, RemoteFiles)
    return files


def test_files_that_a_command_makes_are_sent_and_come_to_the_next_one(url: str, tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    with working_copy(one, url):
        (one / "probes").mkdir()
        (one / "probes" / "result.json").write_text("1")
        (one / "half.json.tmp").write_text("not whole")
    assert pointed(one / "store") == f"{url}/store"
    assert [name for name, _ in there(url).walk("")] == ["probes/result.json"]
    with working_copy(other, url):
        assert (other / "probes" / "result.json").read_text() == "1"
        (other / "probes" / "result.json").write_text("2")
    with working_copy(one, None):  # the folder itself says where its run lies
        assert (one / "probes" / "result.json").read_text() == "2"


def test_what_a_command_made_is_sent_when_it_fails_too(url: str, tmp_path: Path) -> None:
    def fail() -> None:
        with working_copy(tmp_path, url):
            (tmp_path / "config.yaml").write_text("a: 1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert there(url).read("config.yaml") == b"a: 1"


def test_results_that_are_set_aside_are_set_aside_there(url: str, tmp_path: Path) -> None:
    for number in ("1", "2"):
        with working_copy(tmp_path, url):
            set_aside(tmp_path / "probes")
            (tmp_path / "probes").mkdir()
            (tmp_path / "probes" / f"only-{number}.json").write_text(number)
    assert [name for name, _ in there(url).walk("")] == ["probes.old-1/only-1.json", "probes/only-2.json"]


def test_a_file_that_another_process_changed_meanwhile_is_not_overwritten(url: str, tmp_path: Path) -> None:
    def at_once() -> None:
        with working_copy(tmp_path, url):
            (tmp_path / "result.json").write_text("mine")
            there(url).publish("result.json", b"theirs")

    with pytest.raises(UserError, match=r"result\.json was changed by another process"):
        at_once()
    assert there(url).read("result.json") == b"theirs"
    assert (tmp_path / "result.json").read_text() == "mine"
    with working_copy(tmp_path, url):
        assert (tmp_path / "result.json").read_text() == "theirs"
        assert (tmp_path / "result.json.old-1").read_text() == "mine"


def test_the_stores_are_left_where_they_are(url: str, tmp_path: Path) -> None:
    for name in ("store/store.json", "store.old-1/store.json", "config.yaml"):
        there(url).publish(name, b"{}")
    with working_copy(tmp_path, url):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".elsewhere.json", "config.yaml", "store"]
        assert (tmp_path / "store").is_file()
    assert [name for name, _ in there(url).walk("")] == ["config.yaml", "store.old-1/store.json", "store/store.json"]


def test_a_folder_with_a_store_of_its_own_is_no_working_copy(url: str, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    with pytest.raises(UserError, match="is in the way"), working_copy(tmp_path, url):
        pass


@pytest.mark.parametrize("text", ["s3://bucket/a/b", "s3://bucket//a//b/", "gs://bucket/a"])
def test_a_url_has_a_folder_of_its_own(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    place = run_place("--run", text)
    assert place.parts[:3] == ("runs", text.partition(":")[0], "bucket")
    assert run_place("--run", str(place)) == place
