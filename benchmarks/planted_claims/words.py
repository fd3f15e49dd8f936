"""Claims that words of the text explain by their place, order, kind or combination; states hold the target."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.planted_claims.claim import Floats, Planted, Workshop
from benchmarks.planted_claims.surface import words_of, written
from benchmarks.planted_claims.texts import joined, sentences, vocabulary, with_word


def place_of_word(shop: Workshop) -> Planted:
    """How far into the text a word comes, in words."""
    size, words = words_of(shop)
    places = [int(shop.rng.integers(len(text))) for text in words]
    marked = [[*text[:i], "zumba", *text[i:]] for text, i in zip(words, places, strict=True)]
    return written(shop, size, np.array(places, np.float64), joined(marked), noise=0.1)


def order_of_words(shop: Workshop) -> Planted:
    """Which of two words, both in every text, comes first."""
    size, words = words_of(shop)
    code = shop.rng.integers(0, 2, size.rows)
    pairs = [("zumba", "quorix") if c else ("quorix", "zumba") for c in code]
    return written(shop, size, code, joined(_scattered(shop, words, pairs)), classes=True)


def followed(shop: Workshop) -> Planted:
    """Whether a word stands right behind another; both are in every text."""
    size, words = words_of(shop)
    code = shop.rng.integers(0, 2, size.rows)
    marked = []
    for text, c in zip(words, code, strict=True):
        i = int(shop.rng.integers(len(text)))
        together = [*text[:i], "zumba", "quorix", *text[i:]]
        marked.append(together if c else _scattered(shop, [text], [("quorix", "zumba")])[0])
    return written(shop, size, code, joined(marked), classes=True)


def last_word(shop: Workshop) -> Planted:
    """Which of six words comes last; the same words come elsewhere too."""
    return _at_place(shop, -1)


def fifth_word(shop: Workshop) -> Planted:
    """Which of six words comes fifth; the same words come elsewhere too."""
    return _at_place(shop, 4)


def all_of_three(shop: Workshop) -> Planted:
    """Whether each of three words is there; each is in four fifths of the texts."""
    return _of_presence(shop, 3, 0.8, lambda there: there.all(1))


def most_of_five(shop: Workshop) -> Planted:
    """Whether at least three of five words are there."""
    return _of_presence(shop, 5, 0.5, lambda there: there.sum(1) >= 3)


def odd_of_three(shop: Workshop) -> Planted:
    """Whether one or all three of three words are there: no one and no two of them tell anything."""
    return _of_presence(shop, 3, 0.5, lambda there: there.sum(1) % 2 == 1)


def difference_of_words(shop: Workshop) -> Planted:
    """How much more often one word comes than another."""
    size, words = words_of(shop)
    first, second = shop.rng.integers(0, 5, (2, size.rows))
    marked = [
        shop.rng.permutation([*text, *["zumba"] * a, *["quorix"] * b]).tolist()
        for text, a, b in zip(words, first, second, strict=True)
    ]
    return written(shop, size, first - second, joined(marked), noise=0.1)


def category(shop: Workshop) -> Planted:
    """Of which of two kinds of 25 words the one in the text is; each word comes in few texts."""
    size, words = words_of(shop)
    listed = vocabulary(shop.rng, 50)
    drawn = shop.rng.integers(0, 50, size.rows)
    marked = [with_word(text, f"{listed[i]}nx", shop.rng) for text, i in zip(words, drawn, strict=True)]
    return written(shop, size, drawn < 25, joined(marked), classes=True)


def three_classes(shop: Workshop) -> Planted:
    """Which of three words is in the text, as classes."""
    size, words = words_of(shop)
    code = shop.rng.integers(0, 3, size.rows)
    names = ("zumba", "quorix", "velpo")
    marked = [with_word(text, names[c], shop.rng) for text, c in zip(words, code, strict=True)]
    return written(shop, size, code, joined(marked), classes=True)


def rare_word(shop: Workshop) -> Planted:
    """A word that is in a twentieth of the texts."""
    size = shop.size(500)
    words = sentences(shop.rng, size.rows)
    code = shop.rng.random(size.rows) < shop.rng.uniform(0.04, 0.08)
    marked = [with_word(text, "zumba", shop.rng) if c else text for text, c in zip(words, code, strict=True)]
    return written(shop, size, code, joined(marked), classes=True)


def word_by_length(shop: Workshop) -> Planted:
    """The length, upwards or downwards: which of both a word says."""
    size, words = words_of(shop)
    code = shop.rng.integers(0, 2, size.rows)
    marked = [with_word(text, "zumba", shop.rng) if c else text for text, c in zip(words, code, strict=True)]
    lengths = np.array([len(text) for text in marked], np.float64)
    lengths = (lengths - lengths.mean()) / lengths.std()
    return written(shop, size, np.where(code, 1.0, -1.0) * lengths, joined(marked), noise=0.1)


def topics(shop: Workshop) -> Planted:
    """How much more of a text is of one of four topics than of another; every topic has 80 words of its own."""
    size = shop.size()
    known = [vocabulary(shop.rng, 80) for _ in range(4)]
    share = shop.rng.dirichlet(np.full(4, 0.4), size.rows)
    words = [
        [str(shop.rng.choice(known[shop.rng.choice(4, p=p)])) for _ in range(shop.rng.integers(10, 25))] for p in share
    ]
    return written(shop, size, share[:, 0] - share[:, 1], joined(words), noise=0.1)


def mostly_none(shop: Workshop) -> Planted:
    """How often a word comes, which is in an eighth of the texts: most labels are 0."""
    size, words = words_of(shop)
    count = (shop.rng.random(size.rows) < 1 / 8) * shop.rng.integers(1, 4, size.rows)
    texts = [shop.rng.permutation([*text, *["zumba"] * c]).tolist() for text, c in zip(words, count, strict=True)]
    return written(shop, size, count, joined(texts))


def two_languages(shop: Workshop) -> Planted:
    """The share of words of a second language, or which of two the text is in."""
    size = shop.size()
    first, second = vocabulary(shop.rng, 150), [f"{word}ski" for word in vocabulary(shop.rng, 150)]
    share = shop.rng.uniform(0, 1, size.rows)
    classes = bool(shop.rng.random() < 0.5)
    share = np.round(share) if classes else share
    words = [
        [str(shop.rng.choice(second if shop.rng.random() < p else first)) for _ in range(shop.rng.integers(8, 30))]
        for p in share
    ]
    return written(shop, size, share, joined(words), classes=classes, noise=0.0 if classes else 0.1)


def _scattered(shop: Workshop, words: Sequence[list[str]], pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Texts with two words each at random places, the first of them before the second and not next to it."""
    out = []
    for text, (first, second) in zip(words, pairs, strict=True):
        i, j = sorted(shop.rng.choice(len(text), 2, replace=False).tolist())
        out.append([*text[:i], first, *text[i : j + 1], second, *text[j + 1 :]])
    return out


def _at_place(shop: Workshop, place: int) -> Planted:
    size, words = words_of(shop)
    heads = vocabulary(shop.rng, 6)
    drawn = shop.rng.integers(0, 6, size.rows)
    marked = []
    for text, i, j in zip(words, drawn, shop.rng.integers(0, 6, size.rows), strict=True):
        text = with_word(text, heads[j], shop.rng)
        text[place] = heads[i]
        marked.append(text)
    return written(shop, size, drawn < 3, joined(marked), classes=True)


def _of_presence(shop: Workshop, count: int, share: float, rule: Callable[[np.ndarray], Floats]) -> Planted:
    size = shop.size(300)
    words = sentences(shop.rng, size.rows)
    there = shop.rng.random((size.rows, count)) < share
    listed = [f"{word}za" for word in vocabulary(shop.rng, count)]
    marked = [
        shop.rng.permutation([*text, *(w for w, t in zip(listed, row, strict=True) if t)]).tolist()
        for text, row in zip(words, there, strict=True)
    ]
    return written(shop, size, rule(there), joined(marked), classes=True)
