"""Reading contexts: what is accepted, and the one message for each thing that can be wrong."""

from pathlib import Path

import datasets
import pytest

from lit_experiments.sources.contexts import read_contexts
from lit_experiments.sources.errors import SourceError


def test_blank_lines_are_skipped_and_counted_and_places_are_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "contexts.txt"
    path.write_bytes("\ufefffirst\r\n\n  \nzweiter — ü\nlast".encode())
    contexts = read_contexts(str(path), None)
    assert contexts.texts == ["first", "zweiter — ü", "last"]
    assert contexts.places == [1, 4, 5]
    assert contexts.blank == 2


def test_digest_follows_the_texts_not_the_file(tmp_path: Path) -> None:
    one, two, other = tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "c.txt"
    one.write_text("a\nb\n")
    two.write_text("a\n\nb")
    other.write_text("ab\n")
    assert read_contexts(str(one), None).digest == read_contexts(str(two), None).digest
    assert read_contexts(str(one), None).digest != read_contexts(str(other), None).digest


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"abc\0\1\2", "binary"),
        (b"fine\ncaf\xe9\n", "line 2: not UTF-8 (byte 0xe9 at column 4)"),
    ],
)
def test_unusable_text_files_are_named_with_the_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"bad\.txt") as caught:
        read_contexts(str(path), None)
    assert reason in str(caught.value)


def test_a_missing_file_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.txt"):
        read_contexts(str(tmp_path / "nowhere.txt"), None)


def test_jsonl_records_are_read_by_key(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "two\\nlines"}\n\n{"question": "next"}\n')
    contexts = read_contexts(str(path), "question")
    assert contexts.texts == ["two\nlines", "next"]
    assert contexts.places == [1, 3]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"question": ', "line 2: not valid JSON"),
        ('{"answer": 1}', 'no key "question"; it has: answer'),
        ('{"question": 3}', "found int"),
    ],
)
def test_malformed_records_are_named_by_line(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "ok"}\n' + line + "\n")
    with pytest.raises(SourceError) as caught:
        read_contexts(str(path), "question")
    assert reason in str(caught.value)


def test_csv_parquet_and_saved_datasets_give_the_same_texts(tmp_path: Path) -> None:
    data = datasets.Dataset.from_dict({"text": ["a", "b c"], "n": [1, 2]})
    data.to_csv(tmp_path / "d.csv")
    data.to_parquet(tmp_path / "d.parquet")
    data.save_to_disk(tmp_path / "saved")
    digests = {read_contexts(str(tmp_path / name), "text").digest for name in ("d.csv", "d.parquet", "saved")}
    assert len(digests) == 1


def test_an_unknown_column_is_answered_with_the_ones_there_are(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "saved")
    with pytest.raises(SourceError, match='no column "txt"; it has: text'):
        read_contexts(str(tmp_path / "saved"), "txt")
    with pytest.raises(SourceError, match="--text_column"):
        read_contexts(str(tmp_path / "saved"), None)
