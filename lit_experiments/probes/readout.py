"""Any saved probe as linear functions of a hidden vector, whatever trained it: what it reads, of which model, and the
direction that it reads along.

Owns `Readout`, and how a folder becomes one. Knows no language model and does no fitting.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.probes.class_probe import LOGISTIC, load_class_probe
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.save import LINEAR, load_probe
from stores import StoreError, fingerprint_hash, is_store, open_store

Floats = NDArray[np.float64]

COMPARED = ("model", "adapter", "bos_policy", "prefix")
"""What of a model's fingerprint makes its states others; its dtype and attention only round them otherwise."""


@dataclass(frozen=True)
class Readout:
    """outputs = weights . x + intercept, x a hidden vector of `layer`, nothing standardised.

    folder: where the probe lies. outputs: K names: classes, whose numbers are logits, or targets, whose numbers are
    predictions. classes: which of both. weights: [K, D]; intercept: [K]. model: fingerprint of the model whose states
    it reads, None where nothing says which. notes: what the training left for its users.
    """

    folder: Path
    layer: str
    outputs: tuple[str, ...]
    classes: bool
    weights: Floats
    intercept: Floats
    model: dict[str, Any] | None
    notes: dict[str, Any]

    @property
    def hidden(self) -> int:
        return int(self.weights.shape[1])

    @property
    def digest(self) -> str:
        """A hash of everything that its numbers follow from."""
        arrays = {"weights": self.weights.tolist(), "intercept": self.intercept.tolist()}
        return fingerprint_hash({**arrays, "outputs": list(self.outputs), "layer": self.layer})

    def chosen(self, output: str | None, free: bool = False) -> str | None:
        """The output that is meant: the only target, the second of two classes, or the one that is named.

        free: None is a choice too where there are more than two classes. Raises ProbeError otherwise.
        """
        if output is not None and output not in self.outputs:
            near = difflib.get_close_matches(output, self.outputs, n=1)
            hint = f' Nearest: "{near[0]}".' if near else ""
            raise ProbeError(f'{self.folder}: no class "{output}".{hint} It has: {", ".join(self.outputs)}.')
        if output is not None or (len(self.outputs) == 1 and not self.classes):
            return output or self.outputs[0]
        if self.classes and len(self.outputs) == 2:
            return self.outputs[1]
        if free and self.classes:
            return None
        kind = "classes" if self.classes else "targets"
        raise ProbeError(
            f"{self.folder} has {len(self.outputs)} {kind}, each with a direction of its own.\n"
            f"Next: --class NAME, one of: {', '.join(self.outputs)}."
        )

    def score(self, output: str) -> tuple[Floats, float]:
        """(weights [D], intercept) of one number: a target's prediction, or a class's logit minus the mean of the
        others' (of two classes: the log of their odds)."""
        place = self.outputs.index(output)
        if not self.classes:
            return self.weights[place], float(self.intercept[place])
        others = np.arange(len(self.outputs)) != place
        weights = self.weights[place] - self.weights[others].mean(0)
        return weights, float(self.intercept[place] - self.intercept[others].mean())

    def direction(self, output: str) -> Floats:
        """The unit vector [D] along which the score of `output` rises. Raises ProbeError where it is constant."""
        weights, _ = self.score(output)
        length = float(np.linalg.norm(weights))
        if not length:
            raise ProbeError(f"{self.folder} reads nothing: the weights of {output} are 0, so it has no direction.")
        return weights / length

    def spread(self, output: str) -> float | None:
        """The standard deviation of the training rows along the direction of `output`; None where no note says so."""
        noted = self.notes.get("spread")
        of_layer = noted.get(self.layer) if isinstance(noted, dict) else noted
        value = of_layer.get(output) if isinstance(of_layer, dict) else of_layer
        return float(value) if isinstance(value, int | float) and value > 0 else None


def open_readout(folder: Path) -> Readout:
    """Reads the probe in a folder, of either format.

    Raises:
        ProbeError: no probe there, or damaged files; probes of several layers in one file.
    """
    kind = _format(folder)
    if kind == LOGISTIC.name:
        probe = load_class_probe(folder, model=None, layer=None, classes=None)
        weights, notes = probe.weights / probe.scale, probe.notes
        intercept, layer, outputs = probe.intercept - weights @ probe.mean, probe.layer, probe.classes
        model = probe.model or _stored_model(folder, probe.fingerprint)
    else:
        linear = load_probe(folder, None)
        if len(set(linear.layers)) != 1:
            raise ProbeError(f"{folder} holds targets of several layers: {', '.join(linear.layers)}. Save one by one.")
        weights, notes = linear.weights / linear.scale, linear.notes
        intercept, layer = linear.intercept - (weights * linear.mean).sum(1), linear.layers[0]
        outputs, fingerprint = linear.targets, linear.fingerprint
        model = notes.get("model") or fingerprint.get("model") or _stored_model(folder, fingerprint)
    return Readout(folder, layer, tuple(outputs), kind == LOGISTIC.name, weights, intercept, model or None, notes)


