"""Peak memory and checkpoint sizes of probes on the states of a wide model, each case in a process of its own.

    python -m benchmarks.probe_memory                     350 and 5,000 rows, 32 layers, d = 4,096, 5 folds; takes long
    python -m benchmarks.probe_memory --layers 2          the same with fewer layers: the peak of a ridge is the same
    python -m benchmarks.probe_memory --quick             small
    python -m benchmarks.probe_memory --whole linear_probes introspection_probes
                                                          whole trainings, with all controls and twins

Rows of single fits are made as they are read, as float16 numbers with a planted direction, so that memory in use is the
probe's own; whole trainings read a run.
"""

from __future__ import annotations

import argparse
import os
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

from benchmarks.wide_stores import wide_model, write_questions, write_texts
from lit_experiments.probes.class_solution import ClassSolution
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.lda import DiscriminantProbe
from lit_experiments.probes.logistic import LogisticProbe
from lit_experiments.probes.mean_difference import MeanDifferenceProbe
from lit_experiments.probes.pass_module import PassModule
from lit_experiments.probes.ridge import RidgeProbe
from lit_experiments.probes.row_logistic_probe import RowLogisticProbe, logistic_probe
from lit_experiments.probes.solve import Solution
from lit_experiments.probes.training import fit
from lit_experiments.quiet import quiet_lightning

sys.path.insert(0, str(Path(__file__).parent.parent))

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


def probe_of(method: str, data: BlockDataModule) -> PassModule:
    if method == "ridge":
        return RidgeProbe([1e2, 1e3, 1e4])
    if method == "logistic":
        return logistic_probe(data, CLASSES["kind"], [1e-2, 1.0], 1e-4, 100, 512_000_000)
    return DiscriminantProbe(CLASSES, [0.1, 0.5]) if method == "lda" else MeanDifferenceProbe(CLASSES)


def solution_of(probe: PassModule) -> Solution | ClassSolution:
    """What it found out of its only target."""
    if isinstance(probe, DiscriminantProbe | MeanDifferenceProbe):
        return probe.solutions["kind"]
    assert isinstance(probe, RidgeProbe | LogisticProbe | RowLogisticProbe)
    return probe.solution


class Largest(threading.Thread):
    """Watches a folder for its largest file while a fit runs."""

    def __init__(self, folder: Path, pattern: str) -> None:
        super().__init__(daemon=True)
        self.folder, self.pattern, self.bytes, self.over = folder, pattern, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.2):
            for path in self.folder.rglob(self.pattern):
                try:
                    self.bytes = max(self.bytes, path.stat().st_size)
                except FileNotFoundError:
                    continue


def case(method: str, rows: int, layers: int, hidden: int, test_fraction: float) -> None:
    """One fit; prints what it took."""
    warnings.filterwarnings("ignore")
    quiet_lightning()
    data = Planted(rows, layers, hidden, 3, test_fraction)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        watch = Largest(Path(folder), "*.ckpt*")
        watch.start()
        probe = probe_of(method, data)
        fit(probe, data, {"accelerator": "cpu", "devices": 1}, Path(folder) / "checkpoints", None)
        watch.over.set()
        watch.join()
    seconds, peak = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    chosen = int(solution_of(probe).layer_index[0])
    print(
        f"{method:16}{rows:6,} rows{layers:4} layers, d = {hidden:5,}: peak {peak / 1024:7,.0f} MB "
        f"({before / 1024:,.0f} before), largest checkpoint {watch.bytes / 1e6:7,.0f} MB, {seconds:5.0f} s CPU, "
        f"layer {chosen} (planted {layers // 2})",
        flush=True,
    )


def whole(task: str, rows: int, layers: int, hidden: int, options: list[str]) -> None:
    """One training by its command, on a run made for it; prints what it took and what it left."""
    with tempfile.TemporaryDirectory() as folder:
        run, write = Path(folder) / "run", write_texts if task == "linear_probes" else write_questions
        write(run, wide_model(Path(folder) / "model", layers, hidden), rows, layers, hidden)
        watch = Largest(run, "twin-*")
        watch.start()
        start = time.perf_counter()
        command = [sys.executable, "-m", "lit_experiments.cli", "train", "--exp", task, "--run", str(run)]
        command += [
            "--accelerator",
            "cpu",
            *(["--target", "kind", "size"] if task == "linear_probes" else []),
            *options,
        ]
        with subprocess.Popen(command) as process:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}.")
        watch.over.set()
        watch.join()
        left = sum(path.stat().st_size for path in (run / task).rglob("*") if path.is_file())
    seconds = used.ru_utime + used.ru_stime
    print(
        f"{task:22}{rows:6,} rows{layers:4} layers, d = {hidden:5,}: peak {used.ru_maxrss / 1024:7,.0f} MB, largest "
        f"twin file {watch.bytes / 1e6:7,.0f} MB, {left / 1e6:6,.0f} MB left, {seconds:7,.0f} s CPU, "
        f"{time.perf_counter() - start:7,.0f} s ({' '.join(options) or 'as by default'})",
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
    parser.add_argument("--whole", nargs="+", choices=("linear_probes", "introspection_probes"))
    parser.add_argument("--options", nargs=argparse.REMAINDER, default=[], help="of the trainings of --whole; last")
    options = parser.parse_args()
    if options.case:
        method, rows, layers, hidden = options.case
        case(method, int(rows), int(layers), int(hidden), options.test_fraction)
        return
    sizes = (8, 256) if options.quick else (options.layers, 4_096)
    for rows in [60, 1_000] if options.quick else options.rows:
        for task in options.whole or ():
            whole(task, rows, *sizes, options.options)
        if options.whole:
            continue
        for method in options.methods:
            values = [method, *map(str, (rows, *sizes))]
            command = [
                sys.executable,
                "-m",
                "benchmarks.probe_memory",
                "--test_fraction",
                str(options.test_fraction),
                "--case",
                *values,
            ]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
