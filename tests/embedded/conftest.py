"""The running Python's documentation and the shipped model, read once for all tests of the embedded model."""

from __future__ import annotations

import pytest
import torch

from lit_experiments.embedded import evaluate, text
from lit_experiments.embedded.train import MODEL_FOLDER


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def documents():
    return text.documents()


@pytest.fixture(scope="session")
def split(documents):
    return text.split(documents)


@pytest.fixture(scope="session")
def shipped():
    """(model, tokenizer) as users load them, in float32."""
    return evaluate.load_folder(MODEL_FOLDER, torch.float32)
