"""Times the exact streaming ridge against scikit-learn on the same arrays, in one run, interleaved; prints medians.

    python benchmarks/ridge.py            13 layers x 11 targets x 9 penalties, n = 20,000, d = 768; some minutes
    python benchmarks/ridge.py --quick    the same, small
    python benchmarks/ridge.py --memory   peak memory of a whole pass at 10^5 and 10^6 rows

All start from float16 hidden vectors in memory, ill-conditioned as real ones are, and fit a standardised ridge.
scikit-learn is measured in float64 on one layer per round, another one each round, and multiplied by the number of
layers.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable

import lightning.pytorch as pl
import numpy as np
import torch
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.moments import Moments
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.probes.solve import coefficients, standardise
from lit_experiments.quiet import quiet_lightning

PENALTIES = np.logspace(-2, 6, 9)
FOLDS = 5


class States(BlockDataModule):
    """float16 arrays [layer, row, hidden] with targets [row, target]."""

    def __init__(self, x: np.ndarray, y: np.ndarray, folds: int) -> None:
        super().__init__(0.0, folds, split_seed=0, block_bytes=1 << 27, shuffles=0, shuffle_seed=0)
        self.x, self.y = x, y

    def describe(self) -> None:
        self.layers, self.hidden = [str(i) for i in range(len(self.x))], self.x.shape[2]
        self.real_targets = [str(i) for i in range(self.y.shape[1])]
        self.groups = self.order = np.arange(len(self.y))
        self.fingerprint, self.content = {}, ""

    def read_x(self, rows: np.ndarray) -> np.ndarray:
        return self.x[:, rows[0] : rows[-1] + 1].astype(np.float32).swapaxes(0, 1)

    def read_y(self, rows: np.ndarray) -> np.ndarray:
        return self.y[rows]


class Generated(States):
    """Rows made up as they are read, so that any memory in use is the pass's own."""

    def __init__(self, rows: int, layers: int, hidden: int, targets: int) -> None:
        super().__init__(np.zeros((layers, 0, hidden), np.float16), np.zeros((rows, 0)), FOLDS)
        self.n_targets = targets

    def describe(self) -> None:
        super().describe()
        self.real_targets = [str(i) for i in range(self.n_targets)]

    def read_x(self, rows: np.ndarray) -> np.ndarray:
        shape = (len(rows), len(self.layers), self.hidden)
        return np.random.default_rng(rows[0]).standard_normal(shape, np.float32)

    def read_y(self, rows: np.ndarray) -> np.ndarray:
        return np.random.default_rng(rows[0]).standard_normal((len(rows), self.n_targets))


def hidden_states(layers: int, rows: int, hidden: int, ill: bool) -> np.ndarray:
    """float16 [layer, row, hidden]; ill: spectrum falling as 1/i, rotated, with scales and offsets per dim."""
    rng = np.random.default_rng(0)
    out = np.empty((layers, rows, hidden), np.float16)
    for layer in range(layers):
        x = rng.standard_normal((rows, hidden), np.float32)
        if ill:
            rotation = np.linalg.qr(rng.standard_normal((hidden, hidden)))[0].astype(np.float32)
            x = (x / np.arange(1, hidden + 1, dtype=np.float32)) @ rotation.T
            x = x / x.std(0) * np.exp(rng.normal(0, 0.7, hidden)) + rng.normal(0, 1, hidden)
        out[layer] = x
    return out


def targets_of(x: np.ndarray, targets: int) -> np.ndarray:
    """[row, target] linear in the standardised features of one layer, with as much noise."""
    rng = np.random.default_rng(1)
    z = x.astype(np.float32)
    z = (z - z.mean(0)) / z.std(0)
    weights = rng.standard_normal((z.shape[1], targets)).astype(np.float32) / np.sqrt(z.shape[1])
    return (z @ weights).astype(np.float64) + rng.standard_normal((len(z), targets))


