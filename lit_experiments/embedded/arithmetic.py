"""Arithmetic word problems solved step by step, each by two clearly different methods.

Owns: the kinds of problem, the two methods, the written form of a problem and of a solution, the answer's extraction,
and the held-out split by the numbers of a problem. Does not know: tokenizers, models, documentation text.

Methods
  split   place value: break each number into tens and ones, work on the parts, put them together.
  count   a running total: go step by step, one group or one ten at a time.
A solution ends in \\boxed{answer}. Problem and solution are one line: `Problem: ... Solution: ... \\boxed{42}`.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

METHODS = ("split", "count")
HELD_OUT_PERCENT = 10

_BOXED = re.compile(r"\\boxed\{(-?\d+)\}")
_OPENINGS = {"split": re.compile(r"\s*Split\b"), "count": re.compile(r"\s*Count\b")}
# fmt: off
_NAMES = (
    "Ada", "Ben", "Carl", "Dora", "Emma", "Finn", "Gina", "Hugo", "Iris", "Jack", "Kim", "Leo", "Mia", "Nora",
    "Omar", "Paul", "Rosa", "Sam", "Tess", "Zoe",
)
_ITEMS = (
    "apples", "books", "cards", "coins", "cups", "eggs", "keys", "lamps", "pens", "pins", "plums", "rings",
    "seeds", "shells", "stamps", "stones",
)
# fmt: on
_GROUPS = (
    ("box", "boxes"),
    ("bag", "bags"),
    ("crate", "crates"),
    ("jar", "jars"),
    ("basket", "baskets"),
    ("tray", "trays"),
)
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class Problem:
    """A word problem with its answer and its oracle solution under each method."""

    kind: str
    numbers: tuple[int, ...]
    question: str
    answer: int
    expression: str
    solutions: dict[str, str]

    @property
    def prompt(self) -> str:
        """What the model is given: the problem up to where the solution starts (no trailing space)."""
        return f"Problem: {self.question} Solution:"

    @property
    def held_out(self) -> bool:
        """Whether this combination of kind and numbers is kept out of training, whatever the names and items."""
        return is_held_out(self.kind, self.numbers)

    def text(self, method: str) -> str:
        """The whole training line for one method."""
        return f"{self.prompt} {self.solutions[method]}"


def is_held_out(kind: str, numbers: tuple[int, ...]) -> bool:
    """Decide by a hash of kind and numbers, the same on every machine."""
    digest = hashlib.blake2b(repr((kind, numbers)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 100 < HELD_OUT_PERCENT


def boxed_answer(text: str) -> int | None:
    """The number in the last \\boxed{} of a text, None if there is none."""
    boxes = _BOXED.findall(text)
    return int(boxes[-1]) if boxes else None


def method_of(solution: str) -> str | None:
    """Which method a solution follows, by how it opens; None if it follows neither."""
    return next((method for method, opening in _OPENINGS.items() if opening.match(solution)), None)


def _parts(number: int) -> tuple[int, int]:
    return number - number % 10, number % 10


def _split_add(total: int, number: int) -> str:
    tens, ones = _parts(number)
    return f"{total} plus {tens} is {total + tens}, and {total + tens} plus {ones} is {total + number}."


def _split_subtract(total: int, number: int) -> str:
    tens, ones = _parts(number)
    return f"{total} minus {tens} is {total - tens}, and {total - tens} minus {ones} is {total - number}."


def _split_times(times: int, number: int) -> str:
    tens, ones = _parts(number)
    high, low = times * tens, times * ones
    return f"{times} times {tens} is {high}, {times} times {ones} is {low}, and {high} plus {low} is {high + low}."


def _split_words(number: int) -> str:
    tens, ones = _parts(number)
    return f"{number} into {tens} and {ones}"


def _count_groups(times: int, number: int, one: str, many: str) -> str:
    steps = [f"{_WORDS[i]} {one if i == 1 else many} {i * number}" for i in range(1, times + 1)]
    return ", ".join(steps) + "."


def _count_steps(total: int, number: int, sign: int) -> str:
    """Go from `total` by `number`, ten by ten and then the rest at once."""
    tens, ones = _parts(number)
    stops = [total + sign * 10 * i for i in range(1, tens // 10 + 1)] + ([total + sign * number] if ones else [])
    return f"{'up' if sign > 0 else 'down'} {number} from {total}: " + ", ".join(str(stop) for stop in stops) + "."


def _boxed(answer: int, item: str) -> str:
    return f"So the number of {item} is \\boxed{{{answer}}}"


def _groups(rng: random.Random) -> Problem:
    """Equal groups: a * b."""
    name, item, (one, many) = rng.choice(_NAMES), rng.choice(_ITEMS), rng.choice(_GROUPS)
    a, b = rng.randint(3, 8), rng.randint(11, 39)
    question = rng.choice(
        (
            f"{name} has {a} {many} with {b} {item} in each {one}. How many {item} does {name} have?",
            f"There are {a} {many} in the room. Each {one} holds {b} {item}. How many {item} are there?",
        )
    )
    solutions = {
        "split": f"Split {_split_words(b)}. {_split_times(a, b)} {_boxed(a * b, item)}",
        "count": f"Count {one} by {one}: {_count_groups(a, b, one, many)} {_boxed(a * b, item)}",
    }
    return Problem("groups", (a, b), question, a * b, f"{a}*{b}", solutions)


def _groups_less(rng: random.Random) -> Problem:
    """Equal groups, then some are given away: a * b - c."""
    name, item, (one, many) = rng.choice(_NAMES), rng.choice(_ITEMS), rng.choice(_GROUPS)
    a, b = rng.randint(3, 6), rng.randint(11, 19)
    total = a * b
    c = rng.randint(11, min(total - 1, 29))
    verb = rng.choice(("gives away", "loses", "sells"))
    question = f"{name} fills {a} {many} with {b} {item} each and then {verb} {c} {item}. How many {item} are left?"
    solutions = {
        "split": f"Split {_split_words(b)}. {_split_times(a, b)} Then split {_split_words(c)}. "
        f"{_split_subtract(total, c)} {_boxed(total - c, item)}",
        "count": f"Count {one} by {one}: {_count_groups(a, b, one, many)} Then count {_count_steps(total, c, -1)} "
        f"{_boxed(total - c, item)}",
    }
    return Problem("groups_less", (a, b, c), question, total - c, f"{a}*{b}-{c}", solutions)


def _gain_loss(rng: random.Random) -> Problem:
    """A start, a gain and a loss: a + b - c."""
    name, item = rng.choice(_NAMES), rng.choice(_ITEMS)
    a, b = rng.randint(12, 59), rng.randint(11, 39)
    c = rng.randint(11, min(a + b - 1, 39))
    gain, loss = rng.choice((("buys", "uses"), ("finds", "loses"), ("gets", "gives away")))
    question = rng.choice(
        (
            f"{name} had {a} {item}. In the morning {name} {gain} {b} more, and at night {name} {loss} {c}. "
            f"How many {item} does {name} have now?",
            f"At first {name} has {a} {item}. Then {name} {gain} {b} {item} and {loss} {c}. How many {item} remain?",
        )
    )
    solutions = {
        "split": f"Split {_split_words(b)}. {_split_add(a, b)} Then split {_split_words(c)}. "
        f"{_split_subtract(a + b, c)} {_boxed(a + b - c, item)}",
        "count": f"Count {_count_steps(a, b, 1)} Then count {_count_steps(a + b, c, -1)} {_boxed(a + b - c, item)}",
    }
    return Problem("gain_loss", (a, b, c), question, a + b - c, f"{a}+{b}-{c}", solutions)


def _two_kinds(rng: random.Random) -> Problem:
    """Two kinds of groups: a * b + c * d."""
    name, item = rng.choice(_NAMES), rng.choice(_ITEMS)
    (one, many), (other, others) = rng.sample(_GROUPS, 2)
    a, b, c, d = rng.randint(2, 4), rng.randint(11, 19), rng.randint(2, 4), rng.randint(11, 19)
    x, y = a * b, c * d
    packed = f"{a} {many} of {b} {item} and {c} {others} of {d} {item}"
    question = f"{name} packs {packed}. How many {item} does {name} pack in all?"
    solutions = {
        "split": f"Split {_split_words(b)}. {_split_times(a, b)} Then split {_split_words(d)}. {_split_times(c, d)} "
        f"Then split {_split_words(y)}. {_split_add(x, y)} {_boxed(x + y, item)}",
        "count": f"Count {one} by {one}: {_count_groups(a, b, one, many)} Then count {other} by {other}: "
        f"{_count_groups(c, d, other, others)} Then count {_count_steps(x, y, 1)} {_boxed(x + y, item)}",
    }
    return Problem("two_kinds", (a, b, c, d), question, x + y, f"{a}*{b}+{c}*{d}", solutions)


KINDS: dict[str, Callable[[random.Random], Problem]] = {
    "groups": _groups,
    "groups_less": _groups_less,
    "gain_loss": _gain_loss,
    "two_kinds": _two_kinds,
}


def problems(seed: int | str, *, held_out: bool) -> Iterator[Problem]:
    """An endless, reproducible stream of problems from the training or the held-out part, kinds in turn."""
    rng = random.Random(f"problems/{seed}")
    while True:
        for make in KINDS.values():
            problem = make(rng)
            while problem.held_out != held_out:
                problem = make(rng)
            yield problem
