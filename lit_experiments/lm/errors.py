"""What can go wrong with a language model, each case one message: what, where, found, allowed, next.

Owns the error classes and the shape of their messages. Knows no library and no model.
"""

import difflib
from collections.abc import Iterable, Sequence


class ModelError(ValueError):
    """A mistake in how a model, an adapter, a site or an input was named; the message is all the user needs."""

    exit_code = 2


class NonFiniteStateError(ModelError):
    """The model itself computed NaN or infinity.

    Attributes: `index` (which of the sequences handed in), `site`, `position` (token index within that sequence).
    """

    exit_code = 1

    def __init__(self, message: str, index: int, site: str, position: int) -> None:
        super().__init__(message)
        self.index, self.site, self.position = index, site, position

    def __reduce__(self) -> tuple[type, tuple[str, int, str, int]]:
        return type(self), (str(self), self.index, self.site, self.position)


class SequenceError(ModelError):
    """A sequence that the model cannot read: empty, too long for its window, or of ids that it does not have.

    Attributes: `ids` (the sequence, as far as it had got).
    """

    def __init__(self, message: str, ids: Sequence[int]) -> None:
        super().__init__(message)
        self.ids = list(ids)

    def __reduce__(self) -> tuple[type, tuple[str, list[int]]]:
        return type(self), (str(self), self.ids)


def model_error(
    what: str,
    *,
    where: str | None = None,
    actual: str | None = None,
    allowed: str | None = None,
    next_step: str | None = None,
) -> ModelError:
    """A ModelError whose lines are labelled the same way everywhere. Lines that do not apply are left out."""
    lines = [what]
    for label, text in (("where", where), ("found", actual), ("allowed", allowed), ("next", next_step)):
        if text is not None:
            lines.append(f"  {label + ':':<9}{text}")
    return ModelError("\n".join(lines))


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean x?` for the known name closest to `name`, or all known names when none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else ", ".join(names)


def first_line(error: Exception) -> str:
    """The first line of a library's error that says anything."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no details")