def ours(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Coefficients [layer, penalty, target, hidden] of everything."""
    data = States(x, y, folds=1)
    data.setup()
    moments = Moments.zeros(1, len(x), data.hidden, y.shape[1], device=torch.device("cpu"))
    for block in data.blocks():
        moments.add(block)
    grid = torch.from_numpy(PENALTIES)
    return np.stack([coefficients(standardise(moments, layer, [0]), grid).numpy() for layer in range(len(x))])


def ours_cv(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[layer, fold, penalty, target] held-out errors, through the Trainer, with the final fits."""
    probe = RidgeProbe(PENALTIES.tolist())
    fixed = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    with tempfile.TemporaryDirectory() as folder:
        runner = pl.Trainer(max_epochs=1, accelerator="cpu", devices=1, default_root_dir=folder, **fixed)
        runner.fit(probe, datamodule=States(x, y, FOLDS))
    return probe.solution.cv_mse.numpy()


def pipeline(regression: object) -> object:
    return make_pipeline(StandardScaler(), regression)


def per_target(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What a study's loop does: one scaler and one ridge for each target and penalty."""
    x = x.astype(np.float64)
    fits = [[pipeline(Ridge(alpha=a)).fit(x, y[:, t])[-1].coef_ for t in range(y.shape[1])] for a in PENALTIES]
    return np.array(fits)


def multi_target(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    return np.stack([pipeline(Ridge(alpha=a)).fit(x, y)[-1].coef_ for a in PENALTIES])


def ridge_cv(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return pipeline(RidgeCV(alphas=PENALTIES, alpha_per_target=True)).fit(x.astype(np.float64), y)[-1].alpha_


def grid_search(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """[fold, penalty] mean over targets of the held-out errors, with our folds; one penalty for all targets."""
    data = States(x[None], y, FOLDS)
    data.setup()
    grid, folds = {"ridge__alpha": PENALTIES}, PredefinedSplit(data.fold)
    search = GridSearchCV(pipeline(Ridge()), grid, cv=folds, scoring="neg_mean_squared_error").fit(
        x.astype(np.float64), y
    )
    return -np.array([search.cv_results_[f"split{f}_test_score"] for f in range(FOLDS)])


def timed(function: Callable[..., np.ndarray], *args: np.ndarray) -> tuple[float, np.ndarray]:
    start = time.perf_counter()
    result = function(*args)
    seconds = time.perf_counter() - start
    print(f"  {function.__name__}: {seconds:.2f} s", file=sys.stderr, flush=True)
    return seconds, result


def largest_difference(computed: np.ndarray, expected: np.ndarray) -> float:
    """Relative to the largest coefficient of the same fit (last axis)."""
    return float((np.abs(computed - expected).max(-1) / np.abs(expected).max(-1)).max())


def compare(layers: int, rows: int, hidden: int, targets: int, rounds: int) -> None:
    x = hidden_states(layers, rows, hidden, ill=True)
    y = targets_of(x[layers // 2], targets)
    peers = {"Ridge per target": per_target, "Ridge, all targets": multi_target, "RidgeCV(alpha_per_target)": ridge_cv}
    times: dict[str, list[float]] = {name: [] for name in ("ours", *peers, "ours, 5 folds", "GridSearchCV, 5 folds")}
    coefficient, score = 0.0, 0.0
    for round_number in range(rounds):
        layer = (1 + round_number * (layers // 2)) % layers
        seconds, mine = timed(ours, x, y)
        times["ours"].append(seconds)
        for name, peer in peers.items():
            seconds, theirs = timed(peer, x[layer], y)
            times[name].append(seconds * layers)
            if peer is not ridge_cv:
                theirs = theirs if theirs.ndim == 3 else theirs[:, None]
                coefficient = max(coefficient, largest_difference(mine[layer], theirs))
        seconds, errors = timed(ours_cv, x, y)
        times["ours, 5 folds"].append(seconds)
        seconds, theirs = timed(grid_search, x[layer], y)
        times["GridSearchCV, 5 folds"].append(seconds * layers)
        score = max(score, float(np.abs(errors[layer].mean(-1) / theirs - 1).max()))
    plain = hidden_states(1, rows, hidden, ill=False)
    easy = largest_difference(ours(plain, y)[0], multi_target(plain[0], y))
    show(times, layers)
    print(f"largest relative difference of coefficients: {coefficient:.1e} ill-conditioned, {easy:.1e} plain inputs")
    print(f"largest relative difference of cross-validated errors: {score:.1e}")


def show(times: dict[str, list[float]], layers: int) -> None:
    print(f"{'median of rounds':32}{'seconds':>10}{'ratio':>8}")
    for name, measured in times.items():
        base = times["ours, 5 folds" if "5 folds" in name else "ours"]
        ratio = statistics.median(t / o for t, o in zip(measured, base, strict=True))
        note = "" if name.startswith("ours") else f"   (one layer x {layers})"
        print(f"{name:32}{statistics.median(measured):10.2f}{ratio:8.1f}{note}")


def memory(rows: int | None) -> None:
    """Peak memory of a pass over rows made up on the way, for one number of rows or for two, each in its process."""
    if rows is None:
        for count in (100_000, 1_000_000):
            subprocess.run([sys.executable, __file__, "--memory", str(count)], check=True)
        return
    data = Generated(rows, layers=4, hidden=128, targets=3)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    probe = RidgeProbe([1.0, 100.0])
    fixed = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        runner = pl.Trainer(max_epochs=1, accelerator="cpu", devices=1, default_root_dir=folder, **fixed)
        runner.fit(probe, datamodule=data)
    seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size, before_mb, peak_mb = rows * 4 * 128 * 4 / 1e9, before / 1024, peak / 1024
    print(
        f"{rows:>9,} rows, {size:.1f} GB of features: peak {peak_mb:.0f} MB ({before_mb:.0f} before), {seconds:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which medians are taken")
    parser.add_argument("--memory", nargs="?", const=0, type=int, metavar="ROWS", help="peak memory instead of time")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    quiet_lightning()
    if given.memory is not None:
        memory(given.memory or None)
    elif given.quick:
        compare(layers=3, rows=4_000, hidden=128, targets=4, rounds=given.rounds)
    else:
        compare(layers=13, rows=20_000, hidden=768, targets=11, rounds=given.rounds)


if __name__ == "__main__":
    main()
