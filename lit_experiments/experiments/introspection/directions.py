"""Directions of confidence: where do states of high- and low-confidence questions lie apart?

For the self- and the other-confidence pass and each layer: the difference of the means of the answer-position states of
the most and the least confident questions; how well it separates questions that it has not seen, beside shuffled
labels; its cosine to the other pass's direction and to the weights of a ridge.

    lit-experiments analyze --exp introspection_directions --run runs/introspection

Writes directions.json, directions.safetensors (to steer along later), a figure and a report.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import save

from lit_experiments.experiments.introspection.analysis import (
    CONFIDENCE_PASSES,
    READS,
    NothingToCompare,
    check_settings,
    identity,
    open_introspection,
)
from lit_experiments.experiments.introspection.directions_report import write_report
from lit_experiments.experiments.introspection.ridge import choose_ridge
from lit_experiments.experiments.introspection.separation import (
    Bools,
    Extremes,
    Floats,
    Labelled,
    auroc_estimate,
    auroc_within_folds,
    cohens_d,
    corrected_cosine,
    direction,
    extremes,
    held_out_projections,
    shuffled_labels,
    squared_length,
)
from lit_experiments.experiments.introspection.summary import answer_states, passes
from lit_experiments.plain import write_json
from lit_experiments.ranges import at_least, between
from lit_experiments.statistics import GroupBootstrap, holm
from stores import Store

LEVEL = 0.95


@dataclass(frozen=True)
class Pass:
    """One confidence pass: its rows, who is of high and low confidence, and the resamples and shuffles of these."""

    kind: str
    rows: pd.DataFrame
    chosen: Extremes
    boot: GroupBootstrap
    shuffled: Bools


class IntrospectionDirections:
    """Reads a store of study 3; writes directions, metrics, a figure and a report into the run's results folder."""

    reads: ClassVar[str] = READS

    def __init__(
        self, share: float, folds: int, penalties: list[float], shuffles: int, bootstraps: int, seed: int
    ) -> None:
        """Checks the settings.

        Args:
            share: Share of the questions that counts as of high confidence, and as of low: 1/3 is the outer thirds.
            folds: Folds of the cross-validation, by question.
            penalties: Ridge penalties to choose from, by cross-validation inside each training part.
            shuffles: Labelings permuted between questions, as a control.
            bootstraps: Resamples of the bootstrap over questions.
            seed: Seed of the folds, the shuffles and the bootstrap.
        """
        between(0, 0.5, share=share)
        at_least(1, shuffles=shuffles)
        check_settings(folds, bootstraps, seed, penalties)
        self.share, self.folds, self.penalties = share, folds, penalties
        self.shuffles, self.bootstraps, self.seed = shuffles, bootstraps, seed

    def identity(self, run: Path) -> dict[str, Any]:
        """What the results follow from.

        Raises:
            UserError: the store is none of study 3, or holds no confidence pass.
        """
        return identity(open_introspection(run), dict(vars(self)))

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Computes, and writes everything into `out`; returns the result table and where the page is."""
        store = open_introspection(run)
        found, statements = self._passes(passes(store))
        names = [str(name) for name in store.schema.coords["layer"]]
        result: dict[str, Any] = {"layers": names, "statements": statements, "share": self.share}
        result |= {"interval_level": LEVEL, "shuffles": self.shuffles, "folds": self.folds}
        result["passes"] = {each.kind: self._pass(store, each, len(names)) for each in found}
        if len(found) == len(CONFIDENCE_PASSES):
            result["self_other"] = self._between(store, found, statements)
        _save_directions(out / "directions.safetensors", result)
        text = write_report(out, result, store)
        write_json(out / "directions.json", result)
        return text

    def _passes(self, rows: dict[str, pd.DataFrame]) -> tuple[list[Pass], list[str]]:
        """The passes that can be analyzed, and a statement for each that cannot."""
        found, statements = [], []
        for kind in CONFIDENCE_PASSES:
            if kind not in rows:
                statements.append(f"{kind}: the store holds no such pass.")
                continue
            try:
                found.append(self._ready(kind, rows[kind]))
            except NothingToCompare as reason:
                statements.append(f"{kind}: {reason}")
        return found, statements

    def _ready(self, kind: str, rows: pd.DataFrame) -> Pass:
        ids = rows.index.to_numpy().astype(str)
        chosen = extremes(rows[kind].to_numpy(np.float64), ids, self.share, self.folds, self.seed)
        shuffled = shuffled_labels(chosen.high, chosen.fold, self.shuffles, self.seed)
        return Pass(kind, rows, chosen, self._boot(ids[chosen.rows]), shuffled)

    def _boot(self, ids: NDArray[np.str_]) -> GroupBootstrap:
        return GroupBootstrap(ids, resamples=self.bootstraps, level=LEVEL, seed=self.seed)

    def _pass(self, store: Store, each: Pass, count: int) -> dict[str, Any]:
        layers = [self._layer(_states(store, each.rows, layer), each) for layer in range(count)]
        for layer, corrected in zip(layers, holm([layer["p"] for layer in layers]), strict=True):
            layer["p_holm"] = float(corrected)
        chosen = each.chosen
        return {
            "questions": len(each.rows),
            "high": int(chosen.high.sum()),
            "low": int((~chosen.high).sum()),
            "thresholds": [chosen.lower, chosen.upper],
            "layers": layers,
        }

    def _layer(self, states: Floats, each: Pass) -> dict[str, Any]:
        """Everything about one pass and layer; states: [question, hidden]."""
        chosen = each.chosen
        x, high, fold = states[chosen.rows], chosen.high, chosen.fold
        unit = direction(x, high)
        scores = held_out_projections(x, high[:, None], fold)[:, 0]
        control = auroc_within_folds(held_out_projections(x, each.shuffled, fold), each.shuffled, fold)
        auroc = auroc_estimate(scores, high, fold, each.boot)
        better = (control >= auroc.value).sum()
        square = float(np.sum((x[high].mean(0) - x[~high].mean(0)) ** 2))
        labelled = Labelled(x, high.astype(np.float64), (~high).astype(np.float64))
        return {
            "auroc": auroc,
            "cohens_d": cohens_d(scores, high, fold, each.boot),
            "shuffled": self._control(control),
            "p": float((1 + better) / (1 + len(control))) if np.isfinite(auroc.value) else float("nan"),
            "ridge": self._ridge(x, each),
            "spread": float((states @ unit).std()),
            "length": float(np.sqrt(square)) if square else float("nan"),
            "signal_share": squared_length(labelled) / square if square else float("nan"),
            "direction": unit,
        }

    def _control(self, values: Floats) -> dict[str, float]:
        tail = (1 - LEVEL) / 2
        low, high = np.quantile(values, [tail, 1 - tail])
        return {"mean": float(values.mean()), "low": float(low), "high": float(high)}

    def _ridge(self, x: Floats, each: Pass) -> dict[str, Any]:
        """A ridge of confidence on the same training rows as each fold's direction: its AUROC and cosine to that."""
        chosen = each.chosen
        confidence = each.rows[each.kind].to_numpy(np.float64)[chosen.rows]
        scores, cosines = np.full(len(x), np.nan), []
        for f in range(self.folds):
            train = chosen.fold != f
            fit = choose_ridge(x[train], confidence[train], chosen.fold[train], self.penalties)
            length = np.linalg.norm(fit.weights)
            if length:
                scores[~train] = fit.predict(x[~train])
                cosines.append(float(fit.weights @ direction(x[train], chosen.high[train]) / length))
        lowest, mean, highest = (float(f(cosines)) if cosines else float("nan") for f in (np.min, np.mean, np.max))
        auroc = auroc_estimate(scores, chosen.high, chosen.fold, each.boot)
        return {"auroc": auroc, "cosine": mean, "cosine_lowest": lowest, "cosine_highest": highest}

    def _between(self, store: Store, found: list[Pass], statements: list[str]) -> list[dict[str, Any]]:
        """Per layer the cosine of the two passes' directions, over the questions that both passes hold."""
        common = found[0].rows.index.intersection(found[1].rows.index)
        masks = [_masks(each, common) for each in found]
        used = np.any([high + low > 0 for high, low in masks], axis=0)
        if min(m[used].sum() for pair in masks for m in pair) < 2:
            statements.append("The two passes share too few questions for a cosine between their directions.")
            return []
        boot = self._boot(common.to_numpy().astype(str)[used])
        out = []
        for layer in range(len(store.schema.coords["layer"])):
            one, other = (
                Labelled(_states(store, each.rows.loc[common], layer)[used], high[used], low[used])
                for each, (high, low) in zip(found, masks, strict=True)
            )
            out.append({"cosine": corrected_cosine(one, other, boot), "plain_cosine": _plain_cosine(one, other)})
        return out


