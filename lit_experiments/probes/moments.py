"""Streaming second moments in float64, per layer and fold. Owns the sums that a ridge is exact from; solves nothing.

Real activations are ill-conditioned (a few hidden dims are a thousand times larger than the rest), so inputs are
widened to float64 before anything is multiplied, and everything is summed about a provisional mean, the median of the
first rows seen. Shapes: L layer, D hidden, T target, F fold.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from lit_experiments.probes.blocks import TEST, Block
from lit_experiments.probes.errors import ProbeError

_PANEL = 192
"""Columns per product: only the upper triangle of panels is computed, 5/8 of the work at 768 hidden dims."""


@dataclass
class Moments:
    """Sums over training rows, an x row counted with its weight for every repetition of its targets.

    count [F]; shift [L, D] and y_shift [T], what was subtracted from x and y; x [F, L, D]; y [F, T]; yy [F, T];
    xy [F, L, D, T]; xx [F, L, D, D] of which only the upper triangle means anything, or [F, L, 0, 0] where nobody
    needs it. All float64.
    """

    count: Tensor
    shift: Tensor
    y_shift: Tensor
    x: Tensor
    y: Tensor
    yy: Tensor
    xy: Tensor
    xx: Tensor

    @classmethod
    def zeros(
        cls, folds: int, layers: int, hidden: int, targets: int, device: torch.device, products: bool = True
    ) -> Moments:
        """Empty sums, without xx unless `products`. Raises ProbeError if this machine's memory could not hold them."""
        shapes = _shapes(folds, layers, hidden, targets)
        if not products:
            shapes["xx"] = (folds, layers, 0, 0)
        _check_memory(8 * sum(int(np.prod(s)) for s in shapes.values()), device, layers)
        return cls(**{name: torch.zeros(s, dtype=torch.float64, device=device) for name, s in shapes.items()})

    @staticmethod
    def bytes_of(folds: int, layers: int, hidden: int, targets: int) -> int:
        """What `zeros` would take."""
        return 8 * sum(int(np.prod(shape)) for shape in _shapes(folds, layers, hidden, targets).values())

    def y_variance(self) -> Tensor:
        """[T] of the targets in all folds together."""
        n, y = self.count.sum(), self.y.sum(0)
        return (self.yy.sum(0) - y**2 / n) / n

    def state_dict(self) -> dict[str, Tensor]:
        """The sums by name, not copied."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @torch.no_grad()
    def add(self, block: Block) -> None:
        """Add a block's training rows, which must be finite as those of `BlockDataModule.block` are."""
        keep, count, weight, y = _weigh(block)
        if len(keep) == 0:
            return
        fold = block.fold[keep]
        order = np.argsort(fold, kind="stable")
        keep, fold = keep[order], fold[order]
        n, w, values = (torch.from_numpy(a[order]).to(self.count) for a in (count, weight, y))
        x = [torch.from_numpy(block.x[keep, layer]).to(self.count.device) for layer in range(block.x.shape[1])]
        if not bool(self.count.any()):
            # Medians, not means: one outlier among the first rows must not become everyone's origin.
            self.shift = torch.stack([layer.to(torch.float64).median(0).values for layer in x])
            self.y_shift = values.flatten(0, 1).nanmedian(0).values
        for f in np.unique(fold):
            rows = slice(*np.searchsorted(fold, [f, f + 1]))
            self._add_fold(int(f), [layer[rows] for layer in x], values[rows], n[rows], w[rows])

    def _add_fold(self, f: int, x: list[Tensor], y: Tensor, n: Tensor, weight: Tensor) -> None:
        """x: per layer [row, D]; y: [row, repetition, T], NaN for an absent repetition; n: [row] repetitions; weight:
        [row] of each of them."""
        shifted = torch.nan_to_num(y - self.y_shift, nan=0.0)
        total, w = shifted.sum(1) * weight[:, None], n * weight
        self.count[f] += w.sum()
        self.y[f] += total.sum(0)
        self.yy[f] += ((shifted**2) * weight[:, None, None]).sum((0, 1))
        for layer, rows in enumerate(x):
            z = rows.to(torch.float64) - self.shift[layer]
            self.x[f, layer] += w @ z
            self.xy[f, layer].addmm_(z.T, total)
            if self.xx.numel():
                add_gram(self.xx[f, layer], z, w)

    def recentred(self, shift: Tensor, y_shift: Tensor) -> Moments:
        """The same sums, copied, about other provisional means: sum (z + d)(u + e) = sum (zu + du + ze + de)."""
        d, e = self.shift - shift, self.y_shift - y_shift
        n, sx, sy = self.count.clone(), self.x, self.y
        nd = n[:, None, None] * d
        xy = self.xy + d[..., None] * sy[:, None, None, :] + (sx + nd)[..., None] * e
        yy = self.yy + 2 * sy * e + n[:, None] * e**2
        xx = self.xx.clone()
        # One matrix at a time: all of them may fill half the memory.
        for fold, layer in np.ndindex(*xx.shape[:2]) if xx.numel() else ():
            mixed = torch.outer(sx[fold, layer] + nd[fold, layer] / 2, d[layer])
            xx[fold, layer] += mixed + mixed.T
        return Moments(n, shift.clone(), y_shift.clone(), sx + nd, sy + n[:, None] * e, yy, xy, xx)

    def all_reduced(self) -> Moments:
        """The sum over ranks, about the provisional mean of the lowest rank that has rows; nothing changes in place."""
        has_rows = torch.zeros(dist.get_world_size(), dtype=torch.int64, device=self.count.device)
        has_rows[dist.get_rank()] = bool(self.count.any())
        dist.all_reduce(has_rows)
        source = int(has_rows.argmax())
        shift, y_shift = self.shift.clone(), self.y_shift.clone()
        dist.broadcast(shift, source)
        dist.broadcast(y_shift, source)
        sums = self if bool(self.count.any()) else replace(self, shift=shift, y_shift=y_shift)
        total = sums.recentred(shift, y_shift)
        for name, value in total.state_dict().items():
            if not name.endswith("shift"):
                dist.all_reduce(value)
        return total

    def merge(self, other: Moments) -> Moments:
        """The sums over both sets of rows, about the provisional mean of the first that has any."""
        if not bool(self.count.any()):
            return replace(other)
        if not bool(other.count.any()):
            return replace(self)
        moved = other.recentred(self.shift, self.y_shift)
        summed = {name: v + getattr(moved, name) for name, v in self.state_dict().items() if not name.endswith("shift")}
        return Moments(shift=self.shift, y_shift=self.y_shift, **summed)


