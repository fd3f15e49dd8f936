"""Which records of a source a study reads: drawn at random or the first, and only what fits the model's window.

Owns: the draw, the split by length, the one sentence on what did not fit. Does not know: models, tokenizers, sources.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from lit_experiments.sources.errors import SourceError

Record = TypeVar("Record")
_NAMED = 5  # records that a message names before it counts the others


def shuffled(count: int, stream: str) -> list[int]:
    """The places 0 .. count - 1 in an order that the name of a random stream ("questions/SEED") fixes."""
    order = list(range(count))
    random.Random(stream).shuffle(order)
    return order


def choose(records: Sequence[Record], number: int | None, stream: str | None) -> list[Record]:
    """`number` records in their own order, all for None or where there are no more.

    stream: name of the random stream ("problems/SEED") that draws them without replacement; None takes the first.
    """
    if number is None or number >= len(records) or stream is None:
        return list(records[:number])
    places = random.Random(stream).sample(range(len(records)), number)
    return [records[place] for place in sorted(places)]


@dataclass(frozen=True)
class Fit(Generic[Record]):
    """Records that fit; long: names and tokens of those that do not."""

    records: list[Record]
    long: list[tuple[str, int]]

    def examples(self) -> str:
        """Names of those that do not fit: "q1 (300 tokens), q7 (280 tokens)", from the sixth on only their number."""
        names = ", ".join(f"{name} ({tokens} tokens)" for name, tokens in self.long[:_NAMED])
        return names + (f" and {len(self.long) - _NAMED} more" if len(self.long) > _NAMED else "")

    def notes(
        self, records: str, policy: str, *, total: int, window: str, remedy: str, done: str = "left out"
    ) -> list[str]:
        """One line on the records that do not fit; none where all do.

        Args:
            records: what they are, such as "questions"; total: how many there were.
            policy: "error", or anything else to go on without them.
            window: what the model's window holds, and what else needs room in it.
            remedy: what to do where they are an error; done: what became of them where they are none.

        Raises:
            SourceError: there are some, and that is to be an error.
        """
        if not self.long:
            return []
        which = f"{len(self.long)} of {total} {records}: {self.examples()}"
        if policy == "error":
            raise SourceError(f"Too long for the model's window: {which}.\n{window}. Nothing ran.\nNext: {remedy}.")
        return [f"too long for the window, {done}: {which}"]


def fit(
    records: Iterable[Record],
    room: int | None,
    tokens: Callable[[Record], int],
    name: Callable[[Record], str],
    most: int | None = None,
) -> Fit[Record]:
    """The first `most` records of at most `room` tokens (None: no limit), and the longer ones that came between."""
    short: list[Record] = []
    long: list[tuple[str, int]] = []
    for record in records:
        if most is not None and len(short) == most:
            break
        length = tokens(record)
        if room is None or length <= room:
            short.append(record)
        else:
            long.append((name(record), length))
    return Fit(short, long)
