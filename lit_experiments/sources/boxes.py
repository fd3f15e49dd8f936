"""The final answer that a worked solution puts into a box, as its author wrote it.

Owns: finding \\boxed{} and \\fbox{}, with braces or without, and which of several boxes are the answer together.
Does not know: other ways to mark an answer, problems, when two answers are equal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_MATH_ENDS = re.compile(r"(?<!\\)\$|\\\)|\\\]|\\end\b|\\(?:boxed|fbox)(?![A-Za-z])|\n\s*\n")
_WORD = re.compile(r"[-+]?\d[\d.,/]*|\\[A-Za-z]+(?:\s*\{[^{}]*\})*|\S")
_TRAILING = re.compile(r"(?:\s|[.,;]|\\q?quad\b|\\[,;:! ]|\\text\{\s*(?:and|or)\s*\}|\b(?:and|or)\b)+$")
_MARKUP = re.compile(r"\\[()\[\],;:! ]|\\q?quad\b|\\(?:text|mbox|textrm)\s*(?=\{)|\\\\|[$~&{}]")
_NAME = r"(?:[A-Za-z]|\\[A-Za-z]+)(?:_(?:\w|\{\w+\}))?"
_JOINED = re.compile(rf"\s*(?:[,;]\s*(?:and\b|or\b)?|and\b|or\b)\s*(?:{_NAME}\s*=\s*)?", re.IGNORECASE)
_NAMED = re.compile(rf"(?<![A-Za-z\\])({_NAME})\s*=\s*\$?\s*$")

_NUMBER = re.compile(r"(?P<sign>[-+]?)(?P<whole>\d+(?:\.\d+)?)?(?:\\[dt]?frac\{(?P<top>\d+)\}\{(?P<bottom>\d+)\})?")


@dataclass(frozen=True)
class _Box:
    """Where a box begins and ends in the text, and what it holds; None if it never ends."""

    start: int
    end: int
    content: str | None


def boxed(text: str) -> str | None:
    """The answer in a text's last box, inner braces included; None if there is no box or the last one never ends.

    Several boxes are one answer where nothing but a comma, "and" or "or" (and the name of an unknown) stands between
    them: `$x = \\boxed{2}$ or $x = \\boxed{-3}$` is "2, -3"; `$x = \\boxed{2}$, $y = \\boxed{5}$` is "x = 2, y = 5";
    `$\\boxed{1.5}$ or $\\boxed{\\frac{3}{2}}$` is one number written twice, of which the last writing is kept.

    Without braces a box holds what stands there up to the end of the formula, as MATH's own grader reads it
    (`last_boxed_only_string`, github.com/hendrycks/math); outside of a formula, the next number, command or sign.
    """
    boxes = _boxes(text)
    if not boxes or boxes[-1].content is None:
        return None
    first = len(boxes) - 1
    while first > 0 and boxes[first - 1].content and _joined(text[boxes[first - 1].end : boxes[first].start]):
        first -= 1
    return _together(text, boxes[first:])


def _boxes(text: str) -> list[_Box]:
    """The outermost boxes in their order."""
    boxes: list[_Box] = []
    for match in _BOX.finditer(text):
        if boxes and match.start() < boxes[-1].end:
            continue
        braced = text.startswith("{", match.end())
        end = _closing(text, match.end()) if braced else _unbraced_end(text, match.end())
        if end is None:
            boxes.append(_Box(match.start(), len(text), None))
            continue
        content = text[match.end() + braced : end - braced].strip()
        if not braced:
            content = _TRAILING.sub("", content)
            end = match.end() + len(content)
        inner = boxed(content)
        boxes.append(_Box(match.start(), end, content if inner is None else inner))
    return boxes


def _closing(text: str, opening: int) -> int | None:
    """The place after the brace that closes the one at `opening`; None if there is none."""
    depth, at = 0, opening
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
        if not depth:
            return at
    return None


def _unbraced_end(text: str, at: int) -> int | None:
    if _in_formula(text[:at]):
        end = _MATH_ENDS.search(text, at)
        return end.start() if end else len(text)
    word = _WORD.match(text, at)
    return word.end() if word else None


def _in_formula(before: str) -> bool:
    dollars = len(re.findall(r"(?<!\\)\$", before.replace("$$", "")))
    displayed = before.count("$$")
    opened = before.count(r"\[") + before.count(r"\(") > before.count(r"\]") + before.count(r"\)")
    return dollars % 2 == 1 or displayed % 2 == 1 or opened


def _joined(between: str) -> bool:
    return bool(_JOINED.fullmatch(_MARKUP.sub(" ", between).strip(" ")))


def _together(text: str, boxes: Sequence[_Box]) -> str:
    contents = list(dict.fromkeys(box.content or "" for box in boxes))
    values = {_value(content) for content in contents}
    if len(contents) == 1 or (len(values) == 1 and None not in values):
        return contents[-1]
    names = [match[1] if (match := _NAMED.search(text[: box.start])) else None for box in boxes]
    if None in names or len(set(names)) < len(boxes):
        return ", ".join(contents)
    return ", ".join(f"{name} = {box.content}" for name, box in zip(names, boxes, strict=True))


def _value(content: str) -> Fraction | None:
    """The number that a box holds: whole, decimal, a fraction, or a mixed number; None for anything else."""
    match = _NUMBER.fullmatch(content.replace(" ", "").replace("$", ""))
    if match is None or not any(match.group("whole", "top")):
        return None
    fraction = (
        Fraction(int(match["top"]), int(match["bottom"])) if match["top"] and int(match["bottom"]) else Fraction(0)
    )
    value = Fraction(match["whole"] or "0") + fraction
    return -value if match["sign"] == "-" else value