def _states(store: Store, rows: pd.DataFrame, layer: int) -> Floats:
    """Answer-position states [question, hidden] about their first row.

    Nothing here depends on a common shift; taking it away keeps digits, and makes a layer whose states are all the
    same exactly 0, where a difference of means would be rounding.
    """
    found = answer_states(store, rows, layer)
    return found - found[:1]


def _masks(each: Pass, common: pd.Index) -> tuple[Floats, Floats]:
    """1 for the common questions of high, and of low confidence."""
    ids = each.rows.index[each.chosen.rows]
    high, low = ids[each.chosen.high], ids[~each.chosen.high]
    return common.isin(high).astype(np.float64), common.isin(low).astype(np.float64)


def _plain_cosine(one: Labelled, other: Labelled) -> float:
    """Cosine of the two directions as estimated, noise and all."""
    units = []
    for side in (one, other):
        taken = side.high + side.low > 0
        units.append(direction(side.x[taken], side.high[taken] > 0))
    return float(units[0] @ units[1])


def _save_directions(path: Path, result: dict[str, Any]) -> None:
    """Takes the vectors out of the result, into a safetensors file: per pass `direction` [layer, hidden], unit
    vectors towards high confidence (NaN where there is none), and `spread` [layer], the standard deviation of all
    questions' projections, in the units of the states."""
    tensors: dict[str, NDArray[np.float32]] = {}
    for kind, about in result["passes"].items():
        vectors = np.stack([layer.pop("direction") for layer in about["layers"]])
        tensors[f"{kind}.direction"] = vectors.astype(np.float32)
        tensors[f"{kind}.spread"] = np.array([layer["spread"] for layer in about["layers"]], np.float32)
    path.write_bytes(save(tensors, metadata={"layers": json.dumps(result["layers"])}))
