"""Claims that the look of a text explains: case, punctuation, lengths, spelling, and numbers that are written in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.planted_claims.claim import Planted, Size, Workshop
from benchmarks.planted_claims.surface import words_of, written
from benchmarks.planted_claims.texts import joined, vocabulary

_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_TEENS = ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_NUMBERED = (
    "{0} crates hold {1} {2} each near the {3}.",
    "The {3} sold {0} {2} on Monday and {1} on Friday.",
    "There were {0} people in the {3} and {1} {2} outside.",
    "A {3} costs {0} coins, a {2} costs {1}.",
)


def capitals(shop: Workshop) -> Planted:
    """The share of words in capitals."""
    size, words = words_of(shop)
    share = shop.rng.uniform(0, 0.6, size.rows)
    shown = [[w.upper() if shop.rng.random() < p else w for w in text] for text, p in zip(words, share, strict=True)]
    target = [np.mean([word.isupper() for word in text]) for text in shown]
    return written(shop, size, target, [" ".join(text) + "." for text in shown], noise=0.1)


def first_capital(shop: Workshop) -> Planted:
    """Whether the text begins with a capital."""
    size, words = words_of(shop)
    code = shop.rng.integers(0, 2, size.rows)
    texts = [text if c else text.lower() for text, c in zip(joined(words), code, strict=True)]
    return written(shop, size, code, texts, classes=True)


def first_letter(shop: Workshop) -> Planted:
    """Whether the text begins with a letter of one half of the alphabet."""
    size, words = words_of(shop)
    return written(shop, size, [text[0] < "m" for text in words], joined(words), classes=True)


def words_by_three(shop: Workshop) -> Planted:
    """Whether the number of words is a multiple of three, or even."""
    size, words = words_of(shop)
    divisor = int(shop.rng.integers(2, 4))
    return written(shop, size, [len(text) % divisor == 0 for text in words], joined(words), classes=True)


def commas(shop: Workshop) -> Planted:
    """The number of commas."""
    size, words = words_of(shop)
    count = shop.rng.integers(0, 6, size.rows)
    shown = []
    for text, c in zip(words, count, strict=True):
        at = set(shop.rng.choice(len(text), c, replace=False).tolist())
        shown.append([f"{word}," if i in at else word for i, word in enumerate(text)])
    return written(shop, size, count, joined(shown), noise=0.1)


def question_mark(shop: Workshop) -> Planted:
    """Whether the text ends with a question mark or a full stop."""
    size, words = words_of(shop)
    code = shop.rng.integers(0, 2, size.rows)
    texts = [text[:-1] + ("?" if c else ".") for text, c in zip(joined(words), code, strict=True)]
    return written(shop, size, code, texts, classes=True)


def length_bucket(shop: Workshop) -> Planted:
    """Short, middling or long, as three classes."""
    size, words = words_of(shop)
    texts = joined(words)
    lengths = np.array([len(text) for text in texts])
    return written(shop, size, np.digitize(lengths, np.quantile(lengths, [1 / 3, 2 / 3])), texts, classes=True)


def middling_length(shop: Workshop) -> Planted:
    """Whether the text is neither short nor long, as classes."""
    size, words = words_of(shop)
    texts = joined(words)
    lengths = np.array([len(text) for text in texts])
    low, high = np.quantile(lengths, [0.25, 0.75])
    return written(shop, size, (lengths > low) & (lengths < high), texts, classes=True)


def wave_of_length(shop: Workshop) -> Planted:
    """A sine of the length, over one and a half periods."""
    size, words = words_of(shop)
    texts = joined(words)
    lengths = np.array([len(text) for text in texts], np.float64)
    turn = (lengths - lengths.min()) / np.ptp(lengths)
    return written(shop, size, np.sin(3 * np.pi * turn), texts, noise=0.1)


def longest_word(shop: Workshop) -> Planted:
    """Letters of the longest word, or of the mean one."""
    size, words = words_of(shop)
    lengths = [[len(word) for word in text] for text in words]
    target = [max(row) if shop.seed % 2 else np.mean(row) for row in lengths]
    return written(shop, size, target, joined(words), noise=0.1)


def repeated_words(shop: Workshop) -> Planted:
    """The share of words that came before in the text."""
    size = shop.size()
    known = vocabulary(shop.rng, 400)
    share = shop.rng.uniform(0, 0.7, size.rows)
    words = []
    for p in share:
        text = [str(shop.rng.choice(known))]
        for _ in range(shop.rng.integers(10, 30)):
            text.append(str(shop.rng.choice(text if shop.rng.random() < p else known)))
        words.append(text)
    target = [1 - len(set(text)) / len(text) for text in words]
    return written(shop, size, target, joined(words), noise=0.1)


def spelling(shop: Workshop) -> Planted:
    """The number of doubled letters in two of three spellings."""
    size, words = words_of(shop)
    share = shop.rng.uniform(0, 0.6, size.rows)
    shown = [
        [word[:-1] + 2 * word[-1] if shop.rng.random() < p else word for word in text]
        for text, p in zip(words, share, strict=True)
    ]
    target = [sum(word[-1:] == word[-2:-1] for word in text) for text in shown]
    return written(shop, size, target, joined(shown), noise=0.1)


def number_digits(shop: Workshop) -> Planted:
    """The size of a number in the text, in digits."""
    size, numbers, texts = _numbered(shop, 1, 1000, str)
    return written(shop, size, numbers[0], texts, noise=0.1)


def number_words(shop: Workshop) -> Planted:
    """The size of a number below a hundred in the text, in words."""
    size, numbers, texts = _numbered(shop, 1, 100, in_words)
    return written(shop, size, numbers[0], texts, noise=0.1)


def number_sum(shop: Workshop) -> Planted:
    """The sum of the text's two numbers, or their difference."""
    size, (first, second), texts = _numbered(shop, 1, 100, in_words if shop.seed % 2 else str)
    return written(shop, size, first + second if shop.rng.random() < 0.5 else first - second, texts, noise=0.1)


