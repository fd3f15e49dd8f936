"""Which layers decide at the branching points that lead farthest away: attention or MLP, early or late?

    lit-experiments analyze --exp attribution --run runs/attribution

Writes attribution.json, figures and a report. Contributions through the frozen final norm add up to the difference of
the two logits; the raw ones do not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lit_experiments.experiments.geometry.attribution_report import write_report
from lit_experiments.experiments.geometry.runs import identity, open_run
from lit_experiments.plain import write_json
from lit_experiments.ranges import at_least, seeds
from lit_experiments.statistics import Estimate, GroupBootstrap

LEVEL = 0.95
PARTS = ("layers", "attention", "mlp")


class Attribution:
    """Reads an attribution store; sums up over points what each layer contributes."""

    reads: ClassVar[str] = "attribution"

    def __init__(self, shown_points: int, bootstraps: int, seed: int) -> None:
        """Checks the settings.

        Args:
            shown_points: Points drawn one by one, the farthest first.
            bootstraps: Resamples of the bootstrap over problems.
            seed: Seed of the bootstrap.
        """
        at_least(1, shown_points=shown_points, bootstraps=bootstraps)
        seeds(seed=seed)
        self.shown_points, self.bootstraps, self.seed = shown_points, bootstraps, seed

    def identity(self, run: Path) -> dict[str, Any]:
        """What the results follow from. Raises UserError for a run of another experiment."""
        return identity(open_run(run, self.reads, "frozen_layers"), dict(vars(self)))

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Computes, and writes everything into `out`; returns the result tables and where the page is."""
        store = open_run(run, self.reads, "frozen_layers")
        points = sorted(store.iter_rows(), key=lambda row: row["rank"])
        result = {"interval_level": LEVEL, **_completeness(points), **self._means(points), "points": _plain(points)}
        text = write_report(out, result, points[: self.shown_points], store)
        write_json(out / "attribution.json", result)
        return text

    def _means(self, points: list[dict[str, Any]]) -> dict[str, Any]:
        """{frozen, raw: {part: Estimate [layer]}}: means over points, intervals over problems; each part as a share of
        the whole difference too."""
        groups = [row["problem_id"] for row in points]
        boot = GroupBootstrap(groups, resamples=self.bootstraps, level=LEVEL, seed=self.seed)
        whole = np.array([row["difference"] for row in points])
        found: dict[str, Any] = {"layers": len(points[0]["frozen_layers"]), "problems": len(set(groups))}
        for kind in ("frozen", "raw"):
            found[kind] = {part: _mean(boot, np.stack([row[f"{kind}_{part}"] for row in points])) for part in PARTS}
            found[kind]["embed"] = _mean(boot, np.array([[row[f"{kind}_embed"]] for row in points])).item()
        found["bias"] = _mean(boot, np.array([[row["bias"]] for row in points])).item()
        found["difference"] = _mean(boot, whole[:, None]).item()
        found["shares"] = {part: self._share(points, boot, part) for part in ("attention", "mlp")}
        return found

    def _share(self, points: list[dict[str, Any]], boot: GroupBootstrap, part: str) -> Estimate:
        """Total of a part over all layers, over the total difference."""
        above = np.array([row[f"frozen_{part}"].sum() for row in points])
        below = np.array([row["difference"] for row in points])
        found: Estimate = boot.from_sums(boot.sums(np.stack([above, below], -1)), _ratio).item()
        return found


def _completeness(points: list[dict[str, Any]]) -> dict[str, Any]:
    """How far the parts are from the whole, at worst."""
    relative = [abs(row["residual"]) / abs(row["difference"]) if row["difference"] else np.nan for row in points]
    rest = [np.abs(row["frozen_layers"] - row["frozen_attention"] - row["frozen_mlp"]).max() for row in points]
    capped = [abs(row["capped_difference"] - row["difference"]) for row in points]
    return {
        "largest_residual": float(max(abs(row["residual"]) for row in points)),
        "largest_relative_residual": float(np.nanmax(relative)) if not np.isnan(relative).all() else np.nan,
        "largest_rest": float(max(rest)),
        "largest_effect_of_the_cap": float(max(capped)),
    }


def _mean(boot: GroupBootstrap, values: np.ndarray) -> Any:
    """Estimate [column] of the mean over points [point, column]."""
    terms = np.stack([values, np.ones_like(values)], axis=-1)
    return boot.from_sums(boot.sums(terms), _ratio)


def _ratio(sums: np.ndarray) -> np.ndarray:
    return np.divide(sums[..., 0], sums[..., 1], out=np.full(sums.shape[:-1], np.nan), where=sums[..., 1] != 0)


def _plain(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in ("sample_id", "sample_index")} for row in points]
