"""Treebanks: sentences with parts of speech, from CoNLL-U files of the user's or the small one that ships.

Owns which files are read, which split and document a sentence belongs to, and what happens to malformed sentences. The
format itself is in conllu.py. It knows nothing of tokenizers or of what the tags are used for.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lit_experiments.sources.conllu import Line, Malformed, Word, comments_of, parse_sentence
from lit_experiments.sources.documents import AUTO, COLUMN, NEWDOC, Document, check_rule, document_of
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.ids import check_unique
from lit_experiments.sources.repeats import repeats_note
from lit_experiments.sources.tagged import conllu_files, is_dataset, tagged_streams
from lit_experiments.sources.tagged import sentences as tagged_sentences
from lit_experiments.sources.text_bytes import content

EMBEDDED = "embedded"
SPLITS = ("train", "validation", "test")
WHOLE = "all"
MALFORMED = ("stop", "skip")
KEPT_EXAMPLES = 5
_SHIPPED = Path(__file__).resolve().parent.parent / "embedded" / "data" / "treebank"
_IN_NAME = {"train": "train", "dev": "validation", "valid": "validation", "test": "test"}


@dataclass(frozen=True)
class Sentence:
    """A sentence; `text[word.start:word.end]` is what stands there for a word. `split` is of `SPLITS` or "all";
    `doc_from` says how its document is known, one of `documents.SOURCES`."""

    sent_id: str
    doc_id: str
    doc_from: str
    split: str
    text: str
    words: tuple[Word, ...]


@dataclass
class Skipped:
    """Malformed sentences that were left out: how many for each kind of reason, and the first few in full."""

    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(self.reasons.values())

    def add(self, kind: str, message: str) -> None:
        self.reasons[kind] += 1
        if len(self.examples) < KEPT_EXAMPLES:
            self.examples.append(message)


@dataclass(frozen=True)
class Treebank:
    """Sentences in the order of the files, train before validation before test.

    Attributes:
        skipped: malformed sentences left out; always empty with malformed="stop".
        name: what was read, for people.
        digest: sha256 of everything in `sentences`: the data's part of a fingerprint.
        notes: what is worth knowing of it as a whole: repeated sentences.
    """

    sentences: tuple[Sentence, ...]
    skipped: Skipped
    name: str
    digest: str
    notes: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have sentences, in the order train, validation, test (or "all" for one unnamed file)."""
        present = {sentence.split for sentence in self.sentences}
        return tuple(name for name in (*SPLITS, WHOLE) if name in present)

    def split(self, name: str) -> tuple[Sentence, ...]:
        """The sentences of a split. Raises SourceError, naming those there are, if it has none."""
        sentences = tuple(sentence for sentence in self.sentences if sentence.split == name)
        if not sentences:
            raise SourceError(f'{self.name} has no sentences of split "{name}"; it has: {", ".join(self.splits)}.')
        return sentences


def read_treebank(source: str | Sequence[str], malformed: str = "stop", document_from: str = AUTO) -> Treebank:
    """Reads "embedded", a CoNLL-U file, a folder of *train*/*dev*/*test*.conllu, three files, or a dataset.

    Args:
        source: three files are given as a sequence or "TRAIN,VALIDATION,TEST", in that order. A single file whose
            name says train, dev, validation or test is that split, otherwise split "all". A dataset with tokens and
            upos (see tagged.py) is a data file, a folder, or a Hub id NAME[@CONFIG][:SPLIT].
        malformed: "stop" at the first malformed sentence, or "skip" and count them.
        document_from: how a sentence's document is known (see `documents.document_of`).

    Raises:
        SourceError: nothing to read there; empty or binary file; a malformed sentence, with file and line.
    """
    if malformed not in MALFORMED:
        raise SourceError(f'malformed = "{malformed}" is not one of: {", ".join(MALFORMED)}.')
    check_rule(document_from)
    skipped = Skipped()
    sentences: list[Sentence] = []
    places: dict[str, str] = {}
    if isinstance(source, str) and source != EMBEDDED and is_dataset(source):
        sentences = _from_dataset(source, malformed, document_from, skipped)
    else:
        for split, path in _files(source):
            for sentence, place in _read(path, split, malformed, document_from, skipped):
                problem = _repeated(sentence, places, place)
                if problem is None:
                    sentences.append(sentence)
                else:
                    _refuse(path, problem, malformed, skipped)
    name = "embedded treebank" if source == EMBEDDED else source if isinstance(source, str) else ",".join(source)
    if not sentences:
        raise SourceError(f"{name} holds no usable sentence; skipped: {dict(skipped.reasons)}.")
    repeats = repeats_note((sentence.text for sentence in sentences), "sentences")
    return Treebank(tuple(sentences), skipped, name, _digest(sentences), (repeats,) if repeats else ())


def _from_dataset(source: str, malformed: str, rule: str, skipped: Skipped) -> list[Sentence]:
    """The sentences of a dataset's splits; with rule "file" a split is one document."""
    sentences: list[Sentence] = []
    for split, stream in tagged_streams(source, malformed):
        for part, name, column, text, words in tagged_sentences(split, stream):
            document = document_of(rule, name, split, Document(column, COLUMN) if column else None)
            sentences.append(Sentence(name, document.name, document.source, part, text, words))
        if stream.skipped.count:
            skipped.reasons["record"] += stream.skipped.count
            skipped.examples += list(stream.skipped.reasons)[: KEPT_EXAMPLES - len(skipped.examples)]
    check_unique(((sentence.sent_id, f"split {sentence.split}") for sentence in sentences), source, "")
    return sentences


