"""Quotes and delimiters in tables: what the file itself says, what a setting says, and what is asked."""

import gzip
from pathlib import Path

import pyarrow
import pytest

from lit_experiments.sources import text_bytes
from lit_experiments.sources.contexts import read_contexts
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.records import open_records

QUOTATION = 'nr\ttext\n1\t"All the world\n2\tis a\n3\tstage"\n4\tand so on\n'


def read(path: Path, content: str, quoting: str = "auto") -> list[dict[str, str]]:
    path.write_text(content, newline="")
    return [record for _, record in open_records(str(path), "--contexts", quoting=quoting)]  # type: ignore[arg-type]


def texts(records: list[dict[str, str]]) -> list[str]:
    return [record["text"] for record in records]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_lines_of_tabs_that_are_whole_rows_are_never_joined(tmp_path: Path, ending: str) -> None:
    records = read(tmp_path / "t.tsv", QUOTATION.replace("\n", ending))
    assert texts(records) == ['"All the world', "is a", 'stage"', "and so on"]


def test_a_setting_decides_what_quotes_are(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    assert texts(read(path, QUOTATION, "standard")) == ["All the world\n2\tis a\n3\tstage", "and so on"]
    assert texts(read(path, 'nr\ttext\n1\t"x"\n', "none")) == ['"x"']
    assert texts(read(tmp_path / "t.csv", 'nr,text\n1,say "x" y\n2,"z"\n', "none")) == ['say "x" y', '"z"']


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ('"one\ntwo"', "one\ntwo"),
        ('"one\ttwo"', "one\ttwo"),
        ('"say ""x"""', 'say "x"'),
        ('"x" said he', '"x" said he'),
        ('"x" and "y"', '"x" and "y"'),
        ('"never closed', '"never closed'),
        ('5" wide', '5" wide'),
    ],
)
def test_quotes_between_tabs_enclose_fields_where_they_can(tmp_path: Path, field: str, text: str) -> None:
    assert texts(read(tmp_path / "t.tsv", f"text\tn\n{field}\t1\nplain\t2\n")) == [text, "plain"]


def test_quotes_taken_away_without_need_are_said(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text('text\tn\n"Hush!"\t1\nplain\t2\n')
    assert read_contexts(str(path), "text").notes == (
        "quotes around 1 field were not read as part of the text (--quoting none keeps them)",
    )
    path.write_text('"text"\t"n"\n"Hush!"\t"1"\n')  # a program that puts everything into quotes
    assert read_contexts(str(path), "text").notes == ()


@pytest.mark.parametrize("name", ["one_column.tsv", "commas.csv"])
def test_what_may_be_one_row_or_several_is_asked_for(tmp_path: Path, name: str) -> None:
    content = 'text\n"one\ntwo"\n' if name.endswith(".tsv") else QUOTATION.replace("\t", ",")
    with pytest.raises(
        SourceError, match=r"line 2: a quote opens in this row and closes in line .*\n.*--quoting none"
    ) as e:
        read(tmp_path / name, content)
    assert "--quoting standard" in str(e.value)
    assert len(read(tmp_path / name, content, "standard")) < len(read(tmp_path / name, content, "none"))


def test_commas_and_newlines_inside_quotes_are_ordinary_in_csv(tmp_path: Path) -> None:
    content = 'nr,text\n1,"one\ntwo"\n2,"three, four"\n3,five\n'
    assert texts(read(tmp_path / "t.csv", content)) == ["one\ntwo", "three, four", "five"]
    assert texts(read(tmp_path / "t.csv", 'text\n"one\ntwo"\n')) == ["one\ntwo"]


def test_a_quote_that_never_closes_is_refused_with_its_own_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"t\.csv, line 4: a quoted field of this row never ends.*\n.*--quoting none"):
        read(tmp_path / "t.csv", 'a,b,text\n1,2,x\n1,"two\nlines","open\n3,4,y\n')


