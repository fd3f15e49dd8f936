"""The interventions of one pass, layer by layer, kept on disk as they are done. Knows no intervals.

A layer's numbers (`interventions`) are plain arrays in a JSON file of their own, written whole; a second start reads
those that belong to the same data and settings and computes the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lit_experiments.experiments.introspection.patching_checks import (
    check_collected,
    check_identity,
    check_last_replacement,
    check_whole_replacement,
    equal_lengths,
)
from lit_experiments.experiments.introspection.patching_choice import DIRECTION_OF, Asked, Choice, Directions
from lit_experiments.experiments.introspection.patching_passes import Bench, Make, groups
from lit_experiments.lm.intervene import Ablate, Patch, Steer
from lit_experiments.lm.model import LanguageModel
from lit_experiments.plain import write_json

Floats = NDArray[np.float64]
_ARRAYS = ("clean", "steer", "ablate", "random_steer", "random_ablate", "low", "high", "again", "patch", "control")


@dataclass(frozen=True)
class Plan:
    """How much is done. multiples: of the spread; randoms: random directions; together: interventions at once."""

    multiples: list[float]
    randoms: int
    replacements: int
    together: int
    batch_tokens: int
    seed: int

    def conditions(self) -> int:
        """Interventions of one pass and layer: steering and ablating each direction, two patches."""
        return (1 + self.randoms) * (len(self.multiples) + 1) + 2


class PassRunner:
    """One pass of the questions on the model; its prompts are read once for all layers."""

    def __init__(self, lm: LanguageModel, choice: Choice, plan: Plan) -> None:
        self.lm, self.choice, self.plan = lm, choice, plan
        self.sample = Bench(lm, choice.sample, self._batches(choice.sample), plan.together)
        sides = (choice.recipients, choice.donors, choice.controls)
        shared = self._batches(*sides)  # recipient and donor in the same place of the same batch
        self.low, self.high, self.again = (Bench(lm, side, shared, 2) for side in sides)
        self.about = {
            "collected": check_collected(lm, (self.sample, self.low, self.high)),
            "last_replacement": check_last_replacement(lm, self.low, self.high),
            "cached": self.sample.cached,
        }

    def interventions(self, site: str, vector: Floats, spread: float, done: Callable[[int], object]) -> dict[str, Any]:
        """What everything done at one layer changes; means over questions for random directions.

        Keys: steer [multiple, N, M], ablate [N, M], random_steer [R, multiple, M], random_ablate [R, M] for the sample
        (clean [N, M]); patch, control [P, M] for the pairs (low, high, again [P, M]: recipients, donors, and the low
        donors of the control); and what the checks measured.

        Raises:
            RunFailed: a check failed.
        """
        pairs = equal_lengths(self.choice.sample, self.plan.replacements)
        found: dict[str, Any] = {
            "identity": check_identity(self.low, site) + check_identity(self.high, site),
            "whole_replacement": check_whole_replacement(self.lm, self.choice.sample, pairs, site),
            "whole_replacements": len(pairs[0]),
        }
        moved = self._moved(site, vector, spread, done)
        found |= {"clean": self.sample.clean[0], "steer": moved[0, :-1], "ablate": moved[0, -1]}
        random = moved[1:].mean(2)
        found |= {"random_steer": random[:, :-1], "random_ablate": random[:, -1]}
        states = [self.high.states(site), self.again.states(site)]
        patches: list[Make] = [_patch(site, each) for each in states]
        patched = self.low.changes(patches, done)
        found |= {"low": self.low.clean[0], "high": self.high.clean[0], "again": self.again.clean[0]}
        return found | {"patch": patched[0], "control": patched[1]}

    def _moved(self, site: str, vector: Floats, spread: float, done: Callable[[int], object]) -> Floats:
        """[1 + R, multiple + 1, N, M] of the direction and R random ones: steered by each multiple, ablated."""
        made: list[Make] = []
        for unit in (vector, *random_directions(self.plan.randoms, len(vector), self.plan.seed, site)):
            given = torch.tensor(unit, dtype=torch.float32)
            made += [_same(Steer(site, given, spread * multiple, "last")) for multiple in self.plan.multiples]
            made.append(_same(Ablate(site, given, "last")))
        changes = self.sample.changes(made, done)
        return changes.reshape(1 + self.plan.randoms, -1, *changes.shape[1:])

    def _batches(self, *sides: Asked) -> list[NDArray[np.int64]]:
        lengths = [max(map(len, ids)) for ids in zip(*(side.ids for side in sides), strict=True)]
        return groups(lengths, self.plan.batch_tokens)


def random_directions(count: int, width: int, seed: int, site: str) -> Floats:
    """[count, width] unit vectors, uniform on the sphere, other ones at each site."""
    vectors = np.random.default_rng([seed, *site.encode()]).normal(size=(count, width))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _same(intervention: Steer | Ablate) -> Make:
    return lambda _rows: intervention


def _patch(site: str, states: torch.Tensor) -> Make:
    return lambda rows: Patch(site, states[torch.as_tensor(rows, device=states.device)], "last")


def run_pass(
    runner: Callable[[], PassRunner],
    kind: str,
    directions: Directions,
    sites: Sequence[str],
    parts: Parts,
    done: Callable[[str, int], object],
) -> dict[str, dict[str, Any]]:
    """site -> the arrays of one pass, as kept or new; `runner` is made only if a layer is left to do.

    A site without a direction (states that do not vary) has no entry.
    """
    out, ready = {}, None
    told = DIRECTION_OF[kind]
    for site in sites:
        at = directions.sites.index(site)
        vector, spread = directions.vectors[told][at], float(directions.spread[told][at])
        if not (np.isfinite(vector).all() and spread > 0):
            continue
        found = parts.read(kind, site)
        if found is None:
            ready = ready or runner()
            fresh = ready.interventions(site, vector, spread, partial(done, f"{kind} {site}"))
            parts.write(kind, site, fresh | ready.about | {"spread": spread})
            found = parts.read(kind, site)
            assert found is not None, "just written"
        out[site] = found
    return out


class Parts:
    """The files of the layers that are done. identity: hash of everything that their numbers follow from."""

    def __init__(self, folder: Path, identity: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.identity = folder, identity

    def read(self, kind: str, site: str) -> dict[str, Any] | None:
        """What is kept of one pass and layer, None if there is nothing or it is of other data or settings."""
        file = self._file(kind, site)
        if not file.exists():
            return None
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["identity"] != self.identity:
            return None
        found: dict[str, Any] = kept["found"]
        return found | {name: np.array(found[name], np.float64) for name in _ARRAYS}  # null becomes NaN

    def write(self, kind: str, site: str, found: dict[str, Any]) -> None:
        """Keeps it; a reader never sees half of it."""
        write_json(self._file(kind, site), {"identity": self.identity, "found": found})

    def _file(self, kind: str, site: str) -> Path:
        return self.folder / f"{kind}.{site}.json"
