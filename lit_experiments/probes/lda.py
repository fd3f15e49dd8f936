"""Linear discriminant analysis as a LightningModule: a pass of moments (or rows), and one of held-out scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from lit_experiments.probes.class_parts import ClassLabels, ClassWeight
from lit_experiments.probes.class_solution import ClassSolution
from lit_experiments.probes.closed_classes import ClosedFit, class_solution
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.discriminant import from_moments, from_rows
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.held_out import FoldFits, HeldOutSums
from lit_experiments.probes.row_products import RowProducts
from lit_experiments.probes.solve import check_choice, standardise
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


class DiscriminantProbe(StreamedProbe):
    """LDA on standardised inputs for all layers, targets and shrinkages of a `BlockDataModule` in two passes.

    classes: of every target of the data, in the order of their codes. shrinkages: in [0, 1], to choose from by held-out
    log-loss. class_weight: see `class_parts`; it weighs the shares, the means and the pooled covariance, as
    scikit-learn's `priors` do. memory_bytes: see `RidgeProbe`. `solutions` holds the fits by target, as
    `ClassSolution`s whose penalties are the shrinkages.

    A class weight gives every target, and every shuffled copy, sums of its own; without one they share them.
    """

    key = "discriminant_pass"
    log_name = "lda"
    stages: ClassVar[int] = 2

    def __init__(
        self,
        classes: Mapping[str, list[str]],
        shrinkages: list[float],
        class_weight: ClassWeight = None,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        super().__init__(memory_bytes)
        self.save_hyperparameters()
        self.classes, self.class_weight = {name: list(names) for name, names in classes.items()}, class_weight
        self.shrinkages = sorted({float(s) for s in shrinkages})
        if not self.shrinkages or not all(0 <= s <= 1 for s in self.shrinkages):
            raise ProbeError(f"Shrinkages must lie in [0, 1], at least one; found {shrinkages}.")
        self._solutions: dict[str, ClassSolution] = {}

    @property
    def solutions(self) -> dict[str, ClassSolution]:
        """The fits by target. Raises ProbeError while the passes are incomplete."""
        if not self._solutions:
            raise self.incomplete()
        return self._solutions

    def settings(self) -> dict[str, Any]:
        weight = self.class_weight if isinstance(self.class_weight, str | None) else dict(self.class_weight)
        return {"classes": self.classes, "shrinkages": self.shrinkages, "class_weight": weight}

    def begin(self, data: BlockDataModule, device: torch.device) -> None:
        self._solutions = {}
        super().begin(data, device)

    def parts_of(self, data: BlockDataModule) -> list[Part]:
        check_choice(len(self.shrinkages), len(data.layers), max(data.folds, 1))
        lacking = sorted(set(data.real_targets) - set(self.classes))
        if lacking:
            raise ProbeError(f"LDA takes targets of classes; {', '.join(lacking)} have none. Leave them out.")
        self.labels = ClassLabels.of(data, self.classes, self.class_weight)
        return self.labels.parts()

    def waves_of(self, data: BlockDataModule) -> list[Wave]:
        fits = 8 * (data.folds + 1) * len(self.shrinkages) * data.hidden
        sizes = [s + fits * p.columns for s, p in zip(bytes_per_layer(self.parts, data), self.parts, strict=True)]
        return waves(sizes, len(data.layers), self.memory_bytes)

    def sums_of(self, data: BlockDataModule, wave: Wave, stage: int) -> Sums:
        parts = [self.parts[i] for i in wave.parts]
        if stage == 1:
            return HeldOutSums([self._fold_fits(i, wave.layers, data) for i in wave.parts])
        if row_side(data):
            return RowSums(parts, data, len(wave.layers), self.compute_device)
        return MomentSums(parts, data, len(wave.layers), self.compute_device, True)

    def conclude(self, data: BlockDataModule, wave: Wave, stage: int, sums: Sums) -> None:
        for i, part in enumerate(wave.parts):
            for place, layer in enumerate(wave.layers):
                if stage == 0:
                    self._fit(data, sums, i, part, place, layer)
                else:
                    assert isinstance(sums, HeldOutSums)
                    self.pieces[f"{part}.{layer}.held"] = sums.held[i][place].cpu()
                    # The folds' weights have done their service; those of the whole training part come last.
                    for name in ("weights", "offset"):
                        self.pieces[f"{part}.{layer}.{name}"] = self.pieces[f"{part}.{layer}.{name}"][-1:].clone()

    def log_solution(self) -> None:
        for target, solution in self._solutions.items():
            for layer, accuracy in enumerate(solution.held_out_accuracy()):
                self.log_by_layer("cv_accuracy", layer, {target: accuracy})

    def finish(self, data: BlockDataModule) -> None:
        real = len(data.real_targets)
        for target, name in enumerate(data.real_targets):
            copies = range(target, len(data.targets), real)
            fits = [[self._closed(data, t, layer) for t in copies] for layer in range(len(data.layers))]
            passes = len(self.waves) * self.stages
            self._solutions[name] = class_solution(data, self.labels, target, fits, self.shrinkages, passes)

    def _fit(self, data: BlockDataModule, sums: Sums, i: int, part: int, place: int, layer: int) -> None:
        """Of all folds but one, in turn, and of all of them, last: weights [F + 1, A, C, D], offset [F + 1, A, C]."""
        folds = list(range(max(data.folds, 1)))
        held = [*folds, None] if len(folds) > 1 else [None]
        fits = [self._one(sums, i, place, [f for f in folds if f != out], self.parts[part]) for out in held]
        mean, scale = fits[-1][2:]
        weights = torch.stack([fit[0] for fit in fits])
        offset = torch.stack([fit[1] + fit[0] @ (mean - fit[2]) for fit in fits])
        pieces = {"weights": weights, "offset": offset, "mean": mean, "scale": scale}
        self.pieces |= {f"{part}.{layer}.{name}": value.cpu() for name, value in pieces.items()}

    def _one(
        self, sums: Sums, i: int, place: int, folds: list[int], part: Part
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """weights [A, C, D] and offset [A, C] for inputs minus mean [D]; scale [D]."""
        shrinkages = torch.tensor(self.shrinkages, dtype=torch.float64, device=self.compute_device)
        if isinstance(sums, RowSums):
            rows = sums.targets[i]
            inside = torch.isin(rows.fold, torch.tensor(folds, device=rows.fold.device))
            used = torch.nonzero(torch.where(inside, rows.weight, 0.0))[:, 0]
            fit = RowProducts.of(sums.x[place, used], rows.weight[used])
            solved = [from_rows(fit, rows.y[used][:, c], shrinkages) for c in self._columns(part)]
            mean, scale, inverse = fit.mean, fit.scale, fit.inverse
        else:
            assert isinstance(sums, MomentSums)
            standard = standardise(sums.moments[i], place, folds)
            solved = [from_moments(standard, columns, shrinkages) for columns in self._columns(part)]
            mean, scale = standard.mean, standard.scale
            inverse = (standard.gram.diagonal() > 0).to(torch.float64) / scale
        coef, offset = (torch.cat([one[k] for one in solved], 1) for k in (0, 1))
        return coef * inverse, offset, mean, scale

    def _columns(self, part: Part) -> list[slice]:
        sizes = [len(self.labels.classes[self.labels.column(t)]) for t in part.targets]
        return [slice(sum(sizes[:i]), sum(sizes[: i + 1])) for i in range(len(sizes))]

    def _fold_fits(self, part: int, layers: list[int], data: BlockDataModule) -> FoldFits:
        folds = data.folds if data.folds > 1 else 0
        named = {
            name: torch.stack([self.pieces[f"{part}.{layer}.{name}"] for layer in layers]).to(self.compute_device)
            for name in ("weights", "offset", "mean")
        }
        weights, offset = named["weights"][:, :folds], named["offset"][:, :folds]
        return FoldFits(self.parts[part], weights, offset, named["mean"], self._columns(self.parts[part]))

    def _closed(self, data: BlockDataModule, target: int, layer: int) -> ClosedFit:
        part = next(i for i, p in enumerate(self.parts) if target in p.targets)
        place = self.parts[part].targets.index(target)
        columns = self._columns(self.parts[part])[place]
        named = {n: self.pieces[f"{part}.{layer}.{n}"] for n in ("weights", "offset", "mean", "scale", "held")}
        return ClosedFit(
            weights=named["weights"][-1][:, columns],
            offset=named["offset"][-1][:, columns],
            mean=named["mean"],
            scale=named["scale"],
            held=named["held"][:, :, place],
            labelled=self.labels.rows_by_fold(data, target)[: len(named["held"])],
        )
