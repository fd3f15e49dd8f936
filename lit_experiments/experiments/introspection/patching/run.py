"""The interventions of one pass, layer by layer, kept on disk as they are done. Knows no intervals.

A layer's numbers (`LayerRun`) are plain arrays in a JSON file of their own, written whole; a second start reads
those that belong to the same data and settings and computes the rest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lit_experiments.experiments.introspection.patching.checks import (
    check_collected,
    check_identity,
    check_last_replacement,
    check_whole_replacement,
    equal_lengths,
)
from lit_experiments.experiments.introspection.patching.choice import DIRECTION_OF, Choice, Directions, Prompts
from lit_experiments.experiments.introspection.patching.passes import Bench, Make, groups
from lit_experiments.lm.intervene import Ablate, Patch, Steer
from lit_experiments.lm.model import LanguageModel
from lit_experiments.plain import write_json

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LayerRun:
    """What everything done at one layer of a pass changed: N questions, P pairs, R random directions, M measures.

    Of the sample: clean [N, M] the model left alone; steer [multiple, N, M], ablate [N, M]; random_steer
    [R, multiple, M], random_ablate [R, M] means over the questions. Of the pairs, [P, M]: low, high, again: recipients,
    donors, and the low donors of the control, left alone; patch, control. The rest: what the checks measured.
    """

    clean: Floats
    steer: Floats
    ablate: Floats
    random_steer: Floats
    random_ablate: Floats
    low: Floats
    high: Floats
    again: Floats
    patch: Floats
    control: Floats
    identity: int
    whole_replacement: float | None
    whole_replacements: int
    collected: float
    last_replacement: float
    cached: bool
    spread: float


_ARRAYS = [f.name for f in fields(LayerRun) if f.type == "Floats"]


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
        return self._of_sample() + 2

    def slots(self) -> int:
        """Interventions at once, as evenly as `together` allows: an empty place costs as much as a full one."""
        return math.ceil(self._of_sample() / math.ceil(self._of_sample() / self.together))

    def _of_sample(self) -> int:
        return (1 + self.randoms) * (len(self.multiples) + 1)


class PassRunner:
    """One pass of the questions on the model; its prompts are read once for all layers."""

    def __init__(self, lm: LanguageModel, choice: Choice, plan: Plan) -> None:
        self.lm, self.choice, self.plan = lm, choice, plan
        self.sample = Bench(lm, choice.sample, self._batches(choice.sample), plan.slots())
        sides = (choice.recipients, choice.donors, choice.controls)
        shared = self._batches(*sides)  # recipient and donor in the same place of the same batch
        self.low, self.high, self.again = (Bench(lm, side, shared, 2) for side in sides)
        self.collected = check_collected(lm, (self.sample, self.low, self.high))
        self.last_replacement = check_last_replacement(lm, self.low, self.high)

    def interventions(self, site: str, vector: Floats, spread: float, done: Callable[[int], object]) -> LayerRun:
        """Steers, ablates and patches at one layer; `done` counts what was done.

        Raises:
            RunFailed: a check failed.
        """
        pairs = equal_lengths(self.choice.sample, self.plan.replacements)
        identity = check_identity(self.low, site) + check_identity(self.high, site)
        whole = check_whole_replacement(self.lm, self.choice.sample, pairs, site)
        moved = self._moved(site, vector, spread, done)
        random = moved[1:].mean(2)
        patches: list[Make] = [_patch(site, donors.states(site)) for donors in (self.high, self.again)]
        patched = self.low.changes(patches, done)
        return LayerRun(
            clean=self.sample.clean[0],
            steer=moved[0, :-1],
            ablate=moved[0, -1],
            random_steer=random[:, :-1],
            random_ablate=random[:, -1],
            low=self.low.clean[0],
            high=self.high.clean[0],
            again=self.again.clean[0],
            patch=patched[0],
            control=patched[1],
            identity=identity,
            whole_replacement=whole,
            whole_replacements=len(pairs[0]),
            spread=spread,
            collected=self.collected,
            last_replacement=self.last_replacement,
            cached=self.sample.cached,
        )

    def _moved(self, site: str, vector: Floats, spread: float, done: Callable[[int], object]) -> Floats:
        """[1 + R, multiple + 1, N, M] of the direction and R random ones: steered by each multiple, ablated."""
        interventions: list[Make] = []
        for unit in (vector, *random_directions(self.plan.randoms, len(vector), self.plan.seed, site)):
            tensor = torch.tensor(unit, dtype=torch.float32)
            interventions += [_same(Steer(site, tensor, spread * multiple, "last")) for multiple in self.plan.multiples]
            interventions.append(_same(Ablate(site, tensor, "last")))
        changes = self.sample.changes(interventions, done)
        return changes.reshape(1 + self.plan.randoms, -1, *changes.shape[1:])

    def _batches(self, *sides: Prompts) -> list[NDArray[np.int64]]:
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
) -> dict[str, LayerRun]:
    """site -> the numbers of one pass, as kept or new; `runner` is made only if a layer is left to do.

    A site without a direction (states that do not vary) has no entry.
    """
    out, ready = {}, None
    confidence = DIRECTION_OF[kind]
    for site in sites:
        index = directions.sites.index(site)
        vector, spread = directions.vectors[confidence][index], float(directions.spread[confidence][index])
        if not (np.isfinite(vector).all() and spread > 0):
            continue
        layer = parts.read(kind, site)
        if layer is None:
            ready = ready or runner()
            parts.write(kind, site, ready.interventions(site, vector, spread, partial(done, f"{kind} {site}")))
            layer = parts.read(kind, site)
            assert layer is not None, "just written"
        out[site] = layer
    return out


class Parts:
    """The files of the layers that are done. identity: hash of everything that their numbers follow from."""

    def __init__(self, folder: Path, identity: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.identity = folder, identity

    def read(self, kind: str, site: str) -> LayerRun | None:
        """What is kept of one pass and layer, None if there is nothing or it is of other data or settings."""
        file = self._file(kind, site)
        if not file.exists():
            return None
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["identity"] != self.identity:
            return None
        numbers = content["found"]
        return LayerRun(**numbers | {name: np.array(numbers[name], np.float64) for name in _ARRAYS})  # null becomes NaN

    def write(self, kind: str, site: str, layer: LayerRun) -> None:
        """Keeps it; a reader never sees half of it."""
        write_json(self._file(kind, site), {"identity": self.identity, "found": layer})

    def _file(self, kind: str, site: str) -> Path:
        return self.folder / f"{kind}.{site}.json"
