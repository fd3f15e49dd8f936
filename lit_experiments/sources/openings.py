"""Openings of the embedded treebank's sentences, each labelled with what comes next: a small question about states that
the words alone do not answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from lit_experiments.sources.tables import Table, TableRow
from lit_experiments.sources.treebank import EMBEDDED, Sentence, read_treebank

NAME = "embedded:openings"
LABELS, GROUP = ("next_is_verb", "characters"), "document"
_PER_SENTENCE = 2
_LEAST_WORDS = 2
_VERBS = ("VERB", "AUX")


def read_openings() -> Table:
    """Two openings of every sentence that has as many. Columns: text, next_is_verb (of the first word behind the text,
    auxiliaries included), characters (of the text), document, sentence."""
    columns = ("text", *LABELS, GROUP, "sentence")
    return Table("openings of the embedded sentences", "dataset", "row", columns, _rows())


def _rows() -> Iterator[TableRow]:
    openings = (opening for sentence in read_treebank(EMBEDDED).sentences for opening in _openings(sentence))
    for row, record in enumerate(openings):
        yield TableRow(row, f"{NAME}, row {row}", record)


def _openings(sentence: Sentence) -> Iterator[dict[str, object]]:
    """Cut in front of words that follow a space, at places that depend on nothing but the sentence's name."""
    text, words = sentence.text, sentence.words
    places = [k for k in range(_LEAST_WORDS, len(words)) if words[k].start and text[words[k].start - 1] == " "]
    places = [k for k in places if words[k].start > words[k - 1].start]  # the second word of "don't" has no place
    order = sorted(places, key=lambda k: hashlib.blake2b(f"{sentence.sent_id} {k}".encode(), digest_size=8).digest())
    for k in sorted(order[:_PER_SENTENCE]):
        opening = text[: words[k].start].rstrip()
        yield {
            "text": opening,
            "next_is_verb": words[k].upos in _VERBS,
            "characters": len(opening),
            "document": sentence.doc_id,
            "sentence": sentence.sent_id,
        }
