"""Reading paragraphs: what counts as one in each kind of source, and what is passed over."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import datasets
import pytest

from lit_experiments.embedded import text as documentation
from lit_experiments.sources.blocks import layout_of
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.paragraphs import Paragraphs, read_paragraphs

SHARED = Path(__file__).parents[3] / "shared" / "data"
ROOT = Path(__file__).parents[2]
WIKITEXT = " \n = Bridges = \n \n A bridge spans a river . \n It may be long . \n \n = = Arches = = \n \n Stone . \n"


def texts(paragraphs: Paragraphs) -> list[str]:
    return [record.text for record in paragraphs.records]


def test_a_text_file_is_cut_at_blank_lines_and_wrapped_lines_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("The first paragraph\nis wrapped.\n\n\n  The second is not.\n \nThird.")
    paragraphs = read_paragraphs(str(path))
    assert texts(paragraphs) == ["The first paragraph is wrapped.", "The second is not.", "Third."]
    assert [(record.paragraph_id, record.place) for record in paragraphs.records] == [
        ("line-000001", 1),
        ("line-000005", 5),
        ("line-000007", 7),
    ]
    assert (paragraphs.layout, paragraphs.blank, paragraphs.headings) == ("blocks", 3, 0)


def test_wikitext_has_one_paragraph_per_line_and_its_headings_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "wiki.txt"
    path.write_text(WIKITEXT)
    paragraphs = read_paragraphs(str(path))
    assert texts(paragraphs) == ["A bridge spans a river .", "It may be long .", "Stone ."]
    assert (paragraphs.layout, paragraphs.headings, paragraphs.blank) == ("lines", 2, 4)
    assert [record.place for record in paragraphs.records] == [4, 5, 9]


def test_the_layout_is_chosen_by_headings_and_by_the_length_of_lines() -> None:
    assert layout_of(["one line", "", "x = y = z"]) == "blocks"
    assert layout_of([" = Title = ", "text"]) == "lines"
    assert layout_of([" = = Not a title = ", "text"]) == "blocks"
    assert layout_of(["word " * 100, "short", "word " * 80]) == "lines"
    assert layout_of([]) == "blocks"


def test_headings_of_markdown_and_rules_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "t.md"
    path.write_text("# Title\nRight below.\n\nUnderlined\n==========\n\nA #tag stays.\n\n---\n\nEnd.\n")
    paragraphs = read_paragraphs(str(path))
    assert texts(paragraphs) == ["Right below.", "A #tag stays.", "End."]
    assert paragraphs.headings == 3


def test_a_folder_of_text_files_names_the_file_in_each_id(tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "b.txt").write_text("Of b.\n")
    (tmp_path / "part" / "a.txt").write_text("\nOf a.\n\nAgain of a.\n")
    (tmp_path / "README.md").write_text("About these files.\n")
    paragraphs = read_paragraphs(str(tmp_path))
    assert [record.paragraph_id for record in paragraphs.records] == [
        "b.txt-line-000001",
        "part.a.txt-line-000002",
        "part.a.txt-line-000004",
    ]


def test_paragraphs_never_run_from_one_file_into_the_next(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("No newline at the end")
    (tmp_path / "b.txt").write_text("of the file before.")
    assert len(read_paragraphs(str(tmp_path)).records) == 2


def test_rows_of_a_dataset_are_paragraphs_like_those_of_wikitext(tmp_path: Path) -> None:
    rows = [*(line + "\n" for line in WIKITEXT.split("\n")[:-1]), "Two in\none row.\n\nThe second.\n"]
    datasets.Dataset.from_dict({"text": rows}).save_to_disk(tmp_path / "saved")
    paragraphs = read_paragraphs(str(tmp_path / "saved"), "text")
    assert texts(paragraphs) == [
        "A bridge spans a river .",
        "It may be long .",
        "Stone .",
        "Two in one row.",
        "The second.",
    ]
    assert [record.paragraph_id for record in paragraphs.records][-2:] == ["row-000009", "row-000009-1"]
    assert (paragraphs.layout, paragraphs.headings) == ("rows", 2)
    with pytest.raises(SourceError, match="--text_column"):
        read_paragraphs(str(tmp_path / "saved"))
    with pytest.raises(SourceError, match='no column "txt"; it has: text'):
        read_paragraphs(str(tmp_path / "saved"), "txt")


def test_an_unreadable_line_takes_its_paragraph_with_it(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(b"Whole.\n\nThis one\ncaf\xe9 in the middle\nis broken.\n\n\xe9\n\nWhole again.\n")
    with pytest.raises(SourceError, match=r"t\.txt, line 4: not UTF-8(.|\n)*--malformed skip"):
        read_paragraphs(str(path))
    paragraphs = read_paragraphs(str(path), malformed="skip")
    assert texts(paragraphs) == ["Whole.", "Whole again."]
    assert (paragraphs.skipped.count, paragraphs.broken) == (2, 1)


def test_malformed_records_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "One."}\n{"text": 2}\n{"txt": "Three."}\n{"text": "Four."}\n')
    with pytest.raises(SourceError, match=r't\.jsonl, line 2: "text" must be text, found int'):
        read_paragraphs(str(path), "text")
    paragraphs = read_paragraphs(str(path), "text", "skip")
    assert (texts(paragraphs), paragraphs.skipped.count) == (["One.", "Four."], 2)
    assert 'no key "text"; it has: txt' in paragraphs.skipped.reasons[1]


def test_sources_without_a_paragraph_or_that_are_not_there_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text(" = Title = \n\n")
    with pytest.raises(SourceError, match="holds no paragraph: 1 headings and 1 blank lines"):
        read_paragraphs(str(path))
    with pytest.raises(SourceError, match=r"Paragraphs not found(.|\n)*--paragraphs"):
        read_paragraphs(str(tmp_path / "nothing.txt"))


def test_embedded_paragraphs_are_the_held_out_part_of_this_python_s_documentation() -> None:
    paragraphs = read_paragraphs("embedded")
    training, _ = documentation.split(documentation.documents())
    assert f"CPython {sys.version.split()[0]}" in paragraphs.name
    assert len(paragraphs.records) > 500
    assert len({record.paragraph_id for record in paragraphs.records}) == len(paragraphs.records)
    assert set(texts(paragraphs)).isdisjoint(p for document in training for p in document.paragraphs)
    assert len(paragraphs.digest) == 64


def test_a_python_without_topics_is_told_so() -> None:
    code = (
        "import sys; sys.modules['pydoc_data'] = None\n"
        "from lit_experiments.sources.errors import SourceError\n"
        "from lit_experiments.sources.paragraphs import read_paragraphs\n"
        "try: read_paragraphs('embedded')\n"
        "except SourceError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "carries no documentation to read paragraphs from: it has no pydoc_data.topics" in done.stdout
    assert "--paragraphs FILE_OR_FOLDER_OR_HUB_ID" in done.stdout


def test_a_python_with_empty_documentation_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    monkeypatch.setattr(documentation, "topics", {})
    with pytest.raises(SourceError, match="0 documents were found, none of them held out"):
        read_paragraphs("embedded")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder ../shared is not there")
def test_wikitext2_is_read_line_by_line() -> None:
    paragraphs = read_paragraphs(f"{SHARED / 'wikitext2'}:test")
    assert (len(paragraphs.records), paragraphs.headings, paragraphs.layout) == (2185, 706, "lines")
    assert not any(record.text.startswith("= ") and record.text.endswith(" =") for record in paragraphs.records)
