"""Further true claims: odd labels, odd states, other parts of the target on the surface, stores without columns."""

from __future__ import annotations

import numpy as np

from benchmarks.planted_claims.claim import Floats, Planted, Size, Workshop
from benchmarks.planted_claims.surface import words_of
from benchmarks.planted_claims.texts import filled, joined, sentences, templates, vocabulary, with_word
from benchmarks.planted_claims.true import drawn, planted

_STRENGTH = 2.5
_OPTIONAL = ("options", "correct_answer_letter", "probs", "input_ids")


def few_rows(shop: Workshop) -> Planted:
    """A strong effect in 100 to 150 rows."""
    size, cause = drawn(shop, 100, 150)
    return planted(shop, size, cause + 0.1 * shop.rng.normal(size=size.rows), shop.states(size, cause, 3.0))


def many_rows(shop: Workshop) -> Planted:
    """A tenth of it can be read; 1200 rows."""
    size = Size(1200, 4, 32)
    cause = shop.rng.normal(size=size.rows)
    return planted(shop, size, cause + 2.5 * shop.rng.normal(size=size.rows), shop.states(size, cause, 2.0))


def rare_class(shop: Workshop) -> Planted:
    """The second class has 3 to 5 % of 700 to 900 rows."""
    size, cause = drawn(shop, 700, 900)
    code = cause > np.quantile(cause, 1 - shop.rng.uniform(0.03, 0.05))
    return planted(shop, size, code, shop.states(size, cause, 4.0), classes=True)


def several_classes(shop: Workshop) -> Planted:
    """Three to five classes, each with a direction of its own."""
    size, _ = drawn(shop, 300)
    code = shop.rng.integers(0, int(shop.rng.integers(3, 6)), size.rows)
    marks = np.eye(code.max() + 1)[code]
    return planted(shop, size, code, shop.states(size, marks, 2.5), classes=True)


def in_turn(shop: Workshop) -> Planted:
    """Two classes of which the rows are in turn, as tables of pairs are; the states of a text do not know its row."""
    size, _ = drawn(shop)
    code = np.arange(size.rows) % 2
    texts = joined(sentences(shop.rng, size.rows))  # without the row's number, whose last digit would tell
    return planted(shop, size, code, shop.states(size, code, _STRENGTH), texts=texts, classes=True)


def ordinal(shop: Workshop) -> Planted:
    """Five steps of a scale."""
    size, cause = drawn(shop, 300)
    steps = np.digitize(cause + 0.3 * shop.rng.normal(size=size.rows), [-1.2, -0.4, 0.4, 1.2])
    return planted(shop, size, steps, shop.states(size, cause, _STRENGTH))


def bent(shop: Workshop) -> Planted:
    """An exponential, or the logistic function, of what the states hold."""
    size, cause = drawn(shop, 300)
    target = np.exp(0.7 * cause) if shop.rng.random() < 0.5 else 1 / (1 + np.exp(-3 * cause))
    return planted(shop, size, target, shop.states(size, cause, _STRENGTH))


def outliers(shop: Workshop) -> Planted:
    """Two labels of a hundred are five times as far from the mean, as the states say."""
    size, cause = drawn(shop, 300)
    cause = np.where(shop.rng.random(size.rows) < 0.02, 5.0, 1.0) * cause
    return planted(shop, size, cause + 0.1 * shop.rng.normal(size=size.rows), shop.states(size, cause, _STRENGTH))


def skewed(shop: Workshop) -> Planted:
    """Log-normal, and the states hold it as it is."""
    size, cause = drawn(shop, 300)
    target = np.exp(cause)
    return planted(shop, size, target + 0.1 * shop.rng.normal(size=size.rows), shop.states(size, target, 3.0))


def missing_labels(shop: Workshop) -> Planted:
    """A fifth to a third of the rows have no label."""
    size, cause = drawn(shop, 300)
    target = np.where(shop.rng.random(size.rows) < shop.rng.uniform(0.2, 0.33), np.nan, cause)
    return planted(shop, size, target, shop.states(size, cause, _STRENGTH))


def constant_layers(shop: Workshop) -> Planted:
    """The first two layers are the same for every row, and one unit of every layer is 0."""
    size, cause = drawn(shop)
    states = shop.states(size, cause, _STRENGTH)
    states[:2], states[:, :, 0] = 1.0, 0.0
    return planted(shop, size, cause, states)


def small_direction(shop: Workshop) -> Planted:
    """Along a direction whose standard deviation is a twentieth of the others'."""
    size, cause = drawn(shop, 300)
    states = shop.states(size, np.zeros(size.rows), 0.0)
    states[:, :, 0] = 0.05 * (cause + 0.3 * shop.rng.normal(size=(size.layers, size.rows)))
    return planted(shop, size, cause, states)


def large_units(shop: Workshop) -> Planted:
    """Beside three units a hundred times as large as the others, which mean nothing."""
    size, cause = drawn(shop, 300)
    states = shop.states(size, cause, _STRENGTH)
    states[:, :, :3] *= 100
    return planted(shop, size, cause, states)


def last_layer(shop: Workshop) -> Planted:
    """In the last layer alone, of 16."""
    size = shop.size(layers=16)
    cause = shop.rng.normal(size=size.rows)
    return planted(shop, size, cause, shop.states(size, cause, _STRENGTH, [15]))


