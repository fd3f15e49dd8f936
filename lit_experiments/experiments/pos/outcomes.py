"""Tags the target word in every completed sentence: counts of tags per prefix. Knows no statistics.

A completed sentence is the treebank's own words up to the target word, and the words of the continuation up to the end
of its sentence. Where the continuation goes on with the target word itself ("book" + "s"), the target word is another
one than the one whose state was read; such draws are left out and counted, or tagged as the longer word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.experiments.pos.running_text import continued
from lit_experiments.experiments.pos.tagger import Tagger
from lit_experiments.sources.treebank import Sentence

EXTENDED = ("exclude", "tag")


@dataclass(frozen=True)
class Outcomes:
    """What the continuations make of each prefix's target word.

    counts: [prefix, tag] draws with each of `tags`. extended: [prefix] draws in which the word goes on. draws: of each
    prefix. examples: per prefix, tag -> the first completion that gave it. gold: [prefix] code of the tag that the
    tagger gives the target word in the treebank's own sentence.
    """

    tags: tuple[str, ...]
    counts: NDArray[np.int64]
    extended: NDArray[np.int64]
    draws: int
    examples: list[dict[str, str]]
    gold: list[str]


def tag_outcomes(rows: Sequence[dict[str, Any]], sentences: dict[str, Sentence], tagger: Tagger, mode: str) -> Outcomes:
    """Of the rows of a `pos_resample` store; sentences by part and id ("validation/s1"); mode one of `EXTENDED`."""
    wanted: dict[tuple[str, ...], int] = {}
    questions: list[list[tuple[int, int] | None]] = []
    for row in rows:
        before = before_target(row, sentences)
        questions.append([_ask(before, row["word"], text, wanted, mode) for text in row["completions"]])
    tagged = tagger.tag(list(wanted))
    tags_of_draws = [[None if ask is None else tagged[ask[0]][ask[1]] for ask in asks] for asks in questions]
    tags = tuple(sorted({tag for of_prefix in tags_of_draws for tag in of_prefix if tag is not None}))
    counts = np.array([[of_prefix.count(tag) for tag in tags] for of_prefix in tags_of_draws], np.int64).reshape(
        len(rows), len(tags)
    )
    extended = np.array([sum(continued(r["word"], t).extended for t in r["completions"]) for r in rows], np.int64)
    draws = len(rows[0]["completions"]) if rows else 0
    return Outcomes(tags, counts, extended, draws, _examples(rows, tags_of_draws), gold_tags(rows, sentences, tagger))


def before_target(row: dict[str, Any], sentences: dict[str, Sentence]) -> list[str]:
    """The treebank's words before the target word."""
    sentence = sentences[f"{row['part']}/{row['sent_id']}"]
    return [word.form for word in sentence.words[: row["word_id"] - 1]]


def gold_tags(rows: Sequence[dict[str, Any]], sentences: dict[str, Sentence], tagger: Tagger) -> list[str]:
    """The tagger's tag of each target word in the sentence that the treebank has."""
    complete = [sentences[f"{row['part']}/{row['sent_id']}"] for row in rows]
    tags = tagger.tag([[word.form for word in sentence.words] for sentence in complete])
    return [of_sentence[row["word_id"] - 1] for row, of_sentence in zip(rows, tags, strict=True)]


def _ask(
    before: list[str], word: str, text: str, wanted: dict[tuple[str, ...], int], mode: str
) -> tuple[int, int] | None:
    """(number of the sentence to tag, place of the target word in it); None for a draw that is left out."""
    continuation = continued(word, text)
    if continuation.extended and mode == "exclude":
        return None
    words = (*before, continuation.word, *continuation.following)
    return wanted.setdefault(words, len(wanted)), len(before)


def _examples(rows: Sequence[dict[str, Any]], tags_of_draws: list[list[str | None]]) -> list[dict[str, str]]:
    out: list[dict[str, str]] = []
    for row, tags in zip(rows, tags_of_draws, strict=True):
        first: dict[str, str] = {}
        for text, tag in zip(row["completions"], tags, strict=True):
            if tag is not None:
                first.setdefault(tag, text)
        out.append(first)
    return out
