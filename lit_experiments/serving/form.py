"""Parts of a form: a choice among named things, as a labelled select."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from lit_experiments.reports.html import escape

Option = tuple[str, str, str]
"""(group, value, label); the group is "" for options that stand alone."""


def select(name: str, label: str, options: Sequence[Option], chosen: str, form: str) -> str:
    """A select of a form elsewhere on the page, named by the form's id."""
    body = ""
    for group, members in groupby(options, key=lambda option: option[0]):
        inner = "".join(_option(value, text, chosen) for _, value, text in members)
        body += f'<optgroup label="{escape(group)}">{inner}</optgroup>' if group else inner
    return f'<label>{escape(label)} <select id="{name}" name="{name}" form="{form}">{body}</select></label>'


def plain(names: Iterable[str]) -> list[Option]:
    """Options that are called what they are."""
    return [("", name, name) for name in names]


def _option(value: str, text: str, chosen: str) -> str:
    selected = " selected" if value == chosen else ""
    return f'<option value="{escape(value)}"{selected}>{escape(text)}</option>'