def test_a_broken_quote_says_how_far_it_reached(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"line 2: broken quoting .*; the quoted field runs to line 4"):
        read(tmp_path / "t.csv", 'a,text\n1,"open\n2,x\n3,"y, z"\n')


@pytest.mark.parametrize(
    "content",
    [
        'nr;text\n1;"a, b"\n2;c\n',
        'sep=;\r\nnr;text\r\n1;"a, b"\r\n2;c\r\n',
        'nr\ttext\n1\t"a, b"\n2\tc\n',
        'nr,text\n1,"a, b"\n2,c\n',
    ],
)
def test_the_delimiter_of_a_csv_is_the_one_its_header_uses(tmp_path: Path, content: str) -> None:
    assert texts(read(tmp_path / "t.csv", content)) == ["a, b", "c"]


def test_a_header_with_two_delimiters_goes_by_the_rows(tmp_path: Path) -> None:
    assert texts(read(tmp_path / "t.csv", "text;nr (a, b)\nx;1\ny;2\n")) == ["x", "y"]


def test_quoting_of_what_has_no_quotes_is_refused(tmp_path: Path) -> None:
    for source in (tmp_path / "t.jsonl", tmp_path / "t.txt"):
        source.write_text('{"text": "x"}\n')
        with pytest.raises(SourceError, match="--quoting none is for CSV and TSV files"):
            read_contexts(str(source), "text", quoting="none")


def compressed(path: Path, content: bytes) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(content[:9]) + gzip.compress(content[9:]))  # two members, as pigz writes
    else:
        with pyarrow.OSFile(str(path), "wb") as file, pyarrow.CompressedOutputStream(file, "zstd") as stream:
            stream.write(content)
    return path


@pytest.mark.parametrize("packed", [".gz", ".zst"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.jsonl", b'{"text": "a"}\n{"text": "b"}\n'),
        ("t.json", b'[{"text": "a"}, {"text": "b"}]'),
        ("t.csv", b"text,n\na,1\nb,2\n"),
        ("t.tsv", b"text\tn\na\t1\nb\t2\n"),
        ("t.txt", b"a\nb\n\n\n\n\n\n"),
        ("t", b"\xef\xbb\xbfa\nb\n\n\n\n\n"),
    ],
)
def test_text_files_may_be_compressed(tmp_path: Path, packed: str, name: str, content: bytes) -> None:
    path = compressed(tmp_path / f"{name}{packed}", content)
    assert read_contexts(str(path), "text").texts == ["a", "b"]
    if "." in name:
        assert read_contexts(str(tmp_path), "text").texts == ["a", "b"]  # a folder finds them too


def test_a_cut_off_or_wrongly_named_file_is_one_message(tmp_path: Path) -> None:
    whole = compressed(tmp_path / "w.jsonl.gz", b'{"text": "a"}\n' * 50).read_bytes()
    for name, content, reason in (
        ("cut.jsonl.gz", whole[:-9], "check that the file is whole"),
        ("no.jsonl.zst", b"plain", "check that the file is whole"),
        ("p.parquet.gz", whole, 'suffix ".parquet.gz"; known: '),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(SourceError, match=reason):
            list(open_records(str(tmp_path / name), "--contexts"))


@pytest.mark.parametrize("block", [4, 5, 7, 1 << 18])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_file_read_in_blocks_has_the_lines_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, end: str
) -> None:
    path = tmp_path / "t.csv"
    written = ["id,text", '1,"a line', 'and ""another"", é\u2028"', "2,plain", "", '3,"last"']
    path.write_bytes(b"\xef\xbb\xbf" + end.join(written).encode() + b"\xff")
    assert [*text_bytes.text_lines(path)] == [f"{line}{end}" for line in written[:-1]] + ['3,"last"\udcff']
    (first, second, *_) = [record for _, record in open_records(str(path), "--texts", "skip", quoting="standard")]
    assert first == {"id": "1", "text": f'a line{end}and "another", é\u2028'}
    assert second == {"id": "2", "text": "plain"}