def beside_words(shop: Workshop) -> Planted:
    """Half of it is twelve words' weights, half a hidden cause."""
    size = shop.size(300)
    listed = [f"{word}za" for word in vocabulary(shop.rng, 12)]
    there = shop.rng.random((size.rows, 12)) < 1 / 3
    weighed = there @ shop.rng.normal(size=12)
    weighed = (weighed - weighed.mean()) / weighed.std()
    words = [
        [*text, *(w for w, t in zip(listed, row, strict=True) if t)]
        for text, row in zip(sentences(shop.rng, size.rows), there, strict=True)
    ]
    texts = joined([shop.rng.permutation(text).tolist() for text in words])
    return _beside(shop, size, weighed, texts=texts)


def beside_place(shop: Workshop) -> Planted:
    """Half of it is a trend over the data, half a hidden cause."""
    size = shop.size(300)
    return _beside(shop, size, (np.arange(size.rows) - size.rows / 2) / (size.rows / 12**0.5))


def beside_class(shop: Workshop) -> Planted:
    """Two classes, of which a word of the text tells some and a hidden cause more."""
    size, words = words_of(shop)
    there = shop.rng.integers(0, 2, size.rows)
    cause = shop.rng.normal(size=size.rows)
    texts = joined([with_word(text, "zumba", shop.rng) if c else text for text, c in zip(words, there, strict=True)])
    code = cause + there - 0.5 > 0
    states = shop.states(size, np.stack([cause, there], 1), _STRENGTH)
    return planted(shop, size, code, states, texts=texts, classes=True)


def beside_weak_word(shop: Workshop) -> Planted:
    """Two classes by a hidden cause, of which a word of the text makes one likelier; states hold the cause alone."""
    size, words = words_of(shop)
    there = shop.rng.integers(0, 2, size.rows)
    cause = shop.rng.normal(size=size.rows) + 0.8 * (there - 0.5)
    texts = joined([with_word(text, "zumba", shop.rng) if c else text for text, c in zip(words, there, strict=True)])
    return planted(shop, size, cause > 0, shop.states(size, cause, 3.0), texts=texts, classes=True)


def mostly_none(shop: Workshop) -> Planted:
    """Four labels of five are 0, the others are what the states hold above a threshold."""
    size, cause = drawn(shop, 300)
    return planted(shop, size, np.maximum(0.0, cause - 0.8), shop.states(size, cause, _STRENGTH))


def turned_by_word(shop: Workshop) -> Planted:
    """A hidden cause with the sign that a word of the text gives it, as the states hold it."""
    size, words = words_of(shop)
    there = shop.rng.integers(0, 2, size.rows)
    target = np.where(there, 1.0, -1.0) * shop.rng.normal(size=size.rows)
    texts = joined([with_word(text, "zumba", shop.rng) if c else text for text, c in zip(words, there, strict=True)])
    return planted(shop, size, target, shop.states(size, target, _STRENGTH), texts=texts)


def in_one_template(shop: Workshop) -> Planted:
    """Texts of one template with two gaps, which have nothing to do with it."""
    size, cause = drawn(shop, 300)
    (form,), words = templates(shop.rng, 1), vocabulary(shop.rng, 300)
    return planted(
        shop,
        size,
        cause,
        shop.states(size, cause, _STRENGTH),
        texts=[filled(form, shop.rng, words) for _ in range(size.rows)],
    )


def in_long_template(shop: Workshop) -> Planted:
    """Texts of one template of 30 words with one gap, or "This is the text of sample 17.", which say nothing of it."""
    size, cause = drawn(shop, 300)
    words = vocabulary(shop.rng, 300)
    (start, end), gaps = sentences(shop.rng, 2, 15, 15), shop.rng.choice(words, size.rows).tolist()
    texts = [joined([[*start, f"{gap}{i % 3}", *end]])[0] for i, gap in enumerate(gaps)]
    if shop.seed % 2:
        texts = [f"This is the text of sample {i}." for i in range(size.rows)]
    return planted(shop, size, cause, shop.states(size, cause, _STRENGTH), texts=texts)


def in_copies(shop: Workshop) -> Planted:
    """Every text twice, with the label of its content, which states of every content hold alike."""
    size = shop.size(300)
    content = shop.rng.permutation(np.arange(size.rows) // 2)
    texts = joined(sentences(shop.rng, size.rows))
    cause = shop.rng.normal(size=size.rows)[content]
    return planted(shop, size, cause, shop.states(size, cause, _STRENGTH), texts=[texts[i] for i in content])


def in_documents(shop: Workshop) -> Planted:
    """Forty declared documents with means of their own; half of it is the row's."""
    size = shop.size(300)
    document = shop.rng.integers(0, 40, size.rows)
    cause = shop.rng.normal(size=size.rows) + shop.rng.normal(size=40)[document]
    group = [f"document {i}" for i in document.tolist()]
    return planted(shop, size, cause, shop.states(size, cause, _STRENGTH), group=group)


def bare(shop: Workshop) -> Planted:
    """A store that holds nothing but texts, labels and states; at every second seed no texts either."""
    size, cause = drawn(shop)
    without = (*_OPTIONAL, *(("text",) if shop.seed % 2 else ()))
    return planted(shop, size, cause, shop.states(size, cause, _STRENGTH), without=without)


def half_precision(shop: Workshop) -> Planted:
    """States of float16."""
    size, cause = drawn(shop)
    return planted(shop, size, cause, shop.states(size, cause, _STRENGTH), dtype="float16")


def _beside(shop: Workshop, size: Size, surface: Floats, **parts: object) -> Planted:
    cause = shop.rng.normal(size=size.rows)
    return planted(shop, size, cause + surface, shop.states(size, np.stack([cause, surface], 1), _STRENGTH), **parts)
