"""The random-weights twin's states at one position of every prompt.

They are held in memory: passes x questions x layers x hidden float32 numbers, 24 MB for 240 questions of the embedded
model, 800 MB for 500 questions of an 8B model. Does not know: probes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from lit_experiments.controls.random_states import FEATURES, WEIGHTS, random_features, ridge_predictions
from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.passes import layer_names
from lit_experiments.experiments.introspection.probe_data import Questions
from lit_experiments.experiments.introspection.probe_targets import Target
from lit_experiments.lm.errors import ModelError
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


@dataclass(frozen=True)
class TwinSettings:
    """back: the token from the end whose states are read; seed: of the first twin, count of twins, the others with the
    seeds after it; batch_tokens: read at a time; accelerator: the Trainer's."""

    back: int
    seed: int
    count: int
    batch_tokens: int
    accelerator: str


@dataclass(frozen=True, eq=False)
class RandomStates:
    """first: pass -> states [question, layer, hidden] of the first twin, which is probed as the model is; others: the
    same of further ones, or random features of the tokens. kind: which of the two. reason: why there is no twin."""

    first: dict[str, Floats32]
    others: list[dict[str, Floats32]]
    kind: str
    reason: str

    def predictions(
        self, kind: str, targets: Sequence[Target], questions: Questions, penalties: list[float]
    ) -> dict[str, NDArray[np.float64]]:
        """Target key -> [test question with a value, twin, C] predictions from the other states, by ridge."""
        out = {}
        for target in targets if self.others else ():
            known = ~np.isnan(target.values)
            columns, part = target.columns[known], questions.part[known]
            predicted = [ridge_predictions(states[kind][known], columns, part, penalties) for states in self.others]
            out[target.key] = np.stack(predicted, 1)
        return out


def random_states(
    store: Store, rows: dict[str, pd.DataFrame], settings: TwinSettings, layers: list[str] | None, folder: Path
) -> RandomStates:
    """Twins of the store's model; random features of the tokens where it cannot be loaded.

    Args:
        layers: the sites that are probed, None for all.
    """
    seeds = range(settings.seed, settings.seed + settings.count)
    try:
        if any(table[name].isna().any() for table in rows.values() for name in ("input_ids", "positions")):
            raise UserError(f"{store.path} does not hold the token ids that the model read.")
        read = [
            twin_states(store, rows, settings.back, seed, settings.batch_tokens, settings.accelerator, folder)
            for seed in seeds
        ]
    except (UserError, ModelError) as error:
        features = [{kind: _features(table, store, seed) for kind, table in rows.items()} for seed in seeds]
        return RandomStates({}, features, FEATURES, str(error).partition("\n")[0])
    places = [place for place, name in enumerate(layer_names(store)) if layers is None or name in layers]
    others = [{kind: states[:, places] for kind, states in twin.items()} for twin in read[1:]]
    return RandomStates(read[0], others, WEIGHTS, "")


def _features(rows: pd.DataFrame, store: Store, seed: int) -> Floats32:
    """[question, 1, hidden] of the ids that the model read, or of the question's words where there are none."""
    width = int(store.field("resid_post").field.shape[-1] or 1)
    if any(ids is not None for ids in rows["input_ids"]):
        return random_features(
            [() if ids is None else np.asarray(ids).tolist() for ids in rows["input_ids"]], width, seed
        )
    return random_features([str(text or "").split() for text in rows["question_text"]], width, seed)


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
