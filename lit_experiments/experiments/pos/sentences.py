"""From treebank sentences to samples: which words carry a label, which are left out and why, what fits the window.

Owns: the order of the tags, what is excluded, the counts. Does not know: the model's weights, stores.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from lit_experiments.collecting.plan import Sample
from lit_experiments.errors import UserError
from lit_experiments.experiments.pos.align import Aligned, align
from lit_experiments.experiments.pos.groups import origin
from lit_experiments.lm.info import ModelInfo
from lit_experiments.sources.conllu import UNTAGGED, UPOS
from lit_experiments.sources.selection import fit
from lit_experiments.sources.treebank import Sentence, Treebank

TAGS = tuple(sorted(UPOS))
"""Every tag in the one order in which classes, probabilities and figures have them."""
_SHOWN = 5


@dataclass(frozen=True)
class Labelled:
    """A sentence as the model reads it, and its labelled words in order.

    excluded: words whose tag is excluded, as "form/TAG"; unaligned: words without a state of their own, as
    "form (reason)". Labelled, excluded and unaligned words together are all words of the sentence.
    """

    index: int
    sentence: Sentence
    ids: list[int]
    words: list[Aligned]
    excluded: list[str]
    unaligned: list[str]


@dataclass
class Tally:
    """What became of the treebank's words and sentences."""

    words: int = 0
    labelled: int = 0
    excluded: Counter[str] = field(default_factory=Counter)
    unaligned: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, labelled: Labelled) -> None:
        """Counts the words of a sentence."""
        self.words += len(labelled.sentence.words)
        self.labelled += len(labelled.words)
        self.excluded.update(item.rpartition("/")[2] for item in labelled.excluded)
        for item in labelled.unaligned:
            form, _, reason = item.removesuffix(")").rpartition(" (")
            self.unaligned[reason] += 1
            shown = self.examples.setdefault(reason, [])
            if len(shown) < _SHOWN:
                shown.append(f"{form} in {labelled.sentence.sent_id}")

    def notes(self, name: str, sentences: int) -> list[str]:
        """Lines for people; the counts add up to the treebank's words or this raises."""
        if self.labelled + self.excluded.total() + self.unaligned.total() != self.words:
            raise AssertionError(f"{name}: the counts of words do not add up: {self}")
        tags = ", ".join(f"{tag} {count:,}" for tag, count in sorted(self.excluded.items()))
        lines = [
            f"{name}: {sentences:,} sentences, {self.words:,} words",
            f"labelled {self.labelled:,}, excluded by tag {self.excluded.total():,}"
            + (f" ({tags})" if tags else "")
            + f", not alignable {self.unaligned.total():,}",
        ]
        for reason, count in self.unaligned.most_common():
            lines.append(f"not alignable, {reason}: {count:,}, such as {', '.join(self.examples[reason])}")
        return lines


def check_tags(excluded: Sequence[str]) -> None:
    """Raises UserError for a tag that does not exist."""
    unknown = [tag for tag in excluded if tag not in TAGS and tag != UNTAGGED]
    if unknown:
        raise UserError(f"excluded_tags: there is no tag {', '.join(unknown)}. Tags: {', '.join(TAGS)}, {UNTAGGED}.")


def label(sentence: Sentence, index: int, info: ModelInfo, excluded: Sequence[str]) -> Labelled:
    """Tokenises a sentence as raw text and finds its words in it."""
    ids, spans = info.tokens.encode_with_spans(sentence.text)
    labelled = Labelled(index, sentence, ids, [], [], [])
    for place in align(sentence.words, spans):
        if place.word.upos in excluded or place.word.upos == UNTAGGED:
            labelled.excluded.append(f"{place.word.form}/{place.word.upos}")
        elif isinstance(place, Aligned):
            labelled.words.append(place)
        else:
            labelled.unaligned.append(f"{place.word.form} ({place.reason})")
    return labelled


def make_samples(
    treebank: Treebank, info: ModelInfo, excluded: Sequence[str], too_long: str
) -> tuple[list[Sample], list[str]]:
    """(one sample per sentence that fits the window, in the treebank's order; notes).

    Raises:
        SourceError: a sentence does not fit and that is to be an error.
    """
    numbers = {part: itertools.count() for part in treebank.splits}
    sentences = [label(s, next(numbers[s.split]), info, excluded) for s in treebank.sentences]
    fitting = fit(sentences, info.window, lambda s: len(s.ids), lambda s: s.sentence.sent_id)
    tally, samples = Tally(), list[Sample]()
    for labelled in fitting.records:
        tally.add(labelled)
        name = f"{labelled.sentence.split}/{labelled.sentence.sent_id}"
        samples.append(Sample(name, len(samples), len(labelled.ids), labelled, {"word": len(labelled.words)}))
    notes = [*tally.notes(treebank.name, len(samples)), *treebank.notes]
    notes.append(f"documents: {origin((s.doc_from, f'{s.split}/{s.doc_id}') for s in treebank.sentences)}")
    if treebank.skipped.count:
        kinds = ", ".join(f"{kind} {number}" for kind, number in treebank.skipped.reasons.items())
        notes.append(f"malformed sentences left out: {treebank.skipped.count} ({kinds})")
    return samples, notes + fitting.notes(
        "sentences",
        too_long,
        total=len(sentences),
        window=f"{info.name} holds {info.window} tokens",
        remedy="--too_long skip leaves them out, counted",
    )
