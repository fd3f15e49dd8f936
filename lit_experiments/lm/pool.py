"""Means of hidden states over generated tokens, taken while a text is being decoded: no second pass, no trajectories.

Owns which tokens count (`Window`) and the running sums (`LatentPool`). Generated tokens are numbered from 1, forced
ones included; the state of a token is the one computed when it is fed back, so a stop token, never fed, has none.
Memory: one sum per row, window and site, however long the text. Knows no model and no sampling: the decoder asks which
tokens are wanted and hands over their states.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lit_experiments.lm.errors import ModelError, NonFiniteStateError, model_error


@dataclass(frozen=True)
class Window:
    """The generated tokens start + stride, start + 2 stride, ... up to start + length, numbered from 1.

    Raises ModelError when it holds no token: length >= stride >= 1, start >= 0.
    """

    stride: int
    length: int
    start: int = 0

    def __post_init__(self) -> None:
        if self.stride < 1 or self.start < 0 or self.length < self.stride:
            raise model_error(
                "A mean over generated tokens needs at least one token.",
                actual=f"stride {self.stride}, {self.length} tokens, after token {self.start}",
                allowed="stride >= 1, and at least as many tokens as the stride",
                next_step="lower the stride, or generate more tokens",
            )

    @property
    def points(self) -> int:
        """How many tokens count when the text is long enough."""
        return self.length // self.stride


@dataclass(frozen=True)
class Pooled:
    """Means on the host, for the rows that the decoder was given.

    means: float32 [row, window, site, hidden], over the tokens that there were; NaN where there was none.
    counts: int64 [row, window], how many. full: bool [row, window], whether the row reached the window's last token.
    """

    means: Tensor
    counts: Tensor
    full: Tensor


class LatentPool:
    """Strided means of states for every row of one call of `Decoder.sample`.

    Rows that end stop contributing. `trajectories`, when kept: per row the states that were counted, in order.
    """

    def __init__(
        self, sites: Sequence[str], windows: Sequence[Window] | Sequence[Sequence[Window]], keep: bool = False
    ) -> None:
        """Checks the windows.

        Args:
            sites: Resolved site names.
            windows: The same for all rows, or as many for each row.
            keep: Also keep every state that some window counts. Memory then grows with the text.

        Raises:
            ModelError: no window, or rows with different numbers of them.
        """
        self.sites, self.keep = list(sites), keep
        self.trajectories: list[list[tuple[int, Tensor]]] = []
        self._shared = all(isinstance(window, Window) for window in windows)
        rows = [windows] if self._shared else windows
        if not len(windows) or not len(rows[0]) or len({len(row) for row in rows}) != 1:  # type: ignore[arg-type]
            raise ModelError("Every row needs as many windows, at least one.")
        table = np.array([[(w.stride, w.length, w.start) for w in row] for row in rows])  # type: ignore[union-attr]
        self._stride, self._length, self._start = np.moveaxis(table, -1, 0)
        self._sums = torch.empty(0)
        self._counts = np.empty((0, 0), np.int64)

    def begin(self, rows: int, hidden: int, device: torch.device) -> None:
        """Called by the decoder before its first step. Raises ModelError for another number of rows, or twice."""
        if self._counts.size or (not self._shared and len(self._stride) != rows):
            raise ModelError(f"A pool serves one call, with windows for each of its {rows} rows.")
        shape = (rows, self._stride.shape[1])
        self._stride, self._length, self._start = (
            np.broadcast_to(part, shape) for part in (self._stride, self._length, self._start)
        )
        self._counts = np.zeros(shape, np.int64)
        self._sums = torch.zeros((*shape, len(self.sites), hidden), dtype=torch.float32, device=device)
        self.trajectories = [[] for _ in range(rows if self.keep else 0)]

    def wants(self, token: int, rows: Sequence[int]) -> bool:
        """Whether some window of these rows counts the generated token with this number (from 1)."""
        return bool(self._hits(token, rows).any())

    def add(self, token: int, rows: Sequence[int], states: Tensor) -> None:
        """Counts the states [site, row, hidden] of the rows' token with this number."""
        at, window = self._hits(token, rows).nonzero()
        row = np.asarray(rows)[at]
        by_row = states.movedim(0, 1)
        self._sums[row, window] += by_row[at].float()
        self._counts[row, window] += 1
        if self.keep:
            for place in np.unique(at).tolist():
                self.trajectories[rows[place]].append((token, by_row[place].float().cpu()))

    def result(self) -> Pooled:
        """The means so far. Raises NonFiniteStateError when the model itself computed NaN or infinity."""
        counts = torch.from_numpy(self._counts.copy())
        full = torch.from_numpy(self._counts == self._length // self._stride)
        sums = self._sums.cpu()
        broken = (~sums.isfinite()).any(-1).nonzero().tolist()
        if broken:
            row, window, site = broken[0]
            last = int(self._start[row, window] + self._length[row, window])
            raise NonFiniteStateError(
                f"NaN or infinity at site {self.sites[site]} among the first {last} generated tokens of row {row}.",
                index=row,
                site=self.sites[site],
                position=last,
            )
        return Pooled(sums / torch.where(counts > 0, counts, torch.nan)[..., None, None], counts, full)

    def _hits(self, token: int, rows: Sequence[int]) -> np.ndarray:
        """bool [row at hand, window]."""
        at = np.asarray(rows, np.int64)
        after = token - self._start[at]
        hits: np.ndarray = (after > 0) & (after <= self._length[at]) & (after % self._stride[at] == 0)
        return hits
