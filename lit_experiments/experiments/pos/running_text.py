"""Cuts a model's continuation into words as a treebank would, and tells whether it goes on with the target word itself.

Owns the rules: a simple English tokenisation after the conventions of UD English (clitics apart, punctuation apart,
hyphened words in pieces, numbers, addresses and abbreviations whole). Pure functions on text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_APOSTROPHE = "['\u2019]"
_CLITIC = rf"(?:n{_APOSTROPHE}t|{_APOSTROPHE}(?:s|re|ve|ll|d|m))(?!\w)"
_TOKEN = re.compile(
    r"""
      https?://\S+ | www\.\S+ | [\w.+-]+@[\w-]+(?:\.[\w-]+)+             # addresses
    | (?:[A-Za-z]\.){2,}                                                  # U.S., e.g.
    | (?:Mr|Mrs|Ms|Dr|St|Jr|Sr|vs|etc|Inc|No)\.(?=\s)                     # abbreviations that keep their point
    | \d+(?:[.,:/]\d+)*                                                   # 1,000.50  10:30
    | (?:can(?=not\b))                                                    # cannot is two words
    | (?:(?!CLITIC)\w(?=\w*?CLITIC))+                                     # do in don't, she in she's
    | CLITIC
    | \w+                                                                 # words; hyphens are apart, as in UD EWT
    | \.{2,} | -{2,} | ([!?])[!?]*                                        # runs of one sign
    | \S
    """.replace("CLITIC", _CLITIC),
    re.VERBOSE | re.IGNORECASE,
)
_END = re.compile(r"[.!?]+|\n.*", re.DOTALL)
_AFTER = re.compile("[\"'\u201d\u2019)\\]]*(?=\\s|$)")


@dataclass(frozen=True)
class Continued:
    """What a continuation makes of the text before it.

    word: the target word, longer than it was where the continuation goes on with it. extended: whether it does.
    following: the words after it, to the end of its sentence.
    """

    word: str
    extended: bool
    following: tuple[str, ...]


def words_of(text: str) -> list[tuple[int, int]]:
    """Characters [start, end) of the words of a text."""
    return [match.span() for match in _TOKEN.finditer(text)]


def sentence_end(text: str) -> int:
    """The character after the first sentence of a text: after a full stop, or before a line break. A text that does
    not end its sentence counts whole.
    """
    for start, end in words_of(text):
        if text.find("\n", 0, start) >= 0:
            return text.find("\n")
        if _END.fullmatch(text[start:end]):
            closed = _AFTER.match(text, end)
            if closed is not None:
                return closed.end()
    newline = text.find("\n")
    return len(text) if newline < 0 else newline


def continued(word: str, text: str) -> Continued:
    """The target word and what follows it, from the continuation as it was decoded (leading space included)."""
    whole = word + text[: sentence_end(text)]
    spans = words_of(whole)
    size = len(word)
    # The word's own characters are one word whatever these rules would make of them ("gonna", ":-)").
    crossing = [end for start, end in spans if start < size < end]
    end = crossing[0] if crossing else size
    following = tuple(whole[start:stop] for start, stop in spans if start >= end)
    return Continued(whole[:end], bool(crossing), following)
