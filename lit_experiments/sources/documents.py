"""Which document a sentence belongs to: what its treebank says, or a rule for treebanks that do not say.

Owns the rules and their names. Knows no file format: readers hand over what the treebank itself says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lit_experiments.sources.errors import SourceError

AUTO, SENT_ID, FILE, NONE = "auto", "sent_id", "file", "none"
RULES = (AUTO, SENT_ID, FILE, NONE)
NEWDOC, COLUMN = "newdoc", "column"
SOURCES = {
    NEWDOC: "# newdoc",
    COLUMN: "the records' document column",
    SENT_ID: "sent_id without its last number",
    FILE: "one per file",
    NONE: "each sentence is its own",
}
"""What may say which document a sentence is of -> how reports put it."""
_NUMBERED = re.compile(r"(.+)[-_.:/](?:p\d+)?(?:s|sent)?\d+[a-z]?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Document:
    """A document's name, and what says so: one of `SOURCES`."""

    name: str
    source: str


def check_rule(rule: str) -> None:
    """Raises SourceError for an unknown rule."""
    if rule not in RULES:
        raise SourceError(f'document_from = "{rule}" is not one of: {", ".join(RULES)}.')


def document_of(rule: str, sent_id: str, file: str, stated: Document | None, named: bool = True) -> Document:
    """The document of a sentence.

    Args:
        rule: "auto" takes what the treebank itself states, and goes by the sentence's id where it states nothing;
            "sent_id", "file" and "none" go by that rule alone, whatever the treebank states.
        file: name of the file or split that the sentence was read from.
        stated: what `# newdoc` or a document column says.
        named: whether `sent_id` is the treebank's own, and no number that we gave the sentence.
    """
    if rule == AUTO and stated is not None:
        return stated
    if rule == FILE:
        return Document(file, FILE)
    return _by_id(sent_id) if named and rule != NONE else Document(sent_id, NONE)


def _by_id(sent_id: str) -> Document:
    """The id without the sentence's number: "weblog-juan-0007" -> "weblog-juan", "ln94-p2s1" -> "ln94"; an id that does
    not end in a number behind a separator names no document, and its sentence is its own."""
    match = _NUMBERED.fullmatch(sent_id)
    return Document(sent_id, NONE) if match is None else Document(match.group(1), SENT_ID)
