"""What a logistic run reports: scores with intervals over groups, baseline and controls, ready for JSON.

Reads no data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lit_experiments.plain import plain
from lit_experiments.probes.class_evaluate import ClassPredictions
from lit_experiments.probes.class_solution import ClassSolution
from lit_experiments.statistics import Estimate, GroupBootstrap
from lit_experiments.statistics.calibration import aurocs, reliability
from lit_experiments.statistics.calibration_error import calibration_error
from lit_experiments.statistics.intervals import SHARE
from lit_experiments.statistics.permutation import permutation_p

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class OneClass:
    """Of one class: rows that have it, and precision, recall and F1 (NaN where undefined)."""

    name: str
    rows: int
    precision: Estimate
    recall: Estimate
    f1: Estimate


@dataclass(frozen=True)
class ClassScores:
    """Scores of one part; each interval is over groups.

    macro_f1: mean of F1 over the classes that occur among labels or answers. log_loss: nats. calibration_error: of
    the top probability, root mean square over rows. auroc: of the second class of two, None with more.
    confusion: [true][answer] rows. reliability: by bins of the top probability: edges, rows, mean confidence, share
    right (None where empty).
    """

    accuracy: Estimate
    macro_f1: Estimate
    log_loss: Estimate
    calibration_error: Estimate
    auroc: Estimate | None
    classes: list[OneClass]
    confusion: list[list[int]]
    reliability: dict[str, list[float]]
    rows: int
    groups: int


@dataclass(frozen=True)
class ClassLayer:
    """One layer at its own cross-validated penalty. cv_log_loss, cv_accuracy: None without cross-validation."""

    layer: str
    penalty: float
    cv_log_loss: float | None
    cv_accuracy: float | None
    test_accuracy: Estimate
    test_log_loss: Estimate
    objective: float
    gradient: float
    iterations: int
    converged: bool


@dataclass(frozen=True)
class ClassControl:
    """The same procedure on labels permuted between groups: test accuracy and log-loss of each shuffle.

    p_value: (1 + shuffles at least as accurate as the real one) / (1 + shuffles), NaN without shuffles or test rows.
    """

    accuracy: list[float]
    log_loss: list[float]
    p_value: float


@dataclass(frozen=True)
class ClassResult:
    """Everything about one run. Layer and penalty were chosen by cross-validated log-loss in the training part.

    majority: test scores of the training part's class shares, which answer with its commonest class. cv_log_loss: for
    each penalty, at the chosen layer. unconverged: fits, held-out ones included, that missed their tolerance.
    cv_left_out: held-out rows that counted in no score because the other folds lack their class.
    """

    layer: str
    penalty: float
    train: ClassScores
    test: ClassScores
    majority: ClassScores
    by_layer: list[ClassLayer]
    cv_log_loss: dict[float, float]
    shuffled: ClassControl
    unconverged: int
    cv_left_out: int
    passes: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; NaN becomes None."""
        return plain(self)


def class_report(solution: ClassSolution, predictions: ClassPredictions, bins: int) -> ClassResult:
    """The result of a run. bins: of confidence, for calibration."""
    layer = int(solution.layer_index[0])
    by_layer = _by_layer(solution, predictions)
    train, test = (score_classes(predictions, name, bins) for name in ("train", "test"))
    true, _, boot = predictions.part("test")
    shares = np.broadcast_to(solution.share.numpy(), (len(true), len(predictions.classes)))
    loss = solution.cv_loss[layer, :, :, 0]
    unconverged = sum(int((~fits.converged).sum()) for fits in (solution.final, solution.chosen_from))
    return ClassResult(
        predictions.layers[layer],
        by_layer[layer].penalty,
        train,
        test,
        class_scores(true, shares, boot, predictions.classes, bins),
        by_layer,
        dict(zip(solution.penalties.tolist(), loss.nanmean(0).tolist() if len(loss) else [], strict=False)),
        _control(predictions, test.accuracy.value),
        unconverged,
        int(solution.cv_left_out[:, 0].sum()),
        solution.passes,
    )


def score_classes(predictions: ClassPredictions, name: str, bins: int) -> ClassScores:
    """Scores of the chosen fit on the "train" or "test" part."""
    return class_scores(*predictions.part(name), predictions.classes, bins)


