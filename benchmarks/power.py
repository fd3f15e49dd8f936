"""What corrections of families of tests see, and how often they see what is not there: max-T next to Holm.

    python benchmarks/power.py            every kind of statement on noise, and families; some minutes
    python benchmarks/power.py --quick    few repeats

First every kind of statement of a report, on pure noise (lit_experiments/selftest): the share of repeats in which it is
made, at most 5 % but for chance. Then families of tests as studies have them, corrected from the same permutations by
step-down max-T (what the studies use) and by Holm's method: how often anything is said of noise, and, where some
hypotheses hold, what share of these is seen, both at 5 %.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from lit_experiments.controls.scoring import Scorer
from lit_experiments.probes.permutations import Permutations
from lit_experiments.selftest.false_positives import STATEMENTS, false_positives
from lit_experiments.statistics import LEVEL, GroupBootstrap, holm
from lit_experiments.statistics.max_t import Family
from lit_experiments.statistics.permutation import permutation_p, sign_flip_null

ALPHA = 1 - LEVEL
_GROUPS, _PER_GROUP = 30, 2


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


def curves(targets: int, layers: int, readable: int, permutations: int) -> Callable[..., Family]:
    """Held-out predictions of every layer of several targets, numbers and two classes in turn, groups of two rows; the
    layers of a target are alike, and from the middle one on the first targets are readable. Labels are permuted between
    groups."""
    groups = np.repeat(np.arange(_GROUPS), _PER_GROUP)
    boot = GroupBootstrap(groups, resamples=1, level=LEVEL, seed=0)

    def draw(rng: np.random.Generator, effect: float) -> Family:
        values, nulls = [], []
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
    for targets, layers, readable, effect in ((1, 12, 1, 0.45), (1, 32, 1, 0.45), (8, 12, 2, 0.6), (30, 1, 6, 0.6)):
        true = (np.arange(targets)[:, None] < readable) & (np.arange(layers) >= layers // 2)
        name = f"{targets} target{'s' * (targets > 1)} x {layers} layer{'s' * (layers > 1)}"
        yield Setting(name, curves(targets, layers, readable, permutations), true.ravel(), effect)
    yield Setting("12 layers, sign flips", flips(12, permutations), np.arange(12) >= 6, 0.65)


def rates(setting: Setting, repeats: int) -> Rates:
    """Both corrections on the same families."""
    noise, power = np.zeros(2), np.zeros(2)
    for repeat in range(repeats):
        for number, effect in enumerate((0.0, setting.effect)):
            family = setting.draw(np.random.default_rng([repeat, number]), effect)
            alone = permutation_p(family.observed, family.permuted, family.two_sided)
            made = np.stack([family.adjusted(), holm(alone)]) <= ALPHA
            if number:
                power += made[:, setting.true].mean(1)
            else:
                noise += made.any(1)
    return Rates(setting.name, *(tuple((count / repeats).tolist()) for count in (noise, power)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few repeats")
    parser.add_argument("--permutations", type=int, default=999, help="of every family")
    given = parser.parse_args()
    repeats = 40 if given.quick else 400
    print(f"| statement, made of noise in 24 groups ({repeats} repeats) | share |\n| --- | --- |")
    for statement in STATEMENTS:
        print(f"| {statement} | {false_positives(statement, 24, range(repeats)).share:.1%} |", flush=True)
    print(
        f"\n| family ({given.permutations} permutations, {repeats} repeats) | said of noise: max-T | Holm |"
        " seen of what is there: max-T | Holm |\n| --- | --- | --- | --- | --- |"
    )
    for setting in settings(given.permutations):
        row = rates(setting, repeats)
        print(f"| {row.name} | " + " | ".join(f"{share:.1%}" for share in (*row.noise, *row.power)) + " |", flush=True)


if __name__ == "__main__":
    main()
