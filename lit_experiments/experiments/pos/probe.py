"""Trains a multinomial logistic probe of the part of speech per layer, with baseline, control task and calibration.

The treebank's parts are documents of their own: the probe is fitted to the training part, its penalty (and layer,
unless one is named) chosen by cross-validation over documents inside it; accuracy and everything compared with it are
of the test part; calibration is of the validation part, whose uncertain words `pos_resample` goes on to use.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.pos.groups import origin
from lit_experiments.experiments.pos.probe_report import write_report
from lit_experiments.experiments.pos.probe_split import (
    Split,
    class_codes_of,
    code_of,
    groups_by_part,
    make_split,
    present_classes,
)
from lit_experiments.experiments.pos.tag_probe import probabilities
from lit_experiments.experiments.pos.types import TypeTable, control_codes
from lit_experiments.experiments.pos.words import FIELD, READS, Words, open_words
from lit_experiments.launch import is_rank_zero
from lit_experiments.plain import write_json
from lit_experiments.probes.class_evaluate import ClassPredictions, predict_classes
from lit_experiments.probes.class_probe import ClassProbe, save_class_probe
from lit_experiments.probes.class_result import ClassResult, class_report, class_scores
from lit_experiments.probes.class_solution import ClassSolution
from lit_experiments.probes.examples import Examples
from lit_experiments.probes.logistic import LogisticProbe
from lit_experiments.probes.store_data import StoreDataModule
from lit_experiments.probes.training import fit
from lit_experiments.ranges import above, at_least, between, penalty_grid, seeds
from lit_experiments.statistics import GroupBootstrap
from lit_experiments.statistics.bootstrap import GAP, SHARE

LEVEL = 0.95
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """One fitted task (the real tags, or the control's): its data, fits and what they predict."""

    data: StoreDataModule
    solution: ClassSolution
    predictions: ClassPredictions


class PosProbe:
    """Reads a `pos_tokens` store; writes a probe per layer, the chosen one, metrics, figures and a report."""

    reads: ClassVar[str] = READS

    def __init__(
        self,
        layer: str | None,
        penalties: list[float],
        folds: int,
        held_out: int | None,
        test_fraction: float,
        tolerance: float,
        max_iterations: int,
        shuffles: int,
        bootstraps: int,
        bins: int,
        block_mb: float,
        memory_mb: float,
        seed: int,
    ) -> None:
        """Checks the settings.

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
            bootstraps: Resamples of the bootstrap over documents (over sentences where there are too few documents).
            bins: Bins of confidence for calibration.
            block_mb: Features read at a time, in megabytes.
            memory_mb: Training words stay in memory if they fit into so many megabytes, else every pass reads them.
            seed: Seed of folds, shuffles, control task and bootstrap.
        """
        at_least(2, folds=folds)
        at_least(1, bootstraps=bootstraps, bins=bins, max_iterations=max_iterations)
        at_least(0, shuffles=shuffles)
        between(0, 1, test_fraction=test_fraction, tolerance=tolerance)
        above(0, block_mb=block_mb, memory_mb=memory_mb)
        penalty_grid(penalties=penalties)
        seeds(seed=seed)
        if held_out is not None and not 1 <= held_out <= folds:
            raise UserError(f"held_out must lie between 1 and folds ({folds}), found {held_out}.")
        self.layer, self.penalties, self.folds, self.held_out = layer, penalties, folds, held_out
        self.test_fraction, self.tolerance, self.max_iterations = test_fraction, tolerance, max_iterations
        self.shuffles, self.bootstraps, self.bins, self.seed = shuffles, bootstraps, bins, seed
        self.block_mb, self.memory_mb = block_mb, memory_mb

    def identity(self, run: Path) -> dict[str, Any]:
        """What the results follow from: the store's content and the settings.

        Raises:
            UserError: the store is none of labelled words, or does not hold the layer.
        """
        words = open_words(run)
        names = [str(name) for name in words.store.schema.coords["layer"]]
        if self.layer is not None and self.layer not in names:
            raise UserError(f"{words.store.path} holds no layer {self.layer}; it has: {', '.join(names)}.")
        settings = {key: value for key, value in vars(self).items() if key not in ("block_mb", "memory_mb")}
        return {"store": words.store.fingerprint, "rows": len(words.store), "settings": settings}

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Trains, evaluates, writes everything into `out`; returns the tables and where the page is."""
        words = open_words(run)
        split = make_split(words, self.test_fraction, self.folds, self.seed)
        classes, codes = class_codes_of(words, split)
        real = self._fit(words, split, classes, codes, trainer, out / "checkpoints", checkpoint, self.shuffles)
        control = self._control(words, split, codes, len(classes))
        names, mapped = present_classes(control, split)
        other = self._fit(words, split, names, mapped, trainer, out / "checkpoints_control", checkpoint, 0)
        if not is_rank_zero():
            return ""
        tasks = [self._predicted(each, data) for each, data in (real, other)]
        return self._write(words, split, codes, tasks, out)

    def _control(self, words: Words, split: Split, codes: Floats, classes: int) -> Floats:
        """[line] codes of the control task, NaN where the real task has none."""
        known = ~np.isnan(codes)
        train = ~split.test & known
        shares = np.bincount(codes[train].astype(np.int64), minlength=classes) / train.sum()
        drawn = control_codes(words.table["form"].to_numpy(str)[split.lines], train, shares, self.seed)
        return np.where(known, drawn, np.nan)

    def _fit(
        self,
        words: Words,
        split: Split,
        classes: list[str],
        codes: Floats,
        trainer: dict[str, Any],
        checkpoints: Path,
        checkpoint: str | None,
        shuffles: int,
    ) -> tuple[LogisticProbe, StoreDataModule]:
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
        probe = LogisticProbe(classes, self.penalties, self.tolerance, self.max_iterations, memory, self.held_out)
        fit(probe, data, trainer, checkpoints, checkpoint)
        return probe, data

    def _predicted(self, probe: LogisticProbe, data: StoreDataModule) -> Task:
        found = predict_classes(probe.solution, data, self.bootstraps, LEVEL, self.seed)
        return Task(data, probe.solution, found)

    def _write(self, words: Words, split: Split, codes: Floats, tasks: list[Task], out: Path) -> str:
        real, control = tasks
        result = class_report(real.solution, real.predictions, self.bins)
        layer = self.layer or result.layer
        probes = self._save(words, split, real, layer, out)
        metrics = self._setting(words, split, real, layer)
        metrics |= self._layers(words, split, codes, real, control, result)
        metrics |= self._scored(words, split, codes, probes[layer])
        metrics |= {"majority": result.majority, "shuffled": result.shuffled, "unconverged": result.unconverged}
        metrics["cv_left_out"] = result.cv_left_out
        text = write_report(out, metrics, words.store)
        write_json(out / "metrics.json", metrics)
        write_json(out / "split.json", groups_by_part(split))
        return text

    def _save(self, words: Words, split: Split, real: Task, layer: str, out: Path) -> dict[str, ClassProbe]:
        settings = words.settings
        notes = {key: settings[key] for key in ("position", "excluded_tags", "treebank")}
        notes["trained_on"] = split.trained_on(words)
        model = words.store.fingerprint["model"]
        probes = {each: ClassProbe.of(real.solution, real.data, model, notes, each) for each in real.data.layers}
        for name, probe in probes.items():
            save_class_probe(probe, out / name)
        save_class_probe(probes[layer], out)
        return probes

    def _setting(self, words: Words, split: Split, real: Task, layer: str) -> dict[str, Any]:
        test = real.predictions.test
        counts = {"train": int((~test).sum()), "test": int(test.sum()), "validation": len(split.validation)}
        table = words.table
        return {
            "classes": list(real.solution.classes),
            "excluded_tags": words.settings["excluded_tags"],
            "position": words.settings["position"],
            "split": split.statements,
            "words": counts,
            "groups": {name: str(groups) for name, groups in split.groups.items()},
            "units": {name: groups.unit for name, groups in split.groups.items()},
            "documents": {name: groups.documents for name, groups in split.groups.items()},
            "documents_from": origin(zip(table["doc_from"], table["part"] + "/" + table["doc_id"], strict=True)),
            "straddling_documents": words.straddling,
            "unlabelled": int(len(split.lines) - len(test)),
            "layer": layer,
            "layer_named": self.layer is not None,
            "folds": self.folds,
            "interval_level": LEVEL,
        }

    def _layers(
        self, words: Words, split: Split, codes: Floats, real: Task, control: Task, result: ClassResult
    ) -> dict[str, Any]:
        """Per layer: accuracy on the test part, of the control task, and their differences to it and the baseline."""
        boot = real.predictions.bootstraps["test"]
        baseline, unseen = self._baseline(words, split, codes, real)
        base = boot.sums(np.stack([baseline, np.ones_like(baseline)], 1))
        task, other = real.predictions.layer_terms, control.predictions.layer_terms
        sums = np.concatenate([task[..., 1:], other[..., 1:], np.broadcast_to(base[:, None], task[..., 1:].shape)], -1)
        found = {
            "control_accuracy": boot.from_sums(sums[..., 2:4], _share, SHARE),
            "selectivity": boot.from_sums(sums[..., :4], _difference, GAP),
            "above_baseline": boot.from_sums(sums[..., [0, 1, 4, 5]], _difference, GAP),
        }
        layers = [
            vars(about) | {name: values[at] for name, values in found.items()}
            for at, about in enumerate(result.by_layer)
        ]
        accuracy = boot.from_sums(base, _share, SHARE).item()
        return {"layers": layers, "baseline": {"accuracy": accuracy, "unseen": unseen}}

    def _baseline(self, words: Words, split: Split, codes: Floats, real: Task) -> tuple[Floats, float]:
        """[test word] whether the type's commonest training tag is right, and the share of types never seen."""
        forms = words.table["form"].to_numpy(str)[split.lines]
        train = ~split.test & ~np.isnan(codes)
        table = TypeTable.of(forms[train], codes[train].astype(np.int64), len(real.solution.classes))
        rows = real.predictions.rows[real.predictions.test]
        right = table.commonest(forms[rows]) == codes[rows]
        return right.astype(np.float64), float(1 - table.seen(forms[rows]).mean())

    def _scored(self, words: Words, split: Split, codes: Floats, probe: ClassProbe) -> dict[str, Any]:
        """Scores of the chosen layer on the test part, and on the validation part if there is one."""
        known = ~np.isnan(codes[split.test])
        tested = (split.lines[split.test][known], codes[split.test][known].astype(np.int64))
        parts = {"test": (*tested, split.groups["test"].names[known])}
        if len(split.validation):
            tags = words.table["upos"].to_numpy(str)[split.validation]
            known = np.isin(tags, probe.classes)
            true = code_of(tags[known], list(probe.classes))
            parts["validation"] = (split.validation[known], true, split.groups["validation"].names[known])
        return {
            name: class_scores(true, probabilities(probe, words, lines), self._boot(groups), probe.classes, self.bins)
            for name, (lines, true, groups) in parts.items()
        }

    def _boot(self, groups: NDArray[np.str_]) -> GroupBootstrap:
        return GroupBootstrap(groups, resamples=self.bootstraps, level=LEVEL, seed=self.seed)


def _share(sums: Floats) -> Floats:
    return np.asarray(sums[..., 0] / sums[..., 1])


def _difference(sums: Floats) -> Floats:
    return _share(sums[..., :2]) - _share(sums[..., 2:])
