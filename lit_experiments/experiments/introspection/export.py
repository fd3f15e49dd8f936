"""Study 3 as plain NumPy files: per pass and layer one array padded on the right, with a mask and readable metadata.

OUT/run_config.json                      the run's configuration, and a note on the layout
OUT/mcq/metadata.json                    a list with one object per question, in the order of the arrays
OUT/mcq/mask.npy                         bool [question, token], True where a state is stored
OUT/mcq/activations_layer_00.npy         [question, token, hidden]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.prompts import PASSES
from stores import Store
from stores.export.tensors import tensor_dtype

_BLOCK = 64  # questions read at a time
_NOTE = (
    "activations_layer_XX.npy is [question, token, hidden], padded with zeros on the right; mask.npy says which are "
    "states. The state that predicts the answer is the last real one, activations[i, mask[i].sum() - 1]; "
    "activations[:, -1] is that only for the longest prompts and padding for all others (with positions: answer there "
    "is one token, and it is the answer position for all)."
)


def export_npy(store: Store, out: Path) -> None:
    """Writes the layout above. Raises UserError if `out` exists."""
    if out.exists():
        raise UserError(f"{out} exists; give another --out or remove it.")
    out.mkdir(parents=True)
    config = store.provenance.get("config", {}) | {"layers": store.schema.coords["layer"], "note": _NOTE}
    (out / "run_config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False), encoding="utf-8")
    kinds = np.array(store.table(["prompt_type"])["prompt_type"].to_pylist())
    for kind in PASSES:
        if (kinds == kind).any():
            _export_pass(store.select(kinds == kind), out / kind)


def _export_pass(store: Store, folder: Path) -> None:
    folder.mkdir()
    rows = store.table().to_pylist()
    (folder / "metadata.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8")
    lengths = store["resid_post"].lengths()
    mask = np.arange(lengths.max()) < lengths[:, None]
    np.save(folder / "mask.npy", mask)
    for layer in range(len(store.schema.coords["layer"])):
        _export_layer(store, folder / f"activations_layer_{layer:02d}.npy", layer, mask)


def _export_layer(store: Store, path: Path, layer: int, mask: NDArray[np.bool_]) -> None:
    view = store["resid_post"]
    shape = (*mask.shape, view.shape[-1])
    written: Any = np.lib.format.open_memmap(path, "w+", tensor_dtype(view), shape)
    for start in range(0, len(mask), _BLOCK):
        stop = min(start + _BLOCK, len(mask))
        padded = np.zeros((stop - start, *shape[1:]), written.dtype)
        padded[mask[start:stop]] = view.read(slice(start, stop), layer=layer)
        written[start:stop] = padded
    written.flush()
