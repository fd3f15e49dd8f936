"""Collects, for every prefix at which the probe is unsure, the model's own continuations of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from lit_experiments.collecting.plan import Sample
from lit_experiments.errors import UserError
from lit_experiments.experiments.pos.candidates import Candidate, check_states, open_probe, open_tokens, scan
from lit_experiments.experiments.pos.continuing import ContinuingCollector
from lit_experiments.experiments.pos.export import jsonl_header, jsonl_shape
from lit_experiments.experiments.pos.resample_schema import describe, summary
from lit_experiments.experiments.pos.sklearn_probe import SklearnProbe, open_sklearn
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.probes.class_probe import ClassProbe
from lit_experiments.ranges import at_least, share
from lit_experiments.sources.selection import fit
from stores import Records, Store, fingerprint_hash


class PosResampleCollector(ContinuingCollector):
    """For each uncertain word: the prefix that ends with it, read once, and many draws of what follows."""

    version: ClassVar[int] = 1
    jsonl_shape = staticmethod(jsonl_shape)
    jsonl_header = staticmethod(jsonl_header)
    describe = staticmethod(describe)

    def __init__(
        self,
        spec: ModelSpec,
        probe: str,
        tokens: str | None,
        layer: str | None,
        trust_pickle: bool,
        probe_classes: list[str] | None,
        part: str,
        conf_thresh: float,
        order: Literal["shuffled", "text"],
        max_prefixes: int | None,
        **kwargs: Any,
    ) -> None:
        """Checks the settings, loads the probe, and scans the stored states for words at which it is unsure.

        Args:
            probe: Folder of the probe that pos_probe wrote, or of one layer's probe in it; or a joblib file with a
                scikit-learn classifier of the tags (which needs trust_pickle and layer).
            tokens: Run of pos_tokens whose states are scanned; null takes the run that holds the probe.
            layer: The layer that the probe must read, e.g. resid_post.11 (Hugging Face's hidden_states[12]); null takes
                whichever it reads.
            trust_pickle: Read a probe that is a joblib file. It is a pickle, which can run any code.
            probe_classes: The tags of classes 0, 1, ... of a scikit-learn classifier whose classes are numbers.
            part: Part of the treebank to scan: validation, test, ...
            conf_thresh: A word is a candidate where the probe's highest probability is below this.
            order: Scan words in an order shuffled by the seed (the first are then of many documents), or as in the
                text.
            max_prefixes: At most so many prefixes, the first in the scan's order; null takes all.

        Raises:
            UserError, ProbeError: settings that cannot be, a probe that does not belong to this model or these states.
        """
        super().__init__(spec, **kwargs)
        at_least(1, max_prefixes=max_prefixes)
        share(conf_thresh=conf_thresh)
        self.part, self.conf_thresh, self.order, self.max_prefixes = part, conf_thresh, order, max_prefixes
        self._words = open_tokens(Path(probe), tokens)
        self.probe = self._probe(Path(probe), layer, trust_pickle, probe_classes)
        self._scan = scan(self._words, self.probe, part, conf_thresh, order, self.seed)
        self._notes = [self._scan.note(conf_thresh, part), *_seen_in_training(self.probe, part)]
        self._samples = self._chosen()

    def nothing_found(self) -> str | None:
        return (
            f"No uncertain word: the highest probability of the probe ({self.probe.layer}) is at least "
            f"{self.conf_thresh:g} at every one of the {self._scan.words:,} words of the {self.part} part."
        )

    def summary(self, store: Store) -> list[str]:
        return summary(store)

    def settings(self) -> dict[str, Any]:
        scanned = {name: getattr(self, name) for name in ("part", "conf_thresh", "order", "max_prefixes")}
        # Every number of the probe, and the states that it was applied to.
        applied = {"layer": self.probe.layer, "classes": list(self.probe.classes), "probe": _content(self.probe)}
        applied["tokens"] = fingerprint_hash(self._words.store.fingerprint)
        return super().settings() | scanned | applied | {name: self._words.settings[name] for name in _OF_THE_WORDS}

    def collect(self, batch: Sequence[Sample]) -> Records:
        arrays = self.draw([s.payload["ids"] for s in batch], [s.sample_id for s in batch])
        rows = [self._row(s, *(arrays[name][i] for name in _OF_A_ROW)) for i, s in enumerate(batch)]
        return Records(rows, arrays, {}, {})

    def _row(self, sample: Sample, tokens: np.ndarray, lengths: np.ndarray, ended: np.ndarray) -> dict[str, Any]:
        candidate, ids, end = (sample.payload[key] for key in ("candidate", "ids", "end"))
        row, word = candidate.row, candidate.word
        added = [draw[: length - stop] for draw, length, stop in zip(tokens, lengths, ended, strict=True)]
        return {
            "sample_id": sample.sample_id,
            "sample_index": sample.index,
            **{name: row[name] for name in ("dataset_idx", "sent_id", "doc_id", "doc_from", "part")},
            "sentence_text": row["text"],
            "prefix_text": row["text"][:end],
            "prefix_ids": ids,
            "target_position": word["position"],
            "target_token": self.info.tokens.decode([ids[-1]]),
            "word": word["form"],
            "prefix_end": end,
            "true_label": word["upos"],
            **{name: word[name] for name in ("word_id", "char_start", "char_end", "xpos", "left_ambiguous")},
            "probe_probs": candidate.probs.tolist(),
            "probe_pred": self.probe.classes[int(candidate.probs.argmax())],
            "completions": [self.info.tokens.decode_after(ids, draw.tolist()) for draw in added],
        }

    def _probe(
        self, path: Path, layer: str | None, trust_pickle: bool, probe_classes: list[str] | None
    ) -> ClassProbe | SklearnProbe:
        """Ours from a folder, scikit-learn's from a file."""
        model = self.info.fingerprint()
        check_states(self._words, model)
        if path.is_file():
            return open_sklearn(path, trust_pickle, layer, probe_classes, self.info.d_model)
        if probe_classes is not None:
            raise UserError(f"{path} is no joblib file, and our probes name their classes: leave out --probe_classes.")
        return open_probe(path, self._words, model, layer)

    def _chosen(self) -> list[Sample]:
        """A sample for each of the first candidates that leave room in the window."""
        candidates = self._scan.candidates
        fitting = fit(candidates, self.room, lambda c: c.word["position"] + 1, _name, self.max_prefixes)
        samples: list[Sample] = []
        for index, candidate in enumerate(fitting.records):
            ids = candidate.row["input_ids"][: candidate.word["position"] + 1]
            payload = {"candidate": candidate, "ids": ids, "end": self._end(candidate)}
            tokens = (len(ids) + self.max_new_tokens) * self.num_samples
            samples.append(Sample(_name(candidate), index, tokens, payload))
        if fitting.long:
            named = f"{len(fitting.long)} prefixes: {fitting.examples()}"
            if self.too_long == "error":
                raise UserError(
                    f"No room for {self.max_new_tokens} more tokens in the model's window ({self.info.window}): "
                    f"{named}.\nNothing ran. Next: --too_long skip leaves them out, or lower --max_new_tokens."
                )
            self._notes.append(f"no room in the window, left out: {named}")
        if len(samples) < len(candidates) - len(fitting.long):
            self._notes.append(f"max_prefixes: the first {len(samples)} of them, in {self.order} order")
        return samples

    def _end(self, candidate: Candidate) -> int:
        """The character of the sentence after the prefix: the word's end, or that of its first token."""
        if self._words.settings["position"] != "first":
            return int(candidate.word["char_end"])
        _, spans = self.info.tokens.encode_with_spans(candidate.row["text"])
        return spans[candidate.word["position"]][1]


def _name(candidate: Candidate) -> str:
    """part/sentence/word"""
    return f"{candidate.row['part']}/{candidate.row['sent_id']}/{candidate.word['word_id']}"


def _seen_in_training(probe: ClassProbe | SklearnProbe, part: str) -> list[str]:
    """What to say of a scan of the words that a probe was fitted to."""
    if isinstance(probe, SklearnProbe):
        return ["a scikit-learn probe does not say what it was trained on: make sure that it was not these words"]
    if part not in probe.notes.get("trained_on", ()):
        return []
    return [f"careful: the probe was trained on words of the {part} part, and is surer of those than of new ones"]


def _content(probe: ClassProbe | SklearnProbe) -> str:
    """A hash of everything that a probe's probabilities follow from."""
    if isinstance(probe, SklearnProbe):
        return probe.digest
    arrays = (probe.weights, probe.mean, probe.scale, probe.intercept)
    return fingerprint_hash({"arrays": [np.asarray(a).tolist() for a in arrays]})


_OF_A_ROW = ("token_ids", "completion_length", "ended")
_OF_THE_WORDS = ("treebank", "position", "excluded_tags", "document_from")
