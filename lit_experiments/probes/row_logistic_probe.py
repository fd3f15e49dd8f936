"""Logistic fits of far fewer rows than dims as a LightningModule: a pass that reads the rows, then fits in memory."""

from __future__ import annotations

from typing import Any

import torch

from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.class_parts import ClassLabels, ClassWeight
from lit_experiments.probes.class_search import Settings
from lit_experiments.probes.class_solution import ClassSolution, Fits
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.logistic import LogisticProbe, check_classes, check_limits, held_folds
from lit_experiments.probes.row_logistic import RowFit, RowLabels, fit_rows
from lit_experiments.probes.solve import check_penalties
from lit_experiments.probes.streamed import StreamedProbe
from lit_experiments.probes.waves import MEMORY_BYTES, Part, RowSums, Sums, Wave, bytes_per_layer, waves

_DIMS_PER_ROW = 4
"""Dims for each training row from which on the products pay: their eigenvectors cost the cube of the rows."""
_HISTORY = 10


def logistic_probe(
    data: BlockDataModule,
    classes: list[str],
    penalties: list[float],
    tolerance: float,
    max_iterations: int,
    memory_bytes: int,
    class_weight: ClassWeight = None,
) -> LogisticProbe | RowLogisticProbe:
    """The logistic probe that suits the data; both have the same optimum. See `LogisticProbe`."""
    data.setup()
    few = int((data.fold != TEST).sum()) * _DIMS_PER_ROW <= data.hidden
    limits = (classes, penalties, tolerance, max_iterations, memory_bytes)
    return (RowLogisticProbe if few else LogisticProbe)(*limits, class_weight=class_weight)


class RowLogisticProbe(StreamedProbe):
    """Penalised multinomial logistic regression of few rows, for all layers and penalties of a `BlockDataModule`.

    What is fitted, and the settings, are those of `LogisticProbe`; all is multiplied in float64. memory_bytes: the rows
    of so many layers as fit are read in a pass. `probe.solution` then holds the fits, equal on every rank.
    """

    key = "row_logistic_pass"
    log_name = "logistic"

    def __init__(
        self,
        classes: list[str],
        penalties: list[float],
        tolerance: float,
        max_iterations: int,
        memory_bytes: int = MEMORY_BYTES,
        held_out: int | None = None,
        class_weight: ClassWeight = None,
    ) -> None:
        super().__init__(memory_bytes)
        self.save_hyperparameters()
        check_limits(tolerance, max_iterations, _HISTORY)
        self.classes, self.penalties = check_classes(classes), check_penalties(penalties)
        self.tolerance, self.max_iterations = tolerance, max_iterations
        self.held_out, self.class_weight = held_out, class_weight
        self._solution: ClassSolution | None = None

    @property
    def solution(self) -> ClassSolution:
        """The fits. Raises ProbeError while the passes are incomplete."""
        if self._solution is None:
            raise self.incomplete()
        return self._solution

    def begin(self, data: BlockDataModule, device: torch.device) -> None:
        self._solution = None
        held = tuple(held_folds(data, len(self.penalties), self.held_out))
        limits = (self.tolerance, self.max_iterations, _HISTORY, self.memory_bytes)
        self._settings = Settings(held, tuple(self.penalties), *limits)
        super().begin(data, device)

    def settings(self) -> dict[str, Any]:
        fits = {name: value for name, value in vars(self._settings).items() if name != "memory_bytes"}
        weights = self.labels.table.tolist()
        return {name: [*v] if isinstance(v, tuple) else v for name, v in fits.items()} | {"class_weight": weights}

    def parts_of(self, data: BlockDataModule) -> list[Part]:
        if len(data.real_targets) != 1:
            raise ProbeError("A logistic probe trains on a BlockDataModule with one target, the class codes.")
        self.labels = ClassLabels.of(data, {data.real_targets[0]: self.classes}, self.class_weight)
        targets = list(range(len(data.targets)))
        return [Part(targets, len(targets), lambda block: block)]

    def waves_of(self, data: BlockDataModule) -> list[Wave]:
        return waves(bytes_per_layer(self.parts, data), len(data.layers), self.memory_bytes)

    def sums_of(self, data: BlockDataModule, wave: Wave, stage: int) -> Sums:
        return RowSums(self.parts, data, len(wave.layers), self.compute_device)

    def conclude(self, data: BlockDataModule, wave: Wave, stage: int, sums: Sums) -> None:
        assert isinstance(sums, RowSums)
        labels = RowLabels.of(data, self.labels, self.compute_device)
        for place, layer in enumerate(wave.layers):
            fit = fit_rows(sums.x[place, labels.used], labels, self._settings)
            self.pieces |= {f"{layer}.{name}": value.cpu() for name, value in vars(fit).items()}

    def finish(self, data: BlockDataModule) -> None:
        self._solution = self._joined(data)

    def log_solution(self) -> None:
        (target,) = self.data_module().real_targets
        for layer, accuracy in enumerate(self.solution.held_out_accuracy()):
            self.log_by_layer("cv_accuracy", layer, {target: accuracy})

    def _joined(self, data: BlockDataModule) -> ClassSolution:
        """The solution of all layers from their pieces."""
        fits = [
            RowFit(**{name: self.pieces[f"{layer}.{name}"] for name in RowFit.__dataclass_fields__})
            for layer in range(len(data.layers))
        ]
        coef, intercept, held = (torch.stack([getattr(f, n) for f in fits]) for n in ("coef", "intercept", "held"))
        if len(self.classes) == 2:
            coef, intercept = (torch.cat([torch.zeros_like(t), t], 2) for t in (coef, intercept))
        labels = RowLabels.of(data, self.labels, torch.device("cpu"))
        counts = labels.totals(self._settings.held)
        total, rows = counts.sum(-1), held[0, :, 0, :, 2]
        share = counts[-1, 0] / torch.from_numpy(self.labels.tables[0])
        loss = held[..., 0] / held[..., 2]
        best = torch.zeros(loss.shape[-1], dtype=torch.int64)
        if self._settings.held:
            best = loss.nanmean(1).amin(1).argmin(0)
        return ClassSolution(
            classes=tuple(self.classes),
            penalties=torch.tensor(self._settings.penalties, dtype=torch.float64),
            mean=torch.stack([fit.mean for fit in fits]),
            scale=torch.stack([fit.scale for fit in fits]),
            coef=coef,
            intercept=intercept,
            share=share / share.sum(),
            cv_loss=loss,
            cv_accuracy=held[..., 1] / held[..., 2],
            cv_rows=rows,
            cv_left_out=total[-1] - total[:-1] - rows,
            penalty_index=torch.stack([fit.penalty_index for fit in fits]),
            layer_index=best,
            final=Fits.of(torch.stack([fit.ends for fit in fits])),
            chosen_from=Fits.of(torch.stack([fit.fits for fit in fits])),
            rows=round(float(total[-1, 0])),
            passes=len(self.waves),
        )
