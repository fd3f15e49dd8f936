"""Writes docs/files.md, every module of the project with what its docstring says first, and the README's tree of files.

python benchmarks/file_index.py
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("lit_experiments", "stores", "benchmarks")
TREE = ("configs", *PACKAGES, "tests")
"""Folders whose files the README's tree names."""
_SUFFIXES = (".py", ".yaml")
_HEAD = """# Every file

What the module docstrings say first, folder by folder; made by `python benchmarks/file_index.py`. The README has
the picture of the whole.
"""
_OPEN, _CLOSE = "<details><summary>Every file, by folder</summary>\n", "</details>\n"
_WIDTH = 120


def index(root: Path = ROOT) -> str:
    """The page's text."""
    sections = (f"\n## {folder.relative_to(root)}/\n\n" + "\n".join(_lines(folder)) for folder in _folders(root))
    return _HEAD + "\n".join(sections) + "\n"


def tree(root: Path = ROOT) -> str:
    """The README's block that names every file: a paragraph for each folder, folded away until it is opened."""
    lines: list[str] = []
    for top in TREE:
        files = [path for path in (root / top).rglob("*") if path.suffix in _SUFFIXES]
        for folder in sorted({path.parent for path in files}):
            names = " ".join(sorted(path.name for path in files if path.parent == folder))
            head = f"{folder.relative_to(root)}/ "
            lines += textwrap.wrap(head + names, _WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    return f"{_OPEN}\n```\n" + "\n".join(lines) + f"\n```\n\n{_CLOSE}"


def with_tree(readme: str, block: str) -> str:
    """The README's text with its tree of files replaced.

    Raises:
        ValueError: it has no such block.
    """
    before, opened, rest = readme.partition(_OPEN)
    _, closed, after = rest.partition(_CLOSE)
    if not opened or not closed:
        raise ValueError(f"README.md lacks its tree of files, from {_OPEN.strip()} to {_CLOSE.strip()}")
    return before + block + after


def _folders(root: Path) -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted({path.parent for path in (root / package).rglob("*.py")})


def _lines(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.py")):
        yield f"* `{path.name}` - {first_sentence(path)}"


def first_sentence(path: Path) -> str:
    """Of a module's docstring, on one line, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[a-z0-9)`\"'])\.(?:\s|$)", paragraph, maxsplit=1)[0].removesuffix(":").removesuffix(".")


if __name__ == "__main__":
    (ROOT / "docs" / "files.md").write_text(index(), encoding="utf-8")
    readme = ROOT / "README.md"
    readme.write_text(with_tree(readme.read_text(encoding="utf-8"), tree()), encoding="utf-8")
