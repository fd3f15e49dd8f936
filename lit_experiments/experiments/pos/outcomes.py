"""Tags the target word in every completed sentence: counts of tags per prefix. Knows no statistics.

A completed sentence is the treebank's own words up to the target word, and the words of the continuation up to the end
of its sentence. Where the continuation goes on with the target word itself ("book" + "s"), the target word is another
one than the one whose state was read; such draws are left out and counted, or tagged as the longer word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.experiments.pos.resample_schema import Resampled
from lit_experiments.experiments.pos.running_text import continued
from lit_experiments.experiments.pos.tagger import Tagger
from lit_experiments.sources.treebank import Sentence


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


def tag_outcomes(rows: Sequence[Resampled], sentences: dict[str, Sentence], tagger: Tagger, mode: str) -> Outcomes:
    """Of the rows of a `pos_resample` store.

    sentences: by part and id ("validation/s1"). mode: "exclude" draws in which the word goes on, or "tag" the longer
    word.
    """
    numbers: dict[tuple[str, ...], int] = {}
    questions: list[list[tuple[int, int] | None]] = []
    for row in rows:
        before = [word.form for word in sentences[f"{row.part}/{row.sent_id}"].words[: row.word_id - 1]]
        questions.append([_ask(before, row.word, text, numbers, mode) for text in row.completions])
    tagged = tagger.tag(list(numbers))
    tags_of_draws = [[None if ask is None else tagged[ask[0]][ask[1]] for ask in asks] for asks in questions]
    tags = tuple(sorted({tag for of_prefix in tags_of_draws for tag in of_prefix if tag is not None}))
    counts = np.array([[of_prefix.count(tag) for tag in tags] for of_prefix in tags_of_draws], np.int64).reshape(
        len(rows), len(tags)
    )
    extended = np.array([sum(continued(row.word, text).extended for text in row.completions) for row in rows], np.int64)
    draws = len(rows[0].completions) if rows else 0
    return Outcomes(tags, counts, extended, draws, _examples(rows, tags_of_draws), gold_tags(rows, sentences, tagger))


def gold_tags(rows: Sequence[Resampled], sentences: dict[str, Sentence], tagger: Tagger) -> list[str]:
    """The tagger's tag of each target word in the sentence that the treebank has."""
    complete = [sentences[f"{row.part}/{row.sent_id}"] for row in rows]
    tags = tagger.tag([[word.form for word in sentence.words] for sentence in complete])
    return [of_sentence[row.word_id - 1] for row, of_sentence in zip(rows, tags, strict=True)]


def _ask(
    before: list[str], word: str, text: str, numbers: dict[tuple[str, ...], int], mode: str
) -> tuple[int, int] | None:
    """(number of the sentence to tag, place of the target word in it); None for a draw that is left out."""
    continuation = continued(word, text)
    if continuation.extended and mode == "exclude":
        return None
    words = (*before, continuation.word, *continuation.following)
    return numbers.setdefault(words, len(numbers)), len(before)


def _examples(rows: Sequence[Resampled], tags_of_draws: list[list[str | None]]) -> list[dict[str, str]]:
    """Per prefix, tag -> the first completion that gave it."""
    backwards = (
        zip(row.completions[::-1], tags[::-1], strict=True) for row, tags in zip(rows, tags_of_draws, strict=True)
    )
    return [{tag: text for text, tag in draws if tag is not None} for draws in backwards]
