"""The files of `train --exp introspection_probes`: written, and read by the analyses that work from them without a
refit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.passes import WHOLE_QUESTIONS, finished
from lit_experiments.experiments.introspection.probe_data import Questions, States
from lit_experiments.experiments.introspection.probes_result import Pair, ProbedPair, ProbesResult
from lit_experiments.experiments.introspection.scoring import Scorer
from lit_experiments.plain import write_json
from lit_experiments.probes.class_probe import ClassProbe, save_class_probe
from lit_experiments.probes.save import save_probe
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.result_files import structured
from lit_experiments.tasks.task import AnalyzeTask, Opened
from stores import Store

Floats = NDArray[np.float64]
R = TypeVar("R")
TASK = "introspection_probes"
METRICS, PREDICTIONS, SPLIT = "metrics.json", "predictions.safetensors", "split.json"


def save_fits(out: Path, store: Store, fits: Sequence[States], pairs: Sequence[ProbedPair]) -> None:
    """Writes the probe of every pass and target into `out`."""
    for states in fits:
        assert states.fitted.ridge is not None, "the model's own states have columns for every target"
        probe = states.fitted.ridge.probe
        for pair in (pair for pair in pairs if pair.states == states.kind and not pair.classes):
            save_probe(probe.only(f"{pair.target}|hidden"), out / "probes" / states.kind / pair.target)
        for key, (classes, coded) in states.fitted.classes.items():
            class_probe = ClassProbe.of(classes, coded, store.fingerprint.get("model", {}), {"pass": states.kind})
            save_class_probe(class_probe, out / "probes" / states.kind / key)


def save_predictions(out: Path, questions: Questions, arrays: dict[str, Floats]) -> None:
    """Writes the split and the held-out predictions into `out`."""
    parts = {"train": questions.ids[~questions.test], "test": questions.ids[questions.test]}
    parts |= {f"fold{f}": questions.ids[questions.part == f] for f in np.unique(questions.part[~questions.test])}
    parts["test_groups"] = questions.split.group[questions.test]
    write_json(out / SPLIT, {name: ids.tolist() for name, ids in parts.items()})
    draft = out / f"{PREDICTIONS}.tmp"
    draft.write_bytes(save(arrays))
    draft.replace(out / PREDICTIONS)


@dataclass(frozen=True)
class ProbeFiles:
    """result: as training wrote it. arrays: held-out predictions by name. test: the ids of the test questions, in the
    arrays' order; groups: those of alike questions that they are of."""

    result: ProbesResult
    arrays: dict[str, Floats]
    test: NDArray[np.str_]
    groups: NDArray[np.str_]

    @property
    def layers(self) -> list[str]:
        return self.result.layers

    def of(self, pair: Pair, role: str) -> Floats:
        """[test question, layer or 1, column] held-out predictions of a pair; role: hidden, linear, surface, ..."""
        return self.arrays[f"{pair.states}>{pair.target}.{role}"]

    def known(self, pair: Pair) -> NDArray[np.bool_]:
        """[test question] which have a value of the pair's target; the arrays hold these alone."""
        return self.of(pair, "known").astype(bool)

    def true(self, pair: Pair) -> Floats:
        """[known test question] values or class codes of the pair's target."""
        return self.of(pair, "true")


@dataclass(frozen=True, kw_only=True)
class ProbeAnalysis(AnalyzeTask[R]):
    """A task that works from what the probes of a run left, without a refit; intervals over test questions."""

    reads: ClassVar[Reads] = WHOLE_QUESTIONS

    def also_reads(self, data: Opened) -> dict[str, Any]:
        """The probes."""
        return probes_identity(data.run, data.store)

    def scorer(self, files: ProbeFiles, pair: Pair) -> Scorer:
        """Of a pair; all pairs that score every test question share their resamples."""
        return Scorer(pair.score, files.true(pair), self.resampler(files.groups[files.known(pair)]))


def read_probe_files(run: Path, store: Store) -> ProbeFiles:
    """The results of the probes on this run.

    Raises:
        UserError: there are none, they are unfinished, none could be fitted, or the store has changed since.
    """
    folder = finished(run, "train", TASK, [METRICS, SPLIT, PREDICTIONS], store)
    split = _json(folder / SPLIT)
    test, groups = (np.array(split[name]) for name in ("test", "test_groups"))
    result = structured(_json(folder / METRICS), ProbesResult)
    if not result.pairs:
        raise UserError(
            f"{folder.absolute()} holds no probe: nothing could be tested.\n  " + "\n  ".join(result.statements)
        )
    return ProbeFiles(result, load_file(folder / PREDICTIONS), test, groups)


def probes_identity(run: Path, store: Store) -> dict[str, Any]:
    """What an analysis of the probes follows from, next to its settings. Raises UserError as `read_probe_files`."""
    read_probe_files(run, store)
    content = (run / TASK / PREDICTIONS).read_bytes() + (run / TASK / METRICS).read_bytes()
    return {"probes": hashlib.sha256(content).hexdigest()}


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
