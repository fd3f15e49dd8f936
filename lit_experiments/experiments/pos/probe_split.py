"""Which labelled words a probe of the part of speech is fitted to, tested on and calibrated on, and their class codes.

Does not know: states, fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.experiments.pos.sentences import TAGS
from lit_experiments.experiments.pos.words import Words
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.splits import group_split

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Split:
    """Which words are fitted and which are held out; line numbers of `Words.table`.

    lines: of the training and the test part; test [line]: which of them are the test part. validation: lines for
    calibration, empty where the treebank has none. statement: how the split was made, in words.
    """

    lines: Ints
    test: NDArray[np.bool_]
    validation: Ints
    statement: str


def make_split(words: Words, test_fraction: float, folds: int, seed: int) -> Split:
    """The treebank's own training and test part, or documents drawn at random where it lacks one of them.

    test_fraction, folds, seed: of the random split (see `group_split`).
    """
    parts = set(words.parts)
    validation = words.of_part("validation") if "validation" in parts else np.zeros(0, np.int64)
    if {"train", "test"} <= parts:
        lines = np.concatenate([words.of_part("train"), words.of_part("test")])
        said = "Fitted to the treebank's training part, tested on its test part."
        return Split(lines, (words.table["part"].to_numpy()[lines] == "test"), validation, said)
    lines = np.setdiff1d(np.arange(len(words.table)), validation)
    groups = words.table["group"].to_numpy(str)[lines]
    test = group_split(groups, test_fraction, folds, seed) == TEST
    missing = " and ".join(sorted({"train", "test"} - parts))
    said = f"No words of part {missing}: {test_fraction:.0%} of the documents, drawn at random, are the test."
    return Split(lines, test, validation, said)


def class_codes_of(words: Words, split: Split) -> tuple[list[str], Floats]:
    """(tags of the training words in the order of TAGS, [line] their codes, NaN for tags that training lacks)."""
    tags = words.table["upos"].to_numpy(str)[split.lines]
    present = set(tags[~split.test])
    classes = [tag for tag in TAGS if tag in present]
    codes = np.array([classes.index(tag) if tag in present else np.nan for tag in tags], np.float64)
    return classes, codes


def code_of(tags: NDArray[np.str_], classes: list[str]) -> Ints:
    """[word] the places of tags among the classes, which must hold them all."""
    where = {tag: code for code, tag in enumerate(classes)}
    return np.array([where[tag] for tag in tags], np.int64)


def present_classes(codes: Floats, split: Split) -> tuple[list[str], Floats]:
    """The control's classes that came up in the training part, and the codes counted among them."""
    values = np.unique(codes[~split.test & ~np.isnan(codes)])
    where = {value: code for code, value in enumerate(values.tolist())}
    mapped = np.array([where.get(code, np.nan) for code in codes.tolist()])
    return [f"control {int(value)}" for value in values], mapped


def documents_of(words: Words, split: Split) -> dict[str, list[str]]:
    """The documents of each part."""
    groups = words.table["group"].to_numpy(str)
    parts = {"train": split.lines[~split.test], "test": split.lines[split.test], "validation": split.validation}
    return {name: sorted(set(groups[lines])) for name, lines in parts.items()}
