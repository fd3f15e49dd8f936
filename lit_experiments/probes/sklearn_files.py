"""Probes as scikit-learn objects in joblib files: any of ours written, a classifier read.

A joblib file is a pickle, and reading one runs whatever code it holds. So nothing is read unless the caller says that
the file is trusted, and then from the very bytes whose hash is returned.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lit_experiments.probes.class_probe import LOGISTIC, load_class_probe
from lit_experiments.probes.errors import ProbeError
from lit_experiments.probes.save import load_probe

_UNREADABLE = (pickle.UnpicklingError, EOFError, ImportError, AttributeError, ValueError, LookupError, TypeError)
"""What damaged files, and files that need what is not installed, end in."""


def sklearn_object(folder: Path) -> Any:
    """The probe in a folder: a classifier as one fitted Pipeline, linear probes as {target: Pipeline}.

    Raises:
        ProbeError: no probe there, or a damaged one; the message names the probes below the folder.
    """
    about = folder / "probe.json"
    if not about.is_file():
        below = sorted(str(path.parent) for path in folder.rglob("probe.json"))
        those = f" Below it there are: {', '.join(below[:20])}{' ...' if len(below) > 20 else ''}." if below else ""
        raise ProbeError(f"{folder} holds no probe: probe.json is missing.{those} Give a folder that holds one.")
    if _format(about) == LOGISTIC.name:
        return load_class_probe(folder, model=None, layer=None, classes=None).to_sklearn()
    probe = load_probe(folder, None)
    return {target: probe.to_sklearn(target) for target in probe.targets}


def write_sklearn(folder: Path, out: Path) -> None:
    """Writes the probe of a folder as a joblib file, whole or not at all.

    Raises:
        ProbeError: as `sklearn_object`; `out` exists, or cannot be written.
    """
    import joblib

    if out.exists():
        raise ProbeError(f"{out} exists; give another --out or remove it.")
    estimator = sklearn_object(folder)
    draft = out.with_name(out.name + ".tmp")
    try:
        joblib.dump(estimator, draft)
        draft.replace(out)
    except OSError as error:
        raise ProbeError(f"Cannot write {out.absolute()}: {error.strerror}. Give another --out.") from error


def write_pipelines(probes: Mapping[str, Path], out: Path) -> None:
    """One pickled Pipeline per file name, each of a classifier or of a probe with one target, in a folder that appears
    whole or not at all.

    Raises:
        ProbeError: as `sklearn_object`; `out` exists, or cannot be written.
    """
    if out.exists():
        raise ProbeError(f"{out} exists; give another --out or remove it.")
    pipelines = {name: _only(sklearn_object(folder)) for name, folder in probes.items()}
    draft = out.with_name(out.name + ".tmp")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for name, pipeline in pipelines.items():
            (draft / name).write_bytes(pickle.dumps(pipeline))
        draft.rename(out)
    except OSError as error:
        raise ProbeError(f"Cannot write {out.absolute()}: {error.strerror}. Give another --out.") from error


def _only(probe: Any) -> Any:
    """The one Pipeline of a probe."""
    if not isinstance(probe, dict):
        return probe
    (pipeline,) = probe.values()
    return pipeline


def read_classifier(path: Path) -> tuple[Any, str]:
    """(the classifier in a trusted joblib file, sha256 of the file).

    Raises:
        ProbeError: unreadable, or no fitted classifier with `predict_proba` and one dimension of classes.
    """
    import joblib

    try:
        content = path.read_bytes()
        classifier = joblib.load(io.BytesIO(content))
    except OSError as error:
        raise ProbeError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (*_UNREADABLE, zlib.error) as error:
        raise ProbeError(
            f"{path} cannot be read as a joblib file: {type(error).__name__}: {error}. Write it with "
            "joblib.dump(classifier, FILE), and read it with the packages installed that wrote it."
        ) from error
    kind = type(classifier).__name__
    if not hasattr(classifier, "predict_proba"):
        raise ProbeError(
            f"{path} holds a {kind}, which has no predict_proba. Give a classifier with probabilities, itself and "
            "not inside a dict or list, such as LogisticRegression or a Pipeline that ends with one."
        )
    if not hasattr(classifier, "classes_") or isinstance(classifier.classes_, list):
        raise ProbeError(f"{path} holds a {kind} that is not fitted, or fitted to several targets at once.")
    return classifier, hashlib.sha256(content).hexdigest()


def _format(about: Path) -> str | None:
    """The kind of probe that a probe.json names; None where it cannot be read (whoever loads it then says why)."""
    try:
        content = json.loads(about.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return content.get("format") if isinstance(content, dict) else None
