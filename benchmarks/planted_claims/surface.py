"""Claims that the text, its options or its place explain: states hold the target, which is a function of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.planted_claims.claim import Floats, Planted, Size, Workshop
from benchmarks.planted_claims.texts import joined, plain_key, plain_options, sentences, vocabulary, with_word
from benchmarks.planted_claims.true import planted

_STRENGTH = 2.5


def length(shop: Workshop) -> Planted:
    """The number of words, or of characters, and a little noise."""
    size, words = words_of(shop)
    texts = joined(words)
    counts = [len(text) for text in (texts if shop.rng.random() < 0.5 else words)]
    target = np.array(counts) + shop.rng.normal(0, 0.1 * np.std(counts), size.rows)
    return planted(shop, size, target, shop.states(size, target, _STRENGTH), texts=texts)


def curved(shop: Workshop) -> Planted:
    """How far the length is from a middle one: its square, or its absolute value."""
    size, words = words_of(shop)
    texts = joined(words)
    counts = np.array([len(text) for text in texts], np.float64)
    gap = (counts - np.median(counts)) / counts.std()
    target = (gap**2 if shop.rng.random() < 0.5 else np.abs(gap)) + 0.1 * shop.rng.normal(size=size.rows)
    return planted(shop, size, target, shop.states(size, target, _STRENGTH), texts=texts)


def one_word(shop: Workshop) -> Planted:
    """Whether a word is in the text, as classes."""
    size, words = words_of(shop)
    code = shop.rng.integers(0, 2, size.rows)
    texts = joined([with_word(text, "zumba", shop.rng) if c else text for text, c in zip(words, code, strict=True)])
    return planted(shop, size, code, shop.states(size, code, _STRENGTH), texts=texts, classes=True)


def word_number(shop: Workshop) -> Planted:
    """How often a word is in the text, as a number with noise."""
    size, words = words_of(shop)
    counts = shop.rng.integers(0, 4, size.rows)
    for _ in range(3):
        words = [
            with_word(text, "zumba", shop.rng) if text.count("zumba") < c else text
            for text, c in zip(words, counts, strict=True)
        ]
    target = np.array([text.count("zumba") for text in words]) + 0.2 * shop.rng.normal(size=size.rows)
    return planted(shop, size, target, shop.states(size, target, _STRENGTH), texts=joined(words))


def either_word(shop: Workshop) -> Planted:
    """Whether one of two words is in the text, and not both: neither tells anything alone."""
    size, words = words_of(shop)
    first, second = two_words(shop, size)
    code = first ^ second
    texts = joined(_marked(shop, words, first, second))
    return planted(shop, size, code, shop.states(size, code, _STRENGTH), texts=texts, classes=True)


def product(shop: Workshop) -> Planted:
    """Two words that mean something together, with noise."""
    size, words = words_of(shop)
    first, second = two_words(shop, size)
    target = 2.0 * first * second + 0.3 * first + 0.2 * shop.rng.normal(size=size.rows)
    texts = joined(_marked(shop, words, first, second))
    return planted(shop, size, target, shop.states(size, target, _STRENGTH), texts=texts)


def weighted_words(shop: Workshop) -> Planted:
    """The sum of 20 words' weights over the text; every one of them is in a third of the texts."""
    size = shop.size(300)
    listed, others = [f"{word}za" for word in vocabulary(shop.rng, 20)], vocabulary(shop.rng, 200)
    present = shop.rng.random((size.rows, len(listed))) < 1 / 3
    words = []
    for row in present:
        text = [word for word, there in zip(listed, row, strict=True) if there]
        text += shop.rng.choice(others, shop.rng.integers(8, 16)).tolist()
        words.append(shop.rng.permutation(text).tolist())
    target = present @ shop.rng.normal(size=len(listed))
    target = target + 0.1 * target.std() * shop.rng.normal(size=size.rows)
    return planted(shop, size, target, shop.states(size, target, _STRENGTH), texts=joined(words))


def characters(shop: Workshop) -> Planted:
    """The share of words with an ending, or how often a letter comes."""
    size, words = words_of(shop)
    if shop.rng.random() < 0.5:
        share = shop.rng.uniform(0, 0.7, size.rows)
        words = [
            [f"{word}ix" if shop.rng.random() < p else word for word in text]
            for text, p in zip(words, share, strict=True)
        ]
        target = np.array([np.mean([word.endswith("ix") for word in text]) for text in words])
    else:
        target = np.array([sum(word.count("e") for word in text) for text in words], np.float64)
    target = target + 0.1 * target.std() * shop.rng.normal(size=size.rows)
    return planted(shop, size, target, shop.states(size, target, _STRENGTH), texts=joined(words))


