"""A small model with a byte-level tokenizer and a chat template, and ways to collect with it."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

import stores
from lit_experiments.cli import main
from tests.toys import random_llama

POSITIONS = "[all, last, first, mean, max, last_3, spans]"
TEXTS = ["A cat.", "x", "The cat sat on the mat, and slept.", "Two mats \U0001f600 and more"]
RECORDS = [{"text": text, "spans": [[0, 1, "first"]]} for text in TEXTS]
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% if short is defined and short %}!{% endif %}{% endif %}"
)


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One token per byte, no special tokens in front; window 64."""
    folder = random_llama(tmp_path_factory.mktemp("llama"), seed=5, window=64)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


def jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def command(run: Path, **options: Any) -> list[str]:
    words = [f"--{key}={value}" for key, value in options.items()]
    return ["collect", "--exp", "activations", "--accelerator", "cpu", "--run", str(run), *words]


def collect(run: Path, **options: Any) -> int:
    return main(command(run, **options))


def rows_of(run: Path) -> list[dict[str, Any]]:
    return stores.open_store(run / "store").table().to_pylist()


def states_of(run: Path, field: str) -> list[np.ndarray]:
    """float32 [site, entry, hidden] of each row; [site, hidden] where a row has one entry."""
    return [row[field] for row in stores.open_store(run / "store").iter_rows([field])]
