"""The files of a training: a probe per target and layer, the split, and every prediction.

RUN/linear_probes/TARGET holds the chosen probe, TARGET/LAYER those of its field's layers, TARGET/FIELD/LAYER those of
other fields. Does not know: fitting, scores.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lit_experiments.experiments.linear_probes.evaluation import Evaluation, FieldReading
from lit_experiments.experiments.linear_probes.fitting import LayerMaps, Method, method_of
from lit_experiments.probes.blocks import TEST
from lit_experiments.probes.class_probe import ClassProbe, save_class_probe
from lit_experiments.probes.linear import LinearProbe
from lit_experiments.probes.save import save_probe
from stores import Store

PREDICTIONS = "predictions.parquet"


def folder_name(target: str) -> str:
    """The name of a target's folder: characters that no file name should have become "_"."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", target).lstrip(".") or "_"


def save_probes(out: Path, store: Store, evaluation: Evaluation, method: Method) -> None:
    """Writes a target's probes of every layer of every field, and the chosen one once more, last."""
    folder, chosen = out / folder_name(evaluation.problem.name), evaluation.chosen
    for reading in evaluation.readings:
        below = folder if reading is chosen else folder / reading.fit.field.name
        for place, layer in enumerate(reading.fit.field.layers):
            _save(below / folder_name(layer), store, evaluation, reading, place, method)
    _save(folder, store, evaluation, chosen, chosen.fit.main.layer, method)


def _save(
    folder: Path, store: Store, evaluation: Evaluation, reading: FieldReading, place: int, method: Method
) -> None:
    problem, maps = evaluation.problem, reading.fit.main
    field, layer = reading.fit.field, reading.fit.field.layers[place]
    notes = {
        "target": problem.name,
        "field": field.name,
        "positions": _positions(evaluation, reading),
        "method": method_of(problem, method),
        "classes": list(problem.classes),
        "spread": _spread(reading, problem.classes),
        "model": store.fingerprint.get("model", {}),
    }
    fingerprint = dict(reading.fit.data.fingerprint)
    if problem.classes:
        save_class_probe(_class_probe(maps, place, layer, problem.classes, fingerprint, notes), folder)
    else:
        save_probe(_linear_probe(maps, place, layer, problem.name, fingerprint, notes), folder)


def _linear_probe(
    maps: LayerMaps, place: int, layer: str, target: str, fingerprint: dict[str, Any], notes: dict[str, Any]
) -> LinearProbe:
    return LinearProbe(
        targets=(target,),
        layers=(layer,),
        weights=maps.weights[place],
        mean=maps.mean[place][None],
        scale=maps.scale[place][None],
        intercept=maps.intercept[place],
        penalty=maps.penalty[place : place + 1],
        fingerprint=fingerprint,
        rows=maps.rows,
        notes=notes,
    )


def _class_probe(
    maps: LayerMaps,
    place: int,
    layer: str,
    classes: tuple[str, ...],
    fingerprint: dict[str, Any],
    notes: dict[str, Any],
) -> ClassProbe:
    return ClassProbe(
        classes=classes,
        layer=layer,
        weights=maps.weights[place],
        mean=maps.mean[place],
        scale=maps.scale[place],
        intercept=maps.intercept[place],
        penalty=float(maps.penalty[place]),
        model=notes["model"],
        fingerprint=fingerprint,
        rows=maps.rows,
        notes=notes,
    )


def _positions(evaluation: Evaluation, reading: FieldReading) -> str:
    if evaluation.problem.entry is not None:
        return f"labelled entries along {reading.fit.field.dim}"
    return f"last entry along {reading.fit.field.dim}" if reading.fit.field.ragged else reading.fit.field.name


def _spread(reading: FieldReading, classes: tuple[str, ...]) -> dict[str, Any]:
    """Layer -> standard deviation of training rows along the direction, or class -> that of its direction."""
    layers = zip(reading.fit.field.layers, reading.main.spread.tolist(), strict=True)
    if len(classes) > 2:
        return {layer: dict(zip(classes, values, strict=True)) for layer, values in layers}
    return {layer: values[0] for layer, values in layers}


def split_of(store: Store, evaluations: Sequence[Evaluation]) -> dict[str, dict[str, list[str]]]:
    """Target -> part -> sample ids."""
    ids = np.array(store.sample_ids, str)
    out = {}
    for evaluation in evaluations:
        problem = evaluation.problem
        parts = {"test": problem.part == TEST, "train": problem.part != TEST}
        out[problem.name] = {name: np.unique(ids[problem.row[rows]]).tolist() for name, rows in parts.items()}
    return out


def write_predictions(out: Path, store: Store, evaluations: Sequence[Evaluation]) -> None:
    """predictions.parquet: sample_id, entry (of tokens), target, part, true, predicted, and the probability of the
    predicted class; whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    ids = np.array(store.sample_ids, str)
    tables = []
    for evaluation in evaluations:
        problem, predicted = evaluation.problem, evaluation.predicted
        if problem.classes:
            names = np.array(problem.classes)
            true, predictions = names[problem.y.astype(int)].tolist(), names[predicted.argmax(1)].tolist()
            sure = predicted.max(1).tolist()
        else:
            true, predictions = ([repr(float(v)) for v in values] for values in (problem.y, predicted[:, 0]))
            sure = [None] * len(problem)
        columns = {
            "sample_id": pa.array(ids[problem.row].tolist(), pa.string()),
            "entry": pa.array([None] * len(problem) if problem.entry is None else problem.entry.tolist(), pa.int64()),
            "target": pa.array([problem.name] * len(problem), pa.string()),
            "part": pa.array(np.where(problem.test, "test", "train").tolist(), pa.string()),
            "true": pa.array(true, pa.string()),
            "predicted": pa.array(predictions, pa.string()),
            "probability": pa.array(sure, pa.float64()),
        }
        tables.append(pa.table(columns))
    draft = out / f"{PREDICTIONS}.tmp"
    pq.write_table(pa.concat_tables(tables) if tables else pa.table({"target": pa.array([], pa.string())}), draft)
    draft.replace(out / PREDICTIONS)


def probe_folders(out: Path) -> dict[str, Path]:
    """File name -> folder of every target's chosen probe."""
    return {f"{path.parent.name}.pkl": path.parent for path in sorted(out.glob("*/probe.json"))}
