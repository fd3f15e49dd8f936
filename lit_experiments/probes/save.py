"""Probes on disk: `probe.safetensors` with the arrays and `probe.json` with everything else.

No pickle is written or read. Owns how the two files vouch for each other, for every kind of probe, and the kind
`LinearProbe`.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors.numpy import load, save

from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.linear import LinearProbe

_OWN = "sha256_of_this"
"""The JSON's checksum of everything else in it: an edited class name or layer is noticed like a damaged array."""
ARRAYS = ("weights", "mean", "scale", "intercept", "penalty")


@dataclass(frozen=True)
class Kind:
    """A kind of probe file: its name, its version, and the keys that its JSON must have."""

    name: str
    version: int
    keys: frozenset[str]


LINEAR = Kind("lit-experiments-linear-probe", 1, frozenset({"targets", "layers", "hidden", "fingerprint", "rows"}))


def save_probe(probe: LinearProbe, folder: Path) -> None:
    """Write both files into `folder` (made if missing), each one whole or not at all; the JSON, which vouches, last."""
    about = {
        "targets": list(probe.targets),
        "layers": list(probe.layers),
        "hidden": int(probe.weights.shape[1]),
        "formula": "weights . (x - mean) / scale + intercept",
        "fingerprint": probe.fingerprint,
        "rows": probe.rows,
    }
    about |= {"notes": probe.notes} if probe.notes else {}
    write_files(folder, LINEAR, about, {name: getattr(probe, name) for name in ARRAYS})


def load_probe(folder: Path, fingerprint: dict[str, Any] | None) -> LinearProbe:
    """Read a probe; `fingerprint` is that of the data it will be used on, or None to use it on any.

    Raises ProbeError if files are missing, damaged, from a newer version, or of other data than `fingerprint`.
    """
    about, tensors = read_files(folder, LINEAR)
    differing = differing_keys(about["fingerprint"], fingerprint)
    if differing:
        raise ProbeError(
            f"The probe in {folder} was trained on other data: {', '.join(differing)} differ in the fingerprint. "
            "Use the store it was trained on, or train a probe on this one."
        )
    if tensors.keys() != set(ARRAYS) or tensors["weights"].shape != (len(about["targets"]), about["hidden"]):
        raise ProbeError(
            f"{folder}: arrays {sorted(tensors)} do not fit probe.json, which names {len(about['targets'])} targets."
        )
    targets, layers = tuple(about["targets"]), tuple(about["layers"])
    rest: dict[str, Any] = {"fingerprint": about["fingerprint"], "rows": about["rows"], "notes": about.get("notes", {})}
    return LinearProbe(targets, layers, **rest, **tensors)  # type: ignore[arg-type]


def write_files(folder: Path, kind: Kind, about: dict[str, Any], arrays: dict[str, NDArray]) -> None:
    """Write the arrays, then the JSON with `about`, the kind, and the arrays' checksum."""
    folder.mkdir(parents=True, exist_ok=True)
    content = save(arrays)
    vouching = {"format": kind.name, "version": kind.version, **about, "sha256": hashlib.sha256(content).hexdigest()}
    _write(folder / "probe.safetensors", content)
    _write(folder / "probe.json", json.dumps(vouching | {_OWN: _digest(vouching)}, indent=2).encode())


def read_files(folder: Path, kind: Kind) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """The JSON and the arrays. Raises ProbeError if files are missing, damaged, of another kind or a newer version."""
    about = _read_about(folder, kind)
    arrays = (folder / "probe.safetensors").read_bytes() if (folder / "probe.safetensors").is_file() else b""
    if hashlib.sha256(arrays).hexdigest() != about["sha256"]:
        raise ProbeError(
            f"{folder / 'probe.safetensors'} is missing or not the file that probe.json vouches for. Train again."
        )
    return about, load(arrays)


def differing_keys(saved: dict[str, Any], expected: dict[str, Any] | None) -> list[str]:
    """The keys in which a saved fingerprint is not the expected one; None expects nothing."""
    if expected is None:
        return []
    return sorted(k for k in expected.keys() | saved.keys() if expected.get(k) != saved.get(k))


def _read_about(folder: Path, kind: Kind) -> dict[str, Any]:
    path = folder / "probe.json"
    if not path.is_file():
        raise ProbeError(f"{folder} holds no probe: probe.json is missing. Give the folder that training wrote.")
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ProbeError(f"{path} is damaged: {error}. Train again.") from error
    if not isinstance(about, dict) or about.get("format") != kind.name:
        raise ProbeError(f"{path} is no {kind.name} file.")
    if about.get("version") != kind.version:
        raise ProbeError(
            f"{path} has version {about.get('version')}; this program reads {kind.version}. Update the program."
        )
    missing = (kind.keys | {"sha256", _OWN}) - about.keys()
    if missing:
        raise ProbeError(f"{path} lacks {', '.join(sorted(missing))}. Train again.")
    if about.pop(_OWN) != _digest(about):
        raise ProbeError(
            f"{path} is not as it was written: somebody or something changed it, and the probe would not be the one "
            "that was trained. Train again."
        )
    return about


def _digest(about: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(path.name + ".tmp")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
