"""Sentences with parts of speech from datasets: records with `tokens` and `upos`, as Universal Dependencies has there.

Owns: the names under which tokens, tags, text and ids are found, which split a record belongs to, and how words are
found in the text. Does not know: CoNLL-U files, tokenizers, what the tags are used for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from lit_experiments.sources.conllu import UNTAGGED, UPOS, Word
from lit_experiments.sources.folders import folder_splits, hub_splits, is_hub_id, split_folder
from lit_experiments.sources.records import RecordStream, open_records
from lit_experiments.sources.values import BadValueError, find_name, has, identifier

_TOKENS = ("tokens", "words", "forms", "form")
_UPOS = ("upos", "upos_tags", "pos_tags", "pos")
_XPOS = ("xpos", "xpos_tags")
_IDS = ("sent_id", "id", "idx")
_DOCUMENTS = ("doc_id", "document_id", "document", "newdoc id", "newdoc_id")
_USUAL = {"train": "train", "validation": "validation", "valid": "validation", "dev": "validation", "test": "test"}
_RECORDS = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".arrow")
OPTION = "--treebank"

Tagged = tuple[str, str, str | None, str, tuple[Word, ...]]
"""(split, sentence id, document or None, text, words)."""


def is_dataset(source: str) -> bool:
    """Whether a source is a data file, a folder without .conllu files, or an id on the Hub."""
    path, folder = Path(source).expanduser(), split_folder(source)
    if path.suffix == ".conllu":
        return False
    if path.is_file():
        return path.suffix.lower() in _RECORDS
    if folder is not None:
        return folder[1] is not None or not list(folder[0].glob("*.conllu"))
    return is_hub_id(source)


def tagged_streams(source: str, malformed: str) -> Iterator[tuple[str, RecordStream]]:
    """(split, records) of a file, a dataset folder or a Hub id: each of its splits, or the one it names, or "all".

    Raises:
        SourceError: nothing there, or it cannot be read.
    """
    kind = cast(Literal["stop", "skip"], malformed)
    for split, part in _parts(source):
        yield split, open_records(part, OPTION, kind)


def sentences(split: str, stream: RecordStream) -> Iterator[Tagged]:
    """The well-formed records of one split as sentences. Raises SourceError where malformed ones stop the reading."""
    for place, record in stream:
        try:
            yield _sentence(split, place, record)
        except BadValueError as problem:
            stream.reject(str(problem))


def _parts(source: str) -> list[tuple[str, str]]:
    """(split, source of its records), train first."""
    path, folder = Path(source).expanduser(), split_folder(source)
    if path.is_file():
        told = [name for name in _USUAL if name in path.stem.lower()]
        return [(_USUAL[told[0]] if len(told) == 1 else "all", source)]
    if folder is not None and folder[1] is None:
        return _named(source, folder_splits(folder[0]))
    if ":" not in source and is_hub_id(source):
        return _named(source, hub_splits(source))
    split = source.rpartition(":")[2] if ":" in source else "all"
    return [(_USUAL.get(split, "all"), source)]


def _named(source: str, splits: list[str]) -> list[tuple[str, str]]:
    known = [name for name in _USUAL if name in splits]
    return [(_USUAL[name], f"{source}:{name}") for name in known] or [("all", source)]


def _sentence(split: str, place: int, record: Mapping[str, Any]) -> Tagged:
    forms = _texts(record, _TOKENS)
    tags = _texts(record, _UPOS)
    xpos = _texts(record, _XPOS) if has(record, None, _XPOS) else [UNTAGGED] * len(forms)
    if not len(forms) == len(tags) == len(xpos):
        raise BadValueError(f"{len(forms)} tokens, {len(tags)} upos and {len(xpos)} xpos; they must be as many")
    unknown = sorted({tag for tag in tags if tag not in UPOS and tag != UNTAGGED})
    if unknown:
        raise BadValueError(f"upos {', '.join(unknown)} is not one of {', '.join(UPOS)} or _")
    text = record["text"] if isinstance(record.get("text"), str) else None
    words, found = _words(forms, tags, xpos, text)
    identity = identifier(record, None, _IDS, f"{split}-{place:06d}")
    document = identifier(record, None, _DOCUMENTS, "") or None
    return split, identity, document, found, words


def _texts(record: Mapping[str, Any], usual: tuple[str, ...]) -> list[str]:
    name = find_name(record, None, usual, OPTION)
    values = record[name]
    if not isinstance(values, list | tuple) or not values:
        raise BadValueError(f'"{name}" must be a list of texts, with something in it')
    if not all(isinstance(value, str) and value.strip() for value in values):
        wrong = next(value for value in values if not isinstance(value, str) or not value.strip())
        raise BadValueError(f'"{name}" must hold texts, found {wrong!r}')
    return list(values)


def _words(forms: list[str], tags: list[str], xpos: list[str], text: str | None) -> tuple[tuple[Word, ...], str]:
    """The words with their places, and the text: the given one, or the tokens with spaces between.

    An untagged token that the next ones spell is a multiword token, which such datasets list before its words.
    """
    found: list[Word] = []
    at, position, pieces = 0, 0, list[str]()
    while at < len(forms):
        inside = _inside(forms, tags, at)
        surface = forms[at]
        start = text.find(surface, position) if text is not None else position
        if start < 0:
            raise BadValueError(f'the token "{surface}" is not in the text after character {position}')
        first = len(found) + 1
        multiword = (first, first + len(inside) - 1) if len(inside) > 1 else None
        offset, whole = start, (start, start + len(surface))
        for each in inside:
            own = (offset, offset + len(forms[each]))
            offset = own[1]
            about = (forms[each], UNTAGGED, tags[each], xpos[each], None, UNTAGGED, UNTAGGED)
            found.append(Word(len(found) + 1, *about, *whole, multiword, own))
        pieces.append(surface)
        position = whole[1] if text is not None else whole[1] + 1
        at = inside[-1] + 1
    return tuple(found), " ".join(pieces) if text is None else text


def _inside(forms: list[str], tags: list[str], at: int) -> list[int]:
    """The places of the words of the surface token at a place: itself, or the words that spell a multiword token."""
    if tags[at] == UNTAGGED:
        spelled, last = "", at
        while last + 1 < len(forms) and forms[at].startswith(spelled + forms[last + 1]):
            last += 1
            spelled += forms[last]
            if spelled == forms[at] and last > at + 1:
                return list(range(at + 1, last + 1))
    return [at]