def _shapes(folds: int, layers: int, hidden: int, targets: int) -> dict[str, tuple[int, ...]]:
    return {
        "count": (folds,),
        "shift": (layers, hidden),
        "y_shift": (targets,),
        "x": (folds, layers, hidden),
        "y": (folds, targets),
        "yy": (folds, targets),
        "xy": (folds, layers, hidden, targets),
        "xx": (folds, layers, hidden, hidden),
    }


def add_gram(gram: Tensor, z: Tensor, w: Tensor | None = None) -> None:
    """gram += z' diag(w) z, upper triangle. z: [row, D]; w: [row], None for ones."""
    alike = w is None or bool((w == w[0]).all())
    weighted, alpha = z, 1.0 if w is None else float(w[0])
    if not alike and w is not None:
        weighted, alpha = z * w[:, None], 1.0
    for start in range(0, z.shape[1], _PANEL):
        stop = start + _PANEL
        gram[:stop, start:stop].addmm_(z[:, :stop].T, weighted[:, start:stop], alpha=alpha)


def _weigh(block: Block) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training rows with a weight and at least one repetition; how many each has, its weight, and its targets."""
    train = np.flatnonzero(block.fold != TEST)
    y = np.asarray(block.y[train], np.float64)
    whole = np.asarray(np.isnan(y).all(-1))
    count = (~whole).sum(1)
    has = (count > 0) & (block.weight[train] > 0)
    return train[has], count[has].astype(np.float64), block.weight[train[has]], y[has]


def _check_memory(needed: int, device: torch.device, layers: int) -> None:
    if device.type == "cuda":
        present = torch.cuda.get_device_properties(device).total_memory
    else:
        present = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > present:
        raise ProbeError(
            f"The moments of {layers} layers need {needed / 1e9:.1f} GB, and there are {present / 1e9:.1f} GB. "
            "Train on fewer layers at a time, or with fewer folds."
        )
