"""The folder of all figures: what is in the index, and what becomes of figures that no report has any more."""

from pathlib import Path

import pytest

from lit_experiments.reports.blocks import Curves, Note, Page, Panel, Section, Series
from lit_experiments.reports.document import Source
from lit_experiments.reports.gallery import Chapter, write_gallery
from lit_experiments.reports.write import write_page


def report(folder: Path, title: str, *figures: tuple[str, str], panels: int = 1) -> None:
    """A page with these figures (name, caption)."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [Panel(str(k), [Series("y", [0, 1, 2], [1.0, 0.0, 2.0])], "y") for k in range(panels)]
    sections = [
        Section(f"About {name}", [Curves(name, caption, "x", lines), Note("Some *words*.")])
        for name, caption in figures
    ]
    write_page(Page(title, "Why?", "This.", ["So."], "Quite.", sections), folder, Source())


@pytest.fixture
def chapters(tmp_path: Path) -> list[Chapter]:
    report(tmp_path / "a" / "one", "First <study>", ("lines", "x [y] (z) * w"), ("heat", 'say "it" & go'))
    report(tmp_path / "b" / "two", "Second", ("lines", "again"))
    return [
        Chapter("2", "2 one: analyze", tmp_path / "a" / "one"),
        Chapter("3", "3 two: analyze", tmp_path / "b" / "two"),
        Chapter("4", "4 three: analyze", tmp_path / "c" / "three"),
    ]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_figures_lie_in_one_folder_and_the_index_leads_to_their_reports(
    tmp_path: Path, chapters: list[Chapter]
) -> None:
    index = write_gallery(tmp_path / "figures", "study", chapters)
    assert names(tmp_path / "figures") == ["2-heat.png", "2-lines.png", "3-lines.png", "index.html"]
    assert (tmp_path / "figures/3-lines.png").read_bytes() == (tmp_path / "b/two/figures/lines.png").read_bytes()
    assert index is not None
    text = index.read_text()
    for part in (
        'href="../a/one/report.html"',
        'href="../b/two/report.html"',
        "First &lt;study&gt;",
        "<figcaption>x [y] (z) * w</figcaption>",
        "say &quot;it&quot; &amp; go",
        "4 three: analyze</h2>",
        "Not run yet",
    ):
        assert part in text
    assert text.index("2-lines.png") < text.index("2-heat.png") < text.index("3-lines.png")


def test_a_figure_of_many_panels_gets_the_whole_width(tmp_path: Path) -> None:
    report(tmp_path / "one", "One", ("narrow", "a"))
    report(tmp_path / "two", "Two", ("wide", "b"), panels=3)
    index = write_gallery(
        tmp_path / "figures", "study", [Chapter(name, name, tmp_path / name) for name in ("one", "two")]
    )
    assert index is not None
    assert index.read_text().count('<figure class="wide"><a href="two-wide.png">') == 1
    assert index.read_text().count("<figure") == 2


def test_a_second_time_changes_nothing(tmp_path: Path, chapters: list[Chapter]) -> None:
    folder = tmp_path / "figures"
    write_gallery(folder, "study", chapters)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_gallery(folder, "study", chapters)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_stale_figures_are_replaced_and_removed_and_other_files_stay(tmp_path: Path, chapters: list[Chapter]) -> None:
    folder = tmp_path / "figures"
    write_gallery(folder, "study", chapters)
    (folder / "mine.png").write_bytes(b"drawn by hand")
    (chapters[0].folder / "RESULTS.md").unlink()
    report(chapters[0].folder, "First", ("lines", "new"))
    another = (chapters[0].folder / "figures" / "heat.png").read_bytes() + b"of another run"
    (chapters[0].folder / "figures" / "lines.png").write_bytes(another)
    write_gallery(folder, "study", chapters)
    assert names(folder) == ["2-lines.png", "3-lines.png", "index.html", "mine.png"]
    assert (folder / "2-lines.png").read_bytes() == another


def test_without_any_report_nothing_is_written(tmp_path: Path) -> None:
    assert write_gallery(tmp_path / "figures", "study", [Chapter("1", "one", tmp_path / "none")]) is None
    assert not (tmp_path / "figures").exists()
