"""What every probe of study 3 shares: the questions, their split, and the columns that are fitted together.

Owns: which questions take part, in which order, and what a ridge on hidden states is asked to predict. Does not know:
how anything is fitted or scored.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_experiments.controls.split import SplitOptions
from lit_experiments.experiments.introspection.passes import passes
from lit_experiments.experiments.introspection.probe_split import QuestionSplit, split_questions
from lit_experiments.experiments.introspection.probe_targets import Target
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.by_layer import ridge_by_layer
from lit_experiments.probes.class_solution import ClassSolution
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.linear import LinearProbe
from lit_experiments.probes.row_ridge import choose_ridge
from lit_experiments.probes.solve import Solution
from lit_experiments.probes.splits import shuffled_donors
from stores import Store

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SURFACE, CONFIDENCE = "surface", "confidence"
CONTROLS = (SURFACE, CONFIDENCE)
_COLUMNS = [
    "question_id",
    "question_text",
    "prompt_type",
    "input_ids",
    "positions",
    "letters",
    "probs",
    "entropy",
    "logit_margin",
]
_COLUMNS += ["parsed_answer", "is_correct", "self_confidence", "other_confidence", "question_type", "char_length"]
_COLUMNS += ["token_length", "has_negation", "has_ambiguity", "token_rarity_mean", "token_rarity_max"]
_COLUMNS += ["token_surprisal_mean", "token_surprisal_max"]


@dataclass(frozen=True)
class Questions:
    """The questions that every pass holds, in one order. ids: [Q]; part: [Q] TEST or the training fold; rows: pass ->
    metadata by question, column `row` the place in the store; left_out: questions that some pass lacks; split: by which
    groups."""

    ids: NDArray[np.str_]
    part: Ints
    rows: dict[str, pd.DataFrame]
    left_out: int
    split: QuestionSplit

    @property
    def test(self) -> NDArray[np.bool_]:
        return np.asarray(self.part == TEST)


def read_questions_of(store: Store, options: SplitOptions, left_out: int = 0) -> Questions:
    """The questions of a store, split by groups of them. left_out: those that are not whole, and so are not in `store`.

    Raises:
        UserError: as `split_questions`.
    """
    rows = passes(store, _COLUMNS)
    first, *others = rows.values()
    common = first.index
    for other in others:
        common = common.intersection(other.index, sort=False)
    ids = common.to_numpy().astype(str)
    first = first.loc[common]
    split = split_questions(store.select(first["row"].to_numpy()), ids, options)
    return Questions(ids, split.part, {kind: table.loc[common] for kind, table in rows.items()}, left_out, split)


@dataclass(frozen=True)
class Control:
    """What a target is told by without the states: training questions by models that have not seen their fold.

    features: by name; weights [F, C]: of a ridge on them, for inputs of unit spread in the training part (empty where
    it is not asked which carry most). predicted [question, C]. model: the one that was chosen. definition: the readout
    of the output that the target is; empty otherwise. fewer: as predicted, by models of a half and of a quarter of the
    training groups; None where these were not fitted.
    """

    features: list[str]
    predicted: Floats
    weights: Floats
    model: str
    definition: str = ""
    fewer: tuple[Floats, Floats] | None = None


def importance(
    features: tuple[list[str], Floats], target: Target, part: Ints, penalties: list[float]
) -> tuple[list[str], Floats]:
    """Names and weights [F, C] of a ridge on features; none where no feature varies."""
    names, x = features
    if not names:
        return [], np.zeros((0, target.columns.shape[1]))
    train = part != TEST
    train &= ~np.isnan(target.values) | bool(target.classes)
    fits = [choose_ridge(x[train], y[train], part[train], penalties) for y in target.columns.T]
    return names, np.stack([fit.weights * x[train].std(0) for fit in fits], 1)


@dataclass
class Columns:
    """Everything that one ridge on the states of a pass predicts at once: [question, column], with names.

    places: (target key, role) -> its columns. Roles: "hidden", the target itself; "shuffle0", ... the target
    permuted between questions; "surface" and "confidence", what these controls leave of it.
    """

    names: list[str] = field(default_factory=list)
    values: list[Floats] = field(default_factory=list)
    places: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def add(self, key: str, role: str, columns: Floats) -> None:
        self.places[key, role] = list(range(len(self.names), len(self.names) + columns.shape[1]))
        self.values += list(columns.T)
        several = columns.shape[1] > 1
        self.names += [f"{key}|{role}" + (f"|{c}" if several else "") for c in range(columns.shape[1])]

    def matrix(self) -> Floats:
        return np.stack(self.values, 1)


@dataclass(frozen=True, eq=False)
class RidgeFit:
    """The ridge of all columns on the states of one pass. predicted [test question, layer, column]: held-out
    predictions; probe: each column at its chosen layer; solution: how layers and penalties were chosen, without
    coefficients (400 columns of an 8B model's 32 layers take 420 MB); layers: their names."""

    predicted: Floats
    probe: LinearProbe
    solution: Solution
    layers: list[str]

    @classmethod
    def of(cls, solution: Solution, data: BlockDataModule) -> RidgeFit:
        """Reads the states once."""
        predicted, probe = ridge_by_layer(solution, data), LinearProbe.of(solution, data)
        return cls(predicted, probe, replace(solution, coef=solution.coef[..., :0].clone()), data.layers)


@dataclass(frozen=True)
class Fitted:
    """The fits on the states of one pass: the ridge of all columns (None if there are none), and a logistic
    one per target with classes."""

    columns: Columns
    ridge: RidgeFit | None
    classes: dict[str, tuple[ClassSolution, BlockDataModule]]

    @property
    def layers(self) -> list[str]:
        """The layers that were probed."""
        assert self.ridge is not None, "the model's own states have columns for every target"
        return self.ridge.layers


@dataclass(frozen=True)
class States:
    """Everything fitted on the states of pass `kind`; twin: the same on the random twin's, None without one. random:
    target key -> [test question with a value, twin, C] predictions from further states that no training shaped, and of
    what kind these are."""

    kind: str
    controls: dict[tuple[str, str], Control]
    fitted: Fitted
    twin: Fitted | None
    random: dict[str, Floats]
    random_kind: str


def columns_of(
    targets: list[Target],
    controls: dict[tuple[str, str], Control],
    shuffles: int,
    seed: int,
    group: NDArray[np.str_],
) -> Columns:
    """What the ridge on one pass's states is asked for. group [question]: between which shuffles permute."""
    out = Columns()
    for target in targets:
        out.add(target.key, "hidden", target.columns)
        for name in CONTROLS:
            if (target.key, name) in controls:
                out.add(target.key, name, target.columns - controls[target.key, name].predicted)
        for k in range(shuffles):
            out.add(target.key, f"shuffle{k}", shuffled(target, seed, k, group).columns)
    return out


def shuffled(target: Target, seed: int, shuffle: int, group: NDArray[np.str_]) -> Target:
    """The target with its values permuted between the groups of the questions that have one."""
    known = np.flatnonzero(~np.isnan(target.values))
    values = target.values.copy()
    codes = np.unique(group[known], return_inverse=True)[1].astype(np.int64)
    values[known] = values[known][shuffled_donors(codes, seed, shuffle)]
    return replace(target, values=values)
