"""Where the tokens of a sentence stand in its text: each in its place, with nothing but white space between them.

Owns: telling multiword tokens from words. Datasets made from CoNLL-U list a multiword token (tag "_") before the words
that it stands for, so that `du` `de` `le` is one piece of text; others list them apart. What cannot be told is refused.
Does not know: records, tags beyond "_", tokenizers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import normalize

from lit_experiments.sources.conllu import UNTAGGED
from lit_experiments.sources.values import BadValueError

_SHOWN = 20  # characters of the text around a misfit


@dataclass(frozen=True)
class Surface:
    """One piece of the text: its form, its first character, and the places in the token list of the words in it."""

    form: str
    start: int
    words: tuple[int, ...]


@dataclass(frozen=True)
class Range:
    """A multiword token that is listed apart: first and last place (from 0) of its words, and its form."""

    first: int
    last: int
    form: str


def laid_out(
    forms: Sequence[str], tags: Sequence[str], text: str | None, headless: frozenset[int], ranges: Sequence[Range]
) -> tuple[str, list[Surface]]:
    """(text, pieces in order); without a text it is made of the pieces, with one space between them.

    Args:
        headless: places of tokens that the dataset gives no head: multiword tokens, and empty nodes, which are no part
            of the text and are left out.
        ranges: multiword tokens that are listed apart from the tokens.

    Raises:
        BadValueError: the text holds something else than the tokens, or it cannot be told which words a multiword
            token stands for.
    """
    forms_only = [i for i in range(len(forms)) if i not in headless or tags[i] == UNTAGGED]
    if ranges:
        pieces = _listed_apart(forms, ranges)
    elif text is None:
        pieces = _by_spelling(forms, tags, forms_only)
    else:
        return text, _Search(forms, tags, text, headless).surfaces()
    if text is None:
        return _joined(pieces)
    return text, _placed(pieces, text)


def _listed_apart(forms: Sequence[str], ranges: Sequence[Range]) -> list[tuple[str, tuple[int, ...]]]:
    pieces: list[tuple[str, tuple[int, ...]]] = []
    starts = {span.first: span for span in ranges}
    at = 0
    while at < len(forms):
        whole = starts.get(at)
        last = at if whole is None else whole.last
        if last < at or last >= len(forms):
            raise BadValueError(f"a multiword token stands for words {at + 1}-{last + 1} of {len(forms)}")
        pieces.append((forms[at] if whole is None else whole.form, tuple(range(at, last + 1))))
        at = last + 1
    return pieces


def _by_spelling(forms: Sequence[str], tags: Sequence[str], places: Sequence[int]) -> list[tuple[str, tuple[int, ...]]]:
    """Pieces where no text says what belongs together: an untagged token holds the tagged ones that spell it."""
    pieces: list[tuple[str, tuple[int, ...]]] = []
    at = 0
    while at < len(places):
        place = places[at]
        inside = _spelled([forms[i] for i in places[at:]], [tags[i] for i in places[at:]])
        if not inside and tags[place] == UNTAGGED and _may_hold(tags, places, at):
            raise BadValueError(
                f'token {place + 1}, "{forms[place]}", has no tag and is not spelled by the next ones: without a text '
                f"it cannot be told whether it is a multiword token, and of which words"
            )
        words = tuple(places[at + 1 : at + 1 + inside]) or (place,)
        pieces.append((forms[place], words))
        at += inside + 1
    return pieces


def _spelled(forms: Sequence[str], tags: Sequence[str]) -> int:
    """How many of the tokens behind an untagged one spell it; 0 if none do."""
    if tags[0] != UNTAGGED:
        return 0
    spelled = ""
    for count, form in enumerate(forms[1:], start=1):
        spelled += form
        if spelled == forms[0] and count > 1:
            return count
        if not forms[0].startswith(spelled):
            break
    return 0


def _may_hold(tags: Sequence[str], places: Sequence[int], at: int) -> bool:
    """Whether two tagged tokens follow, which a multiword token could stand for."""
    following = [tags[i] for i in places[at + 1 : at + 3]]
    return len(following) == 2 and UNTAGGED not in following


def _joined(pieces: Sequence[tuple[str, tuple[int, ...]]]) -> tuple[str, list[Surface]]:
    surfaces: list[Surface] = []
    start = 0
    for form, words in pieces:
        surfaces.append(Surface(form, start, words))
        start += len(form) + 1
    return " ".join(form for form, _ in pieces), surfaces


def _placed(pieces: Sequence[tuple[str, tuple[int, ...]]], text: str) -> list[Surface]:
    surfaces: list[Surface] = []
    position = 0
    for form, words in pieces:
        start = _skip_space(text, position)
        if not text.startswith(form, start):
            raise BadValueError(_misfit(words[0], form, text, start))
        surfaces.append(Surface(form, start, words))
        position = start + len(form)
    if text[position:].strip():
        raise BadValueError(_rest(text, position))
    return surfaces


class _Search:
    """Finds the one way in which all tokens lie in a text, trying for each untagged one how many words it holds."""

    def __init__(self, forms: Sequence[str], tags: Sequence[str], text: str, headless: frozenset[int]) -> None:
        self._forms, self._tags, self._text, self._headless = forms, tags, text, headless
        self._ways: dict[tuple[int, int], int] = {}

    def surfaces(self) -> list[Surface]:
        """The pieces of the text.

        Raises:
            BadValueError: there is no way, or more than one.
        """
        ways = self._count(0, 0)
        if not ways:
            raise BadValueError(self._misfit())
        surfaces: list[Surface] = []
        at, position = 0, 0
        while at < len(self._forms):
            steps = [step for step in self._steps(at, position) if self._count(step[1], step[2])]
            if len(steps) > 1:
                raise BadValueError(
                    f'token {at + 1}, "{self._forms[at]}", has no tag, and it can be told in {len(steps)} ways which '
                    f"of the next tokens are its words"
                )
            surface, at, position = steps[0]
            surfaces += [surface] if surface is not None else []
        return surfaces

    def _misfit(self) -> str:
        """What stands at the farthest place that any way reaches."""
        position = max(end for _, end in self._ways)
        places = [place for place, end in self._ways if end == position and place < len(self._forms)]
        if not places:
            return _rest(self._text, position)
        return _misfit(max(places), self._forms[max(places)], self._text, _skip_space(self._text, position))

    def _count(self, at: int, position: int) -> int:
        """In how many ways the tokens from `at` on fill the text from `position` on."""
        todo = [(at, position)]
        while todo:
            key = todo[-1]
            if key in self._ways:
                todo.pop()
                continue
            if key[0] == len(self._forms):
                self._ways[key] = int(not self._text[key[1] :].strip())
                continue
            following = [(after, end) for _, after, end in self._steps(*key)]
            open_ = [step for step in following if step not in self._ways]
            if open_:
                todo += open_
            else:
                self._ways[key] = sum(self._ways[step] for step in following)
        return self._ways[at, position]

    def _steps(self, at: int, position: int) -> list[tuple[Surface | None, int, int]]:
        """(piece or None for an empty node, place behind it, character behind it) for all that can stand here."""
        form, untagged = self._forms[at], self._tags[at] == UNTAGGED
        if at in self._headless and not untagged:
            return [(None, at + 1, position)]
        start = _skip_space(self._text, position)
        if not self._text.startswith(form, start):
            return []
        end = start + len(form)
        if not untagged:
            return [(Surface(form, start, (at,)), at + 1, end)]
        spelled = _spelled(self._forms[at:], self._tags[at:])
        counts = [spelled] if spelled else [0, *self._possible(at)]
        return [
            (Surface(form, start, tuple(range(at + 1, at + 1 + count)) or (at,)), at + 1 + count, end)
            for count in counts
        ]

    def _possible(self, at: int) -> range:
        """How many words an untagged token can hold: two or more of the tagged ones behind it."""
        last = at + 1
        while last < len(self._forms) and self._tags[last] != UNTAGGED:
            last += 1
        return range(2, last - at)


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _misfit(place: int, form: str, text: str, start: int) -> str:
    there = text[start : start + max(len(form), _SHOWN)]
    instead = f'"{there}" stands there' if there else "the text ends there"
    same = normalize("NFC", text[start:]).startswith(normalize("NFC", form))
    hint = " (the same characters, composed otherwise: normalise both)" if same else ""
    return f'token {place + 1}, "{form}", is not in the text where it belongs, at character {start}: {instead}{hint}'


def _rest(text: str, position: int) -> str:
    return f'the text goes on with "{text[position:].strip()[:_SHOWN]}" after the last token, at character {position}'
