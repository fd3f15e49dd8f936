"""Internal against surface: do hidden states tell more of a question than what it looks like?

For every target, pass and layer, on the same held-out questions: a ridge on surface features alone, one on the hidden
states alone, and the surface one with what the states tell of the rest; differences with paired intervals, the surface
features that carry most, and a verdict. Works from what `train --exp introspection_probes` left; fits nothing. Classes
enter all three as 0 and 1, so that they differ in their inputs alone.

    lit-experiments analyze --exp introspection_surface --run runs/introspection

Writes surface.json, figures and a report.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lit_experiments.experiments.introspection.analysis import READS, open_introspection
from lit_experiments.experiments.introspection.internal_report import write_report
from lit_experiments.experiments.introspection.probe_data import SURFACE
from lit_experiments.experiments.introspection.probe_files import ProbeFiles, probes_identity, read_probe_files
from lit_experiments.plain import write_json
from lit_experiments.ranges import at_least, seeds
from lit_experiments.statistics import Estimate

LEVEL = 0.95
BOTH = f"{SURFACE}_hidden"
NOTHING, SURFACE_ONLY, INTERNAL_ONLY, REPEATS, BEYOND, UNCLEAR, UNTOLD = (
    "nothing",
    "surface only",
    "internal only",
    "internal repeats surface",
    "internal beyond surface",
    "unclear",
    "too little data",
)


class IntrospectionSurface:
    """Reads a run's probes; writes metrics, figures and a report into the run's results folder."""

    reads: ClassVar[str] = READS

    def __init__(self, bootstraps: int, seed: int) -> None:
        """Checks the settings.

        Args:
            bootstraps: Resamples of the bootstrap over test questions.
            seed: Seed of the bootstrap.
        """
        at_least(1, bootstraps=bootstraps)
        seeds(seed=seed)
        self.bootstraps, self.seed = bootstraps, seed

    def identity(self, run: Path) -> dict[str, Any]:
        """What the results follow from.

        Raises:
            UserError: the run holds no finished probes.
        """
        store = open_introspection(run)
        return probes_identity(run, store) | {"settings": dict(vars(self))}

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Computes, and writes everything into `out`; returns the result tables and where the page is."""
        store = open_introspection(run)
        files = read_probe_files(run, store)
        pairs = [pair for pair in files.metrics["pairs"] if SURFACE in pair["controls"]]
        result: dict[str, Any] = {"layers": files.layers, "questions": files.metrics["questions"]}
        result |= {"interval_level": LEVEL, "statements": list(files.metrics["statements"])}
        result["pairs"] = [self._pair(files, pair) for pair in pairs]
        result["weights"] = {pair["target"]: feature_weights(pair) for pair in pairs}
        text = write_report(out, result, store)
        write_json(out / "surface.json", result)
        return text

    def _pair(self, files: ProbeFiles, pair: dict[str, Any]) -> dict[str, Any]:
        scorer = files.scorer(pair, self.bootstraps, LEVEL, self.seed)
        surface, hidden, both = (files.of(pair, role) for role in (SURFACE, "linear", BOTH))
        alone = scorer.estimates(surface)[0]
        columns = {
            "hidden": scorer.estimates(hidden),
            "both": scorer.estimates(both),
            "hidden_less_surface": scorer.gains(hidden, surface),
            "both_less_surface": scorer.gains(both, surface),
            "both_less_hidden": scorer.gains(both, hidden),
        }
        layers = [
            {"layer": name} | {key: values[at] for key, values in columns.items()}
            for at, name in enumerate(files.layers)
        ]
        own, joint = (files.layers.index(name) for name in (pair["linear_layer"], pair["controls"][SURFACE]["layer"]))
        chosen: dict[str, Any] = {
            "hidden_layer": files.layers[own],
            "both_layer": files.layers[joint],
            "hidden": columns["hidden"][own],
            "both": columns["both"][joint],
            "hidden_less_surface": columns["hidden_less_surface"][own],
            "both_less_surface": columns["both_less_surface"][joint],
            "both_less_hidden": scorer.gains(both[:, [joint]], hidden[:, [own]])[0],
        }
        about = {key: pair[key] for key in ("states", "target", "score", "chance")}
        about |= {"surface": alone, "chosen": chosen, "by_layer": layers}
        return about | {"verdict": verdict(alone, chosen["hidden"], chosen["both_less_surface"], pair["chance"])}


def verdict(surface: Estimate, hidden: Estimate, gain: Estimate, chance: float) -> str:
    """Which of the two tells what, by whether intervals lie above chance, and the gain's above 0; UNTOLD without.

    surface, hidden: scores alone; gain: of both over surface alone, paired.
    """
    if not all(estimate.has_interval for estimate in (surface, hidden, gain)):
        return UNTOLD
    by_surface, by_hidden, adds = surface.side_of(chance) > 0, hidden.side_of(chance) > 0, gain.side_of(0) > 0
    if by_surface:
        return BEYOND if adds else REPEATS if by_hidden else SURFACE_ONLY
    if by_hidden:
        return INTERNAL_ONLY if adds else UNCLEAR
    return UNCLEAR if adds else NOTHING


def feature_weights(pair: dict[str, Any]) -> dict[str, float]:
    """Surface feature -> weight for inputs of unit spread, largest first; of several classes the root mean square."""
    control = pair["controls"][SURFACE]
    weights = np.asarray(control["weights"], np.float64)
    size = weights[:, 0] if weights.shape[1] == 1 else np.sqrt((weights**2).mean(1))
    order = np.argsort(-np.abs(size), kind="stable")
    return {control["features"][at]: float(size[at]) for at in order}
