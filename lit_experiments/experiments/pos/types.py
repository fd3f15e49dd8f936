"""What a word's form alone tells: its commonest tag, its distribution over tags, the control task's random tag.

A type is a form as written, case and all. Pure functions on arrays of forms and tag codes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Forms = Sequence[str] | NDArray[np.str_]


@dataclass(frozen=True)
class TypeTable:
    """How often each type has each tag in the training part.

    counts: form -> [K]; overall [K]: of all training words.
    """

    counts: dict[str, Floats]
    overall: Floats

    @classmethod
    def of(cls, forms: Forms, codes: Codes, classes: int) -> TypeTable:
        """From training words."""
        names, type_of = np.unique(np.asarray(forms, str), return_inverse=True)
        table = np.zeros((len(names), classes))
        np.add.at(table, (type_of, codes), 1.0)
        return cls(dict(zip(names.tolist(), table, strict=True)), table.sum(0))

    def seen(self, forms: Forms) -> NDArray[np.bool_]:
        """[word] whether training has the type."""
        return np.array([form in self.counts for form in forms], bool)

    def commonest(self, forms: Forms) -> Codes:
        """[word] the type's commonest tag, the overall commonest for types that training lacks."""
        default = int(self.overall.argmax())
        return np.array([int(self.counts[f].argmax()) if f in self.counts else default for f in forms], np.int64)

    def prior(self, forms: Forms, weight: float) -> Floats:
        """[word, K] (counts + weight * overall shares) / (n + weight): the type's distribution, drawn towards that of
        all words as if `weight` more words of the type had been seen (a Dirichlet prior's posterior mean).
        """
        shares = self.overall / self.overall.sum()
        none = np.zeros_like(shares)
        counts = np.array([self.counts.get(form, none) for form in forms]).reshape(len(forms), len(shares))
        return (counts + weight * shares) / (counts.sum(1, keepdims=True) + weight)


def control_codes(forms: Forms, train: NDArray[np.bool_], shares: Floats, seed: int) -> Codes:
    """[word] the control task of Hewitt and Liang (2019): a random tag per type, drawn from the training words' shares.

    A pure function of seed and form, but that types which only other parts have get one of the tags that came up among
    the training types, since no other could be learnt.
    """
    names, type_of = np.unique(np.asarray(forms, str), return_inverse=True)
    draws = np.array([_uniform(seed, name) for name in names])
    codes = _draw(draws, shares)
    in_train = np.zeros(len(names), bool)
    in_train[type_of[train]] = True
    possible = np.zeros(len(shares))
    came_up = np.unique(codes[in_train])
    possible[came_up] = shares[came_up]
    return np.where(in_train, codes, _draw(draws, possible))[type_of]


def _draw(uniform: Floats, shares: Floats) -> Codes:
    edges = np.cumsum(shares) / shares.sum()
    # Rounding may leave the last edge below a draw; classes without share have edges of no width.
    return np.minimum(np.searchsorted(edges, uniform, side="right"), np.flatnonzero(shares)[-1]).astype(np.int64)


def _uniform(seed: int, form: str) -> float:
    digest = hashlib.blake2b(f"{seed}:{form}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2.0**64
