"""The passes of study 3 as its analyses read them: opening a run, whole questions, names, what identifies its rows.

Does not know: what is analyzed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.prompts import PASSES
from lit_experiments.reports.blocks import Range
from lit_experiments.tasks.reads import Reads
from stores import Store, open_store

SELF, OTHER = "self_confidence", "other_confidence"
CONFIDENCE_PASSES = (SELF, OTHER)
READS = "introspection"
SIGNIFICANT = 0.05
"""Of p-values corrected over layers: below it a page says that something is there."""
_COLUMNS = ["sample_id", "question_id", "question_text", "options", "correct_answer_letter", "prompt_type", "letters"]
_COLUMNS += ["probs", "entropy", "outside_mass", "output_text", "parsed_answer", "answer_source", "is_correct"]
_COLUMNS += [SELF, OTHER, "positions", "answer_position"]
_NEEDED = {"question_id", "prompt_type"}
PASS_NAMES = {"mcq": "mcq", SELF: "self", OTHER: "other"}
"""Short names of the passes, for tables and figures."""


@dataclass(frozen=True)
class WholeQuestions(Reads):
    """A run of study 3, of which the questions are read that every pass holds."""

    def open(self, run: Path) -> Store:
        """Raises UserError as `open_introspection`."""
        return open_introspection(run)


WHOLE_QUESTIONS = WholeQuestions(READS, ("resid_post", *sorted(_NEEDED)))


class NothingToCompare(ValueError):
    """The data cannot answer the question asked of it; the message is the statement for the report."""


def open_introspection(run: Path) -> Store:
    """The store of a run, whole questions alone: those that every pass of the store holds.

    Raises:
        UserError: it is no store of study 3, or holds no confidence pass.
    """
    store = open_store(run / "store")
    missing = _NEEDED - set(store.column_names)
    if "resid_post" not in {field.name for field in store.schema.fields}:
        missing |= {"resid_post"}
    again = f"\nNext: python collect.py --exp {READS}, or point --run at such a run."
    if missing:
        raise UserError(f"{store.path} is no store of study 3: it lacks {', '.join(sorted(missing))}.{again}")
    kinds = sorted(set(store.table(["prompt_type"]).column(0).to_pylist()))
    if not set(kinds) & set(CONFIDENCE_PASSES):
        held = ", ".join(kinds) or "no row"
        raise UserError(
            f"{store.path} holds no row of {SELF} or {OTHER} (it has: {held}), so no confidence to analyze.{again}"
        )
    return whole_questions(store)


def whole_questions(store: Store) -> Store:
    """The rows of the questions that every pass of the store holds: an interrupted run has some in one pass alone."""
    table = store.table(["question_id", "prompt_type"]).to_pydict()
    passes = len(set(table["prompt_type"]))
    times = Counter(table["question_id"])
    whole = np.array([times[question] == passes for question in table["question_id"]], bool)
    return store if whole.all() else store.select(whole)


def questions_left_out(run: Path) -> int:
    """How many questions of a run's store some pass lacks."""
    store = open_store(run / "store")
    return len(_questions(store)) - len(_questions(whole_questions(store)))


def _questions(store: Store) -> set[str]:
    return set(store.table(["question_id"]).column(0).to_pylist())


def passes(store: Store, columns: Sequence[str] = _COLUMNS) -> dict[str, pd.DataFrame]:
    """These columns of the rows of each pass there is, by question id; column `row` is the place in the store. A column
    that the store lacks holds no value."""
    table = store.to_pandas([name for name in columns if name in store.column_names])
    for name in columns:
        if name not in table:
            table[name] = None
    table["row"] = np.arange(len(table))
    by_pass = {kind: table[table.prompt_type == kind].set_index("question_id") for kind in PASSES}
    return {kind: rows for kind, rows in by_pass.items() if len(rows)}


def layer_names(store: Store) -> list[str]:
    """The sites whose states are stored, from the front."""
    return [str(name) for name in store.schema.coords["layer"]]


def answer_states(store: Store, rows: pd.DataFrame, layer: int) -> NDArray[np.float64]:
    """States at the answer position, [row, hidden], of rows of `passes`."""
    view = store["resid_post"]
    last = np.cumsum(view.lengths()) - 1  # the answer position is the last stored token in every choice of positions
    return np.asarray(view.gather(last[rows["row"].to_numpy()], layer=layer), np.float64)


def without_confidence(kind: str, confidence: pd.Series) -> list[str]:
    """A statement where questions of a confidence pass hold no confidence; else none. confidence: [question]."""
    absent = int(confidence.isna().sum())
    return [f"{kind}: {absent} of {len(confidence)} questions hold no confidence and are left out."] if absent else []


@dataclass(frozen=True)
class MeanRange:
    """Mean of a control's values, and where they lie."""

    mean: float
    low: float
    high: float

    @property
    def shown(self) -> Range:
        """For tables and figures."""
        return Range(self.low, self.high, self.mean)


@dataclass(frozen=True)
class CentralRange(MeanRange):
    """Mean of a control's values, and the central range that holds a share (the level) of them."""


def central_range(values: NDArray[np.float64], level: float) -> CentralRange:
    """Of the values [R] of a control."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return CentralRange(float(values.mean()), float(low), float(high))


def ids_of(index: pd.Index) -> NDArray[np.str_]:
    """Question ids of rows, to resample and split by."""
    return index.to_numpy().astype(str)


def content(store: Store) -> dict[str, Any]:
    """What identifies the rows of a store, as JSON has it: how they were made, and which there are. A run may grow, and
    two runs made alike may hold different questions."""
    identity = {"store": store.fingerprint, "rows": len(store), "ids": store.ids_digest()}
    return dict(json.loads(json.dumps(identity)))


def finished(run: Path, verb: str, task: str, files: Sequence[str], store: Store) -> Path:
    """The folder of a task's results, which were made from what the store holds now.

    Raises:
        UserError: there are none, one of `files` is missing, or the store has changed since.
    """
    folder = run / task
    again = f"\nNext: lit-experiments {verb} --exp {task} --run {run}"
    missing = [name for name in ("results.json", *files) if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder.absolute()} holds no finished results ({', '.join(missing)} is missing).{again}")
    identity = json.loads((folder / "results.json").read_text(encoding="utf-8"))["identity"]
    if any(identity.get(key) != value for key, value in content(store).items()):
        raise UserError(f"{store.path} has changed since {folder.absolute()} was made from it.{again}")
    return folder
