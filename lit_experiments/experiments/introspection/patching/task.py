"""Interventions on the model: does what hidden states hold of confidence also make the model confident?

At the answer position of each layer, one thing at a time: steer along the direction from low to high confidence by
multiples of its natural spread, take the direction out, or put in the state of a question of high confidence. What that
does to expected confidence, entropy, accuracy and the probability outside the letters, next to random directions of the
same length and patches from questions of the same low confidence.

    lit-experiments analyze --exp introspection_patching --run runs/introspection

Needs introspection_directions of the same run. The layers that are done are kept in parts/, so that an analysis that
was killed goes on where it was.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np

from lit_experiments.collecting.bars import Steps
from lit_experiments.errors import Stopped, UserError
from lit_experiments.experiments.introspection.passes import SIGNIFICANT, WHOLE_QUESTIONS, ids_of, passes
from lit_experiments.experiments.introspection.patching.choice import (
    DIRECTION_OF,
    Choice,
    Directions,
    choose,
    chosen_sites,
    load_model,
    open_directions,
)
from lit_experiments.experiments.introspection.patching.page import interventions_page
from lit_experiments.experiments.introspection.patching.passes import MEASURES
from lit_experiments.experiments.introspection.patching.result import Checks, Interventions, PassEffects
from lit_experiments.experiments.introspection.patching.run import LayerRun, Parts, PassRunner, Plan, run_pass
from lit_experiments.experiments.introspection.patching.statistics import Settings, pass_statistics
from lit_experiments.experiments.introspection.probe_split import question_groups
from lit_experiments.lm.model import LanguageModel
from lit_experiments.ranges import at_least, reaching, share
from lit_experiments.reports.blocks import Page
from lit_experiments.sources.content_groups import Likeness
from lit_experiments.statistics import LEVEL
from lit_experiments.statistics.estimate import LEAST_GROUPS
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import AnalyzeTask, Opened
from stores import Store, fingerprint_hash


@dataclass(frozen=True, kw_only=True)
class IntrospectionPatching(AnalyzeTask[Interventions]):
    """Interventions on the model along directions of confidence; intervals over questions.

    Args:
        questions: How many to steer and ablate, drawn at random.
        pairs: How many of the least confident get the state of one of the most confident.
        layers: Sites to intervene at, e.g. [resid_post.3]; null takes every one stored.
        multiples: How far to steer, in standard deviations of all questions' projections on the direction.
        random_directions: Directions to compare with; p is at least 1 over one more than these.
        replacements: Pairs of prompts of equal length in which every position is replaced, as a check.
        flips: Random sign flips, of groups of alike questions, behind each p-value of patching.
        near_copies: Jaccard similarity of word 3-grams from which questions are near copies.
        templates: Share of words in common, in order, from which questions are of one template; null looks for none.
        device: Where the model runs; auto takes the GPU if there is one.
        model: Where the collected model lies now, if elsewhere than then.
        together: Interventions computed at once; 1 reads each prompt anew for each.
        batch_tokens: Most tokens of prompts read at once.
    """

    questions: int
    pairs: int
    layers: list[str] | None
    multiples: list[float]
    random_directions: int
    replacements: int
    flips: int
    near_copies: float
    templates: float | None
    device: Literal["auto", "cpu", "cuda"]
    model: str | None
    together: int
    batch_tokens: int

    reads: ClassVar[Reads] = WHOLE_QUESTIONS
    result_type: ClassVar[type] = Interventions
    shapes_nothing: ClassVar[frozenset[str]] = frozenset({"device", "model", "together", "batch_tokens"})

    def check(self) -> None:
        """Raises UserError for options that no data could go with."""
        at_least(4, pairs=self.pairs)
        at_least(2, questions=self.questions)
        reaching(SIGNIFICANT, random_directions=self.random_directions, flips=self.flips)
        at_least(1, together=self.together, batch_tokens=self.batch_tokens)
        at_least(0, replacements=self.replacements)
        share(near_copies=self.near_copies, templates=self.templates)
        steps = self.multiples
        if not steps or 0 in steps or not np.isfinite(steps).all() or len(set(steps)) < len(steps):
            raise UserError(f"multiples must be different numbers other than 0, at least one, found {steps}.")

    def check_data(self, data: Opened) -> None:
        """Raises UserError without directions of this store, or for layers that it does not hold."""
        directions, _ = open_directions(data.run, data.store)
        chosen_sites(self.layers, directions.sites)

    def also_reads(self, data: Opened) -> dict[str, Any]:
        """The directions."""
        return {"directions": open_directions(data.run, data.store)[1]}

    def options(self) -> dict[str, Any]:
        """The options that shape the result; multiples in order."""
        return {**super().options(), "multiples": self._steps()}

    def result(self, data: Opened) -> Interventions:
        """Runs the interventions.

        Raises:
            Stopped: interrupted; the same command goes on.
            RunFailed: a check failed.
            UserError: another model than was collected from, or a device that there is not.
        """
        directions, _ = open_directions(data.run, data.store)
        sites = chosen_sites(self.layers, directions.sites)
        lm = load_model(data.store, self.model, self.device)
        choices, statements = choose(data.store, lm, self.questions, self.pairs, self.seed)
        for kind in [kind for kind in choices if DIRECTION_OF[kind] not in directions.vectors]:
            statements.append(f"{kind}: introspection_directions found no direction of {DIRECTION_OF[kind]}.")
            del choices[kind]
        parts = Parts(data.out / "parts", fingerprint_hash(json.loads(json.dumps(self.identity(data.run)))))
        try:
            runs = self._interventions(lm, choices, directions, sites, parts)
        except KeyboardInterrupt as signal:
            raise Stopped(f"the layers that are done are kept in {parts.folder}; the same command goes on.") from signal
        effects = self._effects(runs, sites, choices, self._groups(data.store), statements)
        return Interventions(
            layers=sites,
            measures=list(MEASURES),
            multiples=self._steps(),
            random_directions=self.random_directions,
            flips=self.flips,
            interval_level=LEVEL,
            passes=effects,
            statements=statements,
        )

    def page(self, result: Interventions, data: Opened) -> Page:
        """What moved, layer by layer."""
        return interventions_page(result, self.options(), is_demonstration(data.store))

    def _steps(self) -> list[float]:
        return sorted(map(float, self.multiples))

    def _interventions(
        self, lm: LanguageModel, choices: dict[str, Choice], directions: Directions, sites: list[str], parts: Parts
    ) -> dict[str, dict[str, LayerRun]]:
        """pass -> site -> numbers."""
        plan = Plan(
            self._steps(), self.random_directions, self.replacements, self.together, self.batch_tokens, self.seed
        )
        finished = sum(parts.read(kind, site) is not None for kind in choices for site in sites)
        if finished:
            sys.stderr.write(
                f"Going on: {finished} of {len(choices) * len(sites)} layers and passes were done before.\n"
            )
        count = plan.conditions()
        with Steps("intervening", count * len(sites) * len(choices), count * finished) as steps:
            return {
                kind: run_pass(partial(PassRunner, lm, choice, plan), kind, directions, sites, parts, steps.advance)
                for kind, choice in choices.items()
            }

    def _groups(self, store: Store) -> dict[str, dict[str, str]]:
        """pass -> question -> the group of alike questions that it is of."""
        likeness = Likeness(self.near_copies, self.templates, seed=self.seed)
        groups = {}
        for kind, rows in passes(store).items():
            names = question_groups(store, rows, likeness, LEAST_GROUPS, self.seed)
            groups[kind] = dict(zip(ids_of(rows.index).tolist(), names.tolist(), strict=True))
        return groups

    def _effects(
        self,
        runs: dict[str, dict[str, LayerRun]],
        sites: list[str],
        choices: dict[str, Choice],
        groups: dict[str, dict[str, str]],
        statements: list[str],
    ) -> dict[str, PassEffects]:
        effects = {}
        for kind, layers in runs.items():
            if not layers:
                statements.append(f"{kind}: no layer has a direction.")
                continue
            first = next(iter(layers.values()))
            sample, recipients = (
                np.array([groups[kind][question] for question in side.questions.tolist()])
                for side in (choices[kind].sample, choices[kind].recipients)
            )
            settings = Settings(
                np.array(self._steps()), self.flips, self.seed, self.resampler, sample=sample, recipients=recipients
            )
            by_site = pass_statistics([layers.get(site) for site in sites], settings)
            effects[kind] = PassEffects(len(first.clean), len(first.patch), by_site, _checks(list(layers.values())))
        return effects


def _checks(layers: Sequence[LayerRun]) -> Checks:
    """What the checks of a pass measured, over its layers."""
    whole = [layer.whole_replacement for layer in layers if layer.whole_replacement is not None]
    return Checks(
        identity_logits=sum(layer.identity for layer in layers),
        last_replacement=max(layer.last_replacement for layer in layers),
        whole_replacement=max(whole) if whole else None,
        whole_replacements=layers[0].whole_replacements * len(layers),
        collected=max(layer.collected for layer in layers),
        cached=all(layer.cached for layer in layers),
    )
