"""Random twins of the model read the same words: what a probe of their states tells of the tags.

Owns: which tokens of the sentences are read, and what stands in where the model cannot be loaded. Does not know: the
probe of the model's own states.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lit_experiments.claims import Twins
from lit_experiments.controls.random_states import FEATURES, WEIGHTS, random_features, ridge_predictions
from lit_experiments.errors import UserError
from lit_experiments.experiments.pos.probe_claims import PENALTIES, ClaimWords, states_of
from lit_experiments.experiments.pos.words import FIELD
from lit_experiments.lm.errors import ModelError
from lit_experiments.tasks.random_twin import RandomTwin, model_of

Floats32 = NDArray[np.float32]


@dataclass(frozen=True)
class TwinOptions:
    """seed: of the first twin, count: of them, the others with the seeds after it; batch_tokens: read at a time;
    accelerator: the Trainer's."""

    seed: int
    count: int
    batch_tokens: int
    accelerator: str


def random_twins(examples: ClaimWords, layer: str, options: TwinOptions) -> tuple[Twins, str]:
    """The twins' probes against a probe of the model's states that is made in the same way, by ridge at the layer that
    it chooses; and why there are no twins of the model, "" where there are.

    layer: of the model's states.
    """
    problem = examples.problem

    def right(layers: Iterable[NDArray[np.floating]]) -> NDArray[np.float64]:
        (predicted,) = ridge_predictions(layers, [problem.columns], problem.part, PENALTIES)
        return examples.right(predicted)

    seeds = range(options.seed, options.seed + options.count)
    kind, reason = WEIGHTS, ""
    try:
        rights = [right(_read(examples, seed, options)) for seed in seeds]
    except (UserError, ModelError) as error:
        kind, reason = FEATURES, str(error).partition("\n")[0]
        rights = [right([_features(examples, seed)]) for seed in seeds]
    scores = [examples.accuracy(values) for values in rights]
    best = int(np.argmax([score.value for score in scores]))
    model = right([states_of(examples, layer)])
    return Twins(kind, [score.value for score in scores], scores[best], examples.gain(model, rights[best])), reason


def _read(examples: ClaimWords, seed: int, options: TwinOptions) -> Floats32:
    """[layer, n, hidden]"""
    words = examples.labelled.words
    if words.settings["position"] == "mean":
        raise UserError("A word's state is the mean over its tokens, which the twin does not read.")
    ids, places, first = _read_places(examples)
    twin = RandomTwin(model_of(words.store), seed, options.accelerator, options.batch_tokens)
    sites = [str(name) for name in words.store.schema.coords["layer"]]
    states = dict(twin.read(ids, places, sites))
    return np.stack([states[row][place] for row, place in first], 1)


def _read_places(examples: ClaimWords) -> tuple[list[list[int]], list[list[int]], list[tuple[int, int]]]:
    """(ids of every sentence with an example, the tokens that are read, [n] (sentence, which of these))."""
    row, token = examples.problem.row, _tokens(examples)
    rows = np.unique(row)
    number = {int(sentence): place for place, sentence in enumerate(rows)}
    ids = _ids(examples, rows)
    places: list[list[int]] = [[] for _ in rows]
    first = []
    for sentence, place in zip(row.tolist(), token.tolist(), strict=True):
        at = number[sentence]
        first.append((at, len(places[at])))
        places[at].append(place)
    return ids, places, first


def _features(examples: ClaimWords, seed: int) -> Floats32:
    """[n, hidden] of the sentence's tokens up to the word's."""
    rows = np.unique(examples.problem.row)
    ids = dict(zip(rows.tolist(), _ids(examples, rows), strict=True))
    ends = zip(examples.problem.row.tolist(), _tokens(examples).tolist(), strict=True)
    width = int(examples.labelled.words.store.field(FIELD).field.shape[-1] or 1)
    return random_features([ids[row][: token + 1] for row, token in ends], width, seed)


def _tokens(examples: ClaimWords) -> NDArray[np.int64]:
    """[n] the token whose state is the word's."""
    lines = examples.labelled.split.lines[examples.line]
    return examples.labelled.words.table["position"].to_numpy(np.int64)[lines]


def _ids(examples: ClaimWords, rows: NDArray[np.int64]) -> list[list[int]]:
    table: Sequence[list[int]] = examples.labelled.words.store.select(rows).table(["input_ids"]).column(0).to_pylist()
    return [list(ids) for ids in table]
