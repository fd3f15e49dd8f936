"""Times what families of tests cost: permutations of all targets and layers together, and bootstraps of all layers.

    python benchmarks/max_t.py            2,000 permutations x 30 targets x 32 layers, 2,000 resamples x 32 layers;
                                          2,000 test rows, half of the targets numbers and half of two classes
    python benchmarks/max_t.py --quick    the same, small

Prints wall clock and processor time, with what the same permutations cost one test at a time (of one layer of one
target, times how many there are), and the largest difference of its p-values from scipy's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from lit_experiments.controls.scoring import Scorer
from lit_experiments.probes.permutations import Permutations, shared
from lit_experiments.statistics import LEVEL, GroupBootstrap
from lit_experiments.statistics.max_t import Family

ROWS_PER_GROUP = 1


def timed(name: str, work: Callable[[], Any]) -> Any:
    """What it returns; prints what it took."""
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    print(f"{name:60}{time.perf_counter() - wall:8.2f} s{time.process_time() - processor:8.2f} s of processor")
    return result


def problems(rows: int, targets: int, layers: int) -> list[tuple[Scorer, np.ndarray]]:
    """Scorers with predictions [row, layer, 1] that know a little of every second target."""
    rng = np.random.default_rng(0)
    boot = GroupBootstrap(np.arange(rows), resamples=2_000, level=LEVEL, seed=0)
    out = []
    for target in range(targets):
        number = rng.normal(size=rows)
        classes = 2 * (target % 2)
        true = (number > 0).astype(np.float64) if classes else number
        signal = 0.1 * (target % 4 > 1) * number[:, None]
        out.append((Scorer(classes, true, boot), (signal + 0.3 * rng.normal(size=(rows, layers)))[..., None]))
    return out


def corrected(family: list[tuple[Scorer, np.ndarray]], permutations: int) -> np.ndarray:
    """Adjusted p-values [target * layer]."""
    moved = shared([np.arange(len(scorer.true)) for scorer, _ in family], permutations, 0)
    nulls = [scorer.null(x, by) for (scorer, x), by in zip(family, moved, strict=True)]
    return Family.joined([scorer.value(x) for scorer, x in family], nulls).adjusted()


def one_at_a_time(scorer: Scorer, x: np.ndarray, permutations: int) -> float:
    """scipy's permutation test of one layer of one target that is a number."""
    place = x[:, 0, 0]
    result = stats.permutation_test(
        (scorer.true,),
        lambda y, axis: (y * place).sum(axis=axis),
        permutation_type="pairings",
        n_resamples=permutations,
        vectorized=True,
        alternative="greater",
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    quick = parser.parse_args().quick
    count, targets, layers, rows = (200, 4, 8, 300) if quick else (2_000, 30, 32, 2_000)
    family = problems(rows, targets, layers)
    sizes = f"{count:,} permutations x {targets} targets x {layers} layers"
    p = timed(f"max-T, {sizes}", lambda: corrected(family, count))
    print(f"  {int((p <= 0.05).sum())} of {len(p)} adjusted p-values are at most 0.05, the smallest {np.nanmin(p):.2g}")
    single = timed("scipy's permutation_test, one layer of one target", lambda: one_at_a_time(*family[0], count))
    ours = Family(
        family[0][0].value(family[0][1])[:1],
        family[0][0].null(family[0][1], Permutations.of(np.arange(rows), count, 0))[:, :1],
    ).adjusted()[0]
    print(f"  its p {single:.3f}, ours {ours:.3f} from as many permutations of its own")
    for name, (scorer, x) in (("R2", family[0]), ("AUROC", family[1])):
        timed(f"bootstrap of {name}, 2,000 resamples x {layers} layers", lambda s=scorer, x=x: s.estimates(x))


if __name__ == "__main__":
    main()
