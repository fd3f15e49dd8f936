"""The labelled words of a `pos_tokens` store as one flat table, entry by entry as their states lie in the field; and
what any probe of their tags, whoever trained it, makes of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.pos.groups import Place
from lit_experiments.tasks.reads import Reads
from stores import Store, is_store

FIELD = "resid_post"
_AT_ONCE = 8192  # words whose states are in memory when probabilities are computed
_PER_WORD = ["forms", "upos", "xpos", "word_ids", "positions", "char_starts", "char_ends", "left_ambiguous"]
_NAMES = ["form", "upos", "xpos", "word_id", "position", "char_start", "char_end", "left_ambiguous"]
_PER_SENTENCE = ["part", "doc_id", "doc_from", "sent_id"]
READS = Reads("pos_tokens", (FIELD, *_PER_SENTENCE, *_PER_WORD))


class TagProbe(Protocol):
    """Whatever gives words' tags probabilities from the states of one layer."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The tags, in the order of the probabilities."""

    @property
    def layer(self) -> str:
        """The layer whose states it reads."""

    def predict_proba(self, x: ArrayLike) -> NDArray[np.float64]:
        """[row, K] from x [row, hidden]."""


@dataclass(frozen=True)
class Words:
    """A store of labelled words, and the words.

    Attributes:
        table: one line per word in the order of the states: row (of the store), entry (within the row), part, doc_id,
            doc_from, sent_id, form, upos, xpos, word_id, position (token), char_start, char_end, left_ambiguous.
    """

    store: Store
    table: pd.DataFrame

    @property
    def settings(self) -> dict[str, Any]:
        """What the collection was told: sites, position, excluded_tags, treebank (its digest)."""
        return dict(self.store.fingerprint["settings"])

    @property
    def parts(self) -> list[str]:
        """Parts of the treebank that have words, in their order."""
        return list(dict.fromkeys(self.table["part"]))

    @cached_property
    def straddling(self) -> list[str]:
        """Documents with words in more than one part."""
        counts = self.table.groupby("doc_id")["part"].nunique()
        return sorted(map(str, counts.index[counts > 1]))

    def places(self, lines: NDArray[np.int64]) -> list[Place]:
        """Where the words on these lines stand."""
        return [Place(*values) for values in self.table.iloc[lines][list(_PER_SENTENCE)].to_numpy().tolist()]

    def of_part(self, part: str) -> NDArray[np.int64]:
        """Line numbers of a part's words. Raises UserError, naming those there are, if it has none."""
        lines = np.flatnonzero((self.table["part"] == part).to_numpy())
        if not len(lines):
            raise UserError(
                f'{self.store.path} has no labelled word of part "{part}"; it has: {", ".join(self.parts)}.\n'
                "Next: name one of these, or collect a treebank that has that part."
            )
        return lines

    def states(self, lines: NDArray[np.int64], layer: str) -> NDArray[np.float64]:
        """[word, hidden] of these lines. Raises UserError for a layer that the store does not hold."""
        names = [str(name) for name in self.store.schema.coords["layer"]]
        if layer not in names:
            raise UserError(
                f"{self.store.path} holds no states of {layer}; it has: {', '.join(names)}.\n"
                f"Next: collect them: python collect.py --exp {READS.experiment} --sites '[{layer}]' "
                "--run ANOTHER_FOLDER"
            )
        return np.asarray(self.store[FIELD].gather(lines, layer=names.index(layer)), np.float64)

    def probabilities(self, probe: TagProbe, lines: NDArray[np.int64]) -> NDArray[np.float64]:
        """[word, K] of these lines, from the states of the probe's layer, some at a time."""
        starts = range(0, len(lines), _AT_ONCE)
        parts = [probe.predict_proba(self.states(lines[s : s + _AT_ONCE], probe.layer)) for s in starts]
        return np.concatenate([np.zeros((0, len(probe.classes))), *parts])


def open_words(run: Path) -> Words:
    """The words of a run of `pos_tokens`.

    Raises:
        UserError: the folder holds no store, another study's, or an empty one.
    """
    if not is_store(run / "store"):
        raise UserError(f"{run.absolute()} holds no store of labelled words.{READS.next}")
    return words_of(READS.open(run))


def words_of(store: Store) -> Words:
    """The words of a store of `pos_tokens` that is open already."""
    return Words(store, _flat(store))


def _flat(store: Store) -> pd.DataFrame:
    columns = store.table([*_PER_SENTENCE, *_PER_WORD]).to_pydict()
    counts = np.array([len(tags) for tags in columns["upos"]], np.int64)
    row = np.repeat(np.arange(len(counts)), counts)
    entry = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    table: dict[str, Any] = {"row": row, "entry": entry}
    table |= {name: np.asarray(columns[name], object)[row] for name in _PER_SENTENCE}
    for name, column in zip(_NAMES, _PER_WORD, strict=True):
        table[name] = [value for values in columns[column] for value in values]
    return pd.DataFrame(table)
