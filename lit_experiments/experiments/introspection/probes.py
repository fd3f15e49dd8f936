"""Layerwise probes: what do the states of a pass tell of this pass's and the others' answers and confidence?

From the answer-position states of each pass, all layers at once: ridge probes of entropy, logit margin and expected
confidence, logistic probes of correctness and of the parsed answer, each also of the other passes (do the states of the
self-confidence pass tell the entropy of the mcq pass?). One split by question for everything; layer and penalty are
chosen inside its training part.

    python train.py --exp introspection_probes --run runs/introspection

Also writes metrics.json and predictions.safetensors (held-out predictions of every layer), from which the analyses
work, the split, and the probes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.split import SplitOptions
from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.passes import (
    SIGNIFICANT,
    WHOLE_QUESTIONS,
    content,
    layer_names,
    questions_left_out,
)
from lit_experiments.experiments.introspection.probe_claims import ClaimOptions, judged_pairs, untested_pairs
from lit_experiments.experiments.introspection.probe_controls import ControlOptions, controls_of
from lit_experiments.experiments.introspection.probe_data import (
    Columns,
    Fitted,
    Questions,
    RidgeFit,
    States,
    columns_of,
    read_questions_of,
)
from lit_experiments.experiments.introspection.probe_evaluation import Chance, evaluate
from lit_experiments.experiments.introspection.probe_files import METRICS, save_fits, save_predictions
from lit_experiments.experiments.introspection.probe_targets import Target, check_targets, read_targets, target_name
from lit_experiments.experiments.introspection.probes_page import probes_page
from lit_experiments.experiments.introspection.probes_result import ProbesResult, QuestionCounts
from lit_experiments.experiments.introspection.prompts import PASSES, pass_name
from lit_experiments.experiments.introspection.twin import RandomStates, TwinSettings, forget_states, random_states
from lit_experiments.launch import is_rank_zero
from lit_experiments.plain import write_json
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.examples import last_entries
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.probes.row_logistic_probe import logistic_probe
from lit_experiments.probes.scratch_states import ScratchDataModule, ScratchRows, ScratchStates
from lit_experiments.probes.store_data import StoreDataModule
from lit_experiments.ranges import above, at_least, between, penalty_grid, reaching, share
from lit_experiments.reports.blocks import Page
from lit_experiments.sources.content_groups import Likeness
from lit_experiments.statistics import LEVEL
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import Opened, TrainTask
from lit_experiments.tasks.training import Trainer
from stores import Store, fingerprint_hash

Make = Callable[[NDArray[np.float64], list[str]], BlockDataModule]


@dataclass(frozen=True, kw_only=True)
class IntrospectionProbes(TrainTask[ProbesResult]):
    """Layerwise probes of answer, uncertainty and confidence, with their controls.

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
        group_by: What no split may part: content (alike questions, with the group column if there is one; auto does
            this), id (every question on its own), column (the group column alone).
        group_column: Column whose equal values belong together, such as subject.
        near_copies: Jaccard similarity of word 3-grams from which questions are near copies.
        templates: Share of words in common, in order, from which questions are of one template; null looks for none.
        surface_rows: Training questions that models of surface and output are fitted to at most.
        twin: Probe random-weights twins of the model too; random features of the tokens where it cannot be loaded.
        twins: How many of them; the score must be above all of theirs.
        twin_tokens: Tokens that the twin reads at a time, with padding.
        tolerance: Relative distance to the minimum at which a logistic fit has converged.
        max_iterations: Steps of a logistic fit.
        memory_mb: Training rows of the logistic probes stay in memory if they fit, in megabytes.
        block_mb: Features read at a time, in megabytes.
    """

    passes: list[str]
    targets: list[str]
    position: str
    layers: list[str] | None
    penalties: list[float]
    class_penalties: list[float]
    test_fraction: float
    folds: int
    fewest: int
    shuffles: int
    permutations: int
    group_by: Literal["auto", "content", "id", "column"]
    group_column: str | None
    near_copies: float
    templates: float | None
    surface_rows: int
    twin: bool
    twins: int
    twin_tokens: int
    tolerance: float
    max_iterations: int
    memory_mb: float
    block_mb: float

    reads: ClassVar[Reads] = WHOLE_QUESTIONS
    result_type: ClassVar[type] = ProbesResult
    version: ClassVar[int] = 1  # of what the files hold: analyses work from them
    shapes_nothing: ClassVar[frozenset[str]] = frozenset({"memory_mb", "block_mb", "twin_tokens"})

    def __post_init__(self) -> None:
        object.__setattr__(self, "passes", [pass_name(kind) for kind in self.passes])
        object.__setattr__(self, "targets", [target_name(key) for key in self.targets])
        super().__post_init__()

    def check(self) -> None:
        """Names of passes, targets and the position; ranges."""
        check_targets(self.targets)
        unknown = [kind for kind in self.passes if kind not in PASSES]
        if unknown or not self.passes:
            raise UserError(f"passes must be some of {', '.join(PASSES)}; found {', '.join(unknown) or 'none'}.")
        at_least(2, folds=self.folds)
        at_least(1, fewest=self.fewest)
        reaching(SIGNIFICANT, permutations=self.permutations, shuffles=self.shuffles or None)
        at_least(1, max_iterations=self.max_iterations, twin_tokens=self.twin_tokens)
        at_least(1, twins=self.twins, surface_rows=self.surface_rows)
        share(near_copies=self.near_copies, templates=self.templates)
        if self.group_by == "column" and self.group_column is None:
            raise UserError("group_by column takes a column: name it with --group_column.")
        penalty_grid(penalties=self.penalties, class_penalties=self.class_penalties)
        between(0, 1, test_fraction=self.test_fraction, tolerance=self.tolerance)
        above(0, memory_mb=self.memory_mb, block_mb=self.block_mb)
        _back(self.position)

    def check_data(self, data: Opened) -> None:
        """Whether the questions can be split as asked."""
        read_questions_of(data.store, self.split_options())

    def also_reads(self, data: Opened) -> dict[str, Any]:
        """The version of what the files hold."""
        return {"version": self.version}

    def result(self, data: Opened, trainer: Trainer) -> ProbesResult | None:
        """Trains and evaluates; writes probes, split and held-out predictions."""
        left_out = questions_left_out(data.run)
        questions = read_questions_of(data.store, self.split_options(), left_out)
        readable = read_targets(questions.rows, self.targets, questions.part, self.fewest, questions.split.reason)
        targets, statements = readable.targets, [*readable.statements]
        if left_out:
            statements.append(f"{left_out} questions are left out: some pass of the store lacks them.")
        kinds = [kind for kind in self.passes if kind in questions.rows]
        statements += [f"states of {kind}: the store holds no such pass." for kind in self.passes if kind not in kinds]
        if not kinds or not (targets or readable.untested):
            raise UserError("There is nothing to probe:\n  " + "\n  ".join(statements))
        fits, without = self._fit_all(data, questions, targets, kinds, trainer) if targets else ([], [])
        if not is_rank_zero():
            return None
        pairs, arrays = evaluate(fits, targets, questions, Chance(self.resampler, self.permutations, self.seed))
        save_fits(data.out, data.store, fits, pairs)
        save_predictions(data.out, questions, arrays)
        forget_states(data.out)
        options = ClaimOptions(
            position=self._position,
            back=_back(self.position),
            data=fingerprint_hash(content(data.store)),
            alpha=SIGNIFICANT,
            split=self.split_options(),
            penalties=self.penalties,
            resampler=self.resampler,
        )
        return ProbesResult(
            questions=QuestionCounts(len(questions.ids), int(questions.test.sum()), left_out),
            layers=fits[0].fitted.layers if fits else self.layers or layer_names(data.store),
            pairs=pairs,
            interval_level=LEVEL,
            alpha=SIGNIFICANT,
            twin=self.twin,
            statements=statements + without,
            position=self._position,
            shuffles=self.shuffles,
            permutations=self.permutations,
            folds=self.folds,
            split=questions.split.summary,
            claims=[
                *judged_pairs(pairs, targets, questions, data.store, options),
                *untested_pairs(kinds, readable.untested, questions, options),
            ],
        )

    @property
    def _position(self) -> str:
        return "answer" if _back(self.position) == 1 else self.position

    def split_options(self) -> SplitOptions:
        """How questions are split."""
        likeness = Likeness(self.near_copies, self.templates, seed=self.seed)
        parts = (self.test_fraction, self.folds, self.seed)
        return SplitOptions(self.group_by, self.group_column, None, likeness, *parts)

    def write(self, result: ProbesResult, data: Opened) -> None:
        """metrics.json, which the analyses of the probes read."""
        write_json(data.out / METRICS, result)

    def page(self, result: ProbesResult, data: Opened) -> Page:
        """What is readable, and what the controls leave of it."""
        return probes_page(result, is_demonstration(data.store))

    def _fit_all(
        self, data: Opened, questions: Questions, targets: list[Target], kinds: list[str], trainer: Trainer
    ) -> tuple[list[States], list[str]]:
        """Every process takes part in every fit. Also says which controls there are not, and why."""
        random = self._random(data, questions, kinds, trainer)
        controls_by_kind, statements = controls_of(
            data.store, targets, questions, kinds, ControlOptions(self.penalties, self.surface_rows, self.seed)
        )
        statements += [f"random-weights twin: {random.reason}"] if random is not None and random.reason else []
        fits = []
        for kind in kinds:
            controls = controls_by_kind[kind]
            columns = columns_of(targets, controls, self.shuffles, self.seed, questions.split.group)
            fitted = self._fit(self._stored(data.store, questions, kind), targets, columns, trainer, kind)
            twin = None
            if random is not None and kind in random.first:
                plain = columns_of([t for t in targets if not t.classes], {}, 0, self.seed, questions.split.group)
                make = self._twin(random.first[kind], data.store, questions)
                twin = self._fit(make, targets, plain, trainer, f"{kind}-twin")
            fits.append(States(kind, controls, fitted, twin, {}, ""))
        if random is not None and is_rank_zero():
            further = random.predictions(targets, questions, self.penalties)
            fits = [replace(states, random=further[states.kind], random_kind=random.kind) for states in fits]
        return fits, statements

    def _random(self, data: Opened, questions: Questions, kinds: list[str], trainer: Trainer) -> RandomStates | None:
        if not self.twin:
            return None
        accelerator = str(trainer.flags.get("accelerator", "auto"))
        rows = {kind: questions.rows[kind] for kind in kinds}
        settings = TwinSettings(_back(self.position), self.seed, self.twins, self.twin_tokens, accelerator)
        return random_states(data.store, rows, settings, self.layers, data.out)

    def _fit(self, make: Make, targets: list[Target], columns: Columns, trainer: Trainer, name: str) -> Fitted:
        """name: of the folder of checkpoints."""
        ridge, classes = None, {}
        if columns.names:
            probe, data = RidgeProbe(self.penalties), make(columns.matrix(), columns.names)
            trainer.fit(probe, data, f"checkpoints/{name}/ridge")
            ridge = RidgeFit.of(probe.solution, data) if is_rank_zero() else None
            probe.forget()
        for target in (target for target in targets if target.classes):
            coded = make(target.values[:, None], [target.key])
            limits = (self.class_penalties, self.tolerance, self.max_iterations, int(self.memory_mb * 1e6))
            logistic = logistic_probe(coded, list(target.classes), *limits)
            trainer.fit(logistic, coded, f"checkpoints/{name}/{target.key}")
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
        examples = last_entries(rows, "resid_post", _back(self.position))

        def make(y: NDArray[np.float64], names: list[str]) -> BlockDataModule:
            settings: dict[str, Any] = {"examples": examples, "layers": self.layers, **self._split()}
            data = StoreDataModule(rows, "resid_post", y, names, questions.split.group, **settings)
            if np.isnan(y).any():
                data.allow_missing()
            data.setup()
            data.fingerprint |= {"pass": kind, "model": store.fingerprint.get("model")}
            return data

        return make

    def _twin(self, states: ScratchStates, store: Store, questions: Questions) -> Make:
        """Data modules on the twin's states, layers as chosen."""
        layers = layer_names(store) if self.layers is None else self.layers
        rows = ScratchRows(states, np.arange(states.entries))

        def make(y: NDArray[np.float64], columns: list[str]) -> BlockDataModule:
            data = ScratchDataModule(rows, y, questions.split.group, columns, layers=layers, **self._split())
            return data.allow_missing() if np.isnan(y).any() else data

        return make


def _back(position: str) -> int:
    """answer -> 1, -k -> k."""
    match = re.fullmatch(r"-([1-9]\d*)", position)
    if position != "answer" and match is None:
        raise UserError(f'position must be answer or -k such as -3, found "{position}".')
    return 1 if match is None else int(match.group(1))
