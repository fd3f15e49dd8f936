"""Reading records: every format gives the same records, and each thing that can be wrong has its own message."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pytest

from lit_experiments.sources.contexts import read_contexts
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.records import Malformed, RecordStream, Skipped, open_records

ROWS = [{"text": 'first "quoted", two', "n": "1"}, {"text": "zweite\nZeile ü", "n": "2"}, {"text": "c", "n": "3"}]


def opened(source: Path | str, malformed: Malformed = "stop") -> RecordStream:
    return open_records(str(source), "--things", malformed)


def message(source: Path | str) -> str:
    with pytest.raises(SourceError) as caught:
        list(opened(source))
    assert caught.value.exit_code == 2
    return str(caught.value)


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def _write_arrow_file(path: Path) -> None:
    table = pyarrow.Table.from_pylist(ROWS)
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _write_arrow_stream(path: Path) -> None:
    table = pyarrow.Table.from_pylist(ROWS)
    with pyarrow.OSFile(str(path), "wb") as sink, pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def _jsonl(path: Path) -> None:
    path.write_text("\n\n".join(json.dumps(row) for row in ROWS) + "\n")


WRITERS: dict[str, tuple[Callable[[Path], Any], list[int]]] = {
    "d.jsonl": (_jsonl, [1, 3, 5]),
    "d.json": (lambda p: p.write_text(json.dumps(ROWS)), [0, 1, 2]),
    "wrapped.json": (lambda p: p.write_text(json.dumps({"version": 2, "data": ROWS})), [0, 1, 2]),
    "lines.json": (_jsonl, [1, 3, 5]),
    "d.csv": (lambda p: datasets.Dataset.from_list(ROWS).to_csv(p), [2, 3, 5]),
    "d.tsv": (lambda p: datasets.Dataset.from_list(ROWS).to_csv(p, sep="\t"), [2, 3, 5]),
    "d.parquet": (lambda p: datasets.Dataset.from_list(ROWS).to_parquet(p), [0, 1, 2]),
    "file.arrow": (_write_arrow_file, [0, 1, 2]),
    "stream.arrow": (_write_arrow_stream, [0, 1, 2]),
    "saved": (lambda p: datasets.Dataset.from_list(ROWS).save_to_disk(p), [0, 1, 2]),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_records_with_their_places(tmp_path: Path, name: str) -> None:
    make, places = WRITERS[name]
    make(tmp_path / name)
    assert list(opened(tmp_path / name)) == list(zip(places, ROWS, strict=True))


def test_plain_text_gives_one_record_per_line_whatever_ends_it(tmp_path: Path) -> None:
    for ending in ("\n", "\r\n", "\r"):
        path = write(tmp_path / "t.txt", ending.join(["a", "", "b", ""]))
        assert list(opened(path)) == [(1, {"text": "a"}), (2, {"text": ""}), (3, {"text": "b"})]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_long_file_is_read_line_by_line_wherever_its_blocks_end(tmp_path: Path, suffix: str) -> None:
    """Lines with characters of several bytes, three megabytes of them, one line longer than a block."""
    texts = ["\u00fc\U0001f600x" * (k % 17) + str(k) for k in range(40_000)]
    texts[20_000] = "\u00e9" * 700_000
    content = "\r\n".join(texts).encode()
    packed = {"": bytes, ".gz": gzip.compress, ".zst": lambda data: pyarrow.compress(data, codec="zstd", asbytes=True)}
    path = write(tmp_path / f"t.txt{suffix}", packed[suffix](content))
    assert [record["text"] for _, record in opened(path)] == texts


def test_many_files_of_a_folder_are_not_held_open(tmp_path: Path) -> None:
    for k in range(200):
        write(tmp_path / f"{k:03d}.jsonl", f'{{"k": {k}}}\n')
    before = len(list(Path("/proc/self/fd").iterdir()))
    records = iter(opened(tmp_path))
    assert next(records) == (0, {"k": 0})
    assert len(list(Path("/proc/self/fd").iterdir())) < before + 10
    assert [record["k"] for _, record in records] == list(range(1, 200))


def test_a_folder_of_data_files_is_read_file_by_file_and_text_beside_them_is_not_data(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", '{"text": "2"}\n{"text": "3"}\n')
    write(tmp_path / "a.jsonl", '{"text": "1"}\n')
    write(tmp_path / "SOURCE.txt", "where it is from")
    write(tmp_path / "dataset_info.json", "{}")
    write(tmp_path / ".cache" / "x.csv", "a,b\n")
    assert list(opened(tmp_path)) == [(0, {"text": "1"}), (1, {"text": "2"}), (2, {"text": "3"})]


def test_a_split_of_a_folder_is_named_after_a_colon(tmp_path: Path) -> None:
    write(tmp_path / "data" / "train-00000-of-00001.csv", "text\na\n")
    write(tmp_path / "data" / "test-00000-of-00001.csv", "text\nb\n")
    assert [record for _, record in opened(f"{tmp_path}:test")] == [{"text": "b"}]
    assert f"several splits (test, train).\nNext: name one, {tmp_path}:train" in message(tmp_path)
    assert 'no file of a split "dev"; file names tell of: test, train' in message(f"{tmp_path}:dev")


def test_a_saved_dataset_with_splits_asks_for_one(tmp_path: Path) -> None:
    data = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"train": data, "test": data.select([2])}).save_to_disk(tmp_path / "d")
    assert f"several splits (train, test).\nNext: name one, {tmp_path}/d:train" in message(tmp_path / "d")
    assert list(opened(f"{tmp_path}/d:test")) == [(0, ROWS[2])]


def test_folders_with_nothing_or_several_formats_or_different_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert "holds no data file" in message(tmp_path / "none")
    write(tmp_path / "mixed" / "a.csv", "text\na\n")
    write(tmp_path / "mixed" / "b.jsonl", "{}\n")
    assert "several formats (.csv, .jsonl)" in message(tmp_path / "mixed")
    write(tmp_path / "columns" / "a.csv", "text\na\n")
    write(tmp_path / "columns" / "b.csv", "txt\na\n")
    assert "differ in their columns" in message(tmp_path / "columns")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("e.jsonl", b"", "e.jsonl is empty"),
        ("e.csv", b" \n", "e.csv is empty"),
        ("e.json", b"[]", "e.json is empty: its list has no records"),
        ("b.csv", b"a,b\n1,\0\n", "binary file (it holds NUL bytes)"),
        ("u.csv", "a,b\n1,2\n".encode("utf-16"), "is UTF-16, not UTF-8.\nNext: iconv -f utf-16"),
        ("j.json", b'[{"a": 1},\n {"a" 2}]', "j.json, line 2: not valid JSON (Expecting ':' delimiter at column 7)"),
        ("l.json", b'[{"a": 1},\n {"a": "caf\xe9"}]', "l.json, line 2: not UTF-8 (byte 0xe9 at column 12)"),
        ("s.json", b'{"a": 1, "b": 2}', "found an object with a, b"),
        ("n.json", b"17", "found number"),
        ("p.parquet", b"PAR1 no more", "Cannot read"),
        ("a.arrow", b"ARROW1 no more", "Cannot read"),
        ("x.xlsx", b"PK", 'suffix ".xlsx"; known: .jsonl'),
        ("h.csv", b"a,b,a\n1,2,3\n", "line 1: the header names a column twice: 'a'"),
        ("q.csv", b'a,b\n1,2\n3,"open\n4,5\n', "line 3: a quoted field of this row never ends"),
    ],
)
def test_unusable_files_are_refused_with_place_and_reason(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = write(tmp_path / name, content)
    assert reason in message(path)
    with pytest.raises(SourceError):  # nothing can be skipped here
        list(opened(path, "skip"))


MALFORMED = [
    ("d.jsonl", b'{"a": 1}\n{"a": \n{"a": 3}\n', "d.jsonl, line 2: not valid JSON (Expecting value at column 7)"),
    ("d.jsonl", b'{"a": 1}\n\n[2]\n{"a": 3}\n', "line 3: a JSON list where an object with named values belongs"),
    ("d.jsonl", b'{"a": 1}\n"a"\n{"a": 3}', "line 2: a JSON string where an object"),
    ("d.jsonl", b'{"a": 1}\n{"a": "\xe9"}\n{"a": 3}', "line 2: not UTF-8 (byte 0xe9 at column 8)"),
    ("d.jsonl", b'{"a": 1}\n{"a": 1' + b"0" * 5000 + b'}\n{"a": 3}', "line 2: not valid JSON (Exceeds the limit"),
    ("d.json", b'[{"a": 1}, 2, {"a": 3}]', "d.json, row 1: a JSON number where an object"),
    ("d.csv", b'a,b\n"1\n2",x\n3\n4,y\n', "d.csv, line 4: 1 fields where the columns are 2 (a, b)"),
    ("d.csv", b"a,b\n1,x\n3,4,5\n4,y\n", "line 3: 3 fields where the columns are 2"),
    ("d.csv", b'a,b\n1,x\n"3"4,5\n4,y\n', "line 3: broken quoting"),
    ("d.csv", b"a,b\n1,x\n3,caf\xe9\n4,y\n", 'line 3: not UTF-8 (byte 0xe9 in column "b", character 4)'),
    ("d.txt", b"one\ncaf\xe9\nthree\n", "d.txt, line 2: not UTF-8 (byte 0xe9 at column 4)"),
]


@pytest.mark.parametrize(("name", "content", "reason"), MALFORMED)
def test_a_malformed_record_stops_and_says_how_to_skip_or_is_counted(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = write(tmp_path / name, content)
    refusal = message(path)
    assert reason in refusal
    assert "--malformed skip" in refusal
    stream = opened(path, "skip")
    assert len(list(stream)) == 2
    assert stream.skipped.count == 1
    assert reason in stream.skipped.reasons[0]


def test_skipping_keeps_the_first_reasons_and_counts_all(tmp_path: Path) -> None:
    stream = opened(write(tmp_path / "d.jsonl", "{}\n" + "nonsense\n" * 9), "skip")
    assert [place for place, _ in stream] == [1]
    assert stream.skipped.count == 9
    assert [f"line {n}:" in r for n, r in zip(range(2, 7), stream.skipped.reasons, strict=True)] == [True] * 5
    assert stream.skipped.note().startswith("9 malformed records left out: ")
    assert stream.skipped.note().endswith("; and 4 more")


def test_a_study_s_own_objection_counts_like_the_format_s(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", '{"a": 1}\n{"a": 2}\n')
    stream = opened(path, "skip")
    for _, record in stream:
        if record["a"] == 2:
            stream.reject("2 is unlucky")
    assert stream.skipped == Skipped(1, (f"{path}, line 2: 2 is unlucky",))
    assert message(path.with_name("e.jsonl")).startswith("Things not found")


def test_nothing_found_names_where_it_looked_and_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "questions.jsonl", "{}")
    refusal = message(tmp_path / "question.jsonl")
    assert f'Nearest: "{tmp_path / "questions.jsonl"}"' in refusal
    assert "--things embedded" in refusal
    assert "neither a file nor a folder" in message("data/missing.jsonl")  # a path, not a Hub id


def test_a_hub_id_that_cannot_be_loaded_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    refusal = message("nobody/nothing@main:test")
    assert 'Cannot load the dataset "nobody/nothing@main:test"' in refusal
    assert "NAME[@CONFIG][:SPLIT]" in refusal


def test_a_column_that_is_not_there_is_answered_with_the_nearest(tmp_path: Path) -> None:
    stream = opened(write(tmp_path / "d.csv", "question,key\na,b\n"))
    with pytest.raises(SourceError, match='no column "qestion"; it has: question, key \\(nearest: "question"\\)'):
        stream.require_column("qestion", "--question_column")


def test_an_unknown_way_to_treat_malformed_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match='"stop" or "skip", found "ignore"'):
        opened(write(tmp_path / "d.txt", "a"), "ignore")  # type: ignore[arg-type]


def test_fields_longer_than_the_csv_module_s_limit_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "d.csv", "a\n" + "x" * 200_000 + "\n")
    assert len(next(iter(opened(path)))[1]["a"]) == 200_000


def test_contexts_skip_malformed_records_on_request(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", '{"t": "a"}\n{"u": "b"}\n{"t": 3}\n{"t": "\\ud83d"}\n{"t": "d"}\n')
    with pytest.raises(SourceError, match=r'line 2: no key "t"; it has: u\.\n.*--malformed skip'):
        read_contexts(str(path), "t")
    contexts = read_contexts(str(path), "t", "skip")
    assert (contexts.texts, contexts.places, contexts.skipped.count) == (["a", "d"], [1, 5], 3)
    assert [reason.split(": ", 1)[1] for reason in contexts.skipped.reasons] == [
        'no key "t"; it has: u',
        '"t" must be text, found int',
        '"t" holds half a character (\\ud83d of a surrogate pair)',
    ]


def test_contexts_of_which_none_is_left_say_why(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", '{"u": "b"}\n')
    with pytest.raises(SourceError, match=r'no context.*1 malformed records left out.*no key "t"'):
        read_contexts(str(path), "t", "skip")
