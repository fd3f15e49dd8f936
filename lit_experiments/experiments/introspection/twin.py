"""The random-weights twins' states at one position of every prompt, and what is told by them.

They lie in a file while they are read, of one twin at a time: passes x questions x layers x hidden float32 numbers, 24
MB for 240 questions of the embedded model, 800 MB for 500 questions of an 8B model.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_experiments.controls.random_states import FEATURES, WEIGHTS, random_features, ridge_predictions
from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.passes import layer_names
from lit_experiments.experiments.introspection.probe_data import Questions
from lit_experiments.experiments.introspection.probe_targets import Target
from lit_experiments.lm.errors import ModelError
from lit_experiments.probes.scratch_states import ScratchRows, ScratchStates
from lit_experiments.tasks.random_twin import Floats32, RandomTwin, model_of
from stores import Store, fingerprint_hash

SomeStates = Callable[[NDArray[np.bool_]], Iterable[Floats32]]
"""Which questions -> their states [question, hidden], layer after layer."""


@dataclass(frozen=True)
class TwinSettings:
    """back: the token from the end whose states are read; seed: of the first twin, count of twins, the others with the
    seeds after it; batch_tokens: read at a time; accelerator: the Trainer's."""

    back: int
    seed: int
    count: int
    batch_tokens: int
    accelerator: str

    @property
    def seeds(self) -> range:
        """Of all twins."""
        return range(self.seed, self.seed + self.count)


def twin_states(
    store: Store, rows: dict[str, pd.DataFrame], settings: TwinSettings, folder: Path
) -> dict[str, ScratchStates]:
    """pass -> [question, layer, hidden] of the twin of `settings.seed` at the stored token `back` from the end (1: the
    answer position).

    rows: pass -> rows with input_ids and positions. folder: where the first process leaves them in files that the
    other processes of the run read; their names tell which states they are, so that none of another attempt are taken.
    """
    sites, width = layer_names(store), int(store.field("resid_post").field.shape[-1] or 1)
    digest = _digest(store, rows, settings)
    folder.mkdir(parents=True, exist_ok=True)
    states = {
        kind: ScratchStates(folder / f"twin-{digest}-{kind}.states", len(table), sites, width)
        for kind, table in rows.items()
    }
    if all(file.exist() for file in states.values()):
        return states
    needed, free = sum(file.nbytes for file in states.values()), shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(f"A random twin's states take {needed / 1e9:,.1f} GB; {folder} has {free / 1e9:,.1f}.")
    twin = RandomTwin(model_of(store), settings.seed, settings.accelerator, settings.batch_tokens)
    for kind, table in rows.items():
        ids = [np.asarray(row).tolist() for row in table["input_ids"]]
        places = [[int(np.asarray(row)[-settings.back])] for row in table["positions"]]
        states[kind].write((np.array([row]), read) for row, read in twin.read(ids, places, sites))
    return states


@dataclass(frozen=True, eq=False)
class RandomStates:
    """What no training shaped. first: pass -> states of the first twin, which is probed as the model is; empty where
    there is no twin: random features of the tokens take its place. reason: why there is none."""

    store: Store
    rows: dict[str, pd.DataFrame]
    settings: TwinSettings
    layers: list[str] | None
    folder: Path
    first: dict[str, ScratchStates]
    reason: str

    @property
    def kind(self) -> str:
        """Which of the two."""
        return WEIGHTS if self.first else FEATURES

    def predictions(
        self, targets: Sequence[Target], questions: Questions, penalties: list[float]
    ) -> dict[str, dict[str, NDArray[np.float64]]]:
        """Pass -> target key -> [test question with a value, twin, C] predictions by ridge from random features, or
        from the twins after the first, one twin's states at a time."""
        by_pass: dict[str, dict[str, list[NDArray[np.float64]]]] = {kind: {} for kind in self.rows}
        for seed in self.settings.seeds[1:] if self.first else self.settings.seeds:
            for kind, states in self._of_seed(seed):
                for key, predicted in _predictions(states, targets, questions, penalties).items():
                    by_pass[kind].setdefault(key, []).append(predicted)
        return {
            kind: {key: np.stack(predicted, 1) for key, predicted in by_key.items()} for kind, by_key in by_pass.items()
        }

    def _of_seed(self, seed: int) -> Iterator[tuple[str, SomeStates]]:
        """Passes, with what gives the states [question, hidden] of some questions, layer after layer."""
        if not self.first:
            for kind, table in self.rows.items():
                features = _features(table, self.store, seed)
                yield kind, partial(_some, features)
            return
        of_seed = twin_states(self.store, self.rows, replace(self.settings, seed=seed), self.folder)
        for kind, states in of_seed.items():
            rows = ScratchRows(states, np.arange(states.entries))
            yield kind, partial(_layers, rows, self.layers)
            states.forget()


def random_states(
    store: Store, rows: dict[str, pd.DataFrame], settings: TwinSettings, layers: list[str] | None, folder: Path
) -> RandomStates:
    """Twins of the store's model; random features of the tokens where it cannot be loaded.

    Args:
        layers: the sites that are probed, None for all.
    """
    first, reason = {}, ""
    try:
        if any(table[name].isna().any() for table in rows.values() for name in ("input_ids", "positions")):
            raise UserError(f"{store.path} does not hold the token ids that the model read.")
        first = twin_states(store, rows, settings, folder)
    except (UserError, ModelError) as error:
        reason = str(error).partition("\n")[0]
    return RandomStates(store, rows, settings, layers, folder, first, reason)


def _predictions(
    states: SomeStates,
    targets: Sequence[Target],
    questions: Questions,
    penalties: list[float],
) -> dict[str, NDArray[np.float64]]:
    """Target key -> [test question with a value, C]; targets of the same questions are solved for together."""
    alike: dict[bytes, list[Target]] = {}
    for target in targets:
        alike.setdefault(np.isnan(target.values).tobytes(), []).append(target)
    out: dict[str, NDArray[np.float64]] = {}
    for members in alike.values():
        known = ~np.isnan(members[0].values)
        columns = [target.columns[known] for target in members]
        predicted = ridge_predictions(states(known), columns, questions.part[known], penalties)
        out |= {target.key: values for target, values in zip(members, predicted, strict=True)}
    return out


def _some(features: Floats32, known: NDArray[np.bool_]) -> Iterable[Floats32]:
    return [features[known]]


def _layers(rows: ScratchRows, layers: list[str] | None, known: NDArray[np.bool_]) -> Iterable[Floats32]:
    return rows[known].by_layer(layers)


def _features(rows: pd.DataFrame, store: Store, seed: int) -> Floats32:
    """[question, hidden] of the ids that the model read, or of the question's words where there are none."""
    width = int(store.field("resid_post").field.shape[-1] or 1)
    if any(ids is not None for ids in rows["input_ids"]):
        return random_features(
            [() if ids is None else np.asarray(ids).tolist() for ids in rows["input_ids"]], width, seed
        )
    return random_features([str(text or "").split() for text in rows["question_text"]], width, seed)


def forget_states(folder: Path) -> None:
    """Remove what `twin_states` left there."""
    for file in folder.glob("twin-*.states*"):
        file.unlink()


def _digest(store: Store, rows: dict[str, pd.DataFrame], settings: TwinSettings) -> str:
    ids = {kind: table.index.tolist() for kind, table in rows.items()}
    which = {"store": store.fingerprint, "rows": ids, "back": settings.back, "seed": settings.seed}
    return fingerprint_hash(which)[:16]
