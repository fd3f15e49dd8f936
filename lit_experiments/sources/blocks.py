"""Cutting text into paragraphs: blocks between blank lines, or one line each as in WikiText.

Owns: telling the two layouts apart, what a heading looks like, joining wrapped lines.
Does not know: files, datasets, sentences, tokens.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Layout = Literal["blocks", "lines"]
LONG_LINE = 200  # characters; text is wrapped well below, a paragraph on one line is mostly longer

_WIKITEXT_HEADING = re.compile(r"\s*((?:= )+)(?!=)\S.*?((?: =)+)\s*")
_MARKDOWN_HEADING = re.compile(r" {0,3}#{1,6}\s.*")
_RULE = re.compile(r"\s*([=\-~^*#_+\"'`.:])\1{2,}\s*")


@dataclass
class Counts:
    """What was passed over while cutting.

    Attributes:
        headings: headings.
        blank: blank lines.
        broken: paragraphs with an unreadable line inside.
    """

    headings: int = 0
    blank: int = 0
    broken: int = 0


def is_wikitext_heading(line: str) -> bool:
    """Whether a line is a heading as in " = = Title = = ", with as many signs on both sides."""
    match = _WIKITEXT_HEADING.fullmatch(line)
    return match is not None and match[1].count("=") == match[2].count("=")


def layout_of(lines: Iterable[str]) -> Layout:
    """ "lines" for text with WikiText headings or mostly long lines, else "blocks"."""
    filled = [line for line in lines if line.strip()]
    if any(is_wikitext_heading(line) for line in filled):
        return "lines"
    return "lines" if filled and statistics.median(map(len, filled)) > LONG_LINE else "blocks"


def paragraphs_in(lines: Iterable[tuple[int, str]], layout: Layout, counts: Counts) -> Iterator[tuple[int, str]]:
    """(line number, paragraph) in order; the number is that of its first line.

    Args:
        lines: (number, line); a gap in the numbers is a line that could not be read, and its block is left out.
    """
    if layout == "blocks":
        yield from _blocks(lines, counts)
        return
    for number, line in lines:
        if not line.strip():
            counts.blank += 1
        elif is_wikitext_heading(line):
            counts.headings += 1
        else:
            yield number, line.strip()


def _blocks(lines: Iterable[tuple[int, str]], counts: Counts) -> Iterator[tuple[int, str]]:
    block: list[tuple[int, str]] = []
    previous, whole = 0, True
    for number, line in lines:
        whole = whole and number == previous + 1
        previous = number
        heading = bool(_MARKDOWN_HEADING.fullmatch(line)) or is_wikitext_heading(line)
        if line.strip() and not heading:
            block.append((number, line))
            continue
        yield from _block(block, whole, counts)
        counts.blank += not heading
        counts.headings += heading
        block, whole = [], True
    yield from _block(block, whole, counts)


def _block(block: Sequence[tuple[int, str]], whole: bool, counts: Counts) -> Iterator[tuple[int, str]]:
    """The paragraph of a block, unless it is empty, broken, a rule, or a heading with a rule under it."""
    ruled = [bool(_RULE.fullmatch(line)) for _, line in block]
    if not whole:
        counts.broken += bool(block)
    elif block and (all(ruled) or (len(block) <= 3 and ruled[-1])):
        counts.headings += 1
    elif block:
        yield block[0][0], " ".join(line.strip() for _, line in block)
