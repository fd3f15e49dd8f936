"""Which treebank prefixes are from, and what its gold tags tell: the types' tags in the training part, and how a tagger
errs on words that are held out from it.

Does not know: continuations, probes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lit_experiments.errors import UserError
from lit_experiments.experiments.pos.candidates import open_tokens
from lit_experiments.experiments.pos.tagger import Tagger
from lit_experiments.experiments.pos.tagger_errors import GoldErrors, kinds_of
from lit_experiments.experiments.pos.types import TypeTable
from lit_experiments.sources.treebank import Treebank
from stores import Store


@dataclass(frozen=True)
class HeldOut:
    """types: of the training part. errors: of the tagger, on the words of `parts`; empty without such parts."""

    types: TypeTable
    errors: GoldErrors
    parts: list[str]


def held_out_gold(bank: Treebank, tagger: Tagger, classes: list[str], trained_on: Collection[str]) -> HeldOut:
    """Tags the sentences of all parts but those that the tagger is known to be trained on, in their own words.

    The training part is left out for any tagger where there is another: a published one may well have seen it. Words
    whose tag, or whose tag by the tagger, is none of the classes do not count, as such draws do not.
    """
    code = {tag: place for place, tag in enumerate(classes)}
    words = [word for s in bank.sentences if s.split == "train" for word in s.words if word.upos in code]
    codes = np.array([code[word.upos] for word in words], np.int64)
    types = TypeTable.of([word.form for word in words], codes, len(classes))
    others = [part for part in bank.splits if part != "train"]
    parts = others or [part for part in bank.splits if part not in trained_on]
    sentences = [sentence for sentence in bank.sentences if sentence.split in parts]
    tagged = tagger.tag([[word.form for word in sentence.words] for sentence in sentences])
    pairs = [
        (word.form, code[word.upos], code[tag])
        for sentence, tags in zip(sentences, tagged, strict=True)
        for word, tag in zip(sentence.words, tags, strict=True)
        if word.upos in code and tag in code
    ]
    forms = [form for form, _, _ in pairs]
    true, given = (np.array([pair[place] for pair in pairs], np.int64) for place in (1, 2))
    return HeldOut(types, GoldErrors.of(kinds_of(forms, types), true, given, len(classes)), parts)


def recorded_treebank(store: Store) -> tuple[str, str]:
    """(source, malformed) of the treebank that the run of labelled words behind these prefixes read."""
    options = store.provenance.get("config", {}).get("init_args", {})
    if "probe" in options:
        words = open_tokens(Path(options["probe"]), options.get("tokens"))
        init = words.store.provenance.get("config", {}).get("init_args", {})
        if "treebank" in init:
            return init["treebank"], init["malformed"]
    raise UserError(f"{store.path} does not say which treebank it is from.\nNext: name it with --treebank.")
