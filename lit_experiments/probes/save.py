"""Probes on disk: `probe.safetensors` with the arrays and `probe.json` with everything else.

No pickle is written or read.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from safetensors.numpy import load, save

from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.linear import LinearProbe

FORMAT, VERSION = "lit-experiments-linear-probe", 1
ARRAYS = ("weights", "mean", "scale", "intercept", "penalty")


def save_probe(probe: LinearProbe, folder: Path) -> None:
    """Write both files into `folder` (made if missing), each one whole or not at all; the JSON, which vouches, last."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = save({name: getattr(probe, name) for name in ARRAYS})
    about = {
        "format": FORMAT,
        "version": VERSION,
        "targets": list(probe.targets),
        "layers": list(probe.layers),
        "hidden": int(probe.weights.shape[1]),
        "formula": "weights . (x - mean) / scale + intercept",
        "fingerprint": probe.fingerprint,
        "rows": probe.rows,
        "sha256": hashlib.sha256(arrays).hexdigest(),
    }
    _write(folder / "probe.safetensors", arrays)
    _write(folder / "probe.json", json.dumps(about, indent=2).encode())


def load_probe(folder: Path, fingerprint: dict[str, Any] | None) -> LinearProbe:
    """Read a probe; `fingerprint` is that of the data it will be used on, or None to use it on any.

    Raises ProbeError if files are missing, damaged, from a newer version, or of other data than `fingerprint`.
    """
    about = _read_about(folder)
    arrays = (folder / "probe.safetensors").read_bytes() if (folder / "probe.safetensors").is_file() else b""
    if hashlib.sha256(arrays).hexdigest() != about["sha256"]:
        raise ProbeError(
            f"{folder / 'probe.safetensors'} is missing or not the file that probe.json vouches for. Train again."
        )
    if fingerprint is not None and fingerprint != about["fingerprint"]:
        keys = sorted(
            k
            for k in fingerprint.keys() | about["fingerprint"].keys()
            if fingerprint.get(k) != about["fingerprint"].get(k)
        )
        raise ProbeError(
            f"The probe in {folder} was trained on other data: {', '.join(keys)} differ in the fingerprint. "
            "Use the store it was trained on, or train a probe on this one."
        )
    tensors = load(arrays)
    if tensors.keys() != set(ARRAYS) or tensors["weights"].shape != (len(about["targets"]), about["hidden"]):
        raise ProbeError(
            f"{folder}: arrays {sorted(tensors)} do not fit probe.json, which names {len(about['targets'])} targets."
        )
    targets, layers = tuple(about["targets"]), tuple(about["layers"])
    return LinearProbe(targets, layers, **tensors, fingerprint=about["fingerprint"], rows=about["rows"])


def _read_about(folder: Path) -> dict[str, Any]:
    path = folder / "probe.json"
    if not path.is_file():
        raise ProbeError(f"{folder} holds no probe: probe.json is missing. Give the folder that training wrote.")
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ProbeError(f"{path} is damaged: {error}. Train again.") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ProbeError(f"{path} is no {FORMAT} file.")
    if about.get("version") != VERSION:
        raise ProbeError(
            f"{path} has version {about.get('version')}; this program reads {VERSION}. Update the program."
        )
    missing = {"targets", "layers", "hidden", "fingerprint", "rows", "sha256"} - about.keys()
    if missing:
        raise ProbeError(f"{path} lacks {', '.join(sorted(missing))}. Train again.")
    return about


def _write(path: Path, content: bytes) -> None:
    draft = path.with_name(path.name + ".tmp")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
