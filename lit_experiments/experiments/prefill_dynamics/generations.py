"""Another run's texts, to be read by a second model: found, checked to be what was asked for, never generated again.

Owns: what must agree between the two runs, and the texts' digest. Does not know: weights, how texts were made.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lit_experiments.errors import UserError
from lit_experiments.experiments.prefill_dynamics.paragraph_split import tokenised
from lit_experiments.experiments.prefill_dynamics.readings import Reading
from lit_experiments.lm.tokens import Tokens
from stores import Store, fingerprint_difference, is_store, open_store

_COLUMNS = ["paragraph_id", "paragraph_place", "condition", "prompt", "continuation", "input_ids", "boundary"]
_COLUMNS += ["straddles", "temperature", "stop_reason", "retokenises"]
_ATTRIBUTES = {"paragraph_place": "place", "input_ids": "ids"}  # of a Reading, where the column has another name
_OPTIONAL = ("selection",)  # settings that a run has only if they are not the usual ones


@dataclass(frozen=True)
class Generations:
    """The texts of another run.

    Attributes:
        run: its folder.
        readings: in its order.
        settings: its settings, generator among them.
        digest: sha256 of what identifies the texts: ids, conditions, paragraphs.
    """

    run: Path
    readings: list[Reading]
    settings: dict[str, Any]
    digest: str

    def note(self) -> str:
        """One line: how many generated texts are used again."""
        counts = Counter(r.condition for r in self.readings if r.temperature is not None)
        conditions = ", ".join(f"{count} {name}" for name, count in counts.items())
        return f"{self.run}: {counts.total()} generated texts reused ({conditions}), 0 generated"


def load_generations(
    run: str, experiment: dict[str, Any], texts: dict[str, Any], generator: dict[str, Any]
) -> Generations:
    """The texts of `run`.

    Args:
        experiment: name and version of the collector, as in a fingerprint.
        texts: the settings that shape texts; the other run's must be equal.
        generator: the generating model's identity (`model` and `adapter` of its fingerprint).

    Raises:
        UserError: no such run, another study, other settings, or a run that was interrupted.
    """
    folder = Path(run)
    if not is_store(folder / "store"):
        raise UserError(
            f"--generations {folder}: no run there.\n"
            "Next: collect the texts first, without --reader, and name that run."
        )
    store = open_store(folder / "store")
    if store.fingerprint.get("experiment") != experiment:
        raise UserError(f"--generations {folder}: made by {store.fingerprint.get('experiment')}, not by {experiment}.")
    settings = store.fingerprint["settings"]
    if settings["generations"] is not None:
        raise UserError(
            f"--generations {folder}: that run itself read another run's texts.\nNext: name the run that wrote them."
        )
    writer = {key: settings["generator"][key] for key in generator}
    differences = fingerprint_difference(
        {**{key: settings[key] for key in (*texts, *_OPTIONAL) if key in settings}, "generator": writer},
        {**texts, "generator": generator},
    )
    if differences:
        lines = [f"  {key}: {here} there, {ours} asked for" for key, here, ours in differences]
        raise UserError(
            "\n".join([f"--generations {folder}: its texts are not the ones asked for.", *lines])
            + f"\nNext: --config {folder / 'config.yaml'} repeats its settings, or collect texts of your own."
        )
    return _read(folder, store, settings)


def _read(folder: Path, store: Store, settings: dict[str, Any]) -> Generations:
    columns = store.table([*_COLUMNS, "sample_index"]).to_pydict()
    if columns.pop("sample_index") != list(range(len(store))) or not len(store):
        raise UserError(
            f"--generations {folder}: an interrupted run, texts are missing in its middle.\n"
            f"Next: finish it: python collect.py --config {folder / 'config.yaml'}"
        )
    names = [_ATTRIBUTES.get(name, name) for name in columns]
    readings = [Reading(**dict(zip(names, values, strict=True))) for values in zip(*columns.values(), strict=True)]
    return Generations(folder, readings, settings, texts_digest(store))


def texts_digest(store: Store) -> str:
    """sha256 of what a run's texts are: paragraphs, conditions, ids, boundaries, in the order of the rows."""
    digest = hashlib.sha256()
    for row in store.table(["paragraph_id", "condition", "input_ids", "boundary"]).to_pylist():
        digest.update(json.dumps(list(row.values())).encode() + b"\0")
    return digest.hexdigest()


def for_reader(texts: list[Reading], writer: Tokens, reader: Tokens) -> list[Reading]:
    """The texts as another model reads them: the same ids if its tokens are the same, else tokenised anew."""
    same_prefix = (writer.prefix or ()) == (reader.prefix or ())
    if same_prefix and writer.tokenizer.get_vocab() == reader.tokenizer.get_vocab():
        return texts
    return [_anew(reading, reader) for reading in texts]


def _anew(reading: Reading, reader: Tokens) -> Reading:
    ids, boundary, straddles = tokenised(reading.prompt, reading.continuation, reader)
    return replace(reading, ids=ids, boundary=boundary, straddles=straddles, read_as="text")
