"""Finds the words at which a probe is unsure: scans a part of the treebank in a fixed order, from stored states.

The probe is applied to the states that `pos_tokens` collected. Attention is causal, so the state at a word's token in
the whole sentence is the state of the prefix that ends there. Everything that could make the probabilities wrong is
refused: a probe of another model, layer, tag order, position in the word, or an edited file.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.pos.sentences import TAGS
from lit_experiments.experiments.pos.words import READS, TagProbe, Words, open_words
from lit_experiments.probes.class_probe import ClassProbe, load_class_probe
from stores import is_store

_SUMS = 1e-9  # how far from 1 the sum of float64 probabilities may be


@dataclass(frozen=True)
class Candidate:
    """A word at which the probe is unsure.

    Attributes:
        row: of the `pos_tokens` store, with the whole sentence in its columns.
        word: the word's line of `Words.table`, by name.
        probs: [K] the probe's probabilities, in the order of its classes.
    """

    row: dict[str, Any]
    word: dict[str, Any]
    probs: NDArray[np.float64]


@dataclass(frozen=True)
class Scan:
    """What a scan found: the candidates in its order, and how many words were looked at, of how many sentences."""

    candidates: list[Candidate]
    words: int
    sentences: int
    unknown: int

    def note(self, threshold: float, part: str) -> str:
        """One line for people."""
        unsure = f"{len(self.candidates):,} of {self.words:,} words of the {part} part"
        unknown = f"; {self.unknown} words have a tag that the probe does not know" if self.unknown else ""
        return f"the probe's highest probability is below {threshold:g} at {unsure}{unknown}"


def check_states(words: Words, model: dict[str, Any]) -> None:
    """Raises UserError if the words' states are not of the model (its fingerprint) that is to go on with them."""
    stored = words.store.fingerprint["model"]
    if stored != model:
        differing = ", ".join(sorted(key for key in stored | model if stored.get(key) != model.get(key)))
        raise UserError(
            f"The states in {words.store.path} are another model's: {differing} differ.\n"
            f"Next: continue with that model, or collect states of this one: python collect.py --exp {READS.experiment}"
        )


def open_probe(folder: Path, words: Words, model: dict[str, Any], layer: str | None) -> ClassProbe:
    """The probe, if it may be used on these words' states.

    Args:
        folder: what `pos_probe` wrote, or one layer's folder in it.
        words: the states that it is to read, of the same model.
        model: fingerprint of the model that is to continue the prefixes.
        layer: the layer that the caller expects; None takes the probe's.

    Raises:
        ProbeError: files missing, damaged or edited; another model, layer, or order of tags.
        UserError: the states stand for words in another way than those that the probe was trained on.
    """
    classes = load_class_probe(folder, model=None, layer=None, classes=None).classes
    order = [tag for tag in TAGS if tag in classes]
    probe = load_class_probe(folder, model=model, layer=layer, classes=order)
    for key in ("position", "excluded_tags"):
        if probe.notes.get(key) != words.settings[key]:
            raise UserError(
                f"The probe in {folder} was trained with {key} {probe.notes.get(key)}, the states in "
                f"{words.store.path} have {words.settings[key]}.\nNext: train on these states, or scan others."
            )
    return probe


def open_tokens(folder: Path, tokens: str | None) -> Words:
    """The words to scan: those of the run `tokens`, or of the run that holds the probe.

    Raises:
        UserError: the probe lies in no run of `pos_tokens`, and none is named.
    """
    if tokens is not None:
        return open_words(Path(tokens))
    holding = [parent for parent in folder.absolute().parents if is_store(parent / "store")]
    if not holding:
        raise UserError(
            f"No run of {READS.experiment} holds {folder.absolute()}.\n"
            "Next: name the run whose states are to be scanned with --tokens, or make both: "
            f"python collect.py --exp {READS.experiment}, python train.py --exp pos_probe"
        )
    return open_words(holding[0])


def scan(words: Words, probe: TagProbe, part: str, threshold: float, order: str, seed: int) -> Scan:
    """Every word of a part whose highest probability is below the threshold.

    order: "text" goes through the sentences as the treebank has them, "shuffled" through all words in an order that
    depends on the seed, sentence and word alone, so that the first few are of many documents.

    Raises:
        UserError: the treebank has no such part.
        AssertionError: probabilities that do not sum to 1.
    """
    lines = words.of_part(part)
    table = words.table.iloc[lines]
    probs = words.probabilities(probe, lines)
    sums = probs.sum(1)
    if not np.all(np.abs(sums - 1) < _SUMS):
        raise AssertionError(f"Probabilities sum to {sums.min()} to {sums.max()} instead of 1.")
    unsure = np.flatnonzero(probs.max(1) < threshold)
    records = words.store.table().to_pylist()
    lines_of = zip(unsure, table.iloc[unsure].to_dict("records"), strict=True)
    candidates = [Candidate(records[word["row"]], word, probs[place]) for place, word in lines_of]
    if order == "shuffled":
        candidates.sort(key=lambda c: random.Random(f"scan/{seed}/{c.row['sent_id']}/{c.word['word_id']}").random())
    unknown = int((~table["upos"].isin(probe.classes)).sum())
    return Scan(candidates, len(lines), table["row"].nunique(), unknown)
