"""What an adapter's weight file holds, by name and shape. Reads no tensor of a safetensors file, imports no PEFT."""

import json
from pathlib import Path

_EMBEDDINGS = ("embed_tokens", "lm_head", "wte", "embed_in", "embed_out", "word_embeddings")
_WRAPPERS = ("base_layer", "original_module", "modules_to_save", "token_adapter")  # what PEFT puts around a module


def shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """{key: shape} of the adapter's weights."""
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        import torch

        held = torch.load(folder / "adapter_model.bin", map_location="meta", weights_only=True)
        return {key: tuple(tensor.shape) for key, tensor in held.items()}
    with path.open("rb") as file:  # 8 bytes of length, then JSON: https://github.com/huggingface/safetensors#format
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return {key: tuple(entry["shape"]) for key, entry in header.items() if key != "__metadata__"}


def embedding_rows(folder: Path) -> int | None:
    """How many tokens the embedding has that an adapter brings along; None if it brings none."""
    rows = {
        shape[0]
        for key, shape in shapes(folder).items()
        if len(shape) == 2 and base_name(key).endswith(tuple(f"{name}.weight" for name in _EMBEDDINGS))
    }
    return max(rows, default=None)


def base_name(key: str) -> str:
    """What the base model calls a weight: `base_model.model.lm_head.base_layer.weight` is `lm_head.weight`."""
    return ".".join(part for part in key.removeprefix("base_model.model.").split(".") if part not in _WRAPPERS)
