"""CoNLL-U: the lines of one sentence -> words with character spans into the sentence's raw text.

Owns the format: columns, ids, multiword tokens, empty nodes, `# text` and SpaceAfter. It knows nothing of files, of
splits, or of what to do with a malformed sentence: it only says what is wrong and in which line. Format:
https://universaldependencies.org/format.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

COLUMNS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
OPEN = ("ADJ", "ADV", "INTJ", "NOUN", "PROPN", "VERB")
CLOSED = ("ADP", "AUX", "CCONJ", "DET", "NUM", "PART", "PRON", "SCONJ")
UPOS = (*OPEN, *CLOSED, "PUNCT", "SYM", "X")
UNTAGGED = "_"
AMBIGUOUS_KEY = "LeftAmbiguous"
_ID = re.compile(r"([1-9]\d*)|([1-9]\d*)-([1-9]\d*)|(0|[1-9]\d*)\.([1-9]\d*)", re.ASCII)


class Malformed(ValueError):
    """A sentence breaks the format: `kind` in one word (to count by), `line` from 1, and `what` in full."""

    def __init__(self, kind: str, line: int, what: str) -> None:
        super().__init__(what)
        self.kind, self.line, self.what = kind, line, what


@dataclass(frozen=True)
class Word:
    """A syntactic word.

    Attributes:
        id: 1, 2, ... within the sentence.
        upos: one of `UPOS`, or "_" (untagged).
        head: id of the word it depends on, 0 for the root, None where the file says "_".
        start, end: characters [start, end) of the sentence's text. The words of a multiword token all have the whole
            token's span: "don't" is one piece of text, and CoNLL-U doesn't say where in it a word begins.
        multiword: (first, last) ids of the words of its multiword token, None outside of one.
        part: where the forms of a multiword token's words add up to the token's text ("do" + "n't"), this word's own
            characters [start, end); equal to (start, end) outside of one; None where they don't add up ("du").
        misc: the MISC column, verbatim.
    """

    id: int
    form: str
    lemma: str
    upos: str
    xpos: str
    head: int | None
    deprel: str
    misc: str
    start: int
    end: int
    multiword: tuple[int, int] | None
    part: tuple[int, int] | None

    @property
    def last_in_multiword(self) -> bool:
        """Whether it is the last word of a multiword token (false outside of one)."""
        return self.multiword is not None and self.id == self.multiword[1]

    @property
    def left_ambiguous(self) -> tuple[str, ...]:
        """The tags that the text up to and including the word leaves open, where MISC lists them; else ()."""
        for item in self.misc.split("|"):
            key, _, value = item.partition("=")
            if key == AMBIGUOUS_KEY:
                return tuple(value.split("+"))
        return ()


@dataclass(frozen=True)
class Line:
    """A line of a sentence: its number in the file (from 1) and its text without the line end."""

    number: int
    text: str


@dataclass(frozen=True)
class Block:
    """A sentence as parsed. `text` is `# text`, or rebuilt from the forms; `comments` maps names to values."""

    text: str
    words: tuple[Word, ...]
    comments: dict[str, str]


@dataclass(frozen=True)
class _Row:
    line: int
    columns: list[str]
    first: int
    last: int

    @property
    def spaced(self) -> bool:
        return "SpaceAfter=No" not in self.columns[9].split("|")


def comments_of(lines: list[Line]) -> dict[str, str]:
    """The comments `# name = value` of a sentence; a comment without "=" has the value ""."""
    comments: dict[str, str] = {}
    for line in lines:
        if line.text.startswith("#"):
            name, _, value = line.text[1:].partition("=")
            comments.setdefault(name.strip(), value.strip(" \t"))
    return comments


def parse_sentence(lines: list[Line]) -> Block:
    """Parses the lines of one sentence, comments included.

    Raises:
        Malformed: kinds "columns", "id", "form", "tag", "head", "text" and "words" (none at all).
    """
    rows = _rows(lines)
    words = [row for row in rows if row.first == row.last and "-" not in row.columns[0]]
    if not words:
        raise Malformed("words", lines[0].number, "a sentence without words")
    surfaces = _surfaces(rows)
    comments = comments_of(lines)
    text = comments.get("text") or _rebuilt(surfaces)
    spans = _spans(surfaces, text)
    parsed: list[Word] = []
    for surface, start in zip(surfaces, spans, strict=True):
        inside = words[surface.first - 1 : surface.last]
        parsed += _words(surface, inside, start, len(words))
    return Block(text, tuple(parsed), comments)


def _rows(lines: list[Line]) -> list[_Row]:
    """Words and multiword tokens in the order of the file, their ids checked; empty nodes are left out."""
    rows: list[_Row] = []
    word, empty, covered = 0, 0, 0
    for line in lines:
        if line.text.startswith("#"):
            continue
        columns = _columns(line)
        match = _ID.fullmatch(columns[0])
        if match is None:
            _bad_id(line, columns[0], "not a word (3), a multiword token (3-4) or an empty node (3.1)")
        single, first, last, after, minor = (int(g) if g else None for g in match.groups())
        if single is not None:
            if single != word + 1:
                _bad_id(line, columns[0], f"expected {word + 1}")
            word, empty = single, 0
            rows.append(_Row(line.number, columns, single, single))
        elif first is not None and last is not None:
            if first != word + 1 or first <= covered or last < first:
                _bad_id(line, columns[0], f"a multiword token here begins with {max(word, covered) + 1}")
            covered = last
            rows.append(_Row(line.number, columns, first, last))
        else:
            if after != word or minor != empty + 1:
                _bad_id(line, columns[0], f"an empty node here is {word}.{empty + 1}")
            empty += 1
    if covered > word:
        _bad_id(lines[-1], f"..-{covered}", f"the sentence ends with word {word}")
    return rows


def _bad_id(line: Line, written: str, expected: str) -> NoReturn:
    raise Malformed("id", line.number, f'ID "{written}" out of order: {expected}')


def _columns(line: Line) -> list[str]:
    columns = line.text.split("\t")
    if len(columns) != len(COLUMNS):
        hint = " (are they separated by spaces instead of tabs?)" if len(columns) == 1 else ""
        raise Malformed("columns", line.number, f"{len(columns)} columns instead of {len(COLUMNS)}{hint}")
    if not columns[1].strip():
        raise Malformed("form", line.number, "FORM is empty")
    return columns


def _surfaces(rows: list[_Row]) -> list[_Row]:
    """What stands in the text: multiword tokens, and the words outside of them."""
    surfaces: list[_Row] = []
    for row in rows:
        if not surfaces or row.first > surfaces[-1].last:
            surfaces.append(row)
    return surfaces


def _rebuilt(surfaces: list[_Row]) -> str:
    return "".join(row.columns[1] + " " * row.spaced for row in surfaces).rstrip(" ")


def _spans(surfaces: list[_Row], text: str) -> list[int]:
    """Start of every surface token in the text."""
    starts: list[int] = []
    position = 0
    for index, row in enumerate(surfaces):
        form = row.columns[1]
        if not text.startswith(form, position):
            instead = text[position : position + max(len(form), 8)]
            raise Malformed("text", row.line, f'FORM "{form}" where # text has "{instead}" (character {position})')
        starts.append(position)
        position += len(form)
        rest = text[position:]
        gap = len(rest) - len(rest.lstrip())
        last = index == len(surfaces) - 1
        if not last and bool(gap) != row.spaced:
            spacing = "a space" if row.spaced else "no space (SpaceAfter=No)"
            raise Malformed("text", row.line, f'the columns say {spacing} after "{form}"; # text does not')
        position += gap
    if position < len(text):
        raise Malformed("text", surfaces[-1].line, f'# text goes on with "{text[position : position + 20]}"')
    return starts


def _words(surface: _Row, inside: list[_Row], start: int, count: int) -> list[Word]:
    multiword = (surface.first, surface.last) if "-" in surface.columns[0] else None
    form = surface.columns[1]
    adds_up = "".join(row.columns[1] for row in inside) == form
    words: list[Word] = []
    offset = start
    for row in inside:
        part = (offset, offset + len(row.columns[1])) if adds_up else None
        offset += len(row.columns[1])
        words.append(_word(row, (start, start + len(form)), multiword, part, count))
    return words


def _word(
    row: _Row, span: tuple[int, int], multiword: tuple[int, int] | None, part: tuple[int, int] | None, count: int
) -> Word:
    _, form, lemma, upos, xpos, _, head, deprel, _, misc = row.columns
    if upos not in UPOS and upos != UNTAGGED:
        raise Malformed("tag", row.line, f'UPOS "{upos}" of "{form}" is not one of {", ".join(UPOS)} or _')
    return Word(row.first, form, lemma, upos, xpos, _head(row, head, count), deprel, misc, *span, multiword, part)


def _head(row: _Row, head: str, count: int) -> int | None:
    if head == "_":
        return None
    if not (head.isascii() and head.isdigit()) or int(head) > count or int(head) == row.first:
        raise Malformed("head", row.line, f'HEAD "{head}" of word {row.first}; allowed: 0 to {count}, not itself')
    return int(head)
