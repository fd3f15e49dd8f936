"""What tests of several experiments count."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import LlamaModel


@pytest.fixture
def passes() -> Iterator[list[str]]:
    """One entry for each forward pass of a model, as they come."""
    counted: list[str] = []

    def note(module: torch.nn.Module, inputs: object) -> None:
        if isinstance(module, LlamaModel):
            counted.append(type(module).__name__)

    hook = register_module_forward_pre_hook(note)
    yield counted
    hook.remove()
