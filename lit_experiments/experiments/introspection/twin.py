"""The random-weights twin: the same architecture, freshly initialised, reads the same prompts.

A probe of its states finds what the architecture and the prompt alone give away. Owns: which model that is, and its
states at one position. They are held in memory: passes x questions x layers x hidden float32 numbers, 24 MB for 240
questions of the embedded model, 800 MB for 500 questions of an 8B model. Does not know: probes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.passes import layer_names
from lit_experiments.lm.capture import capture
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.info import read_info
from lit_experiments.lm.load import load_untrained
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.spec import ModelSpec
from stores import Store, fingerprint_hash

Floats32 = NDArray[np.float32]
_WITHOUT = "Next: --twin false leaves this control out."


def model_of(store: Store) -> ModelSpec:
    """The model that filled a store, by its provenance.

    Raises:
        UserError: the store does not say, or what now goes by that name is another model.
    """
    options, known = store.provenance.get("config", {}).get("options", {}), store.fingerprint.get("model", {})
    missing = ({"model", "revision"} - set(options)) | ({"dtype", "attn"} - set(known))
    if missing:
        raise UserError(
            f"{store.path} does not say which model filled it ({', '.join(sorted(missing))} is missing in its "
            f"provenance), so there is no architecture to make a random twin of.\n{_WITHOUT}"
        )
    spec = ModelSpec(options["model"], None, options["revision"], known["dtype"], known["attn"])
    try:
        model = read_info(spec).fingerprint()["model"]
    except ModelError as error:
        raise UserError(f"The random twin needs the configuration of {spec.model!r}: {error}\n{_WITHOUT}") from error
    if model != known["model"]:
        raise UserError(f"What {spec.model!r} names now is not the model that filled {store.path}.\n{_WITHOUT}")
    return spec


def twin_states(
    store: Store, rows: dict[str, pd.DataFrame], back: int, seed: int, batch_tokens: int, accelerator: str, folder: Path
) -> dict[str, Floats32]:
    """pass -> [question, layer, hidden] of the twin at the stored token `back` from the end (1: the answer position).

    rows: pass -> rows with input_ids and positions. folder: where the first process leaves them in a file that the
    other processes of the run read; its name tells which states they are, so that none of another attempt are taken.
    """
    file = folder / f"twin-{_digest(store, rows, back, seed)}.safetensors"
    if not file.exists():
        device = "cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu"
        lm = load_untrained(model_of(store), device, seed)
        sites = layer_names(store)
        states = {kind: _read(lm, table, sites, back, batch_tokens) for kind, table in rows.items()}
        draft = file.with_name(f"{file.name}.{os.getpid()}")
        save_file(states, draft)
        draft.replace(file)
    return dict(load_file(file))


def forget_states(folder: Path) -> None:
    """Remove what `twin_states` left there."""
    for file in folder.glob("twin-*.safetensors"):
        file.unlink()


def _digest(store: Store, rows: dict[str, pd.DataFrame], back: int, seed: int) -> str:
    ids = {kind: table.index.tolist() for kind, table in rows.items()}
    return fingerprint_hash({"store": store.fingerprint, "rows": ids, "back": back, "seed": seed})[:16]


def _read(lm: LanguageModel, rows: pd.DataFrame, sites: list[str], back: int, batch_tokens: int) -> Floats32:
    ids = [np.asarray(row).tolist() for row in rows["input_ids"]]
    places = [int(np.asarray(row)[-back]) for row in rows["positions"]]
    out = np.empty((len(ids), len(sites), lm.info.d_model), np.float32)
    for batch in _batches([len(row) for row in ids], batch_tokens):
        states = capture(lm, [ids[i] for i in batch], sites, [[places[i]] for i in batch])
        values = states.values.numpy().astype(np.float32) * np.exp2(
            states.exponents.numpy()[..., None], dtype=np.float32
        )
        out[batch] = values.swapaxes(0, 1)
    return out


def _batches(lengths: list[int], tokens: int) -> Iterator[list[int]]:
    """Rows of like length together, at most `tokens` with padding, one row at least."""
    batch: list[int] = []
    for row in np.argsort(lengths, kind="stable").tolist():
        if batch and (len(batch) + 1) * lengths[row] > tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
