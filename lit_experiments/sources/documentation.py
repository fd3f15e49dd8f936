"""The held-out part of the running Python's own documentation, as paragraphs that need no download.

Owns: which Python's, and what to say when it carries none. Does not know: how documentation is found, cleaned and split
(`embedded.text`).
"""

from __future__ import annotations

import platform
import sys
import types
from dataclasses import dataclass

from lit_experiments.sources.errors import SourceError


@dataclass(frozen=True)
class Documentation:
    """Held-out paragraphs, (document and number, text), in a fixed order for one Python version."""

    python: str
    paragraphs: tuple[tuple[str, str], ...]


def held_out_documentation() -> Documentation:
    """Reads the documentation that the embedded model was not trained on.

    The split is by the documents' names, so it is the same on every Python; the text is that of the running one.

    Raises:
        SourceError: this Python was installed without its documentation.
    """
    text = _text_module()
    documents = text.documents()
    _, held_out = text.split(documents)
    paragraphs = tuple(
        (f"{document.name.replace('/', '.')}-{number:03d}", paragraph)
        for document in held_out
        for number, paragraph in enumerate(document.paragraphs)
    )
    if not paragraphs:
        raise _stripped(f"{len(documents)} documents were found, none of them held out")
    return Documentation(f"{platform.python_implementation()} {platform.python_version()}", paragraphs)


def _text_module() -> types.ModuleType:
    try:
        from lit_experiments.embedded import text
    except ImportError as error:
        if not (error.name or "").startswith("pydoc_data"):  # anything else is a fault of ours, not of this Python
            raise
        raise _stripped("it has no pydoc_data.topics") from error
    return text


def _stripped(reason: str) -> SourceError:
    return SourceError(
        f"Python {platform.python_version()} at {sys.executable} carries no documentation to read paragraphs from: "
        f"{reason}.\n"
        f"Next: use a Python with its full standard library (pydoc_data and .py sources; some systems split them off, "
        f"e.g. python3-minimal), or --paragraphs FILE_OR_FOLDER_OR_HUB_ID."
    )
