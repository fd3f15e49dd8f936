"""Random twins of the model read the same starting points: what ridges on their states tell of log-tempnorm.

Does not know: the ridge on the model's own states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.claims import Twins
from lit_experiments.controls.random_states import FEATURES, WEIGHTS, random_features, ridge_predictions
from lit_experiments.controls.split import Split
from lit_experiments.errors import UserError
from lit_experiments.lm.errors import ModelError
from lit_experiments.probes.baselines import held_out_r2, r2_gains
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.evaluate import Predictions
from lit_experiments.tasks.random_twin import RandomTwin, model_of
from stores import Store

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
_FIELD, _IDS = "starting_hidden", "starting_point_ids"


@dataclass(frozen=True)
class TwinOptions:
    """seed: of the first twin, count: of them, the others with the seeds after it; batch_tokens: read at a time;
    accelerator: the Trainer's; penalties: of the ridges."""

    seed: int
    count: int
    batch_tokens: int
    accelerator: str
    penalties: list[float]


@dataclass(frozen=True, eq=False)
class TwinPredictions:
    """kind: random weights or random features; reason: why there are no twins of the model, "" where there are.
    predicted: of each twin, [row, L], of which the test rows count; none where the store holds nothing they could read.
    """

    kind: str
    reason: str
    predicted: list[Floats]

    def against(self, states: Predictions) -> list[Twins] | None:
        """Per length, the model's ridge against the best of the twins'; None without twins."""
        if not self.predicted:
            return None
        scores = [held_out_r2(states, predicted) for predicted in self.predicted]
        gains = [r2_gains(states, states.predicted, predicted) for predicted in self.predicted]
        out = []
        for length in range(states.predicted.shape[1]):
            values = [score[length].value for score in scores]
            best = int(np.argmax(values))
            out.append(Twins(self.kind, values, scores[best][length], gains[best][length]))
        return out


def twin_predictions(store: Store, split: Split, true: Floats, options: TwinOptions) -> TwinPredictions:
    """Ridges on the twins' states, at the layer and penalty that folds of the training part choose.

    true: [row, generation, L] log-tempnorm of single continuations; a ridge on their mean is the ridge on all of them.
    """
    columns, seeds = np.nanmean(true, axis=1), range(options.seed, options.seed + options.count)
    ids = [list(row) for row in store.table([_IDS]).column(0).to_pylist()] if _IDS in store.column_names else None
    kind, reason = WEIGHTS, ""
    try:
        read = [_states(store, ids, seed, options) for seed in seeds]
    except (UserError, ModelError) as error:
        kind, reason = FEATURES, str(error).partition("\n")[0]
        width = int(store.field(_FIELD).field.shape[-1] or 1)
        read = [random_features(words, width, seed)[None] for words in _words(store, ids) for seed in seeds]
    predicted = [np.zeros_like(columns) for _ in read]
    for values, states in zip(predicted, read, strict=True):
        (values[split.part == TEST],) = ridge_predictions(states, [columns], split.part, options.penalties)
    return TwinPredictions(kind, reason, predicted)


def _words(store: Store, ids: list[list[int]] | None) -> list[list[Sequence[int | str]]]:
    """What random features can be drawn for, once: the token ids or the context's words of every row, if there are."""
    if ids is not None:
        return [[*ids]]
    if "context" not in store.column_names:
        return []
    return [[str(text).split() for text in store.table(["context"]).column(0).to_pylist()]]


def _states(store: Store, ids: Sequence[Sequence[int]] | None, seed: int, options: TwinOptions) -> Floats32:
    """[layer, row, hidden] at the starting point's last token."""
    if ids is None:
        raise UserError(f"{store.path} does not hold the token ids that the model read.")
    twin = RandomTwin(model_of(store), seed, options.accelerator, options.batch_tokens)
    sites = [str(site) for site in store.schema.coords["layer"]]
    states = dict(twin.read(ids, [[len(row) - 1] for row in ids], sites))
    return np.concatenate([states[row] for row in range(len(ids))]).swapaxes(0, 1)
