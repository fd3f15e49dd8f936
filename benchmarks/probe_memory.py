"""Peak memory and checkpoint sizes of probes on the states of a wide model, each case in a process of its own.

    python benchmarks/probe_memory.py                     350 and 5,000 rows, 32 layers, d = 4,096, 5 folds; takes long
    python benchmarks/probe_memory.py --layers 2          the same with fewer layers: the peak of a ridge is the same
    python benchmarks/probe_memory.py --quick             small

Rows are made as they are read, as float16 numbers with a planted direction, so that memory in use is the probe's own.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lit_experiments.probes.class_solution import ClassSolution
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.lda import DiscriminantProbe
from lit_experiments.probes.logistic import LogisticProbe
from lit_experiments.probes.mean_difference import MeanDifferenceProbe
from lit_experiments.probes.pass_module import PassModule
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.probes.solve import Solution
from lit_experiments.probes.training import fit
from lit_experiments.quiet import quiet_lightning

METHODS = ("ridge", "logistic", "lda", "mean_difference")
CLASSES = {"kind": ["no", "yes"]}


class Planted(BlockDataModule):
    """States [row, layer, hidden] that tell a class of two in the middle layer."""

    def __init__(self, rows: int, layers: int, hidden: int, shuffles: int, test_fraction: float) -> None:
        super().__init__(test_fraction, 5, split_seed=0, block_bytes=1 << 26, shuffles=shuffles, shuffle_seed=0)
        self.layers, self.hidden, self.real_targets = [str(i) for i in range(layers)], hidden, ["kind"]
        self.groups = self.order = np.arange(rows)
        self.labels = (np.random.default_rng(0).random(rows) < 0.4).astype(np.float64)
        self.fingerprint, self.content = {}, ""

    def describe(self) -> None:
        """All is known."""

    def read_x(self, rows: NDArray[np.int64]) -> NDArray[np.floating]:
        return self.read_layers(rows, list(range(len(self.layers))))

    def read_layers(self, rows: NDArray[np.int64], layers: list[int]) -> NDArray[np.floating]:
        out = np.empty((len(rows), len(layers), self.hidden), np.float32)
        for place, layer in enumerate(layers):
            for i, row in enumerate(rows):
                out[i, place] = np.random.default_rng((row, layer)).standard_normal(self.hidden, np.float32)
            if layer == len(self.layers) // 2:
                out[:, place, :32] += self.labels[rows, None]
        return out.astype(np.float16).astype(np.float32)

    def read_y(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return self.labels[rows, None]


def probe_of(method: str) -> PassModule:
    if method == "ridge":
        return RidgeProbe([1e2, 1e3, 1e4])
    if method == "logistic":
        return LogisticProbe(CLASSES["kind"], [1e-2, 1.0], 1e-4, 100, 512_000_000)
    return DiscriminantProbe(CLASSES, [0.1, 0.5]) if method == "lda" else MeanDifferenceProbe(CLASSES)


def solution_of(probe: PassModule) -> Solution | ClassSolution:
    """What it found out of its only target."""
    if isinstance(probe, DiscriminantProbe | MeanDifferenceProbe):
        return probe.solutions["kind"]
    assert isinstance(probe, RidgeProbe | LogisticProbe)
    return probe.solution


class Largest(threading.Thread):
    """Watches a folder for its largest file while a fit runs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.bytes, self.over = folder, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.2):
            for path in self.folder.rglob("*.ckpt*"):
                try:
                    self.bytes = max(self.bytes, path.stat().st_size)
                except FileNotFoundError:
                    continue


def case(method: str, rows: int, layers: int, hidden: int, test_fraction: float) -> None:
    """One fit; prints what it took."""
    warnings.filterwarnings("ignore")
    quiet_lightning()
    data = Planted(rows, layers, hidden, 3, test_fraction)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        watch = Largest(Path(folder))
        watch.start()
        probe = probe_of(method)
        fit(probe, data, {"accelerator": "cpu", "devices": 1}, Path(folder) / "checkpoints", None)
        watch.over.set()
        watch.join()
    seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    chosen = int(solution_of(probe).layer_index[0])
    print(
        f"{method:16}{rows:6,} rows{layers:4} layers, d = {hidden:5,}: peak {peak / 1024:7,.0f} MB "
        f"({before / 1024:,.0f} before), largest checkpoint {watch.bytes / 1e6:7,.0f} MB, {seconds:5.0f} s, "
        f"layer {chosen} (planted {layers // 2})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--rows", type=int, nargs="+", default=[350, 5_000])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--test_fraction", type=float, default=0.2)
    parser.add_argument("--case", nargs=4, metavar=("METHOD", "ROWS", "LAYERS", "HIDDEN"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        method, rows, layers, hidden = options.case
        case(method, int(rows), int(layers), int(hidden), options.test_fraction)
        return
    sizes = (8, 256) if options.quick else (options.layers, 4_096)
    for rows in [60, 1_000] if options.quick else options.rows:
        for method in options.methods:
            values = [method, *map(str, (rows, *sizes))]
            command = [sys.executable, __file__, "--test_fraction", str(options.test_fraction), "--case", *values]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