def by_layer(readout: Readout) -> dict[str, Readout]:
    """The probes of the same outputs at every layer that the folder has one for, the folder's own first."""
    layers = {readout.layer: readout}
    for path in sorted(readout.folder.glob("*/probe.json")):
        other = open_readout(path.parent)
        if other.outputs == readout.outputs:
            layers.setdefault(other.layer, other)
    return layers


def require_model(readout: Readout, model: dict[str, Any], hidden: int) -> list[str]:
    """What to say of a probe that is used on the states of this model (its fingerprint) and width.

    Raises:
        ProbeError: another model, or another width.
    """
    if readout.hidden != hidden:
        raise ProbeError(
            f"The probe in {readout.folder} reads vectors of {readout.hidden} numbers; this model's have {hidden}.\n"
            "Next: --model with the one that it was trained on, or train a probe on this one."
        )
    if readout.model is None:
        return [f"nothing says which model {readout.folder} was trained on: make sure that it was this one"]
    differing = [key for key in COMPARED if readout.model.get(key) != model.get(key)]
    if differing:
        raise ProbeError(
            f"The probe in {readout.folder} reads another model: {', '.join(differing)} differ in the fingerprint.\n"
            "Next: --model and --adapter of the collection that it was trained on, or train a probe on this one."
        )
    otherwise = [key for key in ("dtype", "attn") if readout.model.get(key) != model.get(key)]
    rounding = ", ".join(f"{key} {readout.model.get(key)} there and {model.get(key)} here" for key in otherwise)
    return [f"the probe was trained on states that were rounded otherwise: {rounding}"] if otherwise else []


@dataclass(frozen=True)
class ModelNames:
    """How a user names a model: as the options --model, --adapter and --revision."""

    model: str
    adapter: str | None
    revision: str | None


def model_names(readout: Readout) -> ModelNames | None:
    """The model that a probe was trained on, as its collection's command line named it, or by its place on the Hub;
    None where neither is known."""
    run = _run_of(readout.folder)
    if run is not None:
        store = open_store(run / "store")
        options = store.provenance.get("config", {}).get("options", {})
        if options.get("model") and store.fingerprint.get("model") == readout.model:
            return ModelNames(options["model"], options.get("adapter"), options.get("revision"))
    identity = (readout.model or {}).get("model") or {}
    if identity.get("repository") and (readout.model or {}).get("adapter") is None:
        return ModelNames(identity["repository"], None, identity.get("commit"))
    return None


def _format(folder: Path) -> str:
    path = folder / "probe.json"
    if not path.is_file():
        inside = sorted(str(path.parent) for path in folder.glob("**/probe.json"))[:5] if folder.is_dir() else []
        hint = f"\nNext: one of these folders: {', '.join(inside)}." if inside else ""
        if folder.parts and folder.parts[0].endswith(":"):  # a URL, as a path has it
            _refuse_url(folder)
        hint = hint or "\nNext: python train.py --exp linear_probes, and give the folder that it wrote for a target."
        raise ProbeError(f"{folder} holds no probe: probe.json is missing.{hint}")
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ProbeError(f"{path} is damaged: {error}. Train again.") from error
    kind = header.get("format") if isinstance(header, dict) else None
    if kind not in (LINEAR.name, LOGISTIC.name):
        raise ProbeError(f"{path} is no probe of a known format: {kind!r}. Known: {LINEAR.name}, {LOGISTIC.name}.")
    return str(kind)


def _refuse_url(folder: Path) -> None:
    """Raises ProbeError that says how a probe gets from the Hub or object storage to this machine."""
    scheme, *parts = folder.parts
    url = f"{scheme}//{'/'.join(parts)}"
    if scheme == "hf:":
        hint = f"lit-experiments pull {url}, then give its folder"
    else:
        copy = Path("runs", scheme[:-1], *parts)
        hint = f"lit-experiments audit RUN, with the URL of its run, fetches it; then give {copy}"
    raise ProbeError(f"{url}: a probe is read from this machine.\nNext: {hint}.")


def _run_of(folder: Path) -> Path | None:
    """The run that a probe's folder lies in."""
    return next((path for path in folder.absolute().parents if is_store(path / "store")), None)


def _stored_model(folder: Path, fingerprint: dict[str, Any]) -> dict[str, Any] | None:
    """The model of the run's store, if the probe says that it was trained on that store."""
    run = _run_of(folder)
    if run is None:
        return None
    try:
        store = open_store(run / "store")
    except StoreError:
        return None
    model: dict[str, Any] | None = store.fingerprint.get("model")
    return model if fingerprint_hash(store.fingerprint) == fingerprint.get("store") else None
