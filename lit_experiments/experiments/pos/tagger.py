"""Taggers that see both sides of a word: a conditional random field of our own, or spaCy's and stanza's models.

Owns: training and keeping the CRF (Lafferty, McCallum and Pereira 2001; CRFsuite's L-BFGS), one way to ask any tagger.
Does not know: completions, probes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.pos.features import features
from lit_experiments.experiments.pos.groups import Place, groups_of
from lit_experiments.plain import write_json
from lit_experiments.sources.conllu import UNTAGGED
from lit_experiments.sources.treebank import Sentence
from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.intervals import SHARE

CRF = "crf"
_VERSION = 1  # of the features; raise it when they change
_BATCH = 256  # sentences given to a neural tagger at a time


class Tagger(Protocol):
    """Gives each word of a sentence, cut into words already, its universal part of speech."""

    name: str
    """What tagged, for people."""

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The tags, word by word."""


@dataclass(frozen=True)
class CrfSettings:
    """c1, c2: weights of the L1 and L2 penalties; max_iterations: of L-BFGS."""

    c1: float
    c2: float
    max_iterations: int


class CrfTagger:
    """A linear-chain CRF in a file that CRFsuite wrote."""

    name = "CRF trained on the treebank's training part"

    def __init__(self, path: Path) -> None:
        import pycrfsuite

        self._tagger = pycrfsuite.Tagger()
        self._tagger.open(str(path))

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        return [self._tagger.tag(features(words)) if words else [] for words in sentences]


def crf_tagger(sentences: Sequence[Sentence], digest: str, settings: CrfSettings, folder: Path) -> CrfTagger:
    """The CRF of these sentences, trained once: kept in `folder` under a name that its data and settings give.

    digest: of the treebank. A kept model whose bytes are not those that were written is trained again.
    """
    recipe = {"treebank": digest, "sentences": len(sentences), "features": _VERSION, **vars(settings)}
    key = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    model, note = folder / f"crf-{key}.crfsuite", folder / f"crf-{key}.json"
    if not (model.exists() and note.exists() and json.loads(note.read_text()).get("sha256") == _hash(model)):
        folder.mkdir(parents=True, exist_ok=True)
        _train(sentences, settings, model)
        write_json(note, recipe | {"sha256": _hash(model)})
    return CrfTagger(model)


def _train(sentences: Sequence[Sentence], settings: CrfSettings, model: Path) -> None:
    import pycrfsuite

    trainer = pycrfsuite.Trainer(algorithm="lbfgs", verbose=False)
    trainer.set_params(vars(settings) | {"feature.possible_transitions": True})
    for sentence in sentences:
        tagged = [word for word in sentence.words if word.upos != UNTAGGED]
        if tagged:
            trainer.append(features([word.form for word in tagged]), [word.upos for word in tagged])
    draft = model.with_name(model.name + ".tmp")
    trainer.train(str(draft))
    draft.replace(model)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class SpacyTagger:
    """A spaCy pipeline with a tagger, given our words."""

    def __init__(self, model: str) -> None:
        try:
            import spacy
        except ImportError as error:
            raise _not_installed("spacy", f"pip install spacy && python -m spacy download {model}") from error
        try:
            self._pipeline = spacy.load(model)
        except OSError as error:
            raise _not_installed(f"the spaCy model {model}", f"python -m spacy download {model}") from error
        self.name = f"spaCy {model} {self._pipeline.meta.get('version', '')}".strip()

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        from spacy.tokens import Doc

        documents = (Doc(self._pipeline.vocab, words=list(words)) for words in sentences)
        return [[token.pos_ for token in doc] for doc in self._pipeline.pipe(documents, batch_size=_BATCH)]


class StanzaTagger:
    """A stanza pipeline, given our words."""

    def __init__(self, language: str) -> None:
        try:
            import stanza
        except ImportError as error:
            command = f"pip install stanza && python -c \"import stanza; stanza.download('{language}')\""
            raise _not_installed("stanza", command) from error
        options: dict[str, Any] = {"processors": "tokenize,pos", "tokenize_pretokenized": True, "verbose": False}
        try:
            self._pipeline = stanza.Pipeline(language, download_method=None, **options)
        except (OSError, ValueError, KeyError) as error:
            command = f"python -c \"import stanza; stanza.download('{language}')\""
            raise _not_installed(f"stanza's model for {language}", command) from error
        self.name = f"stanza {language} {stanza.__version__}"

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        tags: list[list[str]] = []
        for start in range(0, len(sentences), _BATCH):
            part = [list(words) for words in sentences[start : start + _BATCH]]
            tags += [[word.upos for word in sentence.words] for sentence in self._pipeline(part).sentences]
        return tags


def other_tagger(name: str) -> Tagger:
    """The tagger "spacy:MODEL" or "stanza:LANGUAGE".

    Raises:
        UserError: another name, or it is not installed; the message says how to install it.
    """
    kind, _, model = name.partition(":")
    if kind == "spacy" and model:
        return SpacyTagger(model)
    if kind == "stanza" and model:
        return StanzaTagger(model)
    raise UserError(f'tagger must be crf, spacy:MODEL or stanza:LANGUAGE, found "{name}".')


def _not_installed(software: str, command: str) -> UserError:
    return UserError(f"{software} is not installed.\nNext: {command}\nor --tagger crf, which needs nothing.")


@dataclass(frozen=True)
class Accuracy:
    """How often a tagger agrees with the treebank. words: tagged ones. groups: what the interval is over, such
    as "5 documents"."""

    accuracy: Estimate
    words: int
    groups: str


def tagger_accuracy(
    tagger: Tagger, sentences: Sequence[Sentence], bootstrap: Callable[[NDArray[np.str_]], GroupBootstrap]
) -> Accuracy:
    """Share of words whose tag is the treebank's; words without one are left out. bootstrap: makes one over groups."""
    tags = tagger.tag([[word.form for word in sentence.words] for sentence in sentences])
    pairs = [
        (Place(sentence.split, sentence.doc_id, sentence.doc_from, sentence.sent_id), tag == word.upos)
        for sentence, of_sentence in zip(sentences, tags, strict=True)
        for word, tag in zip(sentence.words, of_sentence, strict=True)
        if word.upos != UNTAGGED
    ]
    right = np.array([hit for _, hit in pairs], np.float64)
    groups = groups_of([place for place, _ in pairs])
    return Accuracy(bootstrap(groups.names).mean(right, SHARE).item(), len(right), str(groups))
