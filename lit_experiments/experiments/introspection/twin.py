"""The random-weights twin's states at one position of every prompt.

They are held in memory: passes x questions x layers x hidden float32 numbers, 24 MB for 240 questions of the embedded
model, 800 MB for 500 questions of an 8B model. Does not know: probes.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from lit_experiments.experiments.introspection.passes import layer_names
from lit_experiments.tasks.random_twin import Floats32, RandomTwin, model_of
from stores import Store, fingerprint_hash


def twin_states(
    store: Store, rows: dict[str, pd.DataFrame], back: int, seed: int, batch_tokens: int, accelerator: str, folder: Path
) -> dict[str, Floats32]:
    """pass -> [question, layer, hidden] of the twin at the stored token `back` from the end (1: the answer position).

    rows: pass -> rows with input_ids and positions. folder: where the first process leaves them in a file that the
    other processes of the run read; its name tells which states they are, so that none of another attempt are taken.
    """
    file = folder / f"twin-{_digest(store, rows, back, seed)}.safetensors"
    if not file.exists():
        twin = RandomTwin(model_of(store), seed, accelerator, batch_tokens)
        sites = layer_names(store)
        states = {kind: _read(twin, table, sites, back) for kind, table in rows.items()}
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


def _read(twin: RandomTwin, rows: pd.DataFrame, sites: list[str], back: int) -> Floats32:
    """[question, layer, hidden]"""
    ids = [np.asarray(row).tolist() for row in rows["input_ids"]]
    places = [[int(np.asarray(row)[-back])] for row in rows["positions"]]
    states = dict(twin.read(ids, places, sites))
    return np.concatenate([states[row] for row in range(len(ids))])
