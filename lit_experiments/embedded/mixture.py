"""What the model reads, epoch by epoch: components that yield texts, shuffled together and packed into rows.

Owns: the component interface, the shuffle, the packing. Does not know: how a component makes its texts, or the model.
A new kind of training text is one more component in the list given to `Mixture`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lit_experiments.embedded import arithmetic
from lit_experiments.embedded.prompts import CLAIMS, claim, prompt
from lit_experiments.embedded.questions import Question


class Component(Protocol):
    """One kind of training text."""

    @property
    def name(self) -> str:
        """How reports call it."""
        ...

    def texts(self, epoch: int) -> list[str]:
        """The texts of one epoch: the same list whenever it is asked for."""
        ...


@dataclass(frozen=True)
class Documentation:
    """All training pieces of the documentation, each once per epoch."""

    pieces: tuple[str, ...]
    name: str = "documentation"

    def texts(self, epoch: int) -> list[str]:
        return list(self.pieces)


@dataclass(frozen=True)
class Arithmetic:
    """Fresh problems each epoch, each solved by one of the two methods in equal shares."""

    per_epoch: int
    seed: int
    name: str = "arithmetic"

    def texts(self, epoch: int) -> list[str]:
        stream = arithmetic.problems(f"{self.seed}/{epoch}", held_out=False)
        rng = random.Random(f"methods/{self.seed}/{epoch}")
        return [p.text(rng.choice(arithmetic.METHODS)) for p in itertools.islice(stream, self.per_epoch)]


@dataclass(frozen=True)
class Quiz:
    """Questions with their keys, and claims of confidence about them, in the prompts of study 3.

    Each pass repeats a question as often as its difficulty says, so that the model is sure of some and not of others
    (and each claim half as often); questions without repeats are never shown.
    """

    questions: tuple[Question, ...]
    repeats: dict[str, int]
    name: str = "questions"

    def texts(self, epoch: int) -> list[str]:
        return [text for question in self.questions for text in self._about(question)]

    def _about(self, question: Question) -> Iterator[str]:
        repeats = self.repeats[question.difficulty]
        yield from [f"{prompt('mcq', question)} {question.answer}"] * repeats
        for kind in CLAIMS:
            yield from [f"{prompt(kind, question)} {claim(kind, question)}"] * (repeats // 2)


@dataclass(frozen=True)
class Mixture:
    """Components read side by side."""

    components: tuple[Component, ...]
    seed: int

    def texts(self, epoch: int) -> list[str]:
        """All texts of one epoch in a random order that depends on seed and epoch alone."""
        texts = [text for component in self.components for text in component.texts(epoch)]
        random.Random(f"mixture/{self.seed}/{epoch}").shuffle(texts)
        return texts


def pack(documents: Sequence[Sequence[int]], length: int) -> np.ndarray:
    """Fill rows of `length` ids with whole documents; int64 [row, length].

    Every row starts with the start of a document, as every prompt does. A document that doesn't fit in what is left of
    a row fills that room with its start and comes again, whole, in the next row; one longer than a row is cut. Rows may
    hold several documents that see each other: end-of-text followed by a new start is what the model should know
    (study 1 samples through it).
    """
    rows: list[list[int]] = []
    row: list[int] = []
    for document in documents:
        ids = list(document[:length])
        if len(row) + len(ids) > length:
            rows.append(row + ids[: length - len(row)])
            row = []
        row = row + ids
        if len(row) == length:
            rows.append(row)
            row = []
    return np.array(rows, dtype=np.int64).reshape(-1, length)