def _files(source: str | Sequence[str]) -> list[tuple[str, Path]]:
    """(split, file), train first."""
    if source == EMBEDDED:
        return _folder(_SHIPPED)
    given = [source] if isinstance(source, str) else list(source)
    if isinstance(source, str) and "," in source and not Path(source).expanduser().exists():
        given = source.split(",")
    paths = [Path(name.strip()).expanduser() for name in given]
    if len(paths) == len(SPLITS):
        return list(zip(SPLITS, paths, strict=True))
    if len(paths) != 1:
        raise SourceError(f"{len(paths)} treebank files given: give one, a folder, or three (train, validation, test).")
    return _folder(paths[0]) if paths[0].is_dir() else [(_split_of(paths[0]) or WHOLE, paths[0])]


def _folder(folder: Path) -> list[tuple[str, Path]]:
    files = conllu_files(folder)
    named = [(split, path) for path in files if (split := _split_of(path)) is not None]
    if not named:
        names = ", ".join(path.name for path in files) or "no .conllu file"
        raise SourceError(
            f"{folder} has no *train*.conllu, *dev*.conllu or *test*.conllu; it has: {names}.\n"
            f"Next: point at one file, or at three as TRAIN,VALIDATION,TEST."
        )
    return sorted(named, key=lambda pair: SPLITS.index(pair[0]))


def _split_of(path: Path) -> str | None:
    """The split that a file's name says, None if none."""
    splits = {split for part, split in _IN_NAME.items() if part in path.stem.lower()}
    if len(splits) > 1:
        raise SourceError(
            f"{path}: the name says {' and '.join(sorted(splits))}.\n"
            f"Next: rename it, or name three files as TRAIN,VALIDATION,TEST."
        )
    return splits.pop() if splits else None


def _read(path: Path, split: str, malformed: str, rule: str, skipped: Skipped) -> Iterator[tuple[Sentence, str]]:
    """(sentence, "file, line n") of one file."""
    stated: Document | None = None
    for number, raw in enumerate(_blocks(_bytes(path)), start=1):
        # Read before the sentence is: a malformed one may open a document, and the next ones belong to it.
        stated = _stated(raw, stated, f"{path.stem}-doc{number}")
        try:
            block = parse_sentence([_decoded(line, text) for line, text in raw])
        except Malformed as problem:
            _refuse(path, problem, malformed, skipped)
            continue
        given = block.comments.get("sent_id")
        sent_id = given or f"{path.stem}-{number}"
        document = document_of(rule, sent_id, path.stem, stated, named=bool(given))
        sentence = Sentence(sent_id, document.name, document.source, split, block.text, block.words)
        yield sentence, f"{path}, line {raw[0][0]}"


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise SourceError(
            f"Treebank not found: no file or folder {path.absolute()}.\n"
            f"Next: name a .conllu file, a folder with *train*/*dev*/*test*.conllu, or {EMBEDDED}."
        )
    data = content(path).removeprefix(b"\xef\xbb\xbf")
    if not data.strip():
        raise SourceError(f"{path} is empty.")
    if b"\0" in data[:65536]:
        raise SourceError(f"{path} is a binary file (it holds NUL bytes); a treebank is UTF-8 text in CoNLL-U.")
    return data


def _blocks(data: bytes) -> Iterator[list[tuple[int, bytes]]]:
    """Sentences as (line number, bytes), parted by blank lines."""
    block: list[tuple[int, bytes]] = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            block.append((number, line.removesuffix(b"\r")))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _decoded(number: int, line: bytes) -> Line:
    try:
        return Line(number, line.decode("utf-8"))
    except UnicodeDecodeError as error:
        what = f"not UTF-8 (byte 0x{line[error.start]:02x} at column {error.start + 1})"
        raise Malformed("encoding", number, what) from error


def _stated(raw: list[tuple[int, bytes]], current: Document | None, unnamed: str) -> Document | None:
    """The document that `# newdoc` says a sentence belongs to, None before the first one."""
    comments = comments_of([Line(number, line.decode("utf-8", "replace")) for number, line in raw])
    if "newdoc id" in comments:
        return Document(comments["newdoc id"] or unnamed, NEWDOC)
    return Document(unnamed, NEWDOC) if "newdoc" in comments else current


def _repeated(sentence: Sentence, places: dict[str, str], place: str) -> Malformed | None:
    first = places.setdefault(sentence.sent_id, place)
    if first == place:
        return None
    line = int(place.rpartition(" ")[2])
    return Malformed("sent_id", line, f'sent_id "{sentence.sent_id}" repeats the one of {first}')


def _refuse(path: Path, problem: Malformed, malformed: str, skipped: Skipped) -> None:
    message = f"{path}, line {problem.line}: {problem.what}."
    if malformed == "stop":
        raise SourceError(
            f"{message}\nNext: correct it, or leave malformed sentences out and count them: --malformed skip"
        ) from problem
    skipped.add(problem.kind, message)


def _digest(sentences: list[Sentence]) -> str:
    digest = hashlib.sha256()
    for sentence in sentences:
        digest.update(repr((sentence.split, sentence.doc_id, sentence.sent_id, sentence.text)).encode())
        for word in sentence.words:
            shown = (word.form, word.lemma, word.upos, word.xpos, word.head, word.deprel, word.misc)
            digest.update(repr((*shown, word.start, word.end, word.multiword)).encode())
    return digest.hexdigest()
