"""A kept text is what was made, whatever happens to the folder and whoever writes at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lit_experiments.embedded import text
from lit_experiments.remembered import cache_folder, remembered
from lit_experiments.reports.pictures import chart_library


class Maker:
    """Makes a text and counts how often."""

    def __init__(self, made: str = "naïve\n\x00" * 50) -> None:
        self.made, self.times = made, 0

    def __call__(self) -> str:
        self.times += 1
        return self.made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "lit-experiments"


def test_a_text_is_made_once_for_the_same_origin(folder: Path) -> None:
    make = Maker()
    assert [remembered("kind", [b"a", b"b"], make) for _ in range(3)] == [make.made] * 3
    assert make.times == 1
    for other in ([b"ab"], [b"a", b"b", b""], [b"b", b"a"]):
        remembered("kind", other, make)
    remembered("other", [b"a", b"b"], make)
    assert make.times == 5
    assert len(list(folder.iterdir())) == 5


@pytest.mark.parametrize("damage", [b"", b"x", b"\xff" * 400])
def test_a_damaged_entry_is_made_again(folder: Path, damage: bytes) -> None:
    make = Maker()
    remembered("kind", [b"a"], make)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    for content in (damage, whole[:-1], whole[:70] + bytes([whole[70] ^ 1]) + whole[71:]):
        path.write_bytes(content)
        assert remembered("kind", [b"a"], make) == make.made
        assert path.read_bytes() == whole
    assert make.times == 4


def test_writers_at_the_same_time_leave_one_whole_entry(folder: Path) -> None:
    make = Maker("long " * 200_000)
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: remembered("kind", [b"a"], make), range(16)))
    assert set(texts) == {make.made}
    assert [path.suffix for path in folder.iterdir()] == [""]


def test_where_nothing_can_be_kept_it_is_made_each_time(folder: Path) -> None:
    make = Maker()
    folder.parent.mkdir()
    folder.write_text("a file is in the way")
    assert [remembered("kind", [b"a"], make) for _ in range(2)] == [make.made] * 2
    assert make.times == 2


def test_the_folder_is_the_user_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative/folder"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache_folder() == tmp_path / ".cache" / "lit-experiments"


def test_what_is_kept_is_what_is_made_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [pair for pair in text._source_files() if pair[0] in ("json", "random", "argparse")]
    monkeypatch.setattr(text, "_source_files", lambda: sources)
    first, second = text.documents(), text.documents()
    assert first == second
    assert {document.name for document in first} >= {"json", "random", "argparse"}
    monkeypatch.setattr(text, "_source_files", lambda: sources[:2])
    assert len(text.documents()) == len(first) - 1, "another standard library has other documents"
    chart_library.cache_clear()
    made = chart_library()
    chart_library.cache_clear()
    assert chart_library() == made
    assert "vega" in made.lower()
    assert len(list(folder.iterdir())) == 3
