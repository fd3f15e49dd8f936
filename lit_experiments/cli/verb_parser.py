"""The parser of the verbs that run no experiment: argparse with this project's errors."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import NoReturn

from lit_experiments.errors import UserError


class VerbParser(ArgumentParser):
    """One message and exit code 2 for a mistake; no abbreviated options."""

    def __init__(self, verb: str, text: str) -> None:
        super().__init__(prog=f"lit-experiments {verb}", description=text, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}.\nNext: {self.prog} --help")
