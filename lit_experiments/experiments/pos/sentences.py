"""From treebank sentences to samples: which words carry a label, which are left out and why, what fits the window.

Owns: the order of the tags, what is excluded, the counts. Does not know: the model's weights, stores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from lit_experiments.collecting.plan import Sample
from lit_experiments.errors import UserError
from lit_experiments.experiments.pos.align import Aligned, align
from lit_experiments.experiments.pos.groups import origin
from lit_experiments.lm.info import ModelInfo
from lit_experiments.sources.conllu import UNTAGGED, UPOS
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
    long: list[tuple[str, int]] = field(default_factory=list)

    def add(self, found: Labelled) -> None:
        self.words += len(found.sentence.words)
        self.labelled += len(found.words)
        self.excluded.update(item.rpartition("/")[2] for item in found.excluded)
        for item in found.unaligned:
            form, _, reason = item.removesuffix(")").rpartition(" (")
            self.unaligned[reason] += 1
            shown = self.examples.setdefault(reason, [])
            if len(shown) < _SHOWN:
                shown.append(f"{form} in {found.sentence.sent_id}")

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
    found = Labelled(index, sentence, ids, [], [], [])
    for place in align(sentence.words, spans):
        if place.word.upos in excluded or place.word.upos == UNTAGGED:
            found.excluded.append(f"{place.word.form}/{place.word.upos}")
        elif isinstance(place, Aligned):
            found.words.append(place)
        else:
            found.unaligned.append(f"{place.word.form} ({place.reason})")
    return found


def make_samples(
    treebank: Treebank, info: ModelInfo, excluded: Sequence[str], too_long: str
) -> tuple[list[Sample], list[str]]:
    """(one sample per sentence that fits the window, in the treebank's order; notes).

    Raises:
        UserError: a sentence does not fit and that is to be an error.
    """
    tally, samples = Tally(), list[Sample]()
    number: Counter[str] = Counter()
    for sentence in treebank.sentences:
        found = label(sentence, number[sentence.split], info, excluded)
        number[sentence.split] += 1
        if info.window is not None and len(found.ids) > info.window:
            tally.long.append((sentence.sent_id, len(found.ids)))
            continue
        tally.add(found)
        lengths = {"word": len(found.words)}
        name = f"{sentence.split}/{sentence.sent_id}"
        samples.append(Sample(name, len(samples), len(found.ids), found, lengths))
    notes = [*tally.notes(treebank.name, len(samples)), *treebank.notes]
    notes.append(f"documents: {origin((s.doc_from, f'{s.split}/{s.doc_id}') for s in treebank.sentences)}")
    if treebank.skipped.count:
        kinds = ", ".join(f"{kind} {count}" for kind, count in treebank.skipped.reasons.items())
        notes.append(f"malformed sentences left out: {treebank.skipped.count} ({kinds})")
    if tally.long:
        notes.append(_too_long(tally.long, len(treebank.sentences), info, too_long))
    return samples, notes


def _too_long(long: list[tuple[str, int]], total: int, info: ModelInfo, too_long: str) -> str:
    shown = ", ".join(f"{name} ({length} tokens)" for name, length in long[:_SHOWN])
    more = f" and {len(long) - _SHOWN} more" if len(long) > _SHOWN else ""
    which = f"{len(long)} of {total} sentences: {shown}{more}"
    if too_long == "error":
        raise UserError(
            f"Too long for the model's window: {which}.\n{info.name} holds {info.window} tokens. Nothing ran.\n"
            f"Next: --too_long skip leaves them out, counted."
        )
    return f"too long for the window, left out: {which}"
