"""What the model read for a row, as a short digest: the rows of a resumed run must come from the same tokens.

Owns the digest, where a payload keeps its token ids, and the comparison with what is committed. Settings and files have
their place in the fingerprint; this finds what changes prompts behind their back. Knows no model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from lit_experiments.collecting.committed import committed_rows
from lit_experiments.collecting.samples import Sample
from lit_experiments.errors import UserError
from stores import Column, Store
from stores.fingerprint import canonical_json

INPUT_DIGEST = Column("input_digest", "string", "of the token ids that the model read, before it wrote anything")


def input_digest(value: Any) -> str:
    """16 hex digits that are the same for the same plain JSON."""
    return hashlib.blake2b(canonical_json(value, "The model's input").encode(), digest_size=8).hexdigest()


def payload_ids(payload: Any) -> Any:
    """The token ids in a sample's payload: the lists named `ids` in it, in order; without any, the payload itself if it
    is plain JSON.

    Raises stores.FingerprintError for any other payload: its collector overrides `model_input`.
    """
    held = list(_named_ids(payload))
    return held if held else payload


def refuse_other_inputs(store: Store, samples: Sequence[Sample], model_input: Callable[[Sample], Any]) -> None:
    """Raises UserError if a committed row was computed from other tokens than its sample has now."""
    planned, other, first = 0, 0, ""
    for places, rows in committed_rows(store, samples, [INPUT_DIGEST.name]):
        planned += len(places)
        for place, digest in zip(places.tolist(), rows.column(0).to_pylist(), strict=True):
            sample = samples[place]
            if input_digest(model_input(sample)) != digest:
                other, first = other + 1, first or sample.sample_id
    if other:
        raise UserError(
            f"{other} of {planned} committed rows were computed from other tokens than their samples have "
            f"now; the first is {first}.\nStore: {Path(store.path)}\nThe model's tokenizer, its chat template or "
            "the data give other prompts than when the rows were made. Nothing ran, nothing was changed.\n"
            "Next: bring back what changed, or --restart to set the store aside and begin anew."
        )


def _named_ids(value: Any) -> Iterator[list[Any]]:
    items: Any = ()
    if is_dataclass(value) and not isinstance(value, type):
        items = [(field.name, getattr(value, field.name)) for field in fields(value)]
    elif isinstance(value, Mapping):
        items = value.items()
    for name, held in items:
        if name == "ids":
            yield held.tolist() if hasattr(held, "tolist") else list(held)
        else:
            yield from _named_ids(held)
