"""Which tokens a word is made of, from character spans. Knows no tokenizer, no treebank file and no model.

The sentence is tokenised as raw text, so that the model reads what it would read anywhere; the treebank's words are
then found in it by their characters. A token belongs to a word if they share a character. A word is usable if its last
token ends where the word ends: otherwise that token already holds the beginning of the next word, and no state has read
this word and nothing of the next. So no two words ever have the same last token.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from lit_experiments.sources.conllu import Word

NO_PLACE = "its multiword token is not made of its words' characters"
NEXT_WORD = "its last token reaches into the next word"
NO_TOKEN = "no token covers it"

Span = tuple[int, int]


@dataclass(frozen=True)
class Aligned:
    """A word and its tokens [first, last], counted in the sentence's ids."""

    word: Word
    first: int
    last: int
    span: Span

    def positions(self, pooling: str) -> list[int]:
        """The tokens whose states stand for the word: its `last` one, its `first`, or all of them (`mean`)."""
        if pooling == "mean":
            return list(range(self.first, self.last + 1))
        return [self.first if pooling == "first" else self.last]


@dataclass(frozen=True)
class Unaligned:
    """A word that has no state of its own, and why: `NO_PLACE`, `NEXT_WORD` or `NO_TOKEN`."""

    word: Word
    reason: str


def align(words: Sequence[Word], tokens: Sequence[Span]) -> list[Aligned | Unaligned]:
    """One entry per word, in order.

    Args:
        words: of one sentence, with their characters in its text.
        tokens: the characters [start, end) of each token; empty ones (a BOS put in front) belong to no word. A space
            before a word may be part of its first token. Tokens of one character's bytes repeat that character's span.
    """
    filled = [index for index, (start, end) in enumerate(tokens) if end > start]
    starts = [tokens[index][0] for index in filled]
    return [_place(word, tokens, filled, starts) for word in words]


def _place(word: Word, tokens: Sequence[Span], filled: list[int], starts: list[int]) -> Aligned | Unaligned:
    if word.part is None:
        return Unaligned(word, NO_PLACE)
    start, end = word.part
    before_end = bisect_right(starts, end - 1)  # so many filled tokens start before the word ends
    covering = _ending_after(filled[:before_end], tokens, start)
    if not covering or tokens[covering[-1]][1] < end:
        return Unaligned(word, NO_TOKEN)
    if tokens[covering[-1]][1] > end:
        return Unaligned(word, NEXT_WORD)
    return Aligned(word, covering[0], covering[-1], (start, end))


def _ending_after(indices: list[int], tokens: Sequence[Span], start: int) -> list[int]:
    """The trailing ones of `indices` that reach past `start`, in order."""
    return [*takewhile(lambda index: tokens[index][1] > start, reversed(indices))][::-1]
