"""Tokens as text, each by itself. Knows no tokenizer: only what it calls a token, and what it decodes it to."""

from __future__ import annotations

from collections.abc import Sequence

_SPACE = "\u2581"  # how SentencePiece marks the space before a word


def pieces_of(names: Sequence[str | None], texts: Sequence[str]) -> list[str]:
    """The text of each token, with its leading space where it has one.

    Args:
        names: what the vocabulary calls each token; None for one that it does not have.
        texts: what each decodes to alone. SentencePiece tokenizers drop the space of whatever comes first.
    """
    return [
        f" {text}" if (name or "").startswith(_SPACE) and not text.startswith(" ") else text
        for name, text in zip(names, texts, strict=True)
    ]
