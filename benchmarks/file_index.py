"""Writes docs/files.md: every module of the project with what its docstring says first.

python benchmarks/file_index.py > docs/files.md
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("lit_experiments", "stores", "benchmarks")
_HEAD = """# Every file

What the module docstrings say first, folder by folder; made by `python benchmarks/file_index.py > docs/files.md`. The
README has the picture of the whole.
"""


def index(root: Path = ROOT) -> str:
    """The page's text."""
    sections = (f"\n## {folder.relative_to(root)}/\n\n" + "\n".join(_lines(folder)) for folder in _folders(root))
    return _HEAD + "\n".join(sections) + "\n"


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
    print(index(), end="")
