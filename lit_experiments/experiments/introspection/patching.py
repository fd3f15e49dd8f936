"""Interventions on the model: does what hidden states say of confidence also make the model confident?

At the answer position of each layer, one thing at a time: steer along the direction from low to high confidence by
multiples of its natural spread, take the direction out, or put in the state of a question of high confidence. What that
does to expected confidence, entropy, accuracy and the probability outside the letters, beside random directions of the
same length and patches from questions of the same low confidence.

    lit-experiments analyze --exp introspection_patching --run runs/introspection

Needs introspection_directions of the same run. Writes patching.json, figures and a report; the layers that are done are
kept in parts/, so that an analysis that was killed goes on where it was.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from lit_experiments.collecting.bars import Steps
from lit_experiments.errors import Stopped, UserError
from lit_experiments.experiments.introspection.analysis import READS, identity, open_introspection
from lit_experiments.experiments.introspection.patching_choice import (
    DIRECTION_OF,
    Choice,
    Directions,
    choose,
    chosen_sites,
    load_model,
    open_directions,
)
from lit_experiments.experiments.introspection.patching_passes import MEASURES
from lit_experiments.experiments.introspection.patching_report import write_report
from lit_experiments.experiments.introspection.patching_run import Parts, PassRunner, Plan, run_pass
from lit_experiments.experiments.introspection.patching_statistics import Settings, pass_statistics
from lit_experiments.lm.model import LanguageModel
from lit_experiments.plain import write_json
from lit_experiments.ranges import at_least, seeds
from stores import fingerprint_hash

LEVEL = 0.95
_ELSEWHERE = ("device", "model", "together", "batch_tokens")  # how, not what: they leave kept results valid


class IntrospectionPatching:
    """Reads a store of study 3 and its directions, runs the model; writes effects, figures and a report."""

    reads: ClassVar[str] = READS

    def __init__(
        self,
        questions: int,
        pairs: int,
        layers: list[str] | None,
        multiples: list[float],
        random_directions: int,
        replacements: int,
        bootstraps: int,
        flips: int,
        seed: int,
        device: Literal["auto", "cpu", "cuda"],
        model: str | None,
        together: int,
        batch_tokens: int,
    ) -> None:
        """Checks the settings.

        Args:
            questions: How many to steer and ablate, drawn at random.
            pairs: How many of the least confident get the state of one of the most confident.
            layers: Sites to intervene at, e.g. [resid_post.3]; null takes every one stored.
            multiples: How far to steer, in standard deviations of all questions' projections on the direction.
            random_directions: Directions to compare with; p is at least 1 over one more than these, before correction.
            replacements: Pairs of prompts of equal length in which every position is replaced, as a check.
            bootstraps: Resamples of the bootstrap over questions.
            flips: Random sign flips behind each p-value of patching.
            seed: Seed of questions, pairs, random directions, bootstrap and flips.
            device: Where the model runs; auto takes the GPU if there is one.
            model: Where the collected model lies now, if elsewhere than then.
            together: Interventions computed at once; 1 reads each prompt anew for each.
            batch_tokens: Most tokens of prompts read at once.
        """
        at_least(4, pairs=pairs)
        at_least(2, questions=questions)
        at_least(1, random_directions=random_directions, bootstraps=bootstraps, flips=flips)
        at_least(1, together=together, batch_tokens=batch_tokens)
        at_least(0, replacements=replacements)
        seeds(seed=seed)
        if not multiples or 0 in multiples or not np.isfinite(multiples).all() or len(set(multiples)) < len(multiples):
            raise UserError(f"multiples must be different numbers other than 0, at least one, found {multiples}.")
        self.questions, self.pairs, self.layers = questions, pairs, layers
        self.multiples, self.random_directions = sorted(map(float, multiples)), random_directions
        self.replacements, self.bootstraps, self.flips, self.seed = replacements, bootstraps, flips, seed
        self.device, self.model, self.together, self.batch_tokens = device, model, together, batch_tokens

    def identity(self, run: Path) -> dict[str, Any]:
        """What the results follow from: store, directions, settings.

        Raises:
            UserError: no store of study 3, or no directions of it.
        """
        store = open_introspection(run)
        _, digest = open_directions(run, store)
        settings = {name: value for name, value in vars(self).items() if name not in _ELSEWHERE}
        return identity(store, settings) | {"directions": digest}

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Runs the interventions, and writes everything into `out`; returns the result tables and where the page is.

        Raises:
            Stopped: interrupted; the same command goes on.
            RunFailed: a check failed.
            UserError: another model than was collected from, a site or device that there is not.
        """
        store = open_introspection(run)
        directions, _ = open_directions(run, store)
        sites = chosen_sites(self.layers, directions.sites)
        lm = load_model(store, self.model, self.device)
        choices, statements = choose(store, lm, self.questions, self.pairs, self.seed)
        for kind in [kind for kind in choices if DIRECTION_OF[kind] not in directions.vectors]:
            statements.append(f"{kind}: introspection_directions found no direction of {DIRECTION_OF[kind]}.")
            del choices[kind]
        parts = Parts(out / "parts", fingerprint_hash(json.loads(json.dumps(self.identity(run)))))
        try:
            found = self._interventions(lm, choices, directions, sites, parts)
        except KeyboardInterrupt as signal:
            raise Stopped(f"the layers that are done are kept in {parts.folder}; the same command goes on.") from signal
        result = self._result(found, sites, statements)
        text = write_report(out, result, store)
        write_json(out / "patching.json", result)
        return text

    def _interventions(
        self, lm: LanguageModel, choices: dict[str, Choice], directions: Directions, sites: list[str], parts: Parts
    ) -> dict[str, dict[str, dict[str, Any]]]:
        """pass -> site -> arrays."""
        plan = Plan(
            self.multiples, self.random_directions, self.replacements, self.together, self.batch_tokens, self.seed
        )
        kept = sum(parts.read(kind, site) is not None for kind in choices for site in sites)
        if kept:
            sys.stderr.write(f"Going on: {kept} of {len(choices) * len(sites)} layers and passes were done before.\n")
        each = plan.conditions()
        with Steps("intervening", each * len(sites) * len(choices), each * kept) as steps:
            return {
                kind: run_pass(partial(PassRunner, lm, choice, plan), kind, directions, sites, parts, steps.advance)
                for kind, choice in choices.items()
            }

    def _result(
        self, found: dict[str, dict[str, dict[str, Any]]], sites: list[str], statements: list[str]
    ) -> dict[str, Any]:
        settings = Settings(np.array(self.multiples), self.bootstraps, self.flips, LEVEL, self.seed)
        passes = {}
        for kind, layers in found.items():
            if not layers:
                statements.append(f"{kind}: no layer has a direction.")
                continue
            first = next(iter(layers.values()))
            passes[kind] = {
                "questions": len(first["clean"]),
                "pairs": len(first["patch"]),
                "layers": pass_statistics(kind, [layers.get(site) for site in sites], settings),
                "checks": _checks(list(layers.values())),
            }
        return {
            "layers": sites,
            "measures": list(MEASURES),
            "multiples": self.multiples,
            "random_directions": self.random_directions,
            "flips": self.flips,
            "interval_level": LEVEL,
            "passes": passes,
            "statements": statements,
        }


def _checks(layers: list[dict[str, Any]]) -> dict[str, Any]:
    """What the checks of a pass measured, over its layers."""
    whole = [layer["whole_replacement"] for layer in layers if layer["whole_replacement"] is not None]
    return {
        "identity_logits": sum(layer["identity"] for layer in layers),
        "last_replacement": max(layer["last_replacement"] for layer in layers),
        "whole_replacement": max(whole) if whole else None,
        "whole_replacements": layers[0]["whole_replacements"] * len(layers),
        "collected": max(layer["collected"] for layer in layers),
        "cached": all(layer["cached"] for layer in layers),
    }
