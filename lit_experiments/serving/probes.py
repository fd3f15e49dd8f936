"""The probes that were trained on a run, and what they say of states."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from lit_experiments.probes.class_probe import log_softmax
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.readout import Readout, open_readout, require_model
from lit_experiments.serving.states import Floats
from stores import Store

MOST_OUTPUTS = 24
_CAUTION = (
    "What the probe says of the text up to and including a token; one that was trained on last or pooled states was "
    "not trained for the tokens in between."
)


@dataclass(frozen=True)
class RunProbe:
    """Saved probes of the same outputs, by layer. name: their folder, from the run's; chosen: the layer that the
    training chose, "" where the files do not say."""

    name: str
    layers: dict[str, Readout]
    chosen: str

    @property
    def first(self) -> Readout:
        return next(iter(self.layers.values()))

    @property
    def classes(self) -> bool:
        return self.first.classes

    @property
    def outputs(self) -> tuple[str, ...]:
        """The target, the second of two classes, or all of more, up to MOST_OUTPUTS."""
        outputs = self.first.outputs
        return outputs[1:] if self.classes and len(outputs) == 2 else outputs[:MOST_OUTPUTS]

    @property
    def caution(self) -> str:
        return f"{_CAUTION} The training chose {self.chosen}." if self.chosen else _CAUTION

    def fits(self, store: Store, width: int) -> bool:
        """Whether it reads states of the store's model, of this width."""
        try:
            require_model(self.first, store.fingerprint.get("model") or {}, width)
        except ProbeError:
            return False
        return True

    def says(self, layer: str, output: str, states: Floats) -> Floats:
        """[entry] a class's probability, or a target's prediction, of states [entry, hidden]."""
        readout = self.layers[layer]
        outputs = states @ readout.weights.T + readout.intercept
        values = np.exp(log_softmax(outputs)) if readout.classes else outputs
        return values[:, readout.outputs.index(output)]


def probes_of(folder: Path) -> tuple[list[RunProbe], list[str]]:
    """(the probes in a run's folders of results, what is wrong with those that cannot be read)."""
    groups: dict[str, dict[str, Readout]] = {}
    chosen: dict[str, str] = {}
    problems = []
    for path in _probe_files(folder):
        try:
            readout = _opened(path.parent, path.stat().st_mtime_ns)
        except ProbeError as error:
            problems.append(str(error).partition("\n")[0])
            continue
        of_layer = path.parent.name == readout.layer  # below the folder of its target, next to those of other layers
        name = (path.parent.parent if of_layer else path.parent).relative_to(folder).as_posix()
        if not of_layer:
            chosen[name] = readout.layer
        layers = groups.setdefault(name, {})
        if not layers or next(iter(layers.values())).outputs == readout.outputs:
            layers.setdefault(readout.layer, readout)
    return [RunProbe(name, layers, chosen.get(name, "")) for name, layers in groups.items()], problems


def _probe_files(folder: Path) -> list[Path]:
    """Of results that were not set aside, the files of a folder before those of folders in it."""
    root = folder.resolve()
    results = [path for path in folder.iterdir() if path.is_dir() and path.name != "store" and ".old-" not in path.name]
    files = [file for path in results for file in path.rglob("probe.json") if file.resolve().is_relative_to(root)]
    return sorted(files, key=lambda file: (len(file.parts), file))


@lru_cache(maxsize=512)
def _opened(folder: Path, changed: int) -> Readout:
    """changed: when its file was written, so that a probe that was trained again is read again."""
    return open_readout(folder)
