"""`train --exp linear_probes`: what is checked before anything is made, what is computed, and what is written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from lit_experiments.controls.features import output_of
from lit_experiments.controls.labels import Floats
from lit_experiments.errors import UserError
from lit_experiments.experiments.linear_probes.options import SIGNIFICANT, LinearProbesOptions
from lit_experiments.experiments.linear_probes.page import probes_page
from lit_experiments.experiments.linear_probes.probe_files import (
    folder_name,
    probe_folders,
    save_probes,
    split_of,
    write_predictions,
)
from lit_experiments.experiments.linear_probes.result import LinearProbesResult
from lit_experiments.experiments.linear_probes.run import evaluated, fitted, target_result
from lit_experiments.experiments.linear_probes.significance import corrected
from lit_experiments.experiments.linear_probes.study import Study, read_study, resolved
from lit_experiments.experiments.linear_probes.transfer import OtherRun, open_other, other_store
from lit_experiments.experiments.linear_probes.untrained import further_twins
from lit_experiments.experiments.linear_probes.verdicts import with_verdicts, without_test
from lit_experiments.launch import is_rank_zero
from lit_experiments.plain import write_json
from lit_experiments.reports.blocks import Page
from lit_experiments.statistics import LEVEL
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import Opened
from lit_experiments.tasks.training import Trainer
from stores import fingerprint_hash


@dataclass(frozen=True, kw_only=True)
class LinearProbes(LinearProbesOptions):
    """One linear probe per target and layer, from the states of any store, with its controls and a verdict."""

    reads: ClassVar[Reads] = Reads("activations", any_store=True)
    result_type: ClassVar[type] = LinearProbesResult
    sklearn_files = staticmethod(probe_folders)

    def check_data(self, data: Opened) -> None:
        """Raises UserError for targets, columns and runs that the options do not go with."""
        study = self._study(data)
        if study.live and self.method == "logistic":
            raise UserError(
                f"--method logistic passes over the states many times, and {study.store.path} holds none: the model "
                "would read all texts in each pass.\nNext: --method lda or mean_difference; or collect with "
                "--store_states true."
            )
        for problem in study.problems:
            output_of(study.store, problem, self.output_columns)
            if problem.classes and self.method == "ridge":
                raise UserError(
                    f"--method ridge takes numbers; target {problem.name} has {len(problem.classes)} classes "
                    f"({problem.reason}).\nNext: --method logistic or auto; or --target_type number."
                )
            if not problem.classes and self.method in ("logistic", "lda"):
                raise UserError(
                    f"--method {self.method} takes classes; target {problem.name} is a number ({problem.reason}).\n"
                    "Next: --method ridge or auto; or --target_type class."
                )
        folders = [folder_name(problem.name) for problem in study.problems]
        twice = sorted({name for name in folders if folders.count(name) > 1})
        if twice:
            raise UserError(f"Targets whose folders would have one name: {', '.join(twice)}; train them one by one.")
        for run in self.evaluate_on or []:
            other_store(run)

    def also_reads(self, data: Opened) -> dict[str, Any]:
        """Declarations as they are now, labels from a table, and the runs that are evaluated on."""
        study = self._study(data)
        split = resolved(self.split_options(), study.declared)
        others = {run: other_store(run) for run in self.evaluate_on or []}
        return {
            "targets": [*(problem.name for problem in study.problems), *(target.target for target in study.untested)],
            "group_column": split.group_column,
            "split_column": split.split_column,
            "labels": study.table.digest,
            "evaluated_on": {
                run: fingerprint_hash({"store": store.fingerprint, "ids": store.sample_ids})
                for run, store in others.items()
            },
        }

    def result(self, data: Opened, trainer: Trainer) -> LinearProbesResult | None:
        """Fits and evaluates; writes probes, split and predictions."""
        study = self._study(data)
        settings = self.settings(str(trainer.flags.get("accelerator", "auto")), study.live)
        fits = fitted(study, settings, trainer)
        if not is_rank_zero():
            return None
        evaluations = evaluated(study, fits, self.resampler, self.permutations, self.bins, self.seed)
        others = self._others(study)
        further: dict[str, list[Floats]] = {}
        if settings.twin is not None:
            probed = [evaluation for evaluation in evaluations if evaluation.problem.name in fits.twins]
            further = further_twins(study, probed, settings.twin, self.penalties, data.out)
        results = [
            target_result(
                evaluation,
                tests,
                study,
                fits,
                others,
                self.resampler,
                settings,
                further.get(evaluation.problem.name, []),
            )
            for evaluation, tests in zip(evaluations, corrected(evaluations), strict=True)
        ]
        rows = fingerprint_hash({"store": study.store.fingerprint, "ids": study.store.sample_ids})
        targets, claims = with_verdicts(results, study.split.summary, rows, SIGNIFICANT)
        untested, further_claims = without_test(study, self.method_on(study.live), rows)
        for evaluation in evaluations:
            save_probes(data.out, study.store, evaluation, settings.fit.method)
        write_json(data.out / "split.json", split_of(study.store, evaluations))
        write_predictions(data.out, study.store, evaluations)
        for path in data.out.glob("twin-*.states*"):
            path.unlink()
        notes = [f"{study.table.unmatched} rows of --labels name no sample of this store."] * bool(
            study.table.unmatched
        )
        return LinearProbesResult(
            targets=targets,
            split=study.split.summary,
            interval_level=LEVEL,
            alpha=SIGNIFICANT,
            permutations=self.permutations,
            folds=self.folds,
            without=[*fits.without, *notes],
            claims=[*claims, *further_claims],
            untested=untested,
        )

    def page(self, result: LinearProbesResult, data: Opened) -> Page:
        """What is readable, and what the controls leave of it."""
        return probes_page(result, is_demonstration(data.store))

    @cached_property
    def _opened(self) -> dict[Path, Study]:
        return {}

    def _study(self, data: Opened) -> Study:
        """What a run's store gives, read once."""
        if data.run not in self._opened:
            self._opened[data.run] = read_study(data.run, data.store, self.study_options())
        return self._opened[data.run]

    def _others(self, study: Study) -> list[OtherRun]:
        split = resolved(self.split_options(), study.declared)
        return [open_other(run, study, split, self.text_column) for run in self.evaluate_on or []]
