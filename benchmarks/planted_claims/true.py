"""True claims: states hold a hidden cause of the target that neither the text nor the output shows."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.planted_claims.claim import Floats, Planted, Size, Workshop
from benchmarks.planted_claims.texts import (
    filled,
    joined,
    plain_key,
    plain_options,
    plain_texts,
    sentences,
    templates,
    vocabulary,
)


def planted(shop: Workshop, size: Size, target: Floats, states: Any, **parts: Any) -> Planted:
    """The claim whose parts have nothing to do with the target but for those that are named."""
    rng, rows = shop.rng, size.rows
    parts = {
        "texts": parts.get("texts") or plain_texts(rng, rows),
        "options": plain_options(rng, rows),
        "key": plain_key(rng, rows),
        "probs": shop.probs(rows),
    } | parts
    return Planted(states=states, target=np.asarray(target, np.float64), **parts)


def strong(shop: Workshop) -> Planted:
    """A number that explains most of a direction."""
    size, cause = drawn(shop)
    return planted(shop, size, cause + 0.2 * shop.rng.normal(size=size.rows), shop.states(size, cause, 2.5))


def weak(shop: Workshop) -> Planted:
    """A number of which a fifth to a third can be read; many rows, few dims."""
    size = Size(int(shop.rng.integers(500, 601)), int(shop.rng.integers(4, 9)), int(shop.rng.choice([32, 48])))
    cause = shop.rng.normal(size=size.rows)
    return planted(shop, size, cause + 1.2 * shop.rng.normal(size=size.rows), shop.states(size, cause, 2.0))


def class_label(shop: Workshop) -> Planted:
    """Two classes of like size."""
    size, cause = drawn(shop)
    code = (cause + 0.2 * shop.rng.normal(size=size.rows) > 0).astype(np.float64)
    return planted(shop, size, code, shop.states(size, cause, 2.5), classes=True)


def unequal_classes(shop: Workshop) -> Planted:
    """The second class has 5 to 10 % of 500 to 600 rows."""
    size, cause = drawn(shop, 500)
    code = (cause > np.quantile(cause, 1 - shop.rng.uniform(0.05, 0.1))).astype(np.float64)
    return planted(shop, size, code, shop.states(size, cause, 3.0), classes=True)


def heavy_tails(shop: Workshop) -> Planted:
    """Student's t with three degrees of freedom."""
    size, _ = drawn(shop, 300)
    cause = shop.rng.standard_t(3, size.rows)
    return planted(shop, size, cause + 0.1 * shop.rng.normal(size=size.rows), shop.states(size, cause, 3.0))


def one_layer(shop: Workshop) -> Planted:
    """In the states of one layer alone."""
    size, cause = drawn(shop)
    layer = int(shop.rng.integers(size.layers))
    return planted(shop, size, cause, shop.states(size, cause, 2.5, [layer]))


def beside_surface(shop: Workshop) -> Planted:
    """Half of it is the text's length, half a hidden cause."""
    size, cause = drawn(shop, 300)
    texts = joined(sentences(shop.rng, size.rows))
    length = _standard(np.array([len(text) for text in texts]))
    states = shop.states(size, np.stack([cause, length], 1), 2.5)
    return planted(shop, size, cause + length, states, texts=texts)


def beside_output(shop: Workshop) -> Planted:
    """Half of it is the output's entropy, half a hidden cause."""
    size, cause = drawn(shop, 300)
    probs = shop.probs(size.rows)
    entropy = _standard(-(probs * np.log(probs)).sum(1))
    states = shop.states(size, np.stack([cause, entropy], 1), 2.5)
    return planted(shop, size, cause + entropy, states, probs=probs)


def in_templates(shop: Workshop) -> Planted:
    """Texts of 40 templates, which have nothing to do with it."""
    size, cause = drawn(shop, 300)
    forms, words = templates(shop.rng, 40), vocabulary(shop.rng, 300)
    texts = [filled(forms[i], shop.rng, words) for i in shop.rng.integers(0, len(forms), size.rows)]
    return planted(shop, size, cause, shop.states(size, cause, 2.5), texts=texts)


def drawn(shop: Workshop, least: int = 200, most: int = 600) -> tuple[Size, Floats]:
    """A size, and a normal number for every row."""
    size = shop.size(least, most)
    return size, shop.rng.normal(size=size.rows)


def _standard(values: Floats) -> Floats:
    return (values - values.mean()) / values.std()
