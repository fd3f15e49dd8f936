"""Further claims that rest on rows of one content, whose copies are changed as people and scripts change texts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.planted_claims.claim import Planted, Workshop
from benchmarks.planted_claims.leaks import by_content
from benchmarks.planted_claims.texts import filled, joined, sentences, templates, vocabulary


def unequal_copies(shop: Workshop) -> Planted:
    """Texts once to eight times each."""
    times = shop.rng.integers(1, 9, int(shop.rng.integers(50, 90)))
    content = np.repeat(np.arange(len(times)), times)
    texts = joined(sentences(shop.rng, len(times)))
    return by_content(shop, content, [texts[i] for i in content])


def synonyms(shop: Workshop) -> Planted:
    """Every text four times, a sixth of its words replaced by their synonyms."""
    size = 400
    known = vocabulary(shop.rng, size)
    synonym = dict(zip(known, vocabulary(shop.rng, size), strict=True))

    def changed(text: list[str]) -> str:
        return joined([[synonym[w] if shop.rng.random() < 1 / 6 else w for w in text]])[0]

    texts = [shop.rng.choice(known, shop.rng.integers(14, 40)).tolist() for _ in range(_count(shop))]
    return _changed(shop, texts, changed)


def reordered(shop: Workshop) -> Planted:
    """Every text of three to five sentences four times, its sentences in another order."""
    texts = []
    for _ in range(_count(shop)):
        texts.append(joined(sentences(shop.rng, int(shop.rng.integers(3, 6)), 8, 16)))
    return _changed(shop, texts, lambda parts: " ".join(shop.rng.permutation(parts)))


def typos(shop: Workshop) -> Planted:
    """Every text four times, a letter changed in a sixth of its words."""
    letters = [*"abcdefghijklmnopqrstuvwxyz"]

    def changed(text: list[str]) -> str:
        out = []
        for word in text:
            place = int(shop.rng.integers(len(word)))
            wrong = word[:place] + str(shop.rng.choice(letters)) + word[place + 1 :]
            out.append(wrong if shop.rng.random() < 1 / 6 else word)
        return joined([out])[0]

    return _changed(shop, sentences(shop.rng, _count(shop), 14, 40), changed)


def dressed(shop: Workshop) -> Planted:
    """Every text four times: as it is, in capitals, without its marks, with a number in front."""

    def changed(text: list[str]) -> str:
        plain = joined([text])[0]
        forms = (plain, plain.upper(), plain.rstrip("."), f"Item {shop.rng.integers(1, 999)}: {plain}")
        return forms[int(shop.rng.integers(4))]

    return _changed(shop, sentences(shop.rng, _count(shop), 12, 30), changed)


def shortened(shop: Workshop) -> Planted:
    """Every text four times, a sixth of its words left out."""

    def changed(text: list[str]) -> str:
        return joined([[word for word in text if shop.rng.random() < 5 / 6]])[0]

    return _changed(shop, sentences(shop.rng, _count(shop), 14, 40), changed)


def across_groups(shop: Workshop) -> Planted:
    """Every text four times, and every copy in another declared document."""
    count = _count(shop)
    content = np.repeat(np.arange(count), 4)
    texts = joined(sentences(shop.rng, count))
    group = [f"document {i % 50}" for i in shop.rng.permutation(len(content))]
    return by_content(shop, content, [texts[i] for i in content], group)


def one_slot(shop: Workshop) -> Planted:
    """Thirty templates with one gap; the label is the template's."""
    return _of_templates(shop, 30, 1)


def three_slots(shop: Workshop) -> Planted:
    """Forty templates with three gaps; the label is the template's."""
    return _of_templates(shop, 40, 3)


def contexts_30(shop: Workshop) -> Planted:
    """Thirty long contexts with eight different lines behind, or before, them; the label is the context's."""
    content = np.repeat(np.arange(30), 8)
    contexts, lines = sentences(shop.rng, 30, 40, 60), sentences(shop.rng, len(content), 6, 10)
    behind = bool(shop.rng.random() < 0.5)
    pairs = [(contexts[i], line) if behind else (line, contexts[i]) for i, line in zip(content, lines, strict=True)]
    return by_content(shop, content, [" ".join(joined(pair)) for pair in pairs])


def speakers_40(shop: Workshop) -> Planted:
    """Different texts of forty declared speakers; states tell who speaks, and the label is the speaker's."""
    content = shop.rng.integers(0, 40, int(shop.rng.integers(250, 500)))
    texts = joined(sentences(shop.rng, len(content)))
    return by_content(shop, content, texts, [f"speaker {i}" for i in content])


def _count(shop: Workshop) -> int:
    return int(shop.rng.integers(60, 120))


def _changed(shop: Workshop, texts: list[list[str]], change: Callable[[list[str]], str]) -> Planted:
    content = np.repeat(np.arange(len(texts)), 4)
    return by_content(shop, content, [change(texts[i]) for i in content])


def _of_templates(shop: Workshop, count: int, slots: int) -> Planted:
    content = shop.rng.integers(0, count, int(shop.rng.integers(200, 400)))
    forms, words = templates(shop.rng, count, slots), vocabulary(shop.rng, 300)
    return by_content(shop, content, [filled(forms[i], shop.rng, words) for i in content])
