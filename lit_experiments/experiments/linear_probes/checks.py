"""What a target's claim is checked against besides controls: states that no training shaped, and a split by rows.

Owns: which states these are. Does not know: how the probe itself was fitted, verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.claims import Twins
from lit_experiments.claims.power import detectable_auroc, detectable_r2
from lit_experiments.controls.fields import StateField, layer_names
from lit_experiments.controls.labels import Floats
from lit_experiments.controls.random_states import random_features
from lit_experiments.controls.row_split import by_row_predictions, nearest_predictions, row_part, thinned
from lit_experiments.controls.scoring import Scorer
from lit_experiments.controls.split import SplitOptions
from lit_experiments.controls.texts import IDS
from lit_experiments.experiments.linear_probes.evaluation import Evaluation
from lit_experiments.experiments.linear_probes.study import Study
from lit_experiments.probes.blocks import TEST
from lit_experiments.statistics import Estimate, GroupBootstrap
from stores import Store


def twins_of(evaluation: Evaluation, predicted: Sequence[Floats], kind: str) -> Twins:
    """Probes of states that no training shaped, by what each predicts, [test row, C].

    Args:
        kind: "random weights" or "random features".
    """
    scores = evaluation.scorer.estimates(np.stack(predicted, 1))
    best = int(np.argmax([score.value for score in scores]))
    gain = evaluation.scorer.gain(evaluation.held, predicted[best])
    return Twins(kind, [score.value for score in scores], scores[best], gain)


def random_features_of(
    study: Study, rows: NDArray[np.int64], width: int, seeds: Sequence[int]
) -> Iterator[NDArray[np.float32]]:
    """[example, hidden] random features of the rows' tokens, or of their words where the store holds no ids."""
    tokens = tokens_of(study)
    if tokens is not None:
        for seed in seeds:
            yield random_features(tokens, width, seed)[rows]


def tokens_of(study: Study) -> list[list[int | str]] | None:
    """[row] token ids, or words; None where the store holds neither."""
    kinds = {column.name: column.type for column in study.store.schema.columns}
    ids = next((name for name in IDS if kinds.get(name) == "list<int64>"), None)
    if ids is not None:
        return [row or [] for row in study.store.table([ids]).column(0).to_pylist()]
    return None if study.texts is None else [list[int | str](text.split()) for text in study.texts.values]


def score_by_row(
    evaluation: Evaluation,
    study: Study,
    resampler: Callable[[ArrayLike], GroupBootstrap],
    split: SplitOptions,
    penalties: list[float],
) -> Estimate | None:
    """The better of ridge and nearest neighbour on the chosen layer, rows split one by one; None where none are joined.

    The nearest neighbour counts where it tells nothing of held-out groups: there its score is that of copies.
    """
    if not study.split.summary.twins_by_row:
        return None
    problem = evaluation.problem
    used = thinned(len(problem))
    field, maps = evaluation.chosen.fit.field, evaluation.maps
    entry = None if problem.entry is None else problem.entry[used]
    x = layer_states(study.store, field, field.layers[maps.layer], problem.row[used], entry)
    y, columns, group = problem.y[used], problem.columns[used], problem.group[used]
    honest = nearest_predictions(x, columns, problem.part[used])
    held = problem.part[used] == TEST
    classes = len(problem.classes)
    honest_score = Scorer(classes, y[held], resampler(group[held])).estimates(honest[:, None])[0]
    part = row_part(len(used), split.test_fraction, split.folds, split.seed)
    test = part == TEST
    readers = by_row_predictions(x, columns, part, penalties)
    if honest_score.side_of(evaluation.scorer.chance) > 0:
        del readers["nearest"]
    scores = Scorer(classes, y[test], resampler(group[test])).estimates(np.stack([*readers.values()], 1))
    return max(scores, key=lambda score: score.value)


def layer_states(
    store: Store, field: StateField, layer: str, row: NDArray[np.int64], entry: NDArray[np.int64] | None
) -> Floats:
    """[example, hidden] states of one layer; at the last entry of a row where examples have none."""
    view = store.field(field.name)
    lengths = view.lengths()
    others = [dim for dim in view.field.dims[:-1] if dim != view.field.stacking]
    picks = {others[0]: layer_names(store, view.field).index(layer)} if others else {}
    place = np.cumsum(lengths)[row] - lengths[row]
    if entry is not None:
        place = place + entry
    elif field.ragged:
        place = place + lengths[row] - 1
    return np.asarray(view.gather(place, False, **picks), np.float64)


def detectable_of(evaluation: Evaluation) -> float:
    """The distance from chance that would have been seen with 80 % power, from the groups of the test part."""
    scorer = evaluation.scorer
    if scorer.classes:
        return detectable_auroc(scorer.fewest, max(scorer.boot.n - scorer.fewest, scorer.fewest))
    return detectable_r2(scorer.boot.n)
