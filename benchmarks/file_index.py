"""Writes docs/files.md: every module with what its docstring says first, every YAML with its description.

python benchmarks/file_index.py
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("configs", "stores", "lit_experiments", "benchmarks", "tests")
_HEAD = """# Every file

What it says of itself, folder by folder; made by `python benchmarks/file_index.py`. The README has the picture of the
whole.
"""


def index(root: Path = ROOT) -> str:
    """The page's text."""
    sections = (f"\n## {folder.relative_to(root)}/\n\n" + "\n".join(_lines(folder)) for folder in _folders(root))
    return _HEAD + "\n".join(sections) + "\n"


def _folders(root: Path) -> Iterator[Path]:
    for top in FOLDERS:
        yield from sorted({path.parent for path in (root / top).rglob("*") if path.suffix in (".py", ".yaml")})


def _lines(folder: Path) -> Iterator[str]:
    for path in sorted(folder.iterdir()):
        if path.suffix == ".py" and (sentence := first_sentence(path)):
            yield f"* `{path.name}` - {sentence}"
        elif path.suffix == ".yaml":
            yield f"* `{path.name}` - {_described(path)}"


def _described(path: Path) -> str:
    """What a YAML file says of itself: its description, or the comment at its head."""
    text = path.read_text(encoding="utf-8")
    described = (yaml.safe_load(text) or {}).get("description") or text.splitlines()[0].removeprefix("# ")
    return " ".join(described.split()).removesuffix(".")


def first_sentence(path: Path) -> str:
    """Of a module's docstring, on one line, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[a-z0-9)`\"'])\.(?:\s|$)", paragraph, maxsplit=1)[0].removesuffix(":").removesuffix(".")


if __name__ == "__main__":
    (ROOT / "docs" / "files.md").write_text(index(), encoding="utf-8")
