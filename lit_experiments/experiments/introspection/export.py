"""Study 3 as plain NumPy files: per pass and layer one padded array, with a mask and readable metadata.

OUT/run_config.json                      the run's configuration, which side is padded, and a note on the layout
OUT/mcq/metadata.json                    a list with one object per question, in the order of the arrays
OUT/mcq/mask.npy                         bool [question, token], True where a state is stored
OUT/mcq/activations_layer_00.npy         [question, token, hidden]; with --pad none, in place of it and of mask.npy,
OUT/mcq/activations_layer_00/00000.npy   [token, hidden] of one question

The passes' folders are mcq, self_confidence and other_confidence, or, for scripts that expect these, mcq, self_conf and
other_conf. Row i is the same question in every folder: questions that some pass lacks are left out and counted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.passes import whole_questions
from lit_experiments.experiments.introspection.prompts import ANSWER_LETTERS, PASSES, SHORT
from stores import Store
from stores.export.padded import padding_mask
from stores.export.tensors import tensor_dtype

Padding = Literal["left", "right", "none"]
_BLOCK = 64  # questions read at a time
_NOTES = {
    "right": "activations_layer_XX.npy is [question, token, hidden], padded with zeros on the right; mask.npy says "
    "which are states. The state that predicts the answer is the last real one, activations[i, mask[i].sum() - 1]; "
    "activations[:, -1] is that only for the longest prompts and padding for all others (with positions: answer there "
    "is one token, and it is the answer position for all). --pad left puts it at [:, -1] for every question.",
    "left": "activations_layer_XX.npy is [question, token, hidden], padded with zeros on the left; mask.npy says which "
    "are states. The state that predicts the answer is activations[:, -1] for every question.",
    "none": "activations_layer_XX/NNNNN.npy is [token, hidden] of question NNNNN, counted from 0, without padding. The "
    "state that predicts the answer is its last.",
}
_INDICES = (
    " answer_token_index (in the confidence passes confidence_token_index too) is where activations have that state; "
    "answer_position is the token's place in input_ids, which are never padded."
)


def export_npy(store: Store, out: Path, pad: Padding, short_names: bool) -> None:
    """Writes the layout above.

    Args:
        pad: the side that is filled up with zeros; "none" writes one array per question.
        short_names: name the folders mcq, self_conf, other_conf.

    Raises:
        UserError: `out` exists, or the store holds no question in all of its passes.
    """
    if out.exists():
        raise UserError(f"{out} exists; give another --out or remove it.")
    whole = whole_questions(store)
    if not len(whole):
        raise UserError(f"{store.path} holds no question in all of its passes.\nNext: resume the collection.")
    out.mkdir(parents=True)
    kinds = np.array(whole.table(["prompt_type"])["prompt_type"].to_pylist())
    folders = {kind: SHORT[kind] if short_names else kind for kind in PASSES if (kinds == kind).any()}
    for kind, folder in folders.items():
        _export_pass(whole.select(kinds == kind), kind, out / folder, pad)
    config = store.provenance.get("config", {})
    count = int((kinds == kinds[0]).sum())
    layout = {
        # A run may have grown since it began with the number that its configuration has.
        "init_args": config.get("init_args", {}) | {"num_questions": count},
        "layers": store.schema.coords["layer"],
        "padding": pad,
        "passes": {folder: kind for kind, folder in folders.items()},
        "questions": count,
        "rows_of_incomplete_questions_left_out": len(store) - len(whole),
        "note": _NOTES[pad] + _INDICES,
    }
    _write(out / "run_config.json", config | layout)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


def _export_pass(store: Store, kind: str, folder: Path, pad: Padding) -> None:
    folder.mkdir()
    lengths = store["resid_post"].lengths()
    longest = int(lengths.max())
    mask = padding_mask(lengths, pad)
    last = np.full(len(lengths), longest - 1) if pad == "left" else lengths - 1
    rows = store.table().to_pylist()
    described = [_described(row, kind, int(place), pad) for row, place in zip(rows, last, strict=True)]
    _write(folder / "metadata.json", described)
    if pad != "none":
        np.save(folder / "mask.npy", mask)
    for layer in range(len(store.schema.coords["layer"])):
        if pad == "none":
            _export_questions(store, folder / f"activations_layer_{layer:02d}", layer)
            continue
        _export_layer(store, folder / f"activations_layer_{layer:02d}.npy", layer, mask)


def _described(row: dict[str, Any], kind: str, last: int, pad: Padding) -> dict[str, Any]:
    """A row for people and scripts. last: where the arrays have the state of its last token."""
    indices = {"answer_token_index": last} | ({} if kind == "mcq" else {"confidence_token_index": last})
    options = dict(zip(ANSWER_LETTERS, row["options"], strict=True))
    return row | {"options": options, "padding": pad} | indices


def _export_questions(store: Store, folder: Path, layer: int) -> None:
    folder.mkdir()
    view = store["resid_post"]
    for question in range(len(store)):
        states = view.read(slice(question, question + 1), layer=layer)
        np.save(folder / f"{question:05d}.npy", states.astype(tensor_dtype(view), copy=False))


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
