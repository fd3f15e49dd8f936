"""Where in the model does each quantity become readable? Emergence over layers, onsets, and the lag of confidence.

Works from the held-out predictions that `train --exp introspection_probes` left; fits nothing. The control is the same
predictions against targets permuted between the test questions. A layer is above it if its score exceeds the 1 - alpha
/ layers quantile of its own control (Bonferroni over the layers of a curve) and chance; the onset is the first such
layer.

    lit-experiments analyze --exp introspection_probing --run runs/introspection

Writes probing.json, figures and a report.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.analysis import READS, SELF, open_introspection
from lit_experiments.experiments.introspection.probe_files import ProbeFiles, probes_identity, read_probe_files
from lit_experiments.experiments.introspection.probing_report import write_report
from lit_experiments.experiments.introspection.scoring import threshold
from lit_experiments.plain import write_json
from lit_experiments.ranges import at_least, between, seeds
from lit_experiments.statistics import LEAST_GROUPS, Estimate, GroupBootstrap

Floats = NDArray[np.float64]
LEVEL = 0.95
EARLIER = ("mcq", "mcq.entropy")
LATER = (SELF, f"{SELF}.{SELF}")


class IntrospectionProbing:
    """Reads a run's probes; writes metrics, figures and a report into the run's results folder."""

    reads: ClassVar[str] = READS

    def __init__(self, alpha: float, permutations: int, bootstraps: int, seed: int) -> None:
        """Checks the settings.

        Args:
            alpha: Probability that a curve without any signal has a layer that counts as above its control.
            permutations: Permutations of the test questions that make the control.
            bootstraps: Resamples of the bootstrap over test questions.
            seed: Seed of permutations and bootstrap.
        """
        between(0, 1, alpha=alpha)
        at_least(1, permutations=permutations, bootstraps=bootstraps)
        seeds(seed=seed)
        self.alpha, self.permutations, self.bootstraps, self.seed = alpha, permutations, bootstraps, seed

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
        needed = len(files.layers) / self.alpha
        if self.permutations < needed:
            raise UserError(
                f"{self.permutations} permutations cannot tell the 1 - {self.alpha:g} / {len(files.layers)} quantile.\n"
                f"Next: --permutations {int(np.ceil(needed)) * 2}"
            )
        pairs, draws = [], {}
        for pair in files.metrics["pairs"]:
            about, drawn = self._pair(files, pair)
            pairs.append(about)
            draws[pair["states"], pair["target"]] = drawn
        result: dict[str, Any] = {"layers": files.layers, "questions": files.metrics["questions"], "pairs": pairs}
        result |= {"alpha": self.alpha, "interval_level": LEVEL, "permutations": self.permutations}
        result["statements"] = list(files.metrics["statements"])
        result["lag"] = self._lag(files, draws, pairs)
        text = write_report(out, result, store)
        write_json(out / "probing.json", result)
        return text

    def _pair(self, files: ProbeFiles, pair: dict[str, Any]) -> tuple[dict[str, Any], Floats]:
        """The curve of a pair with its control and onset; and the onset on each resample, NaN where there is none."""
        scorer = files.scorer(pair, self.bootstraps, LEVEL, self.seed)
        predicted = files.of(pair, "hidden")
        null = scorer.null(predicted, self.permutations, self.seed)
        bound, value, draws = (
            threshold(null, pair["chance"], self.alpha),
            scorer.value(predicted),
            scorer.draws(predicted),
        )
        low, high = np.quantile(null, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        curve = zip(files.layers, scorer.boot.from_draws(value, draws), low, high, bound, strict=True)
        keys = ("layer", "score", "control_low", "control_high", "threshold")
        onsets = first_above(draws, bound)
        out = {key: pair[key] for key in ("states", "target", "score", "chance")}
        out["curve"] = [dict(zip(keys, row, strict=True)) for row in curve]
        onset = onset_of(first_above(value[None], bound)[0], onsets, files.layers) | {"questions": scorer.boot.n}
        if scorer.boot.n < LEAST_GROUPS:
            onset |= dict.fromkeys(("low", "high", "index_low", "index_high"))
        return out | {"onset": onset}, onsets

    def _lag(
        self, files: ProbeFiles, draws: dict[tuple[str, str], Floats], pairs: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Layers from the onset of entropy in the mcq pass to that of confidence in the self pass, resampled together.

        Both are numbers that every question has, so resample b is the same questions in both.
        """
        absent = [
            f"{target} from the states of {states}"
            for states, target in (EARLIER, LATER)
            if (states, target) not in draws
        ]
        if absent:
            return {"estimate": Estimate.undefined(0, LEVEL), "undefined_share": float("nan"), "absent": absent}
        at = {(pair["states"], pair["target"]): pair["onset"]["index"] for pair in pairs}
        ends = [np.nan if at[key] is None else float(at[key]) for key in (EARLIER, LATER)]
        drawn = draws[LATER] - draws[EARLIER]
        boot = GroupBootstrap(files.test, resamples=self.bootstraps, level=LEVEL, seed=self.seed)
        estimate = boot.from_draws(ends[1] - ends[0], drawn).item()
        return {"estimate": estimate, "undefined_share": float(np.isnan(drawn).mean()), "absent": []}


def first_above(scores: Floats, bound: Floats) -> Floats:
    """[B] the first of L layers whose score [B, L] exceeds its bound [L]; NaN where none does."""
    above = scores > bound
    return np.where(above.any(1), above.argmax(1).astype(np.float64), np.nan)


def onset_of(index: float, drawn: Floats, layers: list[str]) -> dict[str, Any]:
    """The onset by name with its percentile interval over resamples, in which "no layer" comes after the last.

    An interval from a layer to itself is one: all resamples have their onset in that layer. none_share: share of the
    resamples in which no layer is above its control.
    """
    ordered = np.sort(np.where(np.isnan(drawn), np.inf, drawn))
    tail = (1 - LEVEL) / 2
    ends = [ordered[min(len(ordered) - 1, int(np.floor(q * len(ordered))))] for q in (tail, 1 - tail)]
    names = [None if not np.isfinite(at) else layers[int(at)] for at in (index, *ends)]
    numbers = [None if not np.isfinite(at) else int(at) for at in (index, *ends)]
    return {
        "layer": names[0],
        "low": names[1],
        "high": names[2],
        "index": numbers[0],
        "index_low": numbers[1],
        "index_high": numbers[2],
        "none_share": float(np.isnan(drawn).mean()),
    }
