"""The bytes of text files: decompressed, checked to be text, whole or line by line.

Owns: which suffixes mean compression, byte order marks, what ends a line. Does not know: formats of records.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from lit_experiments.sources.errors import SourceError

COMPRESSED = {".gz": "gzip", ".zst": "zstd"}
_BLOCK = 1 << 18  # bytes of a text file that are read at a time
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)")
_LINE_OR_END = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def content(path: Path) -> bytes:
    """A file's bytes, decompressed by its suffix. Raises SourceError if it cannot be read."""
    return b"".join(_blocks(path))


def _blocks(path: Path) -> Iterator[bytes]:
    """The same, block by block."""
    codec = COMPRESSED.get(path.suffix.lower())
    try:
        if codec is None:
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    yield block
            return
        import pyarrow

        with pyarrow.input_stream(str(path), compression=codec) as stream:
            while block := stream.read(_BLOCK):
                yield block
    except OSError as error:
        if codec is None or error.strerror:
            raise SourceError(f"Cannot read {path}: {error.strerror}.") from error
        reason = " ".join(str(error).split())
        raise SourceError(f"Cannot read {path} as {codec}: {reason}\nNext: check that the file is whole.") from error


def read_bytes(path: Path) -> bytes:
    """A text file's bytes, decompressed, without a byte order mark.

    Raises:
        SourceError: unreadable, empty, binary, or UTF-16.
    """
    return _checked(path, content(path))


def read_lines(path: Path) -> Iterator[bytes]:
    """A text file's lines (see `lines`), read as they are asked for; only its beginning is looked at now.

    Raises:
        SourceError: as `read_bytes`; later, when the file turns out to be damaged further on.
    """
    _checked(path, _beginning(_blocks(path)))
    return _lines_of(path)


def text_lines(path: Path) -> Iterator[str]:
    r"""A text file's lines with what ends them (\n, \r\n or \r), read as they are asked for; bytes that are no UTF-8
    become surrogates.

    Raises:
        SourceError: as `read_lines`.
    """
    _checked(path, _beginning(_blocks(path)))
    return _decoded(path)


def holds(path: Path, mark: bytes) -> bool:
    """Whether a byte is anywhere in a text file. Raises SourceError where it cannot be read."""
    return any(mark in block for block in _blocks(path))


def _decoded(path: Path) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    rest = ""
    for number, block in enumerate(_blocks(path)):
        rest += decoder.decode(block.removeprefix(_BOM) if number == 0 else block)
        # A return at the very end may be followed by its newline in the next block.
        whole = [line.group() for line in _LINE.finditer(rest, 0, len(rest) - rest.endswith("\r"))]
        rest = rest[sum(map(len, whole)) :]
        yield from whole
    rest += decoder.decode(b"", True)
    yield from (line for line in _LINE_OR_END.findall(rest) if line)


def _beginning(blocks: Iterator[bytes]) -> bytes:
    """The first blocks, up to one with something to see."""
    head = b""
    for block in blocks:
        head += block
        if head.strip():
            break
    return head


def _lines_of(path: Path) -> Iterator[bytes]:
    # From the start again: of a folder's many files, those that wait for their turn are not held open.
    blocks = _blocks(path)
    head = _beginning(blocks).removeprefix(_BOM)
    if b"\n" not in head:  # one long line, or lines that end in \r: the whole file decides
        yield from lines(head + b"".join(blocks))
    else:
        yield from _split(chain([head], blocks))


def _split(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *complete, rest = (rest + block).split(b"\n")
        yield from complete
    if rest:
        yield rest


def _checked(path: Path, data: bytes) -> bytes:
    """The beginning of a text file, without a byte order mark. Raises SourceError for what is no text."""
    if data.startswith(_UTF16):
        raise SourceError(
            f"{path} is UTF-16, not UTF-8.\nNext: iconv -f utf-16 -t utf-8 {path} > {path.stem}-utf8{path.suffix}"
        )
    data = data.removeprefix(_BOM)
    if not data.strip():
        raise SourceError(f"{path} is empty.\nNext: point at a file with at least one record.")
    if b"\0" in data[:65536]:
        raise SourceError(
            f"{path} is a binary file (it holds NUL bytes), not UTF-8 text.\n"
            f"Next: name it by its format, if it is a dataset (.parquet, .arrow) or compressed (.jsonl.gz)."
        )
    return data


def lines(data: bytes) -> list[bytes]:
    """Lines ended by \\n, \\r\\n, or (old) \\r; a newline at the end of the file starts no further line."""
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    return data.removesuffix(b"\n").split(b"\n")
