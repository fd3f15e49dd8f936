"""What the probes of study 3 predict, and what they are compared with: targets, surface features, output confidence.

Owns: how each is read from a store's rows, and which cannot be asked of these rows. Does not know: hidden states, fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.passes import CONFIDENCE_PASSES, NothingToCompare
from lit_experiments.experiments.introspection.prompts import PASSES, pass_name
from lit_experiments.experiments.introspection.scoring import ACCURACY, AUROC, R2
from lit_experiments.experiments.introspection.surface_control.features import QUESTION_WORDS
from lit_experiments.probes.blocks import TEST

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TARGETS = (
    *(f"{kind}.entropy" for kind in PASSES),
    "mcq.logit_margin",
    *(f"{kind}.{kind}" for kind in CONFIDENCE_PASSES),
    "mcq.correctness",
    *(f"{kind}.parsed_answer" for kind in PASSES),
)
_LEAST_KNOWN = 2
"""Values of a number in the test part and in each fold: one alone cannot vary."""
_LEAST_SPREAD = 1e-6  # of the values' size; below this, differences are the model's rounding
_NUMBERS = ("char_length", "token_length", "has_negation", "has_ambiguity", "token_rarity_mean", "token_rarity_max")
_IF_COUNTED = ("token_surprisal_mean", "token_surprisal_max")


@dataclass(frozen=True)
class Target:
    """One number or class per question.

    key: "pass.name". values: [question] numbers, or class codes; NaN where there is no value, or a rare class was left
    out. classes: their names, empty for numbers. chance: the score of a prediction that knows nothing of the question.
    """

    key: str
    values: Floats
    classes: tuple[str, ...]
    score: str
    chance: float

    @property
    def kind(self) -> str:
        """The pass it is of."""
        return self.key.split(".")[0]

    @property
    def name(self) -> str:
        return self.key.split(".")[1]

    @property
    def columns(self) -> Floats:
        """[question, C] as numbers: itself, or 0 and 1 for each class (for the second of two only)."""
        if not self.classes:
            return self.values[:, None]
        codes = [1] if len(self.classes) == 2 else range(len(self.classes))
        return np.stack([(self.values == code).astype(np.float64) for code in codes], -1)


def target_name(key: str) -> str:
    """ "pass.name" with the full names of passes: "self_conf.entropy" is self_confidence.entropy."""
    return ".".join(pass_name(word) for word in key.split("."))


def check_targets(requested: list[str]) -> None:
    """Raises UserError for names that are no target, or none at all."""
    unknown = [name for name in requested if name not in TARGETS]
    if unknown or not requested:
        raise UserError(f"targets must be some of {', '.join(TARGETS)}; found {', '.join(unknown) or 'none'}.")


@dataclass(frozen=True)
class TargetSelection:
    """The targets that questions can be asked about; for the others the reason, key by key: `untested`, where the
    questions are too few or too alike, `absent`, where the store lacks the pass. statements: all of it in words."""

    targets: list[Target]
    untested: dict[str, str]
    absent: list[str]
    statements: list[str]


def read_targets(
    rows: dict[str, pd.DataFrame], keys: list[str], part: Ints, fewest: int, no_split: str = ""
) -> TargetSelection:
    """The targets that these questions can be asked about, and why others cannot.

    rows: pass -> rows by question, all with the same questions. part: [question] TEST or the training fold. fewest: a
    class with fewer questions than this in the training part, or with none in the test part, is left out. no_split:
    why nothing could be held out, and so none can be tested; empty where there is a test part.
    """
    targets, statements = [], []
    untested: dict[str, str] = {}
    absent = [key for key in keys if key.split(".")[0] not in rows]
    statements = [f"{key}: no probe; the store holds no {key.split('.')[0]} pass." for key in absent]
    for key in (key for key in keys if key not in absent):
        kind, name = key.split(".")
        try:
            if no_split:
                raise NothingToCompare(f"{no_split}.")
            make = _classes if name in ("correctness", "parsed_answer") else _numbers
            target, without = make(key, rows[kind], part, fewest)
            targets.append(target)
            statements += [f"{key}: {without}"] if without else []
        except NothingToCompare as reason:
            untested[key] = str(reason)
            statements.append(f"{key}: no probe; {reason}")
    return TargetSelection(targets, untested, absent, statements)


def _numbers(key: str, rows: pd.DataFrame, part: Ints, fewest: int) -> tuple[Target, str]:
    values = rows[key.split(".")[1]].to_numpy(np.float64)
    known = np.isfinite(values)
    values = np.where(known, values, np.nan)
    absent = int((~known).sum())
    lacking = f"it has no value for {absent} of {len(values)} questions"
    if not known.any():
        raise NothingToCompare(f"{lacking}.")
    counts = [int((known & (part == place)).sum()) for place in np.unique(part)]
    if min(counts) < _LEAST_KNOWN:
        raise NothingToCompare(f"{lacking}: test part or folds have as few as {min(counts)}, and need {_LEAST_KNOWN}.")
    for name, member in (("test", part == TEST), ("training", part != TEST)):
        used = values[member & known]
        if np.ptp(used) <= _LEAST_SPREAD * max(1.0, float(np.abs(values[known]).max())):
            raise NothingToCompare(f"it hardly varies in the {name} part: {used.min():.6g} to {used.max():.6g}.")
    return Target(key, values, (), R2, 0.0), f"{absent} questions without a value are left out." if absent else ""


def _classes(key: str, rows: pd.DataFrame, part: Ints, fewest: int) -> tuple[Target, str]:
    if key.endswith("correctness"):
        named = [None if pd.isna(v) else ("right" if v else "wrong") for v in rows["is_correct"]]
        classes = ["wrong", "right"]
    else:
        named = [None if pd.isna(v) else str(v) for v in rows["parsed_answer"]]
        classes = sorted({letter for letters in rows["letters"] if letters is not None for letter in letters})
    labels = np.array([name or "" for name in named])
    train, test = labels[part != TEST], labels[part == TEST]
    enough = [name for name in classes if (train == name).sum() >= fewest and (test == name).any()]
    counts = {name: int((labels == name).sum()) for name in classes}
    shown = ", ".join(f"{name} {count}" for name, count in counts.items())
    if len(enough) < 2:
        raise NothingToCompare(f"fewer than two classes have {fewest} questions to train on and one to test ({shown}).")
    codes = np.array([enough.index(name) if name in enough else np.nan for name in labels])
    few = [f"{name} {counts[name]}" for name in classes if name not in enough]
    without = f"classes with too few questions are left out ({', '.join(few)})." if few else ""
    if len(enough) == 2:
        return Target(key, codes, tuple(enough), AUROC, 0.5), without
    commonest = np.bincount(codes[(part != TEST) & ~np.isnan(codes)].astype(int)).argmax()
    chance = float((codes[(part == TEST) & ~np.isnan(codes)] == commonest).mean())
    return Target(key, codes, tuple(enough), ACCURACY, chance), without


def surface_features(rows: pd.DataFrame) -> tuple[list[str], Floats]:
    """Names and [question, F]: lengths, question type, negation, ambiguity, rarity, surprisal where it was counted.

    What is the same for every question is left out.
    """
    columns: dict[str, Floats] = {name: rows[name].to_numpy(np.float64) for name in _NUMBERS}
    columns |= {name: rows[name].to_numpy(np.float64) for name in _IF_COUNTED}
    kinds = rows["question_type"].to_numpy()
    columns |= {f"question_type={word}": (kinds == word).astype(np.float64) for word in (*QUESTION_WORDS, "other")}
    return _varying(columns, len(rows))


def _varying(columns: dict[str, Floats], rows: int) -> tuple[list[str], Floats]:
    used = {name: v for name, v in columns.items() if np.isfinite(v).all() and np.ptp(v) > 0}
    return list(used), np.stack([*used.values()], 1) if used else np.zeros((rows, 0))
