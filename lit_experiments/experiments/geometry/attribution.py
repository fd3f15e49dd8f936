"""Collects, at the branching points that lead farthest away, which layers preferred the token that was taken.

One row per point of a path_sensitivity run: logit[first] - logit[second] as a sum over embedding, layers (attention
and MLP) and biases, raw and through the frozen final norm (`lm/attribution.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lit_experiments.collecting.collector import Collector
from lit_experiments.collecting.plan import Sample
from lit_experiments.errors import UserError
from lit_experiments.experiments.geometry.path_points import READS, Point, load_points
from lit_experiments.lm.attribution import LogitAttribution, attribute
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.ranges import at_least
from stores import Column, Field, Records, Schema

KINDS = ("raw", "frozen")
PARTS = ("layers", "attention", "mlp")


class AttributionCollector(Collector):
    """For each of the farthest points: one forward pass, the contribution of every layer to the choice there."""

    version: ClassVar[int] = 1
    given: ClassVar[frozenset[str]] = frozenset({"distance"})

    def __init__(self, spec: ModelSpec, path_run: str, top_n_points: int) -> None:
        """Reads the points; they must be of the same model.

        Args:
            path_run: Folder of a path_sensitivity run that was analyzed (its bifurcation_points.json is read).
            top_n_points: How many of its points, farthest first.

        Raises:
            UserError: no such run, not analyzed yet, another model, or no point with a distance.
        """
        super().__init__(spec)
        at_least(1, top_n_points=top_n_points)
        run = Path(path_run)
        points = [point for point in load_points(run) if point.rank is not None]
        store = READS.open(run)
        self._require_same_model(store.fingerprint["model"], run)
        if not points:
            raise UserError(f"No branching point of {run} has a distance, so none is the farthest.")
        self._notes = [f"{run}: {len(points)} branching points, the {min(top_n_points, len(points))} farthest"]
        table = store.table(["problem_id", "input_ids", "baseline_ids"]).to_pylist()
        texts = {row["problem_id"]: (row["input_ids"], row["baseline_ids"]) for row in table}
        self._samples = [_sample(i, point, *texts[point.problem_id]) for i, point in enumerate(points[:top_n_points])]

    def samples(self) -> Sequence[Sample]:
        return self._samples

    def notes(self) -> list[str]:
        return self._notes

    def settings(self) -> dict[str, Any]:
        points = [[s.payload["ids"], s.payload["pair"]] for s in self._samples]
        return {"points": hashlib.sha256(json.dumps(points).encode()).hexdigest(), "number": len(points)}

    def schema(self) -> Schema:
        layers = self.info.n_layers
        fields = tuple(
            Field(f"{kind}_{part}", ("sample", "layer"), (None, layers), "float64", "logits", f"{_WHAT[part]}, {kind}")
            for kind in KINDS
            for part in PARTS
        )
        return Schema(fields, _COLUMNS, {"layer": list(range(layers))})

    def collect(self, batch: Sequence[Sample]) -> Records:
        contributions = attribute(self.lm, [s.payload["ids"] for s in batch], [s.payload["pair"] for s in batch])
        arrays = {
            f"{kind}_{part}": np.ascontiguousarray(getattr(getattr(contributions, kind), part).numpy())
            for kind in KINDS
            for part in PARTS
        }
        return Records([_row(sample, contributions, k) for k, sample in enumerate(batch)], arrays)

    def _require_same_model(self, theirs: dict[str, Any], run: Path) -> None:
        ours = json.loads(json.dumps(self.info.fingerprint()))
        different = sorted(key for key in ours if ours[key] != theirs.get(key))
        if different:
            raise UserError(
                f"{run} was collected with another model than {self.info.name!r} (they differ in "
                f"{', '.join(different)}): its tokens say nothing of this one.\nNext: give the --model, --adapter and "
                f"--precision of that run, see {run / 'config.yaml'}."
            )


def _sample(index: int, point: Point, prompt: list[int], solution: list[int]) -> Sample:
    ids = [*prompt, *solution[: point.position - 1]]
    payload = {"point": point, "ids": ids, "pair": (point.first.id, point.second.id)}
    return Sample(f"{point.problem_id}/t{point.position:05d}", index, len(ids), payload)


def _row(sample: Sample, contributions: LogitAttribution, k: int) -> dict[str, Any]:
    point: Point = sample.payload["point"]
    return {
        "sample_id": sample.sample_id,
        "sample_index": sample.index,
        "problem_id": point.problem_id,
        "position": point.position,
        "rank": point.rank,
        "distance": point.relative_distance,
        "first_text": point.first.text,
        "second_text": point.second.text,
        "first_token": point.first.id,
        "second_token": point.second.id,
        "difference": float(contributions.difference[k]),
        "capped_difference": float(contributions.capped[k]),
        "raw_embed": float(contributions.raw.embed[k]),
        "frozen_embed": float(contributions.frozen.embed[k]),
        "bias": float(contributions.bias[k]),
        "residual": float(contributions.residual[k]),
    }


_WHAT = {
    "layers": "what the layer contributes to logit[first] - logit[second]",
    "attention": "its attention's part",
    "mlp": "its MLP's part",
}
_COLUMNS = (
    Column("problem_id", "string", "whose solution it is"),
    Column("position", "int64", "number of the generated token that is decided, from 1"),
    Column("rank", "int64", "of the point in the path_sensitivity run, 1 leads farthest away"),
    Column("distance", "float64", "its D(t), relative"),
    Column("first_text", "string", "the token that was taken"),
    Column("second_text", "string", "the second most likely one"),
    Column("first_token", "int64", "its id"),
    Column("second_token", "int64", "its id"),
    Column("difference", "float64", "logit[first] - logit[second], before the soft cap if the model has one"),
    Column("capped_difference", "float64", "the same after the soft cap"),
    Column("raw_embed", "float64", "what the embedding contributes, without the final norm"),
    Column("frozen_embed", "float64", "what the embedding contributes, through the frozen final norm"),
    Column("bias", "float64", "what the biases of final norm and head contribute"),
    Column("residual", "float64", "difference less embedding, layers (frozen) and biases: rounding"),
)
