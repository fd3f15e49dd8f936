"""Base against finetuned: what did finetuning change, in answers, in confidence, and in the states behind them?

Two runs over the same questions side by side, every difference with an interval that pairs them by question: accuracy,
calibration, agreement; how far the states moved, layer by layer and pass by pass (exactly zero below the first adapted
layer); directions of confidence and how well they separate; likeness of self and other; the layerwise probes with their
gains over surface features and output confidence, where both runs have them (train --exp introspection_probes).

    lit-experiments analyze --exp introspection_compare --run runs/base --finetuned runs/base-finetuned

Writes comparison.json, figures and a report.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.analysis import (
    CONFIDENCE_PASSES,
    READS,
    NothingToCompare,
    check_settings,
    content,
    identity,
    open_introspection,
)
from lit_experiments.experiments.introspection.answer_scores import Rows, agreement, in_both, measures
from lit_experiments.experiments.introspection.comparison_report import write_report
from lit_experiments.experiments.introspection.paired import Pair, direction_change, likeness_change, state_change
from lit_experiments.experiments.introspection.paired_probes import probe_changes
from lit_experiments.experiments.introspection.probe_files import probes_identity, read_probe_files
from lit_experiments.experiments.introspection.summary import passes
from lit_experiments.plain import write_json
from lit_experiments.ranges import between
from lit_experiments.statistics import GroupBootstrap
from stores import Store

LEVEL = 0.95
T = TypeVar("T")


class IntrospectionCompare:
    """Reads two stores of study 3 over the same questions; writes into the base run's results folder."""

    reads: ClassVar[str] = READS

    def __init__(
        self,
        finetuned: str | None,
        share: float,
        folds: int,
        bootstraps: int,
        seed: int,
    ) -> None:
        """Checks the settings.

        Args:
            finetuned: Run folder of the finetuned model; null for the base run's name with -finetuned behind it.
            share: Share of the questions that counts as of high confidence, and as of low: 1/3 is the outer thirds.
            folds: Folds of the cross-validation of the directions, by question.
            bootstraps: Resamples of the bootstrap over questions.
            seed: Seed of folds and bootstrap.
        """
        between(0, 0.5, share=share)
        check_settings(folds, bootstraps, seed)
        self.finetuned, self.share, self.folds = finetuned, share, folds
        self.bootstraps, self.seed = bootstraps, seed

    def identity(self, run: Path) -> dict[str, Any]:
        """What the results follow from.

        Raises:
            UserError: one of the stores is missing or none of study 3, or they cannot be compared.
        """
        base, tuned = self._open(run)
        settings = {key: value for key, value in vars(self).items() if key != "finetuned"}
        probes = [_or_none(probes_identity, *each) for each in ((run, base), (self._other(run), tuned))]
        return identity(base, settings) | {"finetuned": content(tuned), "probes": probes}

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Computes, and writes everything into `out`; returns the result tables and where the page is."""
        base, tuned = self._open(run)
        rows = in_both(passes(base), passes(tuned))
        pairs = {kind: self._pair(base, tuned, rows, kind) for kind in rows[0]}
        names = [str(name) for name in base.schema.coords["layer"]]
        result: dict[str, Any] = {"layers": names, "interval_level": LEVEL, "share": self.share, "statements": []}
        result["runs"] = {"base": _about(base), "finetuned": _about(tuned)}
        result["questions"] = {kind: len(each) for kind, each in rows[0].items()}
        result["scores"] = self._scores(*rows)
        result["states"] = {
            kind: [state_change(pair, layer) for layer in range(len(names))] for kind, pair in pairs.items()
        }
        result["directions"] = self._directions(pairs, result)
        if set(CONFIDENCE_PASSES) <= pairs.keys():
            result["self_other"] = self._likeness(pairs, len(names))
        result["probes"] = self._probes((run, base), (self._other(run), tuned), result)
        text = write_report(out, result, base)
        write_json(out / "comparison.json", result)
        return text

    def _other(self, run: Path) -> Path:
        return Path(self.finetuned) if self.finetuned else run.with_name(run.name + "-finetuned")

    def _open(self, run: Path) -> tuple[Store, Store]:
        other = self._other(run)
        if not (other / "store" / "store.json").exists():
            raise UserError(
                f"{other.absolute()} holds no store to compare with.\n"
                f"Next: python collect.py --exp {READS} --adapter ADAPTER --run {other}, or give --finetuned RUN."
            )
        base, tuned = open_introspection(run), open_introspection(other)
        for name, (a, b) in {
            "layers": (base.schema.coords["layer"], tuned.schema.coords["layer"]),
            "hidden width": (base["resid_post"].shape[-1], tuned["resid_post"].shape[-1]),
        }.items():
            if a != b:
                raise UserError(f"The {name} of {base.path} ({a}) are not those of {tuned.path} ({b}).")
        if not in_both(passes(base), passes(tuned))[0]:
            raise UserError(
                f"{base.path} and {tuned.path} have no question in common in any pass: nothing to compare.\n"
                "Next: collect the same --questions with both."
            )
        return base, tuned

    def _boot(self, ids: Any) -> GroupBootstrap:
        return GroupBootstrap(np.asarray(ids).astype(str), resamples=self.bootstraps, level=LEVEL, seed=self.seed)

    def _pair(self, base: Store, tuned: Store, rows: tuple[Rows, Rows], kind: str) -> Pair:
        return Pair((base, tuned), (rows[0][kind], rows[1][kind]), self._boot(rows[0][kind].index))

    def _scores(self, base: Rows, tuned: Rows) -> list[dict[str, Any]]:
        """Scores of the mcq pass and the confidence in it, with paired differences; none without such a pass."""
        if "mcq" not in base:
            return []
        boot = self._boot(base["mcq"].index)
        first, second = measures(base), measures(tuned)
        out = [
            {
                "score": name,
                "base": first[name].estimate(boot),
                "finetuned": second[name].estimate(boot),
                "difference": first[name].gap_to(second[name], boot),
            }
            for name in first
            if name in second
        ]
        return [*out, {"score": "same answer", "both": agreement(base["mcq"], tuned["mcq"]).estimate(boot)}]

    def _likeness(self, pairs: dict[str, Pair], layers: int) -> list[dict[str, Any]]:
        first, second = (pairs[kind] for kind in CONFIDENCE_PASSES)
        common = first.rows[0].index.intersection(second.rows[0].index)
        boot = self._boot(common)
        return [likeness_change(first, second, common, boot, layer) for layer in range(layers)]

    def _directions(self, pairs: dict[str, Pair], result: dict[str, Any]) -> dict[str, Any]:
        """Per confidence pass and layer; a statement for a pass that has no high and low in one of the runs."""
        out = {}
        for kind in (kind for kind in CONFIDENCE_PASSES if kind in pairs):
            try:
                chosen = pairs[kind].extremes(kind, self.share, self.folds, self.seed)
            except NothingToCompare as reason:
                result["statements"].append(f"Directions of {kind}: {reason}")
                continue
            out[kind] = [direction_change(pairs[kind], chosen, layer) for layer in range(len(result["layers"]))]
        return out

    def _probes(
        self, base: tuple[Path, Store], tuned: tuple[Path, Store], result: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Per (states, target); a statement where one of the runs has no finished probes."""
        files = [_or_none(read_probe_files, *each) for each in (base, tuned)]
        for each, (run, _) in zip(files, (base, tuned), strict=True):
            if each is None:
                again = f"python train.py --exp introspection_probes --run {run}"
                result["statements"].append(f"Probes are not compared: {run} has none of its store as it is ({again}).")
        if files[0] is None or files[1] is None:
            return []
        try:
            found, statements = probe_changes(files[0], files[1], self.bootstraps, LEVEL, self.seed)
        except NothingToCompare as reason:
            found, statements = [], [str(reason)]
        result["statements"] += [f"Probes: {statement}" for statement in statements]
        return found


def _or_none(read: Callable[[Path, Store], T], run: Path, store: Store) -> T | None:
    """What the probes of a run say, None where there are none of this store."""
    try:
        return read(run, store)
    except UserError:
        return None


def _about(store: Store) -> dict[str, str]:
    first = store.select(slice(0, 1)).table(["model_name", "checkpoint_id"]).to_pylist()[0]
    return {"model": first["model_name"], "checkpoint": first["checkpoint_id"]}
