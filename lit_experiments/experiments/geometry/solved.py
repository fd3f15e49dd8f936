"""What analyses of right and wrong completions share: rows with checked answers, layers, estimates over problems.

Does not know: what is analyzed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.geometry.answers import CORRECT, NO_ANSWER, VERDICTS, AnswerChecker, counts
from lit_experiments.ranges import at_least, seeds
from lit_experiments.reports.tables import text_table
from lit_experiments.statistics import Estimate, GroupBootstrap
from stores import Store

LEVEL = 0.95

Floats = NDArray[np.float64]


def checked_rows(store: Store) -> pd.DataFrame:
    """The store's columns, in its order, and `verdict`: for each row the list of its completions' verdicts."""
    table = store.to_pandas()
    with AnswerChecker() as checker:
        table["verdict"] = [
            [checker.check(text, answer).verdict for text in texts]
            for texts, answer in zip(table["completion_text"], table["answer"], strict=True)
        ]
    return table


def verdict_table(rows: pd.DataFrame) -> dict[str, int]:
    """How many completions got which verdict."""
    return counts([verdict for each in rows["verdict"] for verdict in each])


def verdict_sentence(found: dict[str, int]) -> str:
    """How many completions there are of each verdict."""
    counted = ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS)
    return f"{sum(found.values())} completions: {counted} (compared by math-verify)."


def verdict_lines(found: dict[str, int]) -> tuple[str, str]:
    """(a table for the terminal, for pages a sentence and what follows where nothing is correct)."""
    total = sum(found.values())
    table = text_table(["completions", *VERDICTS], [[str(total), *(str(found[v]) for v in VERDICTS)]])
    sentences = [verdict_sentence(found)]
    if not found[CORRECT]:
        sentences.append("No completion is correct, so nothing can be said of correct ones.")
    if total and found[NO_ANSWER] == total:
        sentences.append(
            "An answer is what stands in \\boxed{} or behind ####; where the model does not write it so by itself, the "
            "prompt has to ask for it (--prompt)."
        )
    return table, " ".join(sentences)


def chosen_sites(store: Store, layers: Sequence[int] | None, option: str) -> list[tuple[int, str]]:
    """(place, name) of the stored sites of these blocks; of the middle one stored for None.

    Raises:
        UserError: a block that is not stored.
    """
    names = [str(name) for name in store.schema.coords["layer"]]
    if layers is None:
        return [(len(names) // 2, names[len(names) // 2])]
    stored = {name.rpartition(".")[2]: place for place, name in enumerate(names)}
    lost = [str(layer) for layer in layers if str(layer) not in stored]
    if lost or not layers:
        raise UserError(
            f"{option}: {', '.join(lost) or 'no layer'} named; the store holds the blocks {', '.join(stored)}."
        )
    return [(stored[str(layer)], names[stored[str(layer)]]) for layer in layers]


@dataclass(frozen=True)
class Resampling:
    """How intervals over problems are made."""

    bootstraps: int
    seed: int

    def __post_init__(self) -> None:
        at_least(1, bootstraps=self.bootstraps)
        seeds(seed=self.seed)

    def over(self, problems: int) -> GroupBootstrap:
        """Resamples of so many problems."""
        return GroupBootstrap(np.arange(problems), resamples=self.bootstraps, level=LEVEL, seed=self.seed)

    def mean(self, values: ArrayLike) -> Estimate:
        """The mean of one value per problem, those that are NaN left out of it and of `n`."""
        held = np.asarray(values, np.float64)
        held = held[np.isfinite(held)]
        if not len(held):
            return Estimate.undefined(0, LEVEL)
        found: Estimate = self.over(len(held)).from_sums(np.stack([held, np.ones_like(held)], 1), ratio).item()
        return found


def ratio(sums: Floats) -> Floats:
    """[..., 2] -> [...]: the first total over the second."""
    out: Floats = sums[..., 0] / sums[..., 1]
    return out
