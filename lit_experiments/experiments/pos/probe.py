"""Trains a multinomial logistic probe of the part of speech per layer, with baseline, control task and calibration.

The treebank's parts are documents of their own: the probe is fitted to the training part, its penalty (and layer,
unless one is named) chosen by cross-validation over documents inside it; accuracy and everything compared with it are
of the test part; calibration is of the validation part, whose uncertain words `pos_resample` goes on to use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lit_experiments.claims import Judged
from lit_experiments.errors import UserError
from lit_experiments.experiments.pos.groups import origin
from lit_experiments.experiments.pos.probe_claims import ClaimOptions, ClaimWords, judge_tags
from lit_experiments.experiments.pos.probe_page import probe_page
from lit_experiments.experiments.pos.probe_result import Fitting, ProbeResult
from lit_experiments.experiments.pos.probe_scores import Fitted, Labelled, baseline, layer_scores
from lit_experiments.experiments.pos.probe_split import class_codes_of, code_of, make_split, present_classes
from lit_experiments.experiments.pos.twins import TwinOptions, random_twins
from lit_experiments.experiments.pos.types import control_codes
from lit_experiments.experiments.pos.words import FIELD, READS, words_of
from lit_experiments.launch import is_rank_zero
from lit_experiments.plain import shallow, write_json
from lit_experiments.probes.class_evaluate import predict_classes
from lit_experiments.probes.class_probe import ClassProbe, save_class_probe
from lit_experiments.probes.class_result import ClassScores, class_report, class_scores
from lit_experiments.probes.examples import Examples
from lit_experiments.probes.logistic import LogisticProbe
from lit_experiments.probes.store_data import StoreDataModule
from lit_experiments.ranges import above, at_least, between, penalty_grid, reaching
from lit_experiments.reports.blocks import Page
from lit_experiments.sources.content_groups import Likeness
from lit_experiments.statistics import LEVEL
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import Opened, TrainTask
from lit_experiments.tasks.training import Trainer

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PosProbe(TrainTask[ProbeResult]):
    """A probe of the part of speech per layer, compared with the word's type and with a control task.

    Folds and resamples are of documents, of sentences where there are too few documents.

    Args:
        layer: The layer to report and to save as the probe, e.g. resid_post.11, the output of block 11, which
            Hugging Face calls hidden_states[12]; null takes the best one by cross-validated log-loss. Every layer
            is trained, reported and saved in any case.
        penalties: Penalties (per training word) to choose from, by cross-validation inside the training part.
        folds: Folds of the cross-validation, by document (by sentence where there are too few documents).
        held_out: How many of the folds are held out in turn; null holds out each.
        test_fraction: Share of the documents (or sentences) held out where the treebank has no test part.
        tolerance: Relative distance to the minimum at which a fit has converged.
        max_iterations: Steps of a fit at most.
        shuffles: Copies of the tags permuted between documents, as a control.
        permutations: Permutations of the test words' tags between documents, for the claim's p-value.
        near_copies: Sentences with so large a Jaccard similarity of word trigrams are near copies; the claim is also
            judged on test words of sentences without one in training.
        templates: Sentences with so large a share of words in common, in order, are of one template; null: no
            templates.
        surface_rows: Training words that what a word looks like is fitted to at most.
        twin: Probe random-weights twins of the model too; random features of the tokens where it cannot be loaded.
        twins: How many of them; the score must be above all of theirs.
        twin_tokens: Tokens that a twin reads at a time, with padding.
        bins: Bins of confidence for calibration.
        block_mb: Features read at a time, in megabytes.
        memory_mb: Training words stay in memory if they fit into so many megabytes, else every pass reads them.
    """

    layer: str | None
    penalties: list[float]
    folds: int
    held_out: int | None
    test_fraction: float
    tolerance: float
    max_iterations: int
    shuffles: int
    permutations: int
    near_copies: float
    templates: float | None
    surface_rows: int
    twin: bool
    twins: int
    twin_tokens: int
    bins: int
    block_mb: float
    memory_mb: float

    reads: ClassVar[Reads] = READS
    result_type: ClassVar[type] = ProbeResult
    shapes_nothing: ClassVar[frozenset[str]] = TrainTask.shapes_nothing | {"memory_mb", "twin_tokens"}

    def check(self) -> None:
        """Raises UserError for settings out of range."""
        at_least(2, folds=self.folds)
        at_least(1, bins=self.bins, max_iterations=self.max_iterations)
        at_least(1, surface_rows=self.surface_rows, twins=self.twins, twin_tokens=self.twin_tokens)
        reaching(1 - LEVEL, permutations=self.permutations)
        between(0, 1, near_copies=self.near_copies)
        if self.templates is not None:
            between(0, 1, templates=self.templates)
        at_least(0, shuffles=self.shuffles)
        between(0, 1, test_fraction=self.test_fraction, tolerance=self.tolerance)
        above(0, block_mb=self.block_mb, memory_mb=self.memory_mb)
        penalty_grid(penalties=self.penalties)
        if self.held_out is not None and not 1 <= self.held_out <= self.folds:
            raise UserError(f"held_out must lie between 1 and folds ({self.folds}), found {self.held_out}.")

    def check_data(self, data: Opened) -> None:
        """Raises UserError for a layer that the store does not hold."""
        names = [str(name) for name in data.store.schema.coords["layer"]]
        if self.layer is not None and self.layer not in names:
            raise UserError(f"{data.store.path} holds no layer {self.layer}; it has: {', '.join(names)}.")

    def result(self, data: Opened, trainer: Trainer) -> ProbeResult | None:
        """Trains and evaluates; saves the probes and the split."""
        words = words_of(data.store)
        split = make_split(words, self.test_fraction, self.folds, self.seed)
        labelled = Labelled(words, split, *class_codes_of(words, split))
        control = Labelled(words, split, *present_classes(self._control_codes(labelled), split))
        real_fit = self._fit(labelled, trainer, self.shuffles)
        control_fit = self._fit(control, trainer, 0, "checkpoints_control")
        if not is_rank_zero():
            return None
        real, other = (self._predicted(*fitted) for fitted in (real_fit, control_fit))
        report = class_report(real.solution, real.predictions, self.bins)
        layer = self.layer or report.layer
        probe = _save(labelled, real, layer, data)
        scores = self._scores(labelled, probe)
        claim, statements = self._claim(labelled, real, probe, report.shuffled.accuracy, trainer)
        return ProbeResult(
            **shallow(self._fitting(labelled, real)),
            claims=[claim],
            statements=statements,
            layer=layer,
            layers=layer_scores(labelled, real, other, report.by_layer),
            baseline=baseline(labelled, real),
            test=scores["test"],
            validation=scores.get("validation"),
            majority=report.majority,
            shuffled=report.shuffled,
            unconverged=report.unconverged,
            cv_left_out=report.cv_left_out,
        )

    def page(self, result: ProbeResult, data: Opened) -> Page:
        """What every layer tells, and how the chosen one is calibrated."""
        return probe_page(result, is_demonstration(data.store))

    def _claim(
        self, labelled: Labelled, real: Fitted, probe: ClassProbe, shuffled: list[float], trainer: Trainer
    ) -> tuple[Judged, list[str]]:
        """The claim of the chosen layer's probe, and statements on what it could not be compared with."""
        likeness = Likeness(self.near_copies, self.templates)
        options = ClaimOptions(self.surface_rows, self.permutations, likeness, self.seed)
        examples = ClaimWords.of(labelled, real, options)
        twins, reason = None, ""
        if self.twin:
            accelerator = str(trainer.flags.get("accelerator", "auto"))
            twins, reason = random_twins(
                examples, probe.layer, TwinOptions(self.seed, self.twins, self.twin_tokens, accelerator)
            )
        test = real.predictions.rows[real.predictions.test]
        predicted = labelled.words.probabilities(probe, labelled.split.lines[test]).argmax(1)
        claim = judge_tags(examples, probe.layer, predicted, shuffled, twins, options)
        return claim, [f"random-weights twin: {reason}"] if reason else []

    def _control_codes(self, labelled: Labelled) -> Floats:
        """[line] codes of the control task, NaN where the real task has none."""
        codes, train = labelled.codes, labelled.trained
        shares = np.bincount(codes[train].astype(np.int64), minlength=len(labelled.classes)) / train.sum()
        random = control_codes(labelled.forms, train, shares, self.seed)
        return np.where(np.isnan(codes), np.nan, random)

    def _fit(
        self, labelled: Labelled, trainer: Trainer, shuffles: int, checkpoints: str = "checkpoints"
    ) -> tuple[LogisticProbe, StoreDataModule]:
        words, split, codes = labelled.words, labelled.split, labelled.codes
        table = words.table.iloc[split.lines]
        data = StoreDataModule(
            words.store,
            FIELD,
            lambda _, rows: codes[rows][:, None],
            ["tag"],
            split.group,
            test_fraction=0.0,
            folds=self.folds,
            split_seed=self.seed,
            block_bytes=int(self.block_mb * 1e6),
            shuffles=shuffles,
            shuffle_seed=self.seed,
            examples=Examples("labelled words", table["row"].to_numpy(np.int64), table["entry"].to_numpy(np.int64)),
            test_groups=sorted(set(split.groups["test"].names.tolist())),
        )
        memory = int(self.memory_mb * 1e6)
        probe = LogisticProbe(
            labelled.classes, self.penalties, self.tolerance, self.max_iterations, memory, self.held_out
        )
        trainer.fit(probe, data, checkpoints)
        return probe, data

    def _predicted(self, probe: LogisticProbe, data: StoreDataModule) -> Fitted:
        predictions = predict_classes(probe.solution, data, self.bootstraps, LEVEL, self.seed)
        return Fitted(data, probe.solution, predictions)

    def _fitting(self, labelled: Labelled, real: Fitted) -> Fitting:
        words, split, test = labelled.words, labelled.split, real.predictions.test
        table = words.table
        return Fitting(
            classes=list(real.solution.classes),
            excluded_tags=words.settings["excluded_tags"],
            position=words.settings["position"],
            split=split.statements,
            words={"train": int((~test).sum()), "test": int(test.sum()), "validation": len(split.validation)},
            groups={name: str(groups) for name, groups in split.groups.items()},
            units={name: groups.unit for name, groups in split.groups.items()},
            documents={name: groups.documents for name, groups in split.groups.items()},
            documents_from=origin(zip(table["doc_from"], table["part"] + "/" + table["doc_id"], strict=True)),
            straddling_documents=words.straddling,
            unlabelled=int(len(split.lines) - len(test)),
            layer_named=self.layer is not None,
            folds=self.folds,
            interval_level=LEVEL,
        )

    def _scores(self, labelled: Labelled, probe: ClassProbe) -> dict[str, ClassScores]:
        """Scores of the chosen layer on the test part, and on the validation part if there is one."""
        words, split = labelled.words, labelled.split
        known = ~np.isnan(labelled.codes[split.test])
        tested = (split.lines[split.test][known], labelled.codes[split.test][known].astype(np.int64))
        parts = {"test": (*tested, split.groups["test"].names[known])}
        if len(split.validation):
            tags = words.table["upos"].to_numpy(str)[split.validation]
            known = np.isin(tags, probe.classes)
            true = code_of(tags[known], list(probe.classes))
            parts["validation"] = (split.validation[known], true, split.groups["validation"].names[known])
        return {
            name: class_scores(
                true, words.probabilities(probe, lines), self.resampler(groups), probe.classes, self.bins
            )
            for name, (lines, true, groups) in parts.items()
        }


def _save(labelled: Labelled, real: Fitted, layer: str, data: Opened) -> ClassProbe:
    """Writes a probe per layer, the chosen one once more, and the split; returns the chosen one."""
    words, split = labelled.words, labelled.split
    notes = {key: words.settings[key] for key in ("position", "excluded_tags", "treebank")}
    notes["trained_on"] = split.trained_on(words)
    model = words.store.fingerprint["model"]
    probes = {name: ClassProbe.of(real.solution, real.data, model, notes, name) for name in real.data.layers}
    for name, probe in probes.items():
        save_class_probe(probe, data.out / name)
    save_class_probe(probes[layer], data.out)
    write_json(
        data.out / "split.json", {part: sorted(set(groups.names.tolist())) for part, groups in split.groups.items()}
    )
    return probes[layer]
