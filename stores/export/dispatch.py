"""Chooses an exporter by name, and makes its output appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import ExportError
from ..files import open_files
from ..reader import open_store
from ..schema import nearest

COMPRESSIONS = ("gzip", "none", "blosc")  # of hdf5; the first is the default
PADDINGS = ("left", "right", "none")
FORMATS = {
    "jsonl": ("jsonl", "export_jsonl"),
    "npy": ("tensors", "export_npy"),
    "safetensors": ("tensors", "export_safetensors"),
    "parquet": ("tables", "export_parquet"),
    "zarr": ("zarr_group", "export_zarr"),
    "hdf5": ("hdf5_file", "export_hdf5"),
}


def export(
    store_path: str | os.PathLike[str],
    format: str,
    out: str | os.PathLike[str],
    record: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    header: dict[str, Any] | None = None,
    compression: str | None = None,
    pad: str | None = None,
) -> Path:
    """Write all rows of a store to `out` (a new file, or a new folder) and return its path.

    jsonl writes one file (compressed if it ends in .zst), hdf5 one file, the others a folder. `record` reshapes each
    row (metadata and numpy arrays) of a JSONL export, `header` is a first line of its own there. `compression` of an
    hdf5 export is "gzip" (if left out), "none" or "blosc", which needs a plugin to be read. `pad` of an npy export:
    ragged fields as one array padded on the "left" or "right", or with "none" as one array per row.

    Raises ExportError for an unknown format, an `out` that exists, or options that the format doesn't have.
    """
    if format not in FORMATS:
        raise ExportError(f"Unknown export format {format!r}{nearest(format, FORMATS)}; allowed: {', '.join(FORMATS)}.")
    if format != "jsonl" and (record is not None or header is not None):
        raise ExportError(f"Export to {format} takes no record or header function; only jsonl does.")
    if compression is not None and (format != "hdf5" or compression not in COMPRESSIONS):
        raise ExportError(
            f"Export to {format} takes no compression {compression!r}{nearest(compression, COMPRESSIONS)}; only hdf5 "
            f"does, one of {', '.join(COMPRESSIONS)}."
        )
    if pad is not None and (format != "npy" or pad not in PADDINGS):
        raise ExportError(f"Export to {format} takes no pad {pad!r}; only npy does, one of {', '.join(PADDINGS)}.")
    target = Path(out)
    if "://" in os.fspath(out) or not open_files(out).is_local:
        raise ExportError(f"Exports go to a local disk; {out} is a URL.")
    if os.path.lexists(target):
        raise ExportError(f"{target} exists; give another --out or remove it.")
    module, function = FORMATS[format] if pad is None else ("padded", "export_padded")
    exporter = getattr(import_module(f"stores.export.{module}"), function)
    options: dict[str, Any] = {}
    if format == "jsonl":
        options = {"record": record, "header": header, "compress": target.suffix == ".zst"}
    if pad is not None:
        options = {"pad": pad}
    if format == "hdf5":
        options = {"compression": compression or COMPRESSIONS[0]}
    partial = target.with_name(target.name + ".partial")
    _remove(partial)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        exporter(open_store(store_path), partial, **options)
        partial.rename(target)
    except OSError as error:
        raise ExportError(f"Can't write {target}: {error.strerror or error}.") from error
    return target


def _remove(partial: Path) -> None:
    """Clear what an interrupted export left."""
    if partial.is_dir():
        shutil.rmtree(partial)
    else:
        partial.unlink(missing_ok=True)
