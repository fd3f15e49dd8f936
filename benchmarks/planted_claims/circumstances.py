"""Claims that the circumstances of a row explain: its neighbours in the data, its source, options and key."""

from __future__ import annotations

import numpy as np

from benchmarks.planted_claims.claim import Planted, Workshop
from benchmarks.planted_claims.surface import words_of, written
from benchmarks.planted_claims.texts import joined, plain_key, plain_options, vocabulary, with_word


def walk(shop: Workshop) -> Planted:
    """A random walk over the data: a row's neighbours tell it, and no trend does."""
    size = shop.size(300)
    steps = np.cumsum(shop.rng.normal(size=size.rows))
    return written(shop, size, steps, noise=0.1)


def sessions(shop: Workshop) -> Planted:
    """Sessions of 8 to 15 rows behind each other, each with a level of its own; or two sorts of session."""
    size = shop.size(300)
    length = int(shop.rng.integers(8, 16))
    session = np.arange(size.rows) // length
    classes = bool(shop.rng.random() < 0.5)
    levels = shop.rng.normal(size=session.max() + 1)
    target = (levels > np.median(levels))[session] if classes else levels[session]
    return written(shop, size, target, classes=classes, noise=0.0 if classes else 0.1)


def seasons(shop: Workshop) -> Planted:
    """A wave of two to four periods over the data."""
    size = shop.size()
    turn = np.arange(size.rows) / size.rows * shop.rng.uniform(2, 4)
    return written(shop, size, np.sin(2 * np.pi * turn), noise=0.2)


def annotators(shop: Workshop) -> Planted:
    """Who labelled the row, of five people with a mean of their own, in a column of its own."""
    size = shop.size()
    who = shop.rng.integers(0, 5, size.rows)
    target = shop.rng.permutation(np.arange(5.0))[who]
    columns = {"annotator": ("string", [f"person {i}" for i in who.tolist()])}
    return written(shop, size, target, noise=0.2, columns=columns)


def right_is_longest(shop: Workshop) -> Planted:
    """Whether the right option is the longest."""
    size = shop.size()
    shown, right = plain_options(shop.rng, size.rows), plain_key(shop.rng, size.rows)
    code = [
        len(four["ABCD".index(k)]) == max(len(option) for option in four) for four, k in zip(shown, right, strict=True)
    ]
    return written(shop, size, code, classes=True, options=shown, key=right)


def word_in_option(shop: Workshop) -> Planted:
    """Whether a word is in the right option; it is in a wrong one otherwise."""
    size = shop.size()
    shown, right = plain_options(shop.rng, size.rows), plain_key(shop.rng, size.rows)
    code = shop.rng.integers(0, 2, size.rows)
    for four, k, c in zip(shown, right, code, strict=True):
        place = "ABCD".index(k)
        chosen = place if c else (place + int(shop.rng.integers(1, 4))) % 4
        four[chosen] = f"{four[chosen]} zumba"
    return written(shop, size, code, classes=True, options=shown, key=right)


def key_and_word(shop: Workshop) -> Planted:
    """Whether the key is A or B, turned round by a word of the text: neither tells anything alone."""
    size, words = words_of(shop)
    right = plain_key(shop.rng, size.rows)
    there = shop.rng.integers(0, 2, size.rows)
    marked = [with_word(text, "zumba", shop.rng) if c else text for text, c in zip(words, there, strict=True)]
    code = np.array([letter in "AB" for letter in right]) ^ there.astype(bool)
    return written(shop, size, code, joined(marked), classes=True, key=right)


def key_and_place(shop: Workshop) -> Planted:
    """A trend over the data that goes upwards for two keys and downwards for the others."""
    size = shop.size()
    right = plain_key(shop.rng, size.rows)
    sign = np.where([letter in "AC" for letter in right], 1.0, -1.0)
    return written(shop, size, sign * np.linspace(-1, 1, size.rows), noise=0.2, key=right)


def options_alike(shop: Workshop) -> Planted:
    """How many words the options have in common with the text."""
    size, words = words_of(shop)
    shown = []
    counts = shop.rng.integers(0, 5, size.rows)
    extra = vocabulary(shop.rng, 300)
    for text, count in zip(words, counts, strict=True):
        common = shop.rng.choice(text, count).tolist()
        chosen = [*common, *shop.rng.choice(extra, 8 - count).tolist()]
        chosen = shop.rng.permutation(chosen).tolist()
        shown.append([" ".join(chosen[2 * i : 2 * i + 2]) for i in range(4)])
    target = [
        sum(word in text for option in four for word in option.split()) for four, text in zip(shown, words, strict=True)
    ]
    return written(shop, size, target, joined(words), noise=0.1, options=shown)
