"""Difference of means as a LightningModule: a pass of sums per class, and one of projections on the directions.

Of two classes the direction is mean of the second minus mean of the first; of more, of every class minus that of the
rest; of a number, its covariance with the inputs (the first direction of partial least squares). Inputs are not scaled.
The projections' scale and offset are fitted inside the training rows: `calibration` for classes, least squares for
numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.calibration import Scale, fit_scale
from lit_experiments.probes.class_parts import ClassLabels, ClassWeight
from lit_experiments.probes.class_solution import ClassSolution
from lit_experiments.probes.closed_classes import ClosedFit, class_solution
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.held_out import Projections
from lit_experiments.probes.masks import number_parts
from lit_experiments.probes.moments import Moments
from lit_experiments.probes.row_ridge import RowTargets
from lit_experiments.probes.solve import LayerFit, Solution, check_choice, solution_of
from lit_experiments.probes.streamed import StreamedProbe
from lit_experiments.probes.waves import MEMORY_BYTES, MomentSums, Part, Sums, Wave, bytes_per_layer, waves


class MeanDifferenceProbe(StreamedProbe):
    """Mean-difference probes for all layers and targets of a `BlockDataModule` in two passes.

    classes: of the targets that are classes, in the order of their codes; the others are numbers. class_weight: see
    `class_parts`; it weighs the calibration (class means do not depend on it, the mean of the rest does).
    memory_bytes: see `RidgeProbe`. `solutions` holds the fits of classes by target; `numbers` those of all other
    targets, in the data's order (the data module `only(data, *names)` fits it).
    """

    key = "mean_difference_pass"
    log_name = "mean_difference"
    stages: ClassVar[int] = 2

    def __init__(
        self,
        classes: Mapping[str, list[str]],
        class_weight: ClassWeight = None,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        super().__init__(memory_bytes)
        self.save_hyperparameters()
        self.classes, self.class_weight = {name: list(names) for name, names in classes.items()}, class_weight
        self.labels: ClassLabels | None = None
        self._solutions: dict[str, ClassSolution] = {}
        self._numbers: Solution | None = None

    @property
    def solutions(self) -> dict[str, ClassSolution]:
        """The fits of classes by target. Raises ProbeError while the passes are incomplete."""
        if not self.done:
            raise self.incomplete()
        return self._solutions

    @property
    def numbers(self) -> Solution | None:
        """The fits of numbers, None without any. Raises ProbeError while the passes are incomplete."""
        if not self.done:
            raise self.incomplete()
        return self._numbers

    def settings(self) -> dict[str, Any]:
        weight = self.class_weight if isinstance(self.class_weight, str | None) else dict(self.class_weight)
        return {"classes": self.classes, "class_weight": weight}

    def parts_of(self, data: BlockDataModule) -> list[Part]:
        check_choice(1, len(data.layers), max(data.folds, 1))
        self.labels = ClassLabels.of(data, self.classes, self.class_weight) if self.classes else None
        of_classes = self.labels.parts() if self.labels else []
        taken = set(self.labels.positions) if self.labels else set()
        return of_classes + number_parts(data, [t for t in range(len(data.targets)) if t not in taken])

    def waves_of(self, data: BlockDataModule) -> list[Wave]:
        rows, fits = int((data.fold != TEST).sum()), data.folds + 1
        sizes = bytes_per_layer(self.parts, data, products=False)
        sizes = [s + 8 * fits * p.columns * (rows + data.hidden) for s, p in zip(sizes, self.parts, strict=True)]
        return waves(sizes, len(data.layers), self.memory_bytes)

    def sums_of(self, data: BlockDataModule, wave: Wave, stage: int) -> Sums:
        if stage == 0:
            parts = [self.parts[i] for i in wave.parts]
            return MomentSums(parts, data, len(wave.layers), self.compute_device, False)
        directions, means = (
            [torch.stack([self.pieces[f"{i}.{layer}.{name}"] for layer in wave.layers]) for i in wave.parts]
            for name in ("directions", "mean")
        )
        device = self.compute_device
        return Projections(data, [d.to(device) for d in directions], [m.to(device) for m in means])

    def conclude(self, data: BlockDataModule, wave: Wave, stage: int, sums: Sums) -> None:
        for i, part in enumerate(wave.parts):
            for place, layer in enumerate(wave.layers):
                if stage == 0:
                    assert isinstance(sums, MomentSums)
                    pieces = self._directions(sums.moments[i], place, self.parts[part], max(data.folds, 1))
                else:
                    assert isinstance(sums, Projections)
                    pieces = self._scales(data, sums.values[i][place].cpu().numpy(), part, layer)
                self.pieces |= {f"{part}.{layer}.{name}": value.cpu() for name, value in pieces.items()}

    def log_solution(self) -> None:
        for target, solution in self._solutions.items():
            for layer, accuracy in enumerate(solution.held_out_accuracy()):
                self.log_by_layer("cv_accuracy", layer, {target: accuracy})

    def finish(self, data: BlockDataModule) -> None:
        real, layers = len(data.real_targets), range(len(data.layers))
        self._solutions, self._numbers = {}, None
        for target, name in enumerate(data.real_targets):
            if self.labels is not None and name in self.classes:
                copies = range(target, len(data.targets), real)
                fits = [[self._closed(data, t, layer) for t in copies] for layer in layers]
                passes = len(self.waves) * self.stages
                self._solutions[name] = class_solution(data, self.labels, target, fits, [0.0], passes)
        numbers = [i for i, part in enumerate(self.parts) if not self._is_classes(part)]
        if numbers:
            order = sorted(t for i in numbers for t in self.parts[i].targets)
            names = LayerFit._fields
            fits_of = [
                [LayerFit(*(self.pieces[f"{i}.{layer}.{name}"] for name in names)) for layer in layers] for i in numbers
            ]
            positions = [[order.index(t) for t in self.parts[i].targets] for i in numbers]
            self._numbers = solution_of(list(zip(positions, fits_of, strict=True)), [0.0])

    def _is_classes(self, part: Part) -> bool:
        return self.labels is not None and part.targets[0] in self.labels.positions

    def _directions(self, moments: Moments, place: int, part: Part, folds: int) -> dict[str, Tensor]:
        """directions [F + 1, J, D] of all folds but one in turn, and of all of them; mean [D] of all rows; n []."""
        every = list(range(folds))
        chosen = [[f for f in every if f != out] for out in every] + [every] if folds > 1 else [every]
        fits = [_covariance(moments, place, folds_in) for folds_in in chosen]
        directions = torch.stack([self._of_columns(part, cross / n, y_mean) for n, _, y_mean, cross in fits])
        n, mean, _, _ = fits[-1]
        return {"directions": directions, "mean": mean, "n": n}

    def _of_columns(self, part: Part, covariance: Tensor, share: Tensor) -> Tensor:
        """[J, D] from covariances [D, C]; those of classes with the marks of a class, share [C], become differences."""
        if not self._is_classes(part):
            return covariance.T
        out = []
        for columns in self._columns(part):
            p = share[columns]
            # Covariance with a mark = p (m_k - mean) = p (1 - p) (m_k - mean of the rest).
            rest = torch.where((p > 0) & (p < 1), p * (1 - p), torch.inf)
            difference = (covariance[:, columns] / rest).T
            out.append(difference[1:] if len(p) == 2 else difference)
        return torch.cat(out)

    def _scales(self, data: BlockDataModule, scores: np.ndarray, part: int, layer: int) -> dict[str, Tensor]:
        """scores: [row, F + 1, J]."""
        train = np.flatnonzero(data.fold != TEST)
        rows = RowTargets.of(self.parts[part].view(data.without_features(train)), torch.device("cpu"))
        directions = self.pieces[f"{part}.{layer}.directions"][-1]
        if self._is_classes(self.parts[part]):
            return self._class_scales(scores, rows, self.parts[part]) | {"directions": directions[None]}
        weight, y, fold = rows.weight.numpy(), rows.y.numpy(), rows.fold.numpy()
        folds = range(scores.shape[1] - 1)
        errors = [_squares(scores[:, f], rows, np.where(fold == f, 0.0, weight), fold == f) for f in folds]
        slope, middle, center = _line(scores[:, -1], y, weight)
        mean = self.pieces[f"{part}.{layer}.mean"]
        # The line goes through the means of score and target; the score of the mean input is 0, and so is their mean.
        pieces = {
            "scale": torch.ones_like(mean),
            "y_mean": torch.from_numpy(center - slope * middle),
            "coef": torch.from_numpy(slope)[:, None] * directions,
            "cv_mse": torch.from_numpy(np.stack(errors)[:, None]) if errors else torch.zeros(0, 1, len(slope)),
            "penalty_index": torch.zeros(len(slope), dtype=torch.int64),
        }
        return {name: value.to(torch.float64) if value.is_floating_point() else value for name, value in pieces.items()}

    def _class_scales(self, scores: np.ndarray, rows: RowTargets, part: Part) -> dict[str, Tensor]:
        """slope, offset [J] of all rows, and held [F, T, 3]: weighted log-loss, right answers, weight."""
        weight, fold, marks = rows.weight.numpy(), rows.fold.numpy(), rows.y.numpy()
        held = np.zeros((scores.shape[1] - 1, len(part.targets), 3))
        slopes, offsets, start = [], [], 0
        for target, columns in enumerate(self._columns(part)):
            width = 1 if columns.stop - columns.start == 2 else columns.stop - columns.start
            here, codes = scores[..., start : start + width], marks[:, columns].argmax(1)
            start += width
            for f in range(len(held)):
                scale = fit_scale(here[:, f], codes, np.where(fold == f, 0.0, weight))
                held[f, target] = _held(scale, here[:, f], codes, np.where(fold == f, weight, 0.0))
            final = fit_scale(here[:, -1], codes, weight)
            slopes.append(final.slope)
            offsets.append(final.offset)
        slope, offset = (torch.from_numpy(np.concatenate(values)) for values in (slopes, offsets))
        return {"slope": slope, "offset": offset, "held": torch.from_numpy(held)}

    def _columns(self, part: Part) -> list[slice]:
        assert self.labels is not None
        sizes = [len(self.labels.classes[self.labels.column(t)]) for t in part.targets]
        return [slice(sum(sizes[:i]), sum(sizes[: i + 1])) for i in range(len(sizes))]

    def _closed(self, data: BlockDataModule, target: int, layer: int) -> ClosedFit:
        assert self.labels is not None
        part = next(i for i, p in enumerate(self.parts) if target in p.targets)
        place = self.parts[part].targets.index(target)
        widths = [1 if c.stop - c.start == 2 else c.stop - c.start for c in self._columns(self.parts[part])]
        here = slice(sum(widths[:place]), sum(widths[: place + 1]))
        names = ("directions", "slope", "offset", "mean", "held")
        directions, slope, offset, mean, held = (self.pieces[f"{part}.{layer}.{name}"] for name in names)
        weights, b = slope[here, None] * directions[-1][here], offset[here]
        if len(b) == 1:
            weights, b = torch.cat([torch.zeros_like(weights), weights]), torch.cat([torch.zeros_like(b), b])
        scores = held[:, None, place]
        labelled = self.labels.rows_by_fold(data, target)[: len(scores)]
        return ClosedFit(weights[None], b[None], mean, torch.ones_like(mean), scores, labelled)


def _covariance(moments: Moments, place: int, folds: list[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """n [], mean [D], y_mean [C], cross [D, C]: sums of products about the means."""
    n, x, y = moments.count[folds].sum(), moments.x[folds, place].sum(0), moments.y[folds].sum(0)
    cross = moments.xy[folds, place].sum(0) - torch.outer(x / n, y)
    return n, moments.shift[place] + x / n, moments.y_shift + y / n, cross


def _line(scores: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """slope, mean score and mean target [T] of the weighted least-squares lines of y [row, T] on scores [row, T]."""
    middle, center = weight @ scores / weight.sum(), weight @ y / weight.sum()
    spread = weight @ (scores - middle) ** 2
    product = weight @ ((scores - middle) * (y - center))
    return np.where(spread > 0, product / np.where(spread > 0, spread, 1.0), 0.0), middle, center


def _squares(scores: np.ndarray, rows: RowTargets, weight: np.ndarray, held: np.ndarray) -> np.ndarray:
    """[T] weighted mean squared error on the held-out rows of the lines that the others give."""
    y, within, count = rows.y.numpy(), rows.within.numpy(), np.where(held, rows.weight.numpy(), 0.0)
    slope, middle, center = _line(scores, y, weight)
    errors = (y - center - slope * (scores - middle)) ** 2
    return np.asarray((count @ errors + within[held].sum(0)) / count.sum())


def _held(scale: Scale, scores: np.ndarray, codes: np.ndarray, weight: np.ndarray) -> tuple[float, float, float]:
    logits = scale.logits(scores)
    top = logits.max(1)
    loss = top + np.log(np.exp(logits - top[:, None]).sum(1)) - logits[np.arange(len(codes)), codes]
    known = np.where(loss < 5e3, weight, 0.0)
    return float(known @ loss), float(known @ (logits.argmax(1) == codes)), float(known.sum())
