"""Times the batched logistic probe against scikit-learn on the same arrays, in one run, interleaved; prints medians.

    python benchmarks/probes.py            13 layers, 17 classes, n = 20,000, d = 768; some minutes
    python benchmarks/probes.py --quick    the same, small

Both start from float16 hidden vectors in memory and minimise the same standardised, penalised log-loss, without
cross-validation. Ours fits all layers through the Trainer. scikit-learn (lbfgs, float32, its default tolerance) is
measured on `--peer_layers` layers per round and scaled to all of them. Ours counts only if every objective measured is
at most 1e-4 above scikit-learn's; both are computed in float64 from the coefficients.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import warnings

import lightning.pytorch as pl
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from lit_experiments.probes.class_solution import ClassSolution
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.logistic import LogisticProbe
from lit_experiments.quiet import quiet_lightning

WITHIN = 1e-4


class States(BlockDataModule):
    """float16 arrays [layer, row, hidden] with class codes [row]; each layer has its own name and all rows train."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        # Two folds of which none is held out: one penalty, and every layer is kept.
        super().__init__(0.0, 2, split_seed=0, block_bytes=1 << 27, shuffles=0, shuffle_seed=0)
        self.x, self.y = x, y

    def describe(self) -> None:
        self.layers, self.hidden = [str(i) for i in range(len(self.x))], self.x.shape[2]
        self.real_targets, self.groups = ["class"], np.arange(len(self.y))
        self.order, self.fingerprint, self.content = self.groups, {}, ""

    def read_x(self, rows: np.ndarray) -> np.ndarray:
        return self.x[:, rows[0] : rows[-1] + 1].astype(np.float32).swapaxes(0, 1)

    def read_y(self, rows: np.ndarray) -> np.ndarray:
        return self.y[rows, None].astype(np.float64)


def hidden_states(layers: int, rows: int, hidden: int) -> np.ndarray:
    """float16 [layer, row, hidden]: spectrum falling slowly, rotated, with scales and offsets per dim."""
    rng = np.random.default_rng(0)
    out = np.empty((layers, rows, hidden), np.float16)
    spectrum = np.arange(1, hidden + 1, dtype=np.float32) ** -0.5
    for layer in range(layers):
        rotation = np.linalg.qr(rng.standard_normal((hidden, hidden)))[0].astype(np.float32)
        x = (rng.standard_normal((rows, hidden), np.float32) * spectrum) @ rotation.T
        out[layer] = x / x.std(0) * np.exp(rng.normal(0, 0.5, hidden)) + rng.normal(0, 1, hidden)
    return out


def labels(x: np.ndarray, classes: int) -> np.ndarray:
    """[row] codes drawn from a softmax of a random linear map of one layer."""
    rng = np.random.default_rng(1)
    z = x.astype(np.float32)
    z = (z - z.mean(0)) / z.std(0)
    weights = 1.5 * rng.standard_normal((z.shape[1], classes)).astype(np.float32) / np.sqrt(z.shape[1])
    return (z @ weights + rng.gumbel(size=(len(z), classes))).argmax(1)


def ours(x: np.ndarray, y: np.ndarray, classes: int, tolerance: float) -> tuple[float, ClassSolution]:
    names, penalty = [str(k) for k in range(classes)], 1 / len(y)
    probe = FinalOnly(names, [penalty], tolerance, 200, memory_bytes=4 << 30)
    fixed = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        runner = pl.Trainer(max_epochs=-1, accelerator="cpu", devices=1, default_root_dir=folder, **fixed)
        runner.fit(probe, datamodule=States(x, y))
    return time.perf_counter() - start, probe.solution


class FinalOnly(LogisticProbe):
    """The fits to all rows, of every layer, without the held-out ones that would choose between layers."""

    def _held_folds(self, data: BlockDataModule) -> list[int]:
        return []


def peer(x: np.ndarray, y: np.ndarray) -> tuple[float, LogisticRegression]:
    start = time.perf_counter()
    z = StandardScaler().fit_transform(x.astype(np.float32))
    model = LogisticRegression(C=1.0, max_iter=2000).fit(z, y)
    return time.perf_counter() - start, model


def objective(x: np.ndarray, y: np.ndarray, coef: np.ndarray, intercept: np.ndarray) -> float:
    """In float64, on standardised inputs, of coef [K, D] and intercept [K] with C = 1."""
    z = StandardScaler().fit_transform(x.astype(np.float64))
    logits = torch.from_numpy(z @ coef.T.astype(np.float64) + intercept)
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(y))
    return float(loss) + float((coef.astype(np.float64) ** 2).sum()) / 2 / len(y)


def compare(layers: int, rows: int, hidden: int, classes: int, rounds: int, peer_layers: int, tolerance: float) -> None:
    x = hidden_states(layers, rows, hidden)
    y = labels(x[layers // 2], classes)
    times: dict[str, list[float]] = {"ours": [], "scikit-learn": []}
    gaps, passes = [], 0
    for round_number in range(rounds):
        seconds, solution = ours(x, y, classes, tolerance)
        times["ours"].append(seconds)
        passes, total = solution.passes, 0.0
        for k in range(peer_layers):
            layer = (layers // 2 + round_number + k * (layers // 2 or 1)) % layers
            seconds, model = peer(x[layer], y)
            total += seconds
            mine = (solution.coef[layer, 0].numpy(), solution.intercept[layer, 0].numpy())
            theirs = objective(x[layer], y, model.coef_, model.intercept_)
            gaps.append(objective(x[layer], y, *mine) / theirs - 1)
        times["scikit-learn"].append(total / peer_layers * layers)
        print(f"  round {round_number + 1}: {times}", file=sys.stderr, flush=True)
    ratio = statistics.median(p / o for o, p in zip(*times.values(), strict=True))
    for name, measured in times.items():
        note = "" if name == "ours" else f"   ({peer_layers} layers, scaled to {layers})"
        print(f"{name:16}{statistics.median(measured):10.2f} s{note}")
    print(f"ratio {ratio:.1f}, ours in {passes} passes; objective over scikit-learn's: {max(gaps):+.1e} at worst")
    if max(gaps) > WITHIN:
        sys.exit(f"The objectives are not within {WITHIN:.0e}: the times do not compare.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which medians are taken")
    parser.add_argument("--peer_layers", type=int, default=2, help="layers on which scikit-learn is measured per round")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="of our fits")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    quiet_lightning()
    shape = (3, 4_000, 128, 17) if given.quick else (13, 20_000, 768, 17)
    compare(*shape, given.rounds, min(given.peer_layers, shape[0]), given.tolerance)


if __name__ == "__main__":
    main()
