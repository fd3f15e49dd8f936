"""The key of an endpoint: found in the environment or in a `.env` file, sent to the endpoint, shown to nobody."""

from __future__ import annotations

import os
from typing import NoReturn

from lit_experiments.errors import UserError

HIDDEN = "[key]"


class Secret:
    """A key that no repr, format, pickle or attribute listing shows; only `reveal` does."""

    __slots__ = ("_reveal",)

    def __init__(self, value: str) -> None:
        self._reveal = lambda: value

    def reveal(self) -> str:
        """The key itself."""
        return self._reveal()

    def hide(self, text: str) -> str:
        """`text` with the key replaced, wherever it stands."""
        return text.replace(self._reveal(), HIDDEN)

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not pickled")


def find_key(variable: str) -> Secret | None:
    """The key in an environment variable, or in the nearest `.env` from the working folder upwards; None without one.

    Raises:
        UserError: the variable holds something that cannot be a key (it is not shown).
    """
    from dotenv import dotenv_values, find_dotenv

    value = os.environ.get(variable)
    where = "the environment"
    if not value:
        where = find_dotenv(usecwd=True)
        value = dotenv_values(where, interpolate=False).get(variable) if where else None
    value = (value or "").strip()
    if not value:
        return None
    if not (value.isascii() and value.isprintable()) or " " in value or len(value) < 4:
        raise UserError(
            f"{variable} in {where} is no key: it is shorter than 4 characters, or holds spaces or other characters "
            f"that no header can hold."
        )
    return Secret(value)
