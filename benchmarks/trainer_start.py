"""What making a Trainer costs: as this project does it, and as Lightning does it alone.

    python -m benchmarks.trainer_start [--rounds 30]

Lightning looks through the metadata of all installed packages for callbacks at every Trainer; `make_trainer` has it
look once in a process. Both are made in turn; the medians of the processor time are compared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from lightning.fabric.utilities import registry
from lightning.pytorch import Trainer

from lit_experiments.quiet import quiet_lightning
from lit_experiments.trainer import entry_points_once, make_trainer

_FLAGS: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
}


def _milliseconds(make: Callable[[], Any]) -> float:
    began = time.process_time()
    make()
    return 1000 * (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    lightnings_own = registry.entry_points
    quiet_lightning()
    ours, alone = [], []
    for _ in range(rounds + 1):
        registry.entry_points = lightnings_own
        alone.append(_milliseconds(lambda: Trainer(**_FLAGS)))
        ours.append(_milliseconds(lambda: make_trainer(_FLAGS, {}, [])))
    first, later, peer = ours[0], median(ours[1:]), median(alone[1:])
    assert entry_points_once.cache_info().misses == 1
    print(
        f"Lightning alone {peer:.1f} ms, ours {later:.1f} ms ({peer / later:.1f} times less), the first {first:.1f} ms"
    )


if __name__ == "__main__":
    main()
