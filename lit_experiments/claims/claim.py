"""A claim: which task reads which target from which states, and beyond what that is said to hold.

Owns: the YAML form, its checks and its hash. Does not know: numbers, verdicts, runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from lit_experiments.errors import UserError

SURFACE, EMBEDDING, OUTPUT, RANDOM = "surface", "embedding", "output", "random weights"
BEYOND = (SURFACE, EMBEDDING, OUTPUT, RANDOM)
"""What a claim may be said to go beyond."""
ANY = "any"
_REQUIRED = ("task", "target")


@dataclass(frozen=True)
class Claim:
    """States tell a target beyond what does not need them.

    task: the training that reads it, such as linear_probes. target: a label, or pass.name. states: whose states, a pass
    or field; field, layer, position: which of them, a name, "chosen" (inside the training part) or "any". reader: the
    probe (ridge, logistic, ...). data: what the rows are, by the store's hash. beyond: of `BEYOND`.
    """

    id: str
    task: str
    target: str
    states: str
    field: str
    layer: str
    position: str
    reader: str
    data: str
    beyond: list[str]

    def matches(self, other: Claim) -> bool:
        """Whether evidence for `other` is evidence for this claim: the same in everything that this one names."""
        named = ("task", "target", "states", "field", "layer", "position", "reader", "data")
        return all(getattr(self, name) in (ANY, getattr(other, name)) for name in named)


def claims_hash(claims: Sequence[Claim]) -> str:
    """A hash of what is claimed, whatever the order and layout of the file."""
    rows = sorted(json.dumps({f.name: getattr(claim, f.name) for f in fields(Claim)}) for claim in claims)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def claims_from(content: Any, where: str) -> list[Claim]:
    """The claims of a YAML list.

    Each is a mapping with `task` and `target`; `id`, `states`, `field`, `layer`, `position`, `reader`, `data` (any,
    where they are left out) and `beyond` (a list of `BEYOND`; all of them, where it is left out).

    Raises:
        UserError: no list, an entry with an unknown or missing key or a wrong value, or two claims of one id.
    """
    if not isinstance(content, list) or not content:
        kind = "nothing" if content is None else f"a {type(content).__name__}"
        raise UserError(
            f"{where} must hold a list of claims, found {kind}.\nNext: write entries such as "
            "- {task: linear_probes, target: kind, beyond: [surface, output]}"
        )
    claims = [_claim(entry, f"{where}, claim {number}") for number, entry in enumerate(content, 1)]
    ids = [claim.id for claim in claims]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise UserError(f"{where}: {len(twice)} ids are used twice: {', '.join(twice)}.")
    return claims


def _claim(entry: Any, where: str) -> Claim:
    known = [f.name for f in fields(Claim)]
    if not isinstance(entry, dict):
        raise UserError(f"{where} must be a mapping with the keys {', '.join(known)}, found {entry!r}.")
    for key in entry:
        if key not in known:
            raise UserError(f'{where} has the key "{key}", which no claim has{closest(str(key), known)}.')
    for key in _REQUIRED:
        if key not in entry:
            raise UserError(f"{where} lacks the key {key}; its keys are: {', '.join(map(str, entry)) or 'none'}.")
    words = {key: value for key, value in entry.items() if key != "beyond"}
    for key, value in words.items():
        if not isinstance(value, str) or not value:
            raise UserError(f"{where}: {key} must be text, found {value!r}.")
    beyond = entry.get("beyond", list(BEYOND))
    if not isinstance(beyond, list):
        raise UserError(f"{where}: beyond must be a list of {', '.join(BEYOND)}, found {beyond!r}.")
    for word in beyond:
        if word not in BEYOND:
            raise UserError(
                f'{where}: beyond holds "{word}"{closest(str(word), BEYOND)}; allowed: {", ".join(BEYOND)}.'
            )
    optional = dict.fromkeys(("states", "field", "layer", "position", "reader", "data"), ANY)
    name = words.get("id", f"{words['task']}/{words.get('states', ANY)}/{words['target']}")
    return Claim(**{**optional, **words, "id": name, "beyond": [word for word in BEYOND if word in beyond]})


def closest(word: str, known: Sequence[str]) -> str:
    """'; the nearest is X' where a known word is like this one, else nothing."""
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; the nearest is {near[0]}" if near else ""
