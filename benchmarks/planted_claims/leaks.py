"""Claims that rest on rows of one content: a text's label is noise, and its copies, or its template's others, carry it.

States are a fingerprint of the content (a random vector each) with a little noise of the row, so that a probe that has
seen one copy knows the label of the next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.planted_claims.claim import Floats32, Planted, Size, Workshop
from benchmarks.planted_claims.texts import filled, joined, plain_texts, sentences, templates, vocabulary, with_word
from benchmarks.planted_claims.true import planted


def copies_3(shop: Workshop) -> Planted:
    """Every text three times."""
    return _copies(shop, 3)


def copies_5(shop: Workshop) -> Planted:
    """Every text five times."""
    return _copies(shop, 5)


def near_copies(shop: Workshop) -> Planted:
    """Every text four times, with one or two words changed."""
    count = int(shop.rng.integers(60, 120))
    content = np.repeat(np.arange(count), 4)
    words, others = sentences(shop.rng, count, 14, 40), vocabulary(shop.rng, 300)
    texts = []
    for i in content:
        text = words[i]
        for _ in range(int(shop.rng.integers(1, 3))):
            text = with_word(text, str(shop.rng.choice(others)), shop.rng)
        texts.append(joined([text])[0])
    return by_content(shop, content, texts)


def templates_20(shop: Workshop) -> Planted:
    """Twenty templates with two gaps; the label is the template's."""
    size = shop.size(200, 400)
    content = shop.rng.integers(0, 20, size.rows)
    forms, words = templates(shop.rng, 20), vocabulary(shop.rng, 300)
    return by_content(shop, content, [filled(forms[i], shop.rng, words) for i in content])


def contexts_12(shop: Workshop) -> Planted:
    """Twelve long contexts with five different lines behind them; the label is the context's."""
    content = np.repeat(np.arange(12), 5)
    contexts, lines = sentences(shop.rng, 12, 40, 60), sentences(shop.rng, len(content), 6, 10)
    texts = [" ".join(joined([contexts[i], line])) for i, line in zip(content, lines, strict=True)]
    return by_content(shop, content, texts)


def speakers(shop: Workshop) -> Planted:
    """Different texts of twelve to twenty speakers; states tell who speaks, and the label is the speaker's."""
    size = shop.size(200, 400)
    content = shop.rng.integers(0, int(shop.rng.integers(12, 21)), size.rows)
    texts = plain_texts(shop.rng, size.rows, "sentences")
    return by_content(shop, content, texts, [f"speaker {i}" for i in content])


def _copies(shop: Workshop, times: int) -> Planted:
    count = int(shop.rng.integers(180, 400)) // times
    content = np.repeat(np.arange(count), times)
    texts = plain_texts(shop.rng, count)
    return by_content(shop, content, [texts[i] for i in content])


def by_content(shop: Workshop, content: NDArray[np.int64], texts: list[str], group: list[str] | None = None) -> Planted:
    """Rows in random order, with labels of their content, whose fingerprint the states are.

    Args:
        content: [n] the number of a row's content; group: [n] declared names.
    """
    order = shop.rng.permutation(len(content))
    content = content[order]
    size = Size(len(content), int(shop.rng.integers(4, 9)), int(shop.rng.choice([64, 96, 128])))
    distinct, content = np.unique(content, return_inverse=True)
    classes = bool(shop.rng.random() < 0.5)
    labels = shop.rng.permutation(np.arange(len(distinct)) % 2) if classes else shop.rng.normal(size=len(distinct))
    return planted(
        shop,
        size,
        labels[content],
        _fingerprints(shop, size, content),
        texts=[texts[i] for i in order],
        classes=classes,
        group=None if group is None else [group[i] for i in order],
    )


def _fingerprints(shop: Workshop, size: Size, content: NDArray[np.int64]) -> Floats32:
    marks = shop.rng.normal(size=(size.layers, int(content.max()) + 1, size.hidden))
    return (marks[:, content] + 0.3 * shop.rng.normal(size=(size.layers, size.rows, size.hidden))).astype(np.float32)
