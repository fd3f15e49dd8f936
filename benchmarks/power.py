"""What corrections of families of tests see, and how often they see what is not there: max-T next to Holm.

    python benchmarks/power.py            every kind of statement on noise, and families; some minutes
    python benchmarks/power.py --quick    few repeats

First every kind of statement of a report, on pure noise (lit_experiments/selftest): the share of repeats in which it is
made, at most 5 % but for chance. Then families of tests as studies have them, corrected from the same permutations by
step-down max-T (what the studies use) and by Holm's method: how often anything is said of noise, and, where some
hypotheses hold, what share of these is seen, both at 5 %. Every family has random numbers of its own: with those of
another it would be wrong in the same repeats, and five rates would be one.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from lit_experiments.controls.scoring import Scorer
from lit_experiments.probes.permutations import Permutations
from lit_experiments.selftest.false_positives import STATEMENTS, false_positives
from lit_experiments.statistics import LEVEL, GroupBootstrap, holm
from lit_experiments.statistics.max_t import Family
from lit_experiments.statistics.permutation import permutation_p, sign_flip_null

ALPHA = 1 - LEVEL
_GROUPS = 30
_SIZES = {"two rows": (2, 2), "1 to 8 rows": (1, 8)}
"""Rows of a group: fewest and most."""


@dataclass(frozen=True)
class Setting:
    """One family. draw: generator and effect -> the family; true [hypothesis]: where the effect is; effect: size."""

    name: str
    draw: Callable[[np.random.Generator, float], Family]
    true: np.ndarray
    effect: float


@dataclass(frozen=True)
class Rates:
    """Of max-T and of Holm: shares of noisy families in which anything is found, mean shares of true ones found."""

    name: str
    noise: tuple[float, float]
    power: tuple[float, float]


def curves(
    targets: int, layers: int, readable: int, permutations: int, sizes: tuple[int, int]
) -> Callable[..., Family]:
    """Held-out predictions of every layer of several targets, numbers and two classes in turn, of groups of so many
    rows; the layers of a target are alike, and from the middle one on the first targets are readable. Labels are
    permuted between groups."""

    def draw(rng: np.random.Generator, effect: float) -> Family:
        values, nulls = [], []
        groups = np.repeat(np.arange(_GROUPS), rng.integers(sizes[0], sizes[1] + 1, _GROUPS))
        boot = GroupBootstrap(groups, resamples=1, level=LEVEL, seed=0)
        moved = Permutations.of(groups, permutations, int(rng.integers(2**31)))
        for target in range(targets):
            number = _grouped(rng, groups)
            classes = 2 * (target % 2)
            scorer = Scorer(classes, (number > np.median(number)).astype(float) if classes else number, boot)
            rest = _alike(rng, groups, layers)
            strength = effect * (target < readable) * (np.arange(layers) >= layers // 2)
            predicted = 0.3 * (strength * number[:, None] + rest)
            values.append(scorer.value(predicted[..., None]))
            nulls.append(scorer.null(predicted[..., None], moved))
        return Family.joined(values, nulls)

    return draw


def flips(layers: int, count: int) -> Callable[..., Family]:
    """Differences of two conditions over 24 texts at every layer, by random signs; in the last half there are some."""

    def draw(rng: np.random.Generator, effect: float) -> Family:
        x = _alike(rng, np.arange(24), layers) + effect * (np.arange(layers) >= layers // 2)
        seed = int(rng.integers(2**31))
        tests = [sign_flip_null(column, count, seed) for column in x.T]
        return Family(np.array([value for value, _ in tests]), np.stack([null for _, null in tests], 1), True)

    return draw


def _grouped(rng: np.random.Generator, groups: np.ndarray) -> np.ndarray:
    """Numbers whose variance lies half between groups."""
    return np.sqrt(0.5) * (rng.normal(size=groups.max() + 1)[groups] + rng.normal(size=len(groups)))


def _alike(rng: np.random.Generator, groups: np.ndarray, layers: int) -> np.ndarray:
    """[row, layer] noise of which neighbouring layers share most, as those of a residual stream do."""
    steps = np.stack(
        [
            _grouped(rng, groups) if len(groups) > groups.max() + 1 else rng.normal(size=len(groups))
            for _ in range(layers)
        ],
        1,
    )
    out = [steps[:, 0]]
    for step in steps.T[1:]:
        out.append(0.95 * out[-1] + np.sqrt(1 - 0.95**2) * step)
    return np.stack(out, 1)


def settings(permutations: int) -> Iterator[Setting]:
    """The families that are compared."""
    shapes = ((1, 12, 1, 0.45), (1, 32, 1, 0.45), (8, 12, 2, 0.6), (30, 1, 6, 0.6))
    for (targets, layers, readable, effect), (rows, sizes) in product(shapes, _SIZES.items()):
        true = (np.arange(targets)[:, None] < readable) & (np.arange(layers) >= layers // 2)
        name = f"{targets} target{'s' * (targets > 1)} x {layers} layer{'s' * (layers > 1)}, groups of {rows}"
        yield Setting(name, curves(targets, layers, readable, permutations, sizes), true.ravel(), effect)
    yield Setting("12 layers, sign flips", flips(12, permutations), np.arange(12) >= 6, 0.65)


def rates(setting: Setting, noisy: int, repeats: int) -> Rates:
    """Both corrections on the same families: so many of noise, and so many that hold something."""
    noise = np.stack([_made(setting, repeat, 0.0).any(1) for repeat in range(noisy)]).mean(0)
    power = np.stack([_made(setting, k, setting.effect)[:, setting.true].mean(1) for k in range(repeats)]).mean(0)
    return Rates(setting.name, *(tuple(shares.tolist()) for shares in (noise, power)))


def _made(setting: Setting, repeat: int, effect: float) -> np.ndarray:
    """[correction, hypothesis] whether it is said, of one family."""
    seed = [zlib.crc32(setting.name.encode()), repeat, int(effect > 0)]
    family = setting.draw(np.random.default_rng(seed), effect)
    alone = permutation_p(family.observed, family.permuted, family.two_sided)
    return np.stack([family.adjusted(), holm(alone)]) <= ALPHA


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few repeats")
    parser.add_argument("--families", action="store_true", help="families alone")
    parser.add_argument("--permutations", type=int, default=999, help="of every family")
    given = parser.parse_args()
    repeats, noisy, some = (40, 40, 40) if given.quick else (400, 1000, 200)
    if not given.families:
        print(f"| statement, made of noise in 24 groups ({repeats} repeats) | share |\n| --- | --- |")
    for statement in () if given.families else STATEMENTS:
        print(f"| {statement} | {false_positives(statement, 24, range(repeats)).share:.1%} |", flush=True)
    print(
        f"\n| family ({given.permutations} permutations) | said of noise, {noisy} repeats: max-T | Holm |"
        f" seen of what is there, {some} repeats: max-T | Holm |\n| --- | --- | --- | --- | --- |"
    )
    for setting in settings(given.permutations):
        row = rates(setting, noisy, some)
        print(f"| {row.name} | " + " | ".join(f"{share:.1%}" for share in (*row.noise, *row.power)) + " |", flush=True)


if __name__ == "__main__":
    main()
