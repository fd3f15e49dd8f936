"""Sentences with parts of speech from datasets: records with `tokens` and `upos`, as Universal Dependencies has there.

Owns: the names under which tokens, tags, text and ids are found, and which split a record belongs to.
Does not know: how words are found in the text (`surfaces`), CoNLL-U files, tokenizers, what the tags are used for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from lit_experiments.sources.conllu import UNTAGGED, UPOS, Word
from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.files import data_suffix
from lit_experiments.sources.folders import folder_splits, hub_splits, is_hub_id, split_folder
from lit_experiments.sources.records import RecordStream, open_records
from lit_experiments.sources.surfaces import Range, Surface, laid_out
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
    if data_suffix(path) == ".conllu":
        return False
    if path.is_file():
        return data_suffix(path) in _RECORDS
    if folder is not None:
        return folder[1] is not None or not conllu_files(folder[0])
    return is_hub_id(source)


def conllu_files(folder: Path) -> list[Path]:
    """The CoNLL-U files of a folder, compressed ones included, in the order of their names."""
    return [path for path in sorted(folder.iterdir()) if data_suffix(path) == ".conllu"]


def tagged_streams(source: str, malformed: str) -> Iterator[tuple[str, RecordStream]]:
    """(split, records) of a file, a dataset folder or a Hub id: each of its splits, or the one it names, or "all".

    Raises:
        SourceError: nothing there, or it cannot be read.
    """
    kind = cast(Literal["stop", "skip"], malformed)
    for split, part in _parts(source):
        stream = open_records(part, OPTION, kind)
        if stream.kind == "csv":
            raise SourceError(
                f"{stream.name}: a CSV or TSV file holds no lists of tokens and tags.\n"
                f"Next: convert it to JSON lines, Parquet or CoNLL-U."
            )
        yield split, stream


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
        keywords = [name for name in _USUAL if name in path.stem.lower()]
        return [(_USUAL[keywords[0]] if len(keywords) == 1 else "all", source)]
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
    given = record["text"] if isinstance(record.get("text"), str) else None
    text, surfaces = laid_out(forms, tags, given, _headless(record, len(forms)), _ranges(record))
    words: list[Word] = []
    for surface in surfaces:
        words += _words(surface, forms, tags, xpos, len(words))
    if not words:
        raise BadValueError("a sentence without words")
    identity = identifier(record, None, _IDS, f"{split}-{place:06d}")
    document = identifier(record, None, _DOCUMENTS, "") or None
    return split, identity, document, text, tuple(words)


def _texts(record: Mapping[str, Any], usual: tuple[str, ...]) -> list[str]:
    name = find_name(record, None, usual, "")
    values = record[name]
    if not isinstance(values, list | tuple) or not values:
        raise BadValueError(f'"{name}" must be a list of texts, with something in it')
    for i, value in enumerate(values):
        if not isinstance(value, str) or not value.strip():
            hint = "; class numbers have their names in what `datasets` saves" if isinstance(value, int) else ""
            raise BadValueError(f'"{name}" must hold texts, found {value!r} at token {i + 1}{hint}')
    return list(values)


def _headless(record: Mapping[str, Any], count: int) -> frozenset[int]:
    """Places of tokens without a head, which in such datasets are multiword tokens and empty nodes."""
    heads = record.get("head")
    if not isinstance(heads, list | tuple) or len(heads) != count:
        return frozenset()
    return frozenset(i for i, head in enumerate(heads) if head is None or str(head) in ("None", "_"))


def _ranges(record: Mapping[str, Any]) -> list[Range]:
    """Multiword tokens that a dataset lists apart from its words: {id: "2-3", form: "du"}.

    Raises:
        BadValueError: an id that is no range.
    """
    ranges: list[Range] = []
    for item in record.get("mwt") or ():
        first, _, last = str(item.get("id", "")).partition("-") if isinstance(item, Mapping) else ("", "", "")
        if not (first.isdecimal() and last.isdecimal() and isinstance(item.get("form"), str)):
            raise BadValueError(f'"mwt" must hold an id such as 2-3 and a form, found {item!r}')
        ranges.append(Range(int(first) - 1, int(last) - 1, item["form"]))
    return ranges


def _words(surface: Surface, forms: list[str], tags: list[str], xpos: list[str], before: int) -> list[Word]:
    """The words of one piece of text; those of a multiword token all have its span."""
    inside, start = surface.words, surface.start
    span = (start, start + len(surface.form))
    multiword = (before + 1, before + len(inside)) if len(inside) > 1 else None
    adds_up = "".join(forms[i] for i in inside) == surface.form
    words: list[Word] = []
    for i in inside:
        part = (start, start + len(forms[i])) if adds_up else span if multiword is None else None
        start += len(forms[i])
        about = (forms[i], UNTAGGED, tags[i], xpos[i], None, UNTAGGED, UNTAGGED)
        words.append(Word(before + len(words) + 1, *about, *span, multiword, part))
    return words
