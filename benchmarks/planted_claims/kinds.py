"""Every kind of synthetic claim by name, with the verdicts that are right for it, and how one is made.

Owns: the list. The makers are next door: true and truer claims; surface, words, looks and circumstances; output and
outputs; leaks and likenesses; nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.planted_claims import (
    circumstances,
    leaks,
    likenesses,
    looks,
    nothing,
    output,
    outputs,
    surface,
    true,
    truer,
    words,
)
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
    """make: from random parts. right: verdicts that are right, the best one first. in_study_3: whether a store of study
    3 can hold it too."""

    make: Callable[[Workshop], Planted]
    right: tuple[str, ...]
    in_study_3: bool = True


_COPIED = (LEAKED, NOT, UNDERPOWERED)
_ALIKE = (*_COPIED, SURFACE)
_BARREN = (NOT, UNDERPOWERED)
_ON_THE_SURFACE = (SURFACE,)
_OF_THE_ORDER = (SURFACE, LEAKED)
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
    "templates": Kind(leaks.templates_20, _ALIKE),
    "contexts": Kind(leaks.contexts_12, _ALIKE),
    "groups": Kind(leaks.speakers, _ALIKE),
    "underpowered": Kind(nothing.few_rows, (UNDERPOWERED, NOT)),
    "few groups": Kind(nothing.few_groups, (UNDERPOWERED, NOT, LEAKED)),
    "noise": Kind(nothing.noise, _BARREN),
    "noise many layers": Kind(nothing.many_layers, _BARREN),
    "noise heavy tails": Kind(nothing.heavy_tails, _BARREN),
    "true few rows": Kind(truer.few_rows, (SUPPORTED,)),
    "true many rows": Kind(truer.many_rows, (SUPPORTED,)),
    "true rare class": Kind(truer.rare_class, (SUPPORTED,)),
    "true several classes": Kind(truer.several_classes, (SUPPORTED,)),
    "true in turn": Kind(truer.in_turn, (SUPPORTED,)),
    "true ordinal": Kind(truer.ordinal, (SUPPORTED,)),
    "true bent": Kind(truer.bent, (SUPPORTED,)),
    "true outliers": Kind(truer.outliers, (SUPPORTED,)),
    "true skewed": Kind(truer.skewed, (SUPPORTED,)),
    "true missing labels": Kind(truer.missing_labels, (SUPPORTED,)),
    "true constant layers": Kind(truer.constant_layers, (SUPPORTED,)),
    "true small direction": Kind(truer.small_direction, (SUPPORTED,)),
    "true large units": Kind(truer.large_units, (SUPPORTED,)),
    "true last layer": Kind(truer.last_layer, (SUPPORTED,)),
    "true beside words": Kind(truer.beside_words, (SUPPORTED,)),
    "true beside place": Kind(truer.beside_place, (SUPPORTED,)),
    "true beside class": Kind(truer.beside_class, (SUPPORTED,)),
    "true beside weak word": Kind(truer.beside_weak_word, (SUPPORTED,)),
    "true mostly none": Kind(truer.mostly_none, (SUPPORTED,)),
    "true turned by word": Kind(truer.turned_by_word, (SUPPORTED,)),
    "true in one template": Kind(truer.in_one_template, (SUPPORTED,)),
    "true in long template": Kind(truer.in_long_template, (SUPPORTED,)),
    "true in copies": Kind(truer.in_copies, (SUPPORTED,)),
    "true in documents": Kind(truer.in_documents, (SUPPORTED, UNDERPOWERED)),
    "true bare": Kind(truer.bare, (SUPPORTED,), False),
    "true half precision": Kind(truer.half_precision, (SUPPORTED,), False),
    "surface place of word": Kind(words.place_of_word, _ON_THE_SURFACE),
    "surface order of words": Kind(words.order_of_words, _ON_THE_SURFACE),
    "surface followed": Kind(words.followed, _ON_THE_SURFACE),
    "surface last word": Kind(words.last_word, _ON_THE_SURFACE),
    "surface fifth word": Kind(words.fifth_word, _ON_THE_SURFACE),
    "surface all of three": Kind(words.all_of_three, _ON_THE_SURFACE),
    "surface most of five": Kind(words.most_of_five, _ON_THE_SURFACE),
    "surface odd of three": Kind(words.odd_of_three, _ON_THE_SURFACE),
    "surface difference of words": Kind(words.difference_of_words, _ON_THE_SURFACE),
    "surface category": Kind(words.category, _ON_THE_SURFACE),
    "surface three classes": Kind(words.three_classes, _ON_THE_SURFACE),
    "surface rare word": Kind(words.rare_word, _ON_THE_SURFACE),
    "surface word by length": Kind(words.word_by_length, _ON_THE_SURFACE),
    "surface topics": Kind(words.topics, _ON_THE_SURFACE),
    "surface mostly none": Kind(words.mostly_none, _ON_THE_SURFACE),
    "surface two languages": Kind(words.two_languages, _ON_THE_SURFACE),
    "surface capitals": Kind(looks.capitals, _ON_THE_SURFACE),
    "surface first capital": Kind(looks.first_capital, _ON_THE_SURFACE),
    "surface first letter": Kind(looks.first_letter, _ON_THE_SURFACE),
    "surface words by three": Kind(looks.words_by_three, _ON_THE_SURFACE),
    "surface commas": Kind(looks.commas, _ON_THE_SURFACE),
    "surface question mark": Kind(looks.question_mark, _ON_THE_SURFACE),
    "surface length bucket": Kind(looks.length_bucket, _ON_THE_SURFACE),
    "surface middling length": Kind(looks.middling_length, _ON_THE_SURFACE),
    "surface wave of length": Kind(looks.wave_of_length, _ON_THE_SURFACE),
    "surface longest word": Kind(looks.longest_word, _ON_THE_SURFACE),
    "surface repeated words": Kind(looks.repeated_words, _ON_THE_SURFACE),
    "surface spelling": Kind(looks.spelling, _ON_THE_SURFACE),
    "surface number digits": Kind(looks.number_digits, _ON_THE_SURFACE),
    "surface number words": Kind(looks.number_words, _ON_THE_SURFACE),
    "surface number sum": Kind(looks.number_sum, _ON_THE_SURFACE),
    "surface number product": Kind(looks.number_product, _ON_THE_SURFACE),
    "surface number larger": Kind(looks.number_larger, _ON_THE_SURFACE),
    "surface number parity": Kind(looks.number_parity, _ON_THE_SURFACE),
    "surface years": Kind(looks.years, _ON_THE_SURFACE),
    "surface one sum each": Kind(looks.one_sum_each, _ON_THE_SURFACE),
    "order walk": Kind(circumstances.walk, _OF_THE_ORDER),
    "order sessions": Kind(circumstances.sessions, _OF_THE_ORDER),
    "order seasons": Kind(circumstances.seasons, _ON_THE_SURFACE),
    "surface annotators": Kind(circumstances.annotators, _ON_THE_SURFACE, False),
    "surface right is longest": Kind(circumstances.right_is_longest, _ON_THE_SURFACE),
    "surface word in option": Kind(circumstances.word_in_option, _ON_THE_SURFACE),
    "surface key and word": Kind(circumstances.key_and_word, _ON_THE_SURFACE),
    "surface key and place": Kind(circumstances.key_and_place, _ON_THE_SURFACE),
    "surface options alike": Kind(circumstances.options_alike, _ON_THE_SURFACE),
    "output rank": Kind(outputs.rank, (OUTPUT,)),
    "output product": Kind(outputs.product, (OUTPUT,)),
    "output likelier letter": Kind(outputs.likelier_letter, (OUTPUT,)),
    "output which letter": Kind(outputs.which_letter, (OUTPUT,)),
    "output second letter": Kind(outputs.second_letter, (OUTPUT,)),
    "output sure": Kind(outputs.sure, (OUTPUT,)),
    "output spread": Kind(outputs.spread, (OUTPUT,)),
    "output far from middle": Kind(outputs.far_from_middle, (OUTPUT,)),
    "output wave": Kind(outputs.wave, (OUTPUT,)),
    "output nearest percent": Kind(outputs.nearest_percent, (OUTPUT,)),
    "copies unequal": Kind(likenesses.unequal_copies, _COPIED),
    "copies synonyms": Kind(likenesses.synonyms, _ALIKE),
    "copies reordered": Kind(likenesses.reordered, _COPIED),
    "copies typos": Kind(likenesses.typos, _ALIKE),
    "copies dressed": Kind(likenesses.dressed, _COPIED),
    "copies shortened": Kind(likenesses.shortened, _ALIKE),
    "copies across groups": Kind(likenesses.across_groups, _COPIED),
    "groups of one slot": Kind(likenesses.one_slot, _ALIKE),
    "groups of three slots": Kind(likenesses.three_slots, _ALIKE),
    "groups of contexts 30": Kind(likenesses.contexts_30, _ALIKE),
    "groups of speakers 40": Kind(likenesses.speakers_40, _ALIKE),
    "noise unequal classes": Kind(nothing.unequal_classes, _BARREN),
    "noise several classes": Kind(nothing.several_classes, _BARREN),
    "noise wide": Kind(nothing.wide, _BARREN),
    "noise beside surface": Kind(nothing.beside_surface, _BARREN),
    "noise two walks": Kind(nothing.two_walks, (*_BARREN, *_OF_THE_ORDER)),
    "underpowered twenty rows": Kind(nothing.twenty_rows, _BARREN),
    "underpowered ten of a class": Kind(nothing.ten_of_a_class, _BARREN),
}


def make_claim(kind: str, seed: int) -> PlantedClaim:
    """The claim of a kind; the same seed makes the same one. Raises KeyError for no kind."""
    return PlantedClaim(kind, seed, KINDS[kind].right, KINDS[kind].make(Workshop(kind, seed)))
