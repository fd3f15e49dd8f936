"""What every probe of study 3 shares: the questions, their split, and the columns that are fitted together.

Owns: which questions take part, in which order, and what a ridge on hidden states is asked to predict. Does not know:
how anything is fitted or scored.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.passes import NothingToCompare, passes
from lit_experiments.experiments.introspection.probe_targets import Target, confidence_features, surface_features
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.class_solution import ClassSolution
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.row_ridge import choose_ridge
from lit_experiments.probes.solve import Solution
from lit_experiments.probes.splits import group_split, shuffled_donors
from stores import Store

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SURFACE, CONFIDENCE = "surface", "confidence"
CONTROLS = (SURFACE, CONFIDENCE)
_COLUMNS = ["question_id", "prompt_type", "input_ids", "positions", "letters", "probs", "entropy", "logit_margin"]
_COLUMNS += ["parsed_answer", "is_correct", "self_confidence", "other_confidence", "question_type", "char_length"]
_COLUMNS += ["token_length", "has_negation", "has_ambiguity", "token_rarity_mean", "token_rarity_max"]
_COLUMNS += ["token_surprisal_mean", "token_surprisal_max"]


@dataclass(frozen=True)
class Questions:
    """The questions that every pass holds, in one order. ids: [Q]; part: [Q] TEST or the training fold; rows: pass ->
    metadata by question, column `row` the place in the store; left_out: questions that some pass lacks."""

    ids: NDArray[np.str_]
    part: Ints
    rows: dict[str, pd.DataFrame]
    left_out: int

    @property
    def test(self) -> NDArray[np.bool_]:
        return np.asarray(self.part == TEST)


def read_questions_of(store: Store, test_fraction: float, folds: int, seed: int, left_out: int = 0) -> Questions:
    """The questions of a store, split by question. left_out: those that are not whole, and so are not in `store`.

    Raises:
        UserError: too few for the split.
    """
    rows = passes(store, _COLUMNS)
    first, *others = rows.values()
    common = first.index
    for other in others:
        common = common.intersection(other.index, sort=False)
    least = 4 * (folds + 1)
    if len(common) < least:
        raise UserError(
            f"{store.path} holds {len(common)} questions that all of its passes share ({', '.join(rows)}); {folds} "
            f"folds and a test part need at least {least}.\nNext: collect more questions, or lower --folds."
        )
    ids = common.to_numpy().astype(str)
    part = group_split(ids, test_fraction, folds, seed)
    return Questions(ids, part, {kind: table.loc[common] for kind, table in rows.items()}, left_out)


@dataclass(frozen=True)
class Control:
    """A few features' own prediction of a target, by ridge with its penalty chosen in the training part.

    predicted: [question, C]. weights: per feature, for inputs of unit spread in the training part, by column [F, C].
    """

    features: list[str]
    predicted: Floats
    weights: Floats


def control(features: tuple[list[str], Floats], target: Target, part: Ints, penalties: list[float]) -> Control:
    """Raises NothingToCompare if no feature varies over the questions."""
    names, x = features
    if not names:
        raise NothingToCompare("none of its features varies over the questions.")
    train = part != TEST
    fits = [choose_ridge(x[train], y[train], part[train], penalties) for y in target.columns.T]
    scale = x[train].std(0)
    return Control(
        names, np.stack([fit.predict(x) for fit in fits], 1), np.stack([fit.weights * scale for fit in fits], 1)
    )


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


@dataclass(frozen=True)
class Fitted:
    """The fits on the states of one pass: the ridge of all columns (None if there are none), and a logistic
    one per target with classes."""

    columns: Columns
    ridge: tuple[Solution, BlockDataModule] | None
    classes: dict[str, tuple[ClassSolution, BlockDataModule]]

    @property
    def layers(self) -> list[str]:
        """The layers that were probed."""
        assert self.ridge is not None, "the model's own states have columns for every target"
        return self.ridge[1].layers


@dataclass(frozen=True)
class States:
    """Everything fitted on the states of pass `kind`; twin: the same on the random twin's, None without one."""

    kind: str
    controls: dict[tuple[str, str], Control]
    fitted: Fitted
    twin: Fitted | None


def controls_of(
    targets: list[Target], questions: Questions, kind: str, penalties: list[float]
) -> tuple[dict[tuple[str, str], Control], list[str]]:
    """(target key, control name) -> Control for the states of pass `kind`, and statements on what there is not."""
    controls, statements = {}, []
    rows = questions.rows[kind]
    for target in targets:
        features = {SURFACE: surface_features(rows), CONFIDENCE: confidence_features(rows, kind, target.key)}
        for name, named_columns in features.items():
            try:
                controls[target.key, name] = control(named_columns, target, questions.part, penalties)
            except NothingToCompare as reason:
                statements.append(f"{name} of {kind} as a control of {target.key}: {reason}")
    return controls, statements


def columns_of(targets: list[Target], controls: dict[tuple[str, str], Control], shuffles: int, seed: int) -> Columns:
    """What the ridge on one pass's states is asked for."""
    out = Columns()
    for target in targets:
        out.add(target.key, "hidden", target.columns)
        for name in CONTROLS:
            if (target.key, name) in controls:
                out.add(target.key, name, target.columns - controls[target.key, name].predicted)
        for k in range(shuffles):
            out.add(target.key, f"shuffle{k}", shuffled(target, seed, k).columns)
    return out


def shuffled(target: Target, seed: int, shuffle: int) -> Target:
    """The target with its values permuted between the questions that have one."""
    known = np.flatnonzero(~np.isnan(target.values))
    values = target.values.copy()
    values[known] = values[known][shuffled_donors(np.arange(len(known)), seed, shuffle)]
    return replace(target, values=values)
