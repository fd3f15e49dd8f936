"""Every kind of synthetic claim by name, with the verdicts that are right for it, and how one is made.

Owns: the list. The makers are next door: true claims, surface, output, leaks and noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.planted_claims import leaks, nothing, output, surface, true
from benchmarks.planted_claims.claim import (
    LEAKED,
    NOT,
    OUTPUT,
    SUPPORTED,
    SURFACE,
    UNDERPOWERED,
    Planted,
    PlantedClaim,
    Workshop,
)


@dataclass(frozen=True)
class Kind:
    """make: from random parts. right: verdicts that are right, the best one first."""

    make: Callable[[Workshop], Planted]
    right: tuple[str, ...]


_COPIED = (LEAKED, NOT, UNDERPOWERED)
_BARREN = (NOT, UNDERPOWERED)
_ON_THE_SURFACE = (SURFACE,)
KINDS: dict[str, Kind] = {
    "true strong": Kind(true.strong, (SUPPORTED,)),
    "true weak": Kind(true.weak, (SUPPORTED,)),
    "true class": Kind(true.class_label, (SUPPORTED,)),
    "true unequal classes": Kind(true.unequal_classes, (SUPPORTED,)),
    "true heavy tails": Kind(true.heavy_tails, (SUPPORTED,)),
    "true at one layer": Kind(true.one_layer, (SUPPORTED,)),
    "true beside surface": Kind(true.beside_surface, (SUPPORTED,)),
    "true beside output": Kind(true.beside_output, (SUPPORTED,)),
    "true in templates": Kind(true.in_templates, (SUPPORTED, UNDERPOWERED)),
    "surface length": Kind(surface.length, _ON_THE_SURFACE),
    "surface curved": Kind(surface.curved, _ON_THE_SURFACE),
    "surface one word": Kind(surface.one_word, _ON_THE_SURFACE),
    "surface word number": Kind(surface.word_number, _ON_THE_SURFACE),
    "surface either word": Kind(surface.either_word, _ON_THE_SURFACE),
    "surface product": Kind(surface.product, _ON_THE_SURFACE),
    "surface weighted words": Kind(surface.weighted_words, _ON_THE_SURFACE),
    "surface characters": Kind(surface.characters, _ON_THE_SURFACE),
    "surface first word": Kind(surface.first_word, _ON_THE_SURFACE),
    "surface options": Kind(surface.options, _ON_THE_SURFACE),
    "surface key": Kind(surface.key, _ON_THE_SURFACE),
    "surface place": Kind(surface.place, _ON_THE_SURFACE),
    "surface random weights": Kind(surface.random_weights, (SURFACE, NOT)),
    "output linear": Kind(output.linear, (OUTPUT,)),
    "output curved": Kind(output.curved, (OUTPUT,)),
    "output class": Kind(output.most_probable, (OUTPUT,)),
    "output noisy": Kind(output.noisy, (OUTPUT,)),
    "copies x3": Kind(leaks.copies_3, _COPIED),
    "copies x5": Kind(leaks.copies_5, _COPIED),
    "near copies": Kind(leaks.near_copies, _COPIED),
    "templates": Kind(leaks.templates_20, (*_COPIED, SURFACE)),
    "contexts": Kind(leaks.contexts_12, (*_COPIED, SURFACE)),
    "groups": Kind(leaks.speakers, (*_COPIED, SURFACE)),
    "underpowered": Kind(nothing.few_rows, (UNDERPOWERED, NOT)),
    "few groups": Kind(nothing.few_groups, (UNDERPOWERED, NOT, LEAKED)),
    "noise": Kind(nothing.noise, _BARREN),
    "noise many layers": Kind(nothing.many_layers, _BARREN),
    "noise heavy tails": Kind(nothing.heavy_tails, _BARREN),
}


def make_claim(kind: str, seed: int) -> PlantedClaim:
    """The claim of a kind; the same seed makes the same one. Raises KeyError for no kind."""
    return PlantedClaim(kind, seed, KINDS[kind].right, KINDS[kind].make(Workshop(kind, seed)))
