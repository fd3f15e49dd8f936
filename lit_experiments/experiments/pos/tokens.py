"""Collects the hidden states of a treebank's labelled words: one row per sentence, one entry per word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np

from lit_experiments.collecting.plan import Sample
from lit_experiments.collecting.records import PlannedCollector
from lit_experiments.experiments.pos.align import Aligned
from lit_experiments.experiments.pos.groups import origin
from lit_experiments.experiments.pos.sentences import Labelled, check_tags, make_samples
from lit_experiments.lm.capture import Captured
from lit_experiments.lm.sites import resolve_sites
from lit_experiments.lm.spec import ENGINES, ModelSpec
from lit_experiments.reports.tables import text_table
from lit_experiments.sources.treebank import read_treebank
from stores import Column, Field, Records, Schema, Store

_HEADERS = ["part", "documents", "sentences", "words", "labelled", "excluded", "not alignable"]


def describe(store: Store, examples: int) -> str:
    """Counts by part of the treebank, what was left out, and some sentences.

    Raises:
        AssertionError: the states are not as many as the labels, or the counts do not add up to the treebank's words.
    """
    columns = ["part", "doc_id", "doc_from", "upos", "words_in_sentence", "excluded", "unaligned"]
    rows = store.table(columns).to_pylist()
    labelled = [len(row["upos"]) for row in rows]
    if store["resid_post"].lengths().tolist() != labelled:
        raise AssertionError(f"{store.path}: the states are not as many as the labels.")
    parts = {part: [row for row in rows if row["part"] == part] for part in dict.fromkeys(r["part"] for r in rows)}
    table = [_part(name, of_part) for name, of_part in parts.items()]
    if len(parts) > 1:
        table.append(_part("together", rows))
    named = origin((row["doc_from"], f"{row['part']}/{row['doc_id']}") for row in rows)
    lines = [text_table(_HEADERS, table), f"documents: {named}"]
    lines += _named("excluded by tag", Counter(item.rpartition("/")[2] for row in rows for item in row["excluded"]))
    reasons = (item.removesuffix(")").rpartition(" (")[2] for row in rows for item in row["unaligned"])
    lines += _named("not alignable", Counter(reasons))
    lines += [_sentence(row) for row in store.select(slice(0, examples)).table(["text", "forms", "upos"]).to_pylist()]
    return "\n".join(lines)


def _part(name: str, rows: list[dict[str, Any]]) -> list[str]:
    words = sum(row["words_in_sentence"] for row in rows)
    labelled, *out = (sum(len(row[key]) for row in rows) for key in ("upos", "excluded", "unaligned"))
    if labelled + sum(out) != words:
        raise AssertionError(f"{name}: {labelled} labelled + {out} left out are not the treebank's {words} words.")
    counts = [len({row["doc_id"] for row in rows}), len(rows), words, labelled, *out]
    return [name, *(f"{count:,}" for count in counts)]


def _named(title: str, counts: Counter[str]) -> list[str]:
    return [f"{title}: " + ", ".join(f"{name} {n:,}" for name, n in counts.most_common())] if counts else []


def _sentence(row: dict[str, Any]) -> str:
    tagged = " ".join(f"{form}/{tag}" for form, tag in zip(row["forms"], row["upos"], strict=True))
    return f"\n{row['text']}\n  {tagged}"


class PosTokensCollector(PlannedCollector):
    """For each sentence: the states of its labelled words at the chosen sites, with their labels and places."""

    version: ClassVar[int] = 1
    engines: ClassVar[tuple[str, ...]] = ENGINES
    growing: ClassVar[frozenset[str]] = frozenset({"sites"})
    describe = staticmethod(describe)

    def __init__(
        self,
        spec: ModelSpec,
        treebank: str,
        sites: list[str] | None,
        position: Literal["last", "first", "mean"],
        excluded_tags: list[str],
        too_long: Literal["error", "skip"],
        malformed: Literal["stop", "skip"],
        document_from: Literal["auto", "sent_id", "file", "none"],
    ) -> None:
        """Checks the settings; reads the treebank and the model's configuration and tokenizer.

        Args:
            treebank: Folder with *train*, *dev*, *test*.conllu, one or three such files ("TRAIN,VALIDATION,TEST"), a
                dataset with tokens and upos (folder or Hub id NAME[@CONFIG]), or "embedded".
            sites: Where hidden states are read; null reads resid_post of every layer.
            position: Which of a word's tokens carries its label: last, first, or mean (the mean of all their states).
            excluded_tags: Tags whose words get no label (counted); "_" is always left out.
            too_long: What to do with sentences that do not fit the model's window: error, or skip (and count).
            malformed: At a malformed sentence: stop, or skip (and count).
            document_from: What names a sentence's document, whose words are kept together in splits and resamples:
                auto takes "# newdoc" (or a dataset's document column), and where there is none the sentence's id
                without its last number; sent_id, file and none (each sentence by itself) go by that rule alone.

        Raises:
            UserError: settings that cannot be, or a sentence that does not fit.
        """
        super().__init__(spec)
        check_tags(excluded_tags)
        names = sites or [f"resid_post.{layer}" for layer in range(self.info.n_layers)]
        self.sites = resolve_sites(names, self.info.layout, self.info.n_layers)
        self.position, self.excluded_tags, self.too_long = position, sorted(excluded_tags), too_long
        self.document_from = document_from
        self._source = read_treebank(treebank, malformed, document_from)
        self._samples, self._notes = make_samples(self._source, self.info, self.excluded_tags, too_long)

    def settings(self) -> dict[str, Any]:
        names = ("sites", "position", "excluded_tags", "too_long", "document_from")
        return {"treebank": self._source.digest} | {name: getattr(self, name) for name in names}

    def schema(self) -> Schema:
        shape = (len(self.sites), None, self.info.d_model)
        states = Field("resid_post", ("layer", "word", "hidden"), shape, "float16", "", _STATES)
        return Schema((states,), _COLUMNS, {"layer": list(self.sites)})

    def collect(self, batch: Sequence[Sample]) -> Records:
        sentences: list[Labelled] = [sample.payload for sample in batch]
        rows = [_row(sample, sentence, self.position) for sample, sentence in zip(batch, sentences, strict=True)]
        lengths = {"word": np.array([len(sentence.words) for sentence in sentences])}
        read = [sentence for sentence in sentences if sentence.words]  # "Oh!" alone has no word with a label
        if not read:
            return Records(rows, {"resid_post": np.zeros((len(self.sites), 0, self.info.d_model), np.float32)}, lengths)
        places = [[p for word in sentence.words for p in word.positions(self.position)] for sentence in read]
        states = self.engine.capture([sentence.ids for sentence in read], self.sites, places)
        if self.position != "mean":
            arrays, exponents = {"resid_post": states.values.numpy()}, {"resid_post": states.exponents.numpy()}
            return Records(rows, arrays, lengths, exponents)
        words = [word for sentence in read for word in sentence.words]
        return Records(rows, {"resid_post": _means(states, words)}, lengths)


def _means(states: Captured, words: Sequence[Aligned]) -> np.ndarray:
    """float32 [site, word, hidden]: the mean over each word's tokens of states [site, token, hidden]."""
    values = states.values.float().numpy() * np.exp2(states.exponents.numpy().astype(np.float32))[..., None]
    counts = np.array([word.last - word.first + 1 for word in words], np.int64)
    sums = np.add.reduceat(values, np.cumsum(counts) - counts, axis=1)
    return np.asarray(sums / counts[:, None].astype(np.float32))


def _row(sample: Sample, labelled: Labelled, position: str) -> dict[str, Any]:
    sentence, words = labelled.sentence, labelled.words
    return {
        "sample_id": sample.sample_id,
        "sample_index": sample.index,
        "sent_id": sentence.sent_id,
        "doc_id": sentence.doc_id,
        "doc_from": sentence.doc_from,
        "part": sentence.split,
        "dataset_idx": labelled.index,
        "text": sentence.text,
        "input_ids": labelled.ids,
        "forms": [aligned.word.form for aligned in words],
        "upos": [aligned.word.upos for aligned in words],
        "xpos": [aligned.word.xpos for aligned in words],
        "word_ids": [aligned.word.id for aligned in words],
        "positions": [aligned.first if position == "first" else aligned.last for aligned in words],
        "first_tokens": [aligned.first for aligned in words],
        "last_tokens": [aligned.last for aligned in words],
        "char_starts": [aligned.span[0] for aligned in words],
        "char_ends": [aligned.span[1] for aligned in words],
        "left_ambiguous": ["+".join(aligned.word.left_ambiguous) for aligned in words],
        "words_in_sentence": len(sentence.words),
        "excluded": labelled.excluded,
        "unaligned": labelled.unaligned,
    }


_STATES = "hidden states of the labelled words, each at its chosen token (column positions) or the mean of its tokens"
_COLUMNS = (
    Column("sent_id", "string", "the treebank's name of the sentence"),
    Column("doc_id", "string", "its document; a document's words are one group"),
    Column("doc_from", "string", "what names the document: newdoc, column, sent_id, file, or none"),
    Column("part", "string", "part of the treebank: train, validation, test, or all"),
    Column("dataset_idx", "int64", "number of the sentence within its part, from 0"),
    Column("text", "string", "the sentence as raw text"),
    Column("input_ids", "list<int64>", "exactly what the model read"),
    Column("forms", "list<string>", "the labelled words"),
    Column("upos", "list<string>", "their universal part of speech"),
    Column("xpos", "list<string>", "their language-specific tag"),
    Column("word_ids", "list<int64>", "their number in the sentence, from 1"),
    Column("positions", "list<int64>", "the token that carries the label (the last one for mean)"),
    Column("first_tokens", "list<int64>", "their first token"),
    Column("last_tokens", "list<int64>", "their last token"),
    Column("char_starts", "list<int64>", "their first character in the text"),
    Column("char_ends", "list<int64>", "the character after their last"),
    Column("left_ambiguous", "list<string>", "tags that the treebank says the text so far leaves open, joined by +"),
    Column("words_in_sentence", "int64", "all words of the sentence, by the treebank's own count"),
    Column("excluded", "list<string>", "words left out for their tag, as form/TAG"),
    Column("unaligned", "list<string>", "words without a state of their own, as form (reason)"),
)
