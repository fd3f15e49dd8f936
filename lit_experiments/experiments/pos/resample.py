"""Collects, for every prefix at which the probe is unsure, the model's own continuations of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from lit_experiments.collecting.collector import Collector, is_out_of_memory
from lit_experiments.collecting.plan import Sample
from lit_experiments.errors import UserError
from lit_experiments.experiments.pos.candidates import Candidate, check_states, open_probe, open_tokens, scan
from lit_experiments.experiments.pos.export import jsonl_header, jsonl_shape
from lit_experiments.experiments.pos.resample_schema import describe, make_schema, summary
from lit_experiments.experiments.pos.sklearn_probe import SklearnProbe, open_sklearn
from lit_experiments.lm.decode import Continuations, Decoder
from lit_experiments.lm.errors import NonFiniteStateError
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.lm.state import State
from lit_experiments.probes.class_probe import ClassProbe
from lit_experiments.ranges import at_least, seeds, share
from stores import Records, Schema, Store, fingerprint_hash


class PosResampleCollector(Collector):
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
        num_samples: int,
        temperature: float,
        top_p: float,
        max_new_tokens: int,
        seed: int,
        too_long: Literal["error", "skip"],
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
            num_samples: Continuations of each prefix.
            temperature: Of the continuations.
            top_p: Of the continuations.
            max_new_tokens: Tokens of a continuation at most; end of text ends it earlier.
            seed: Seed of the sampling and of the scan's order.
            too_long: What to do with prefixes that leave no room in the model's window: error, or skip (and count).

        Raises:
            UserError, ProbeError: settings that cannot be, a probe that does not belong to this model or these states.
        """
        super().__init__(spec)
        self.part, self.conf_thresh, self.order, self.max_prefixes = part, conf_thresh, order, max_prefixes
        self.num_samples, self.temperature, self.top_p = num_samples, temperature, top_p
        self.max_new_tokens, self.seed, self.too_long = max_new_tokens, seed, too_long
        self.sampling = Sampling(temperature=temperature, top_p=top_p, top_k=0)
        self._check()
        words = open_tokens(Path(probe), tokens)
        self._words = words
        self.probe = self._probe(Path(probe), layer, trust_pickle, probe_classes)
        self._scan = scan(words, self.probe, part, conf_thresh, order, seed)
        self._notes = [self._scan.note(conf_thresh, part), *_seen_in_training(self.probe, part)]
        self._samples = self._chosen()
        self._rows_at_once: int | None = None

    def samples(self) -> Sequence[Sample]:
        return self._samples

    def notes(self) -> list[str]:
        return self._notes

    def nothing_found(self) -> str | None:
        return (
            f"No uncertain word: the highest probability of the probe ({self.probe.layer}) is at least "
            f"{self.conf_thresh:g} at every one of the {self._scan.words:,} words of the {self.part} part."
        )

    def summary(self, store: Store) -> list[str]:
        return summary(store)

    def settings(self) -> dict[str, Any]:
        names = ["part", "conf_thresh", "order", "num_samples", "temperature", "top_p", "max_new_tokens", "seed"]
        about = {name: getattr(self, name) for name in [*names, "max_prefixes", "too_long"]}
        # Every number of the probe, and the states that it was applied to.
        about |= {"probe": _content(self.probe)}
        about |= {"layer": self.probe.layer, "classes": list(self.probe.classes)}
        return about | {"tokens": fingerprint_hash(self._words.store.fingerprint)} | self._treebank()

    def schema(self) -> Schema:
        return make_schema(self.num_samples, self.max_new_tokens)

    def collect(self, batch: Sequence[Sample]) -> Records:
        decoder = Decoder(self.lm, (), self.stop_check)
        state = decoder.prefill([sample.payload["ids"] for sample in batch])
        keys = [StreamKey(self.seed, sample.sample_id, draw) for sample in batch for draw in range(self.num_samples)]
        drawn = self._draw(decoder, state, keys)
        shape = (len(batch), self.num_samples)
        arrays = {
            "token_ids": drawn.token_ids.numpy().astype(np.int32).reshape(*shape, -1),
            "log_probs": drawn.log_probs.numpy().reshape(*shape, -1),
            "completion_length": drawn.lengths.numpy().astype(np.int32).reshape(shape),
            "ended": drawn.stopped.numpy().reshape(shape),
        }
        rows = [self._row(s, *(arrays[n][i] for n in _OF_A_ROW)) for i, s in enumerate(batch)]
        return Records(rows, arrays, {}, {})

    def _draw(self, decoder: Decoder, state: State, keys: Sequence[StreamKey]) -> Continuations:
        """Every prefix continued `num_samples` times from the one cache, in as many pieces as memory asks for.

        What is drawn depends on (seed, prefix, draw) alone, so the pieces change nothing but memory and time.
        """
        rows, start = [row for row in range(len(state)) for _ in range(self.num_samples)], 0
        pieces: list[Continuations] = []
        while start < len(rows):
            size = min(self._rows_at_once or len(rows), len(rows) - start)
            piece = self._piece(decoder, state, rows[start : start + size], keys[start : start + size])
            if piece is not None:
                pieces.append(piece)
                start += size
                continue
            # Outside the handler: its traceback would keep the failed piece's tensors alive.
            self._rows_at_once = -(-size // 2)
            self.halvings += 1
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return Continuations(*(torch.cat([getattr(p, name).cpu() for p in pieces]) for name in _OF_A_PIECE))

    def _piece(
        self, decoder: Decoder, state: State, rows: Sequence[int], keys: Sequence[StreamKey]
    ) -> Continuations | None:
        """Draws for these rows of the state, or None when memory is too short for so many at once."""
        ends = self.info.eos_ids
        try:
            return decoder.sample(
                state.select(rows), self.max_new_tokens, self.sampling, keys, stop_ids=ends, feed_last=False
            )
        except NonFiniteStateError as error:  # it names a row of the piece, the caller knows samples
            raise NonFiniteStateError(str(error), rows[error.index], error.site, error.position) from error
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or len(rows) == 1:
                raise
        return None

    def _row(self, sample: Sample, tokens: np.ndarray, lengths: np.ndarray, ended: np.ndarray) -> dict[str, Any]:
        found, ids = sample.payload["candidate"], sample.payload["ids"]
        row, word, end = found.row, found.word, sample.payload["end"]
        added = [draw[: length - stop] for draw, length, stop in zip(tokens, lengths, ended, strict=True)]
        return {
            "sample_id": sample.sample_id,
            "sample_index": sample.index,
            "dataset_idx": row["dataset_idx"],
            "sent_id": row["sent_id"],
            "doc_id": row["doc_id"],
            "doc_from": row["doc_from"],
            "part": row["part"],
            "sentence_text": row["text"],
            "prefix_text": row["text"][:end],
            "prefix_ids": ids,
            "target_position": word["position"],
            "target_token": self.info.tokens.decode([ids[-1]]),
            "word": word["form"],
            "word_id": word["word_id"],
            "char_start": word["char_start"],
            "char_end": word["char_end"],
            "prefix_end": end,
            "true_label": word["upos"],
            "xpos": word["xpos"],
            "left_ambiguous": word["left_ambiguous"],
            "probe_probs": found.probs.tolist(),
            "probe_pred": self.probe.classes[int(found.probs.argmax())],
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
        samples: list[Sample] = []
        long: list[str] = []
        for found in self._scan.candidates:
            if self.max_prefixes is not None and len(samples) == self.max_prefixes:
                break
            ids = found.row["input_ids"][: found.word["position"] + 1]
            name = f"{found.row['part']}/{found.row['sent_id']}/{found.word['word_id']}"
            if self.info.window is not None and len(ids) + self.max_new_tokens > self.info.window:
                long.append(f"{name} ({len(ids)} tokens)")
                continue
            payload = {"candidate": found, "ids": ids, "end": self._end(found)}
            tokens = (len(ids) + self.max_new_tokens) * self.num_samples
            samples.append(Sample(name, len(samples), tokens, payload))
        if long:
            self._too_long(long)
        if len(samples) < len(self._scan.candidates) - len(long):
            self._notes.append(f"max_prefixes: the first {len(samples)} of them, in {self.order} order")
        return samples

    def _end(self, found: Candidate) -> int:
        """The character of the sentence after the prefix: the word's end, or that of its first token."""
        if self._words.settings["position"] != "first":
            return int(found.word["char_end"])
        _, spans = self.info.tokens.encode_with_spans(found.row["text"])
        return spans[found.word["position"]][1]

    def _too_long(self, long: list[str]) -> None:
        which = f"{len(long)} prefixes: {', '.join(long[:5])}" + (" ..." if len(long) > 5 else "")
        if self.too_long == "error":
            raise UserError(
                f"No room for {self.max_new_tokens} more tokens in the model's window ({self.info.window}): {which}.\n"
                "Nothing ran. Next: --too_long skip leaves them out, or lower --max_new_tokens."
            )
        self._notes.append(f"no room in the window, left out: {which}")

    def _treebank(self) -> dict[str, Any]:
        return {key: self._words.settings[key] for key in ("treebank", "position", "excluded_tags", "document_from")}

    def _check(self) -> None:
        at_least(1, num_samples=self.num_samples, max_new_tokens=self.max_new_tokens, max_prefixes=self.max_prefixes)
        share(conf_thresh=self.conf_thresh)
        seeds(seed=self.seed)


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
_OF_A_PIECE = ("token_ids", "log_probs", "lengths", "stopped")
