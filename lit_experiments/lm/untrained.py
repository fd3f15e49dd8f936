"""Fresh weights for a model that is larger than memory: drawn block by block, and written to a folder to load from.

Owns the order in which the parts are drawn (as the model lists them), each as the architecture's own initialisation
draws it. Knows nothing of devices: whoever loads the folder says where its parts go.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors.torch import save_file
from torch import nn


def write_untrained(model_class: Any, config: Any, dtype: torch.dtype, blocks: str, seed: int, folder: Path) -> None:
    """Writes `folder`: config.json and one file of weights per part. blocks: path of the list of blocks.

    The global random generator is left as it was.
    """
    with init_empty_weights():
        model = model_class.from_config(config, dtype=dtype)
    files: dict[str, str] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for number, (prefix, part) in enumerate(_parts(model, blocks)):
            name = f"model-{number:05d}.safetensors"
            weights = {f"{prefix}.{key}": value for key, value in _drawn(model, part).items()}
            if weights:
                save_file(weights, folder / name, metadata={"format": "pt"})
                files |= dict.fromkeys(weights, name)
    index = {"metadata": {}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    config.save_pretrained(folder)


def _parts(model: nn.Module, blocks: str) -> Iterator[tuple[str, nn.Module]]:
    """The blocks, and every module outside of them that holds weights, each with its path."""
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    for path, module in model.named_modules():
        below = path.removeprefix(f"{blocks}.")
        is_block = below != path and "." not in below
        outside = below == path and any(f"{path}.{name}" not in tied for name, _ in module.named_parameters("", False))
        if is_block or outside:
            yield path, module


def _drawn(model: Any, part: nn.Module) -> dict[str, torch.Tensor]:
    """The part's weights, drawn on the CPU; the part is empty again afterwards."""
    part.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.zero_()
        for module in part.modules():
            model._init_weights(module)
    weights = {name: value.detach().clone() for name, value in part.state_dict().items()}
    part.to("meta")
    return weights
