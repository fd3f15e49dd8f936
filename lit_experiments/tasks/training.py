"""Lightning's Trainer as a task uses it: with the user's flags, its checkpoints in the task's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_experiments.probes.training import fit


@dataclass(frozen=True)
class Trainer:
    """flags: the Trainer's arguments, checked. out: the task's folder. checkpoint: what --ckpt_path names, or None."""

    flags: dict[str, Any]
    out: Path
    checkpoint: str | None

    def fit(self, probe: Any, data: Any, name: str = "checkpoints") -> None:
        """Fits a probe (a LightningModule) on a DataModule; `name`: of the folder of its checkpoints, which begins with
        "checkpoints" so that it goes when the results are written."""
        fit(probe, data, self.flags, self.out / name, self.checkpoint)
