"""Surface features: what can be read off a question without its hidden states.

Owns: their definitions. Does not know: models beyond token ids, stores.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

Features = dict[str, str | int | float | bool | None]
QUESTION_WORDS = ("what", "where", "when", "who", "how", "why", "which")
_NEGATION = re.compile(r"\b(?:not|no|never|none|neither|nor|without|except|cannot)\b|n't\b", re.IGNORECASE)
_AMBIGUITY = re.compile(
    r"\b(?:may|might|could|possibly|probably|perhaps|maybe|usually|often|sometimes|likely|mainly|mostly|generally"
    r"|typically|about|approximately|best|most|some)\b",
    re.IGNORECASE,
)


def question_type(text: str) -> str:
    """The first question word of the text, or "other"."""
    words = re.findall(r"[a-z]+", text.lower())
    return next((word for word in words if word in QUESTION_WORDS), "other")


def surface(text: str, ids: Sequence[int], vocabulary: int, counts: Mapping[int, int] | None) -> Features:
    """Features of a question's own text.

    Rarity of a token is its id over the vocabulary's size (byte-pair vocabularies list frequent tokens first), from 0
    to 1; where counts of a corpus are given, also its surprisal -log((count + 1) / (total + vocabulary)), nats.
    """
    rarity = np.asarray(ids, np.float64) / vocabulary
    features: Features = {
        "char_length": len(text),
        "token_length": len(ids),
        "question_type": question_type(text),
        "has_negation": bool(_NEGATION.search(text)),
        "has_ambiguity": bool(_AMBIGUITY.search(text)),
        "token_rarity_mean": float(rarity.mean()),
        "token_rarity_max": float(rarity.max()),
        "token_surprisal_mean": None,
        "token_surprisal_max": None,
    }
    if counts is not None:
        total = sum(counts.values()) + vocabulary
        surprisal = [-np.log((counts.get(token, 0) + 1) / total) for token in ids]
        features["token_surprisal_mean"] = float(np.mean(surprisal))
        features["token_surprisal_max"] = float(np.max(surprisal))
    return features
