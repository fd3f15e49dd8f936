"""Ridge as a LightningModule: passes that add up moments, or the rows themselves where they are fewer than dims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.masks import number_parts
from lit_experiments.probes.row_ridge import solve_rows
from lit_experiments.probes.solve import LayerFit, Solution, check_choice, check_penalties, solution_of, solve_layer
from lit_experiments.probes.streamed import StreamedProbe
from lit_experiments.probes.waves import (
    MEMORY_BYTES,
    MomentSums,
    Part,
    RowSums,
    Sums,
    Wave,
    bytes_per_layer,
    row_side,
    waves,
)


class RidgeProbe(StreamedProbe):
    """Exact ridge on standardised inputs, for all layers, targets and penalties of a `BlockDataModule`.

    penalties: the ridge penalties to choose from by cross-validation; a single one is simply used. also: further grids
    to solve for from the same sums. memory_bytes: what the sums may take: one pass if all layers fit, else more.
    After `trainer.fit(probe, datamodule=data)` (max_epochs -1 where memory asks for several passes; it stops by
    itself), `probe.solution` holds the fits, equal on every rank. Logged under `log_name`: rows and blocks of this rank
    so far, and at the end the cross-validated mean squared error, the mean of the targets' smallest; as layers are
    done, every target's cross-validated R2 at its best penalty, with the layer as the step.
    """

    key = "ridge_pass"
    log_name = "ridge"

    def __init__(
        self, penalties: list[float], also: Sequence[list[float]] = (), memory_bytes: int = MEMORY_BYTES
    ) -> None:
        super().__init__(memory_bytes)
        self.save_hyperparameters()
        self.penalties = check_penalties(penalties)
        self.grids = [self.penalties, *(check_penalties(grid) for grid in also)]
        self._solutions: list[Solution] = []

    @property
    def solution(self) -> Solution:
        """The fits. Raises ProbeError while the passes are incomplete."""
        return self.solution_for(self.penalties)

    def solution_for(self, penalties: list[float]) -> Solution:
        """The fits for one of the grids."""
        if not self._solutions:
            raise self.incomplete()
        return self._solutions[self.grids.index(check_penalties(penalties))]

    def settings(self) -> dict[str, Any]:
        return {"penalties": self.penalties, "also": self.grids[1:]}

    def begin(self, data: BlockDataModule, device: torch.device) -> None:
        self._solutions = []
        super().begin(data, device)

    def parts_of(self, data: BlockDataModule) -> list[Part]:
        for grid in self.grids:
            check_choice(len(grid), len(data.layers), max(data.folds, 1))
        return number_parts(data, list(range(len(data.targets))))

    def waves_of(self, data: BlockDataModule) -> list[Wave]:
        return waves(bytes_per_layer(self.parts, data), len(data.layers), self.memory_bytes)

    def sums_of(self, data: BlockDataModule, wave: Wave, stage: int) -> Sums:
        parts = [self.parts[i] for i in wave.parts]
        if row_side(data):
            return RowSums(parts, data, len(wave.layers), self.compute_device)
        return MomentSums(parts, data, len(wave.layers), self.compute_device, True)

    def conclude(self, data: BlockDataModule, wave: Wave, stage: int, sums: Sums) -> None:
        for g, grid in enumerate(self.grids):
            alphas = torch.tensor(grid, dtype=torch.float64, device=self.compute_device)
            for i, part in enumerate(wave.parts):
                for place, layer in enumerate(wave.layers):
                    fit = _fit(sums, i, place, alphas, max(data.folds, 1))
                    self.pieces |= {f"{g}.{part}.{layer}.{name}": v.cpu() for name, v in fit._asdict().items()}
                    if grid is self.penalties and len(fit.cv_mse):
                        r2 = 1 - fit.cv_mse.mean(0).amin(0) / _y_variance(sums, i)
                        self._log_r2(data, self.parts[part], layer, r2.tolist())

    def finish(self, data: BlockDataModule) -> None:
        self._solutions = []
        for g, grid in enumerate(self.grids):
            fits = [(part.targets, self._fits(g, i, len(data.layers))) for i, part in enumerate(self.parts)]
            self._solutions.append(solution_of(fits, grid))
            if len(self.parts) == 1:  # the state to save shares the coefficients, which are large
                coef = self._solutions[-1].coef
                self.pieces |= {f"{g}.0.{layer}.coef": coef[layer] for layer in range(len(coef))}

    def forget(self) -> None:
        super().forget()
        self._solutions = []

    def log_solution(self) -> None:
        if self.solution.cv_mse.shape[1]:
            best = self.solution.cv_mse.mean(1).amin((0, 1)).mean()
            self.log(f"{self.log_name}/cv_mse", best, batch_size=1, sync_dist=True)

    def _log_r2(self, data: BlockDataModule, part: Part, layer: int, r2: list[float]) -> None:
        values = dict(zip(part.targets, r2, strict=True))
        self.log_by_layer("cv_r2", layer, {n: values[t] for t, n in enumerate(data.real_targets) if t in values})

    def _fits(self, grid: int, part: int, layers: int) -> list[LayerFit]:
        names = LayerFit._fields
        return [LayerFit(*(self.pieces[f"{grid}.{part}.{layer}.{n}"] for n in names)) for layer in range(layers)]


def _y_variance(sums: Sums, part: int) -> torch.Tensor:
    if isinstance(sums, RowSums):
        return sums.targets[part].y_variance()
    assert isinstance(sums, MomentSums)
    return sums.moments[part].y_variance()


def _fit(sums: Sums, part: int, place: int, penalties: torch.Tensor, folds: int) -> LayerFit:
    if isinstance(sums, RowSums):
        return solve_rows(sums.x[place], sums.targets[part], penalties, list(range(folds)))
    assert isinstance(sums, MomentSums)
    return solve_layer(sums.moments[part], place, penalties)
