"""A store of study 2 read row by row into numbers per token; the states themselves are never held all at once.

Owns: which store can be read, what is kept of a row. Does not know: statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.experiments.prefill_dynamics.formulas import Floats, Mask, Steps, sinks, steps
from lit_experiments.tasks.reads import Reads
from stores import Store

_COLUMNS = ["paragraph_id", "condition", "prompt", "input_ids", "tokens", "boundary", "first_state", "stop_reason"]
READS = Reads("prefill_dynamics", ("resid_post", "ce", *_COLUMNS))


@dataclass(frozen=True)
class Trajectory:
    """One text, read by one model.

    Attributes:
        paragraph_id, condition: which text.
        ids, tokens: the continuation's tokens and their text.
        ce: [token] nats, of these tokens; NaN for a token without predecessor.
        ce_text: mean over the whole text, prompt included.
        steps: of the continuation's states.
        sinks: [layer, token] tokens that are position 0 of the text or whose norm stands out.
    """

    paragraph_id: str
    condition: str
    ids: list[int]
    tokens: list[str]
    ce: Floats
    ce_text: float
    steps: Steps
    sinks: Mask

    @property
    def row(self) -> str:
        return f"{self.paragraph_id}/{self.condition}"

    def ce_mean(self, upto: int | None) -> float:
        """Mean cross-entropy over the first `upto` tokens of the continuation; NaN without any."""
        known = self.ce[:upto][np.isfinite(self.ce[:upto])]
        return float(known.mean()) if len(known) else float("nan")


def trajectories(store: Store, sink_factor: float, block_bytes: int) -> list[Trajectory]:
    """Every row, in the store's order; at most about `block_bytes` of states are in memory at a time."""
    rows = store.table(_COLUMNS).to_pylist()
    scored = store["ce"].lengths()
    ce = np.split(np.asarray(store["ce"].read(), np.float64), np.cumsum(scored)[:-1])
    read: dict[int, Trajectory] = {}
    for numbers, values, lengths in store["resid_post"].iter_blocks(block_bytes):
        ends = np.cumsum(lengths)
        for number, end, length in zip(numbers, ends, lengths, strict=True):
            read[int(number)] = _trajectory(rows[number], ce[number], values[:, end - length : end], sink_factor)
    return [read[number] for number in range(len(rows))]


def _trajectory(row: dict[str, Any], ce: Floats, states: NDArray[np.float32], sink_factor: float) -> Trajectory:
    boundary = int(row["boundary"])
    whole = np.concatenate([[np.nan], ce])  # the first token has no predecessor
    moved = steps(states[:, boundary - int(row["first_state"]) :])
    return Trajectory(
        row["paragraph_id"],
        row["condition"],
        row["input_ids"][boundary:],
        row["tokens"][boundary:],
        whole[boundary:],
        float(ce.mean()) if len(ce) else float("nan"),
        moved,
        sinks(moved.norms, boundary, sink_factor),
    )