def first_word(shop: Workshop) -> Planted:
    """Which word comes first; the same words come elsewhere too."""
    size, words = words_of(shop)
    heads = vocabulary(shop.rng, 6)
    first = shop.rng.integers(0, len(heads), size.rows)
    words = [
        [heads[i], *with_word(text, heads[j], shop.rng)]
        for i, j, text in zip(first, shop.rng.integers(0, len(heads), size.rows), words, strict=True)
    ]
    code = (first < len(heads) // 2).astype(np.int64)
    return planted(shop, size, code, shop.states(size, code, _STRENGTH), texts=joined(words), classes=True)


def options(shop: Workshop) -> Planted:
    """How long the options are, or the right one is."""
    size = shop.size()
    shown, right = plain_options(shop.rng, size.rows), plain_key(shop.rng, size.rows)
    if shop.rng.random() < 0.5:
        target = np.array([sum(len(option) for option in four) for four in shown], np.float64)
    else:
        target = np.array([len(four["ABCD".index(k)]) for four, k in zip(shown, right, strict=True)], np.float64)
    target = target + 0.1 * target.std() * shop.rng.normal(size=size.rows)
    return planted(shop, size, target, shop.states(size, target, _STRENGTH), options=shown, key=right)


def key(shop: Workshop) -> Planted:
    """The letter of the right option."""
    size = shop.size()
    right = plain_key(shop.rng, size.rows)
    weights = dict(zip("ABCD", shop.rng.normal(size=4), strict=True))
    target = np.array([weights[letter] for letter in right])
    target = target + 0.15 * target.std() * shop.rng.normal(size=size.rows)
    return planted(shop, size, target, shop.states(size, target, _STRENGTH), key=right)


def place(shop: Workshop) -> Planted:
    """A drift over the collection: a trend, or a step at a random row."""
    size = shop.size()
    when = np.arange(size.rows) / size.rows
    trend = when if shop.rng.random() < 0.5 else (when > shop.rng.uniform(0.3, 0.7)).astype(np.float64)
    target = trend + 0.2 * trend.std() * shop.rng.normal(size=size.rows)
    return planted(shop, size, target, shop.states(size, target, _STRENGTH))


def random_weights(shop: Workshop) -> Planted:
    """States are a random function of the words, as those of random weights; the target is a sum of some words'."""
    size, words = words_of(shop)
    known = sorted({word for text in words for word in text})
    counts = np.array([[text.count(word) for word in known] for text in words], np.float64)
    common = np.argsort(-counts.sum(0))[:15]
    target = counts[:, common] @ shop.rng.normal(size=len(common))
    target = target + 0.1 * target.std() * shop.rng.normal(size=size.rows)
    hidden = np.tanh(counts @ shop.rng.normal(0, 0.4, (len(known), size.hidden)))
    states = np.stack([np.tanh(hidden @ shop.rng.normal(0, 0.3, (size.hidden,) * 2)) for _ in range(size.layers)])
    return planted(shop, size, target, states.astype(np.float32), texts=joined(words))


def words_of(shop: Workshop) -> tuple[Size, list[list[str]]]:
    """A size, and the words of as many texts."""
    size = shop.size()
    return size, sentences(shop.rng, size.rows)


def written(
    shop: Workshop,
    size: Size,
    target: ArrayLike,
    texts: Sequence[str] | None = None,
    *,
    noise: float = 0.0,
    classes: bool = False,
    **parts: Any,
) -> Planted:
    """A claim whose states hold the target. noise: of the target, in its own standard deviations."""
    values = np.asarray(target, np.float64)
    values = values + noise * values.std() * shop.rng.normal(size=size.rows)
    parts = parts if texts is None else parts | {"texts": texts}
    return planted(shop, size, values, shop.states(size, values, _STRENGTH), classes=classes, **parts)


def two_words(shop: Workshop, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Whether each of two words is in a text: independent coins."""
    first, second = shop.rng.integers(0, 2, (2, size.rows))
    return first, second


def _marked(shop: Workshop, words: Sequence[list[str]], first: Floats, second: Floats) -> list[list[str]]:
    """Texts with the first word, the second, or both, at random places."""
    marked = []
    for text, one, two in zip(words, first, second, strict=True):
        extra = ["zumba"] * int(one) + ["quorix"] * int(two)
        marked.append(shop.rng.permutation([*text, *extra]).tolist())
    return marked
