"""Layerwise probes: what do the states of a pass tell of this pass's and the others' answers and confidence?

From the answer-position states of each pass, all layers at once: ridge probes of entropy, logit margin and expected
confidence, logistic probes of correctness and of the parsed answer, each also of the other passes (do the states of the
self-confidence pass tell the entropy of the mcq pass?). One split by question for everything; layer and penalty are
chosen inside its training part.

    python train.py --exp introspection_probes --run runs/introspection

Writes metrics.json, predictions.safetensors (held-out predictions of every layer, from which the analyses work),
probes, split, figures and a report.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.analysis import (
    READS,
    check_settings,
    identity,
    open_introspection,
    questions_left_out,
)
from lit_experiments.experiments.introspection.probe_data import (
    Columns,
    Fitted,
    Questions,
    States,
    columns_of,
    controls_of,
    read_questions_of,
)
from lit_experiments.experiments.introspection.probe_results import evaluate, save_all
from lit_experiments.experiments.introspection.probe_targets import Target, check_targets, read_targets, target_name
from lit_experiments.experiments.introspection.probes_report import write_report
from lit_experiments.experiments.introspection.prompts import PASSES, pass_name
from lit_experiments.experiments.introspection.twin import forget_states, model_of, twin_states
from lit_experiments.launch import is_rank_zero
from lit_experiments.probes.data import ArrayDataModule, BlockDataModule
from lit_experiments.probes.examples import last_entries
from lit_experiments.probes.logistic import LogisticProbe
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.probes.store_data import StoreDataModule
from lit_experiments.probes.training import fit
from lit_experiments.ranges import above, at_least, between, penalty_grid
from stores import Store

Make = Callable[[NDArray[np.float64], list[str]], BlockDataModule]


class IntrospectionProbes:
    """Reads a store of study 3; writes probes, their controls and a report into the run's results folder."""

    reads: ClassVar[str] = READS
    version: ClassVar[int] = 1  # of what the files hold: analyses work from them

    def __init__(
        self,
        passes: list[str],
        targets: list[str],
        position: str,
        layers: list[str] | None,
        penalties: list[float],
        class_penalties: list[float],
        test_fraction: float,
        folds: int,
        fewest: int,
        shuffles: int,
        permutations: int,
        bootstraps: int,
        twin: bool,
        twin_tokens: int,
        tolerance: float,
        max_iterations: int,
        memory_mb: float,
        block_mb: float,
        seed: int,
    ) -> None:
        """Checks the settings.

        Args:
            passes: The passes whose states are read, of mcq, self_confidence (or self_conf), other_confidence (or
                other_conf).
            targets: What is predicted from each of them, as pass.name.
            position: Whose states are read: answer, or -k for the k-th stored token from the end.
            layers: The sites to read, by name; null reads all that are stored.
            penalties: Ridge penalties to choose from, by cross-validation inside the training part.
            class_penalties: Penalties of the logistic probes to choose from, per training row, in the same way.
            test_fraction: Share of the questions held out for the test part.
            folds: Folds of the cross-validation, by question.
            fewest: Fewest training questions of a class; those of rarer classes are left out.
            shuffles: Ridges retrained on targets permuted between questions, as a control.
            permutations: Permutations of the test questions behind each p-value.
            bootstraps: Resamples of the bootstrap over questions.
            twin: Probe a random-weights twin of the model too.
            twin_tokens: Tokens that the twin reads at a time, with padding.
            tolerance: Relative distance to the minimum at which a logistic fit has converged.
            max_iterations: Steps of a logistic fit.
            memory_mb: Training rows of the logistic probes stay in memory if they fit, in megabytes.
            block_mb: Features read at a time, in megabytes.
            seed: Seed of the split, the shuffles, the twin's weights, the permutations and the bootstrap.
        """
        check_settings(folds, bootstraps, seed, penalties)
        penalty_grid(class_penalties=class_penalties)
        passes = [pass_name(kind) for kind in passes]
        targets = [target_name(key) for key in targets]
        check_targets(targets)
        unknown = [kind for kind in passes if kind not in PASSES]
        if unknown or not passes:
            raise UserError(f"passes must be some of {', '.join(PASSES)}; found {', '.join(unknown) or 'none'}.")
        between(0, 1, test_fraction=test_fraction, tolerance=tolerance)
        at_least(1, permutations=permutations, fewest=fewest, max_iterations=max_iterations, twin_tokens=twin_tokens)
        at_least(0, shuffles=shuffles)
        above(0, memory_mb=memory_mb, block_mb=block_mb)
        self.back = _back(position)
        self.passes, self.targets, self.layers = passes, targets, layers
        self.penalties, self.class_penalties = penalties, class_penalties
        self.test_fraction, self.folds, self.fewest = test_fraction, folds, fewest
        self.shuffles, self.permutations = shuffles, permutations
        self.bootstraps, self.twin, self.twin_tokens = bootstraps, twin, twin_tokens
        self.tolerance, self.max_iterations = tolerance, max_iterations
        self.memory_mb, self.block_mb, self.seed = memory_mb, block_mb, seed

    def identity(self, run: Path) -> dict[str, Any]:
        """What the results follow from: the store's content and the settings.

        Raises:
            UserError: the store is none of study 3, has too few questions, or does not tell of its model.
        """
        store = open_introspection(run)
        read_questions_of(store, self.test_fraction, self.folds, self.seed)
        if self.twin:
            model_of(store)
        aside = ("memory_mb", "block_mb", "twin_tokens")
        settings = {key: value for key, value in vars(self).items() if key not in aside}
        return identity(store, settings) | {"version": self.version}

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Trains, evaluates, writes everything into `out`; returns the result tables and where the page is."""
        store = open_introspection(run)
        left_out = questions_left_out(run)
        questions = read_questions_of(store, self.test_fraction, self.folds, self.seed, left_out)
        targets, statements = read_targets(questions.rows, self.targets, questions.part, self.fewest)
        if questions.left_out:
            statements.append(f"{questions.left_out} questions are left out: some pass of the store lacks them.")
        if not targets:
            raise UserError("There is nothing to probe:\n  " + "\n  ".join(statements))
        kinds = [kind for kind in self.passes if kind in questions.rows]
        statements += [f"states of {kind}: the store holds no such pass." for kind in self.passes if kind not in kinds]
        found = self._fit_all(store, questions, targets, kinds, statements, out, trainer, checkpoint)
        if not is_rank_zero():
            return ""
        result, arrays = evaluate(found, targets, questions, self.bootstraps, self.permutations, self.seed)
        result |= {"statements": statements, "position": "answer" if self.back == 1 else f"-{self.back}"}
        result |= {"shuffles": self.shuffles, "permutations": self.permutations, "folds": self.folds}
        text = write_report(out, result, store)
        save_all(out, store, found, questions, result, arrays)
        forget_states(out)
        return text

    def _fit_all(
        self,
        store: Store,
        questions: Questions,
        targets: list[Target],
        kinds: list[str],
        statements: list[str],
        out: Path,
        trainer: dict[str, Any],
        checkpoint: str | None,
    ) -> list[States]:
        """Every process takes part in every fit."""
        twins: dict[str, Any] = {}
        if self.twin:
            accelerator = str(trainer.get("accelerator", "auto"))
            rows = {kind: questions.rows[kind] for kind in kinds}
            about = (self.back, self.seed, self.twin_tokens, accelerator, out)
            twins = twin_states(store, rows, *about)
        found = []
        for kind in kinds:
            controls, said = controls_of(targets, questions, kind, self.penalties)
            statements += said
            columns = columns_of(targets, controls, self.shuffles, self.seed)
            folder = out / "checkpoints" / kind
            fitted = self._fit(self._stored(store, questions, kind), targets, columns, trainer, folder, checkpoint)
            twin = None
            if kind in twins:
                plain = columns_of([t for t in targets if not t.classes], {}, 0, self.seed)
                make = self._twin(twins[kind], store, questions)
                twin = self._fit(make, targets, plain, trainer, out / "checkpoints" / f"{kind}-twin", checkpoint)
            found.append(States(kind, controls, fitted, twin))
        return found

    def _fit(
        self,
        make: Make,
        targets: list[Target],
        columns: Columns,
        trainer: dict[str, Any],
        folder: Path,
        checkpoint: str | None,
    ) -> Fitted:
        ridge, classes = None, {}
        if columns.names:
            probe, data = RidgeProbe(self.penalties), make(columns.matrix(), columns.names)
            fit(probe, data, trainer, folder / "ridge", checkpoint)
            ridge = (probe.solution, data)
        for target in (target for target in targets if target.classes):
            about = (self.class_penalties, self.tolerance, self.max_iterations, int(self.memory_mb * 1e6))
            logistic = LogisticProbe(list(target.classes), *about)
            coded = make(target.values[:, None], [target.key])
            fit(logistic, coded, trainer, folder / target.key, checkpoint)
            classes[target.key] = (logistic.solution, coded)
        return Fitted(columns, ridge, classes)

    def _split(self) -> dict[str, Any]:
        return {
            "test_fraction": self.test_fraction,
            "folds": self.folds,
            "split_seed": self.seed,
            "block_bytes": int(self.block_mb * 1e6),
            "shuffles": 0,  # those are columns of their own here
            "shuffle_seed": self.seed,
        }

    def _stored(self, store: Store, questions: Questions, kind: str) -> Make:
        """Data modules on the stored states of a pass, which know pass and model."""
        rows = store.select(questions.rows[kind]["row"].to_numpy())
        examples = last_entries(rows, "resid_post", self.back)

        def make(y: NDArray[np.float64], names: list[str]) -> BlockDataModule:
            about: dict[str, Any] = {"examples": examples, "layers": self.layers, **self._split()}
            data = StoreDataModule(rows, "resid_post", y, names, questions.ids, **about)
            data.setup()
            data.fingerprint |= {"pass": kind, "model": store.fingerprint.get("model")}
            return data

        return make

    def _twin(self, states: NDArray[np.float32], store: Store, questions: Questions) -> Make:
        """Data modules on the twin's states, layers as chosen."""
        names = [str(name) for name in store.schema.coords["layer"]]
        wanted = names if self.layers is None else self.layers
        x = states[:, [names.index(name) for name in wanted]]

        def make(y: NDArray[np.float64], columns: list[str]) -> BlockDataModule:
            about: dict[str, Any] = {"layers": wanted, "targets": columns, **self._split()}
            return ArrayDataModule(x, y, questions.ids, **about)

        return make


def _back(position: str) -> int:
    """answer -> 1, -k -> k."""
    match = re.fullmatch(r"-([1-9]\d*)", position)
    if position != "answer" and match is None:
        raise UserError(f'position must be answer or -k such as -3, found "{position}".')
    return 1 if match is None else int(match.group(1))
