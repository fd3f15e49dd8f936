"""Where a page's numbers come from: model, data, versions, commands and settings of a run and of its results."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lit_experiments.reports.document import Source
from lit_experiments.tasks.certificates import certificate_of
from stores import Store

CONFIG = "config.yaml"
_SHORT = 12  # characters of a digest that are shown


def source_of(run: Path, out: Path, store: Store, verb: str) -> Source:
    """The provenance of results in `out`, which `verb` made from the store of `run`."""
    provenance, fingerprint = store.provenance, store.fingerprint
    options = provenance.get("config", {}).get("options", {})
    return Source(
        facts=[
            ("model", _model(options)),
            ("weights", _digests(fingerprint.get("model", {}))),
            ("computed in", str(fingerprint.get("model", {}).get("dtype", "-"))),
            ("data", _data(fingerprint.get("settings", {}))),
            ("rows", f"{len(store):,}"),
            ("certificate", str(certificate_of(run, store))),
            ("collected", str(provenance.get("started", "-"))),
            ("analyzed", datetime.now().isoformat(timespec="seconds")),
            ("lit_experiments", version("lit-experiments")),
            *((name, str(number)) for name, number in provenance.get("packages", {}).items()),
        ],
        commands=[_command(word, folder) for word, folder in (("collect", run), (verb, out))],
        settings="\n".join(_text(folder) for folder in (run, out)),
        links=[("All runs", quote(Path(os.path.relpath(run.parent / "index.html", out)).as_posix()))],
    )


def is_demonstration(store: Store) -> bool:
    """Whether the data are the embedded model's, which is a demonstration subject."""
    return store.provenance.get("config", {}).get("options", {}).get("model") == "embedded"


def _model(options: Mapping[str, Any]) -> str:
    name = str(options.get("model", "-"))
    revision = f" at {options['revision']}" if options.get("revision") else ""
    adapter = f" with adapter {options['adapter']}" if options.get("adapter") else ""
    return name + revision + adapter


def _digests(model: Mapping[str, Any]) -> str:
    weights = (model.get("model") or {}).get("weights") or {}
    return ", ".join(f"{name} {str(digest)[:_SHORT]}" for name, digest in weights.items()) or "-"


def _data(settings: Mapping[str, Any]) -> str:
    """The digests among a collection's settings: those of the texts that it read."""
    digests = {k: v for k, v in settings.items() if isinstance(v, str) and len(v) == 64}
    return ", ".join(f"{name} {value[:_SHORT]}" for name, value in digests.items()) or "-"


def _command(verb: str, folder: Path) -> str:
    run = folder if verb == "collect" else folder.parent
    return f"lit-experiments {verb} --config {folder / CONFIG} --run {run}"


def _text(folder: Path) -> str:
    path = folder / CONFIG
    return f"# {path}\n{path.read_text(encoding='utf-8')}" if path.is_file() else ""
