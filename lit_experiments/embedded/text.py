"""Documentation English that every CPython carries: where it lies, how it is cleaned, what is held out.

Owns: reading `pydoc_data.topics` and the docstrings in the standard library's source files (parsed, never imported),
normalisation, the cut into paragraphs, and the split into a training and a held-out part.
Does not know: tokenizers, models, or what the paragraphs are used for.

The split is by document *name* (topic or module), so that it stays the same when a newer Python edits a document, and
so that two paragraphs of one document never straddle it. Text that a held-out document shares with a training document
(modules copy each other) is dropped from the held-out part.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import sys
import sysconfig
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

from lit_experiments.remembered import remembered

HELD_OUT_PERCENT = 12
SHARED_RUN = 12  # a held-out paragraph with this many consecutive words of a training paragraph is a copy

_SKIPPED_FOLDERS = {
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "dist-packages",
    "pydoc_data",
    "turtledemo",
    "__pycache__",
}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_PLAIN = str.maketrans(
    {
        "\u201c": '"',
        "\u201d": '"',
        "\u2018": "'",
        "\u2019": "'",
        "\u2013": "-",
        "\u2014": "-",
        "\u2026": "...",
        "\u00a0": " ",
    }
)
_BULLET = re.compile(r"^\s*(?:[*\-\u2022]|\(?\d+[.)])\s+")
_UNDERLINE = re.compile(r"^\s*([*=\-~^#\"'+.])\1{2,}\s*$")
_BROKEN_WORD = re.compile(r"(?<=\w)-\n\s*(?=\w)")
_QUOTED_CODE = re.compile(r"(?::\w+:)?(`+)([^`\n]+?)(?:`+|')")
_EMPHASIS = re.compile(r"(?<![\w*])\*{1,2}(\w[\w .,'-]*?)\*{1,2}(?![\w*])")
_CODE_SIGNS = re.compile(r"::=|->|>>>|==|\S=\S|[{}<>|\\]|\w\(\w*\)\.|^\s*(?:def|class|import|from \w+ import)\b")


@dataclass(frozen=True)
class Document:
    """One topic or module: its name and its prose paragraphs, in order."""

    name: str
    paragraphs: tuple[str, ...]

    @property
    def held_out(self) -> bool:
        """Whether the name falls into the held-out part."""
        return is_held_out(self.name)


def is_held_out(name: str) -> bool:
    """Decide by a hash of the name alone, so that the answer is the same on every machine and Python version."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 100 < HELD_OUT_PERCENT


def normalise(text: str) -> str:
    """One line of plain prose: straight quotes, code marks as quotes, no emphasis marks, single spaces, NFC."""
    text = unicodedata.normalize("NFC", text).translate(_PLAIN)
    text = _BROKEN_WORD.sub("-", text)
    text = _QUOTED_CODE.sub(r'"\2"', text)
    text = _EMPHASIS.sub(r"\1", text)
    return " ".join(text.split())


def _items(block: str) -> Iterator[str]:
    """Split one block at its bullets; drop headings and the rules under them."""
    lines = block.split("\n")
    if any(_UNDERLINE.match(line) for line in lines):
        return
    item: list[str] = []
    for line in lines:
        if _BULLET.match(line) and item:
            yield "\n".join(item)
            item = []
        item.append(_BULLET.sub("", line))
    yield "\n".join(item)


def is_prose(paragraph: str) -> bool:
    """Whether a normalised paragraph reads as English sentences (not as code, a table, a signature or a heading)."""
    words = paragraph.split()
    if len(words) < 4 or not (paragraph[0].isalnum() or paragraph[0] in "\"'(") or paragraph[-1] not in ".:?!)":
        return False
    if len(_CODE_SIGNS.findall(paragraph)) > len(words) / 25:
        return False
    letters = sum(c.isalpha() or c == " " for c in paragraph)
    return letters / len(paragraph) >= 0.82


def paragraphs(text: str) -> list[str]:
    """The prose paragraphs of a docstring or topic, normalised, in order."""
    blocks = re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n"))
    items = (normalise(item) for block in blocks for item in _items(block))
    return [item for item in items if item and is_prose(item)]


def _source_files() -> Iterator[tuple[str, Path]]:
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if not _SKIPPED_FOLDERS.intersection(parts) and not parts[0].startswith(("config-", "_sysconfigdata")):
            yield ".".join((*parts[:-1], path.stem)).removesuffix(".__init__"), path


def _docstrings(source: bytes) -> Iterator[str]:
    """Every docstring of a source file, in the order of the file; files that are not UTF-8 declare their encoding."""
    tree = ast.parse(source)
    nodes = [node for node in ast.walk(tree) if isinstance(node, _DOCUMENTED)]
    for node in sorted(nodes, key=lambda node: getattr(node, "lineno", 0)):
        docstring = ast.get_docstring(node)
        if docstring:
            yield docstring


def documents() -> list[Document]:
    """All documents of the running Python in a fixed order; a paragraph that occurred before is left out."""
    sources = [(name, path.read_bytes()) for name, path in _source_files()]
    rules = Path(__file__).read_bytes()
    read = [sys.version.encode(), rules, repr(sorted(topics.items())).encode()]
    read += [part for name, source in sources for part in (name.encode(), source)]
    kept = remembered("documentation", read, lambda: json.dumps(_paragraphs_of(sources)))
    return [Document(name, tuple(texts)) for name, texts in json.loads(kept)]


def _paragraphs_of(sources: list[tuple[str, bytes]]) -> list[tuple[str, list[str]]]:
    """Document name and its paragraphs, of topics and source files; without those that have none of their own."""
    seen: set[str] = set()
    raw = [(f"topics/{key}", [text]) for key, text in sorted(topics.items())]
    raw += [(name, list(_docstrings(source))) for name, source in sources]
    distinct = []
    for name, texts in raw:
        fresh = [p for p in dict.fromkeys(p for text in texts for p in paragraphs(text)) if p not in seen]
        seen.update(fresh)
        if fresh:
            distinct.append((name, fresh))
    return distinct


def _runs(paragraph: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", paragraph.lower())
    return {tuple(words[i : i + SHARED_RUN]) for i in range(len(words) - SHARED_RUN + 1)}


def split(all_documents: Iterable[Document]) -> tuple[list[Document], list[Document]]:
    """Training and held-out documents; held-out paragraphs that copy training text are dropped."""
    all_documents = list(all_documents)
    training = [document for document in all_documents if not document.held_out]
    known = {run for document in training for paragraph in document.paragraphs for run in _runs(paragraph)}
    held_out = []
    for document in (document for document in all_documents if document.held_out):
        kept = tuple(p for p in document.paragraphs if known.isdisjoint(_runs(p)))
        if kept:
            held_out.append(Document(document.name, kept))
    return training, held_out


def pieces(document: Document, max_chars: int) -> list[str]:
    """Consecutive paragraphs joined by blank lines, at most `max_chars` long unless a single paragraph is longer."""
    runs: list[list[str]] = [[]]
    size = 0
    for paragraph in document.paragraphs:
        if runs[-1] and size + len(paragraph) > max_chars:
            runs.append([])
            size = 0
        runs[-1].append(paragraph)
        size += len(paragraph) + 2
    return ["\n\n".join(run) for run in runs]


def source_hash(all_documents: Iterable[Document]) -> str:
    """SHA-256 over names and paragraphs: records which Python's documentation a result was made from."""
    digest = hashlib.sha256()
    for document in all_documents:
        digest.update("\x1e".join((document.name, *document.paragraphs)).encode() + b"\x1d")
    return digest.hexdigest()