def number_product(shop: Workshop) -> Planted:
    """The product of the text's two numbers."""
    size, (first, second), texts = _numbered(shop, 2, 30, str)
    return written(shop, size, first * second, texts, noise=0.1)


def number_larger(shop: Workshop) -> Planted:
    """Whether the first of the text's two numbers is the larger one."""
    size, (first, second), texts = _numbered(shop, 1, 100, str)
    return written(shop, size, first > second, texts, classes=True)


def number_parity(shop: Workshop) -> Planted:
    """Whether the first number is odd, or the sum of both is."""
    size, (first, second), texts = _numbered(shop, 1, 100, str)
    return written(shop, size, (first + (second if shop.rng.random() < 0.5 else 0)) % 2, texts, classes=True)


def years(shop: Workshop) -> Planted:
    """The year, or the month, of a date in the text."""
    size, words = words_of(shop)
    year, month, day = (shop.rng.integers(a, b, size.rows) for a, b in ((1900, 2020), (0, 12), (1, 29)))
    texts = [
        f"On {d} {_MONTHS[m]} {y} {' '.join(text)}."
        for d, m, y, text in zip(day.tolist(), month.tolist(), year.tolist(), words, strict=True)
    ]
    return written(shop, size, year if shop.rng.random() < 0.5 else month, texts, noise=0.1)


def one_sum_each(shop: Workshop) -> Planted:
    """One template, what is a plus b, of which every text is another sum: the sum, or whether it is large."""
    size = shop.size()
    first, second = shop.rng.integers(10, 500, (2, size.rows))
    texts = [f"What is {a} plus {b}?" for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    total, classes = first + second, bool(shop.rng.random() < 0.5)
    return written(shop, size, total > np.median(total) if classes else total, texts, classes=classes)


def in_words(number: int) -> str:
    """A number below a hundred as English has it: forty-two."""
    if number < 20:
        return (*_UNITS, *_TEENS)[number]
    tens, units = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_UNITS[units]}" if units else "")


def _numbered(
    shop: Workshop, least: int, most: int, spell: object
) -> tuple[Size, tuple[np.ndarray, np.ndarray], Sequence[str]]:
    size = shop.size()
    first, second = shop.rng.integers(least, most, (2, size.rows))
    known = vocabulary(shop.rng, 300)
    texts = []
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        form = _NUMBERED[int(shop.rng.integers(len(_NUMBERED)))]
        two = shop.rng.choice(known, 2, replace=False).tolist()
        more = " ".join(shop.rng.choice(known, shop.rng.integers(4, 12)))
        texts.append(form.format(spell(a), spell(b), *two).capitalize() + f" {more.capitalize()}.")  # type: ignore[operator]
    return size, (first, second), texts