def class_scores(
    true: Codes, probability: Floats, boot: GroupBootstrap, classes: tuple[str, ...], bins: int
) -> ClassScores:
    """Scores of any labelled rows: true [row] codes, probability [row, K], boot over the rows' groups."""
    answer = probability.argmax(1)
    right = (answer == true).astype(np.float64)
    at = probability[np.arange(len(true)), true]
    # Float64 probabilities reach 0 below e^-745; the loss of such a row is then at least that.
    loss = -np.log(np.maximum(at, np.finfo(np.float64).tiny))
    ones = np.ones(len(true))
    accuracy = boot.from_sums(boot.sums(np.stack([right, ones], -1)), _ratio, SHARE).item()
    log_loss = boot.from_sums(boot.sums(np.stack([loss, ones], -1)), _ratio).item()
    counts = _class_sums(true, answer, boot, len(classes))
    confidence = probability.max(1)
    table = reliability(confidence, right, bins)
    return ClassScores(
        accuracy,
        boot.from_sums(counts.reshape(len(counts), 3 * len(classes)), partial(_macro_f1, classes=len(classes))).item(),
        log_loss,
        calibration_error(confidence, right, bins, boot),
        _auroc(true, probability, boot) if len(classes) == 2 else None,
        _by_class(counts, boot, classes),
        np.bincount(true * len(classes) + answer, minlength=len(classes) ** 2).reshape(-1, len(classes)).tolist(),
        {name: getattr(table, name).tolist() for name in ("edges", "weight", "confidence", "accuracy")},
        len(true),
        boot.n,
    )


def _auroc(true: Codes, probability: Floats, boot: GroupBootstrap) -> Estimate:
    rarer = min(len(np.unique(boot.unit_of_row[true == code])) for code in (0, 1))
    return boot.from_weights(partial(aurocs, probability[:, 1], true), SHARE, rarer).item()


def _ratio(sums: Floats) -> Floats:
    return sums[..., 0] / sums[..., 1]


def _class_sums(true: Codes, answer: Codes, boot: GroupBootstrap, classes: int) -> Floats:
    """[unit, class, 3]: right answers, answers and labels of each class."""
    out = np.zeros((boot.units, classes, 3))
    for column, codes, weight in ((0, true, true == answer), (1, answer, None), (2, true, None)):
        cell = boot.unit_of_row * classes + codes
        out[..., column] = np.bincount(cell, weight, boot.units * classes).reshape(boot.units, classes)
    return out


def _f1(sums: Floats) -> Floats:
    return 2 * sums[..., 0] / (sums[..., 1] + sums[..., 2])


def _macro_f1(sums: Floats, classes: int) -> Floats:
    """Of totals [..., classes * 3]; classes that occur nowhere have no F1 and are not averaged."""
    f1 = _f1(sums.reshape(*sums.shape[:-1], classes, 3))
    known = np.isfinite(f1)
    return np.where(known, f1, 0.0).sum(-1) / known.sum(-1)


def _by_class(counts: Floats, boot: GroupBootstrap, classes: tuple[str, ...]) -> list[OneClass]:
    precision = boot.from_sums(counts[..., [0, 1]], _ratio, SHARE)
    recall, f1 = boot.from_sums(counts[..., [0, 2]], _ratio, SHARE), boot.from_sums(counts, _f1, SHARE)
    rows = counts[..., 2].sum(0)
    return [OneClass(name, int(rows[k]), precision[k], recall[k], f1[k]) for k, name in enumerate(classes)]


def _by_layer(solution: ClassSolution, predictions: ClassPredictions) -> list[ClassLayer]:
    boot, terms = predictions.bootstraps["test"], predictions.layer_terms
    loss = boot.from_sums(terms[..., [0, 2]], _ratio)
    right = boot.from_sums(terms[..., [1, 2]], _ratio, SHARE)
    out = []
    for at, layer in enumerate(predictions.layers):
        index = int(solution.penalty_index[at, 0])
        cv_loss, cv_accuracy = (
            _fold_mean(table[at, :, index, 0]) for table in (solution.cv_loss, solution.cv_accuracy)
        )
        fit = solution.final
        out.append(
            ClassLayer(
                layer=layer,
                penalty=float(solution.penalties[index]),
                cv_log_loss=cv_loss,
                cv_accuracy=cv_accuracy,
                test_accuracy=right[at],
                test_log_loss=loss[at],
                objective=float(fit.objective[at, 0]),
                gradient=float(fit.gradient[at, 0]),
                iterations=int(fit.iterations[at, 0]),
                converged=bool(fit.converged[at, 0]),
            )
        )
    return out


def _fold_mean(by_fold: Tensor) -> float | None:
    return float(by_fold.nanmean()) if len(by_fold) else None


def _control(predictions: ClassPredictions, real: float) -> ClassControl:
    with np.errstate(invalid="ignore"):
        loss, accuracy = (predictions.shuffled[:, column] / predictions.shuffled[:, 2] for column in (0, 1))
    return ClassControl(accuracy.tolist(), loss.tolist(), float(permutation_p(real, accuracy)))
