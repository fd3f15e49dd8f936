"""Which labelled words a probe of the part of speech is fitted to, tested on and calibrated on, and their class codes.

Does not know: states, fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.experiments.pos.groups import Groups, groups_of, too_few
from lit_experiments.experiments.pos.sentences import TAGS
from lit_experiments.experiments.pos.words import Words
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.splits import group_split
from lit_experiments.statistics import LEAST_GROUPS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Split:
    """Which words are fitted and which are held out; line numbers of `Words.table`.

    lines: of the training and the test part; test [line]: which of them are the test part. validation: lines for
    calibration, empty where the treebank has none. groups: of the "train", "test" and "validation" words, in the order
    of their lines. statements: how the split was made, in words.
    """

    lines: Ints
    test: NDArray[np.bool_]
    validation: Ints
    groups: dict[str, Groups]
    statements: list[str]

    @property
    def group(self) -> NDArray[np.str_]:
        """[line] the group of each word of the training and the test part."""
        train, test = self.groups["train"].names, self.groups["test"].names
        out = np.empty(len(self.lines), np.result_type(train, test))
        out[~self.test], out[self.test] = train, test
        return out

    def trained_on(self, words: Words) -> list[str]:
        """The treebank's parts that have words among the training words."""
        return sorted(set(words.table["part"].to_numpy()[self.lines[~self.test]].tolist()))


def make_split(words: Words, test_fraction: float, folds: int, seed: int) -> Split:
    """The treebank's own training and test part, or documents drawn at random where it lacks one of them.

    test_fraction, folds, seed: of the random split (see `group_split`).
    """
    parts = set(words.parts)
    if not {"train", "test"} <= parts:
        return _drawn(words, test_fraction, folds, seed)
    lines = np.concatenate([words.of_part("train"), words.of_part("test")])
    test = words.table["part"].to_numpy()[lines] == "test"
    validation = words.of_part("validation") if "validation" in parts else np.zeros(0, np.int64)
    groups = {
        "train": groups_of(words.places(lines[~test]), lambda count: count >= max(LEAST_GROUPS, folds)),
        "test": groups_of(words.places(lines[test])),
        "validation": groups_of(words.places(validation)),
    }
    statements = ["Fitted to the treebank's training part, tested on its test part."]
    return Split(lines, test, validation, groups, statements + too_few(groups))


def _drawn(words: Words, test_fraction: float, folds: int, seed: int) -> Split:
    """The test part at random, from all words but the validation part's, or from those if there are no others."""
    everything = np.arange(len(words.table))
    apart = (words.table["part"] == "validation").to_numpy()
    validation, lines = (everything[apart], everything[~apart]) if not apart.all() else (everything[:0], everything)

    def enough(count: int) -> bool:
        tested = round(test_fraction * count)
        return tested >= LEAST_GROUPS and count - tested >= max(LEAST_GROUPS, folds)

    pool, calibrated = groups_of(words.places(lines), enough), groups_of(words.places(validation))
    test = group_split(pool.names, test_fraction, folds, seed) == TEST
    groups = {"train": pool.where(~test), "test": pool.where(test), "validation": calibrated}
    missing = " and ".join(sorted({"train", "test"} - set(words.parts)))
    statements = [f"No words of part {missing}: {test_fraction:.0%} of the {pool.unit}, drawn at random, are the test."]
    if apart.all():
        statements.append("The treebank has a validation part alone; training and test are drawn from it.")
    parts = " and ".join(dict.fromkeys(words.table["part"].to_numpy()[lines].tolist()))
    return Split(lines, test, validation, groups, statements + too_few({"validation": calibrated} | {parts: pool}))


def class_codes_of(words: Words, split: Split) -> tuple[list[str], Floats]:
    """(tags of the training words in the order of TAGS, [line] their codes, NaN for tags that training lacks)."""
    tags = words.table["upos"].to_numpy(str)[split.lines]
    present = set(tags[~split.test])
    classes = [tag for tag in TAGS if tag in present]
    codes = np.array([classes.index(tag) if tag in present else np.nan for tag in tags], np.float64)
    return classes, codes


def code_of(tags: NDArray[np.str_], classes: list[str]) -> Ints:
    """[word] the places of tags among the classes, which must hold them all."""
    codes = {tag: code for code, tag in enumerate(classes)}
    return np.array([codes[tag] for tag in tags], np.int64)


def present_classes(codes: Floats, split: Split) -> tuple[list[str], Floats]:
    """The control's classes that came up in the training part, and the codes counted among them."""
    values = np.unique(codes[~split.test & ~np.isnan(codes)])
    new_code = {value: code for code, value in enumerate(values.tolist())}
    mapped = np.array([new_code.get(code, np.nan) for code in codes.tolist()])
    return [f"control {int(value)}" for value in values], mapped
