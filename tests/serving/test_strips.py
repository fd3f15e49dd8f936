"""Pieces of text: from stored tokens, from characters, from ids by the tokenizer that the fingerprint names."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from lit_experiments.serving.numbers import numbers_of
from lit_experiments.serving.rows import Row, read_row
from lit_experiments.serving.strips import Strip, strips_of
from stores import Column, Field, PartWriter, Records, Schema, create_store, open_store

WORDS = ("<s>", "\u2581The", "cat", "\u2581sat", "\u2581down")
BY_STEP = ("sample", "generation", "step")
SCHEMA = Schema(
    (
        Field("token_ids", BY_STEP, (None, 2, 3), "int32", "", "-1 behind a completion's end"),
        Field("log_probs", BY_STEP, (None, 2, 3), "float32", "nats", "of each", "record"),
    ),
    (
        Column("text", "string", ""),
        Column("input_ids", "list<int64>", ""),
        Column("char_start", "list<int64>", ""),
        Column("char_end", "list<int64>", ""),
        Column("tokens", "list<string>", ""),
        Column("response_ids", "list<int64>", ""),
        Column("response_log_probs", "list<float64>", ""),
        Column("completion_ids", "json", ""),
    ),
)
LOG_PROBS = np.float32([[[-1, -2, -3], [-4, np.nan, np.nan]]])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)})).save(str(folder / "tokenizer.json"))
    return folder


def row_of(model: Path, name: str = "store", **columns: Any) -> Row:
    """A row of a store whose fingerprint names the tokenizer as it is now."""
    digest = hashlib.sha256((model / "tokenizer.json").read_bytes()).hexdigest()
    identity = {"tokenizer": {"tokenizer.json": digest}}
    fingerprint = {"model": {"model": identity, "adapter": None}}
    path = model.parent / name
    create_store(path, SCHEMA, fingerprint, {"config": {"options": {"model": str(model)}}}, "zarr")
    ids = np.int32([[[1, 2, 3], [4, -1, -1]]])
    with PartWriter(path, 0, 1, 1e9) as writer:
        row = {"sample_id": "a", "sample_index": 0, **dict.fromkeys((c.name for c in SCHEMA.columns), None), **columns}
        writer.append(Records([row], {"token_ids": ids, "log_probs": LOG_PROBS}))
    return read_row(open_store(path), 0)


def strips(row: Row) -> dict[str, Strip]:
    return {strip.key: strip for strip in strips_of(row)}


def test_characters_give_pieces_that_make_up_the_text_and_specials_are_decoded(model: Path) -> None:
    text = "The  cat 日"
    row = row_of(model, text=text, input_ids=[0, 1, 2, 3, 3], char_start=[0, 0, 5, 9, 9], char_end=[0, 3, 8, 10, 10])
    assert strips(row)["input_ids"].pieces == ["<s>", "The", "  cat", " 日", ""]


def test_stored_tokens_are_taken_where_there_is_one_for_each_id(model: Path) -> None:
    assert strips(row_of(model, input_ids=[0, 1], tokens=["x", " y"]))["input_ids"].pieces == ["x", " y"]
    row = row_of(model, "other", input_ids=[0, 1, 2], tokens=["x", " y"])
    assert strips(row)["input_ids"].pieces == ["<s>", " \u2581The", "cat"]


def test_completions_have_their_own_numbers(model: Path) -> None:
    shown = strips(row := row_of(model, response_ids=[1, 2], response_log_probs=[-0.5, None]))
    assert list(shown) == ["response_ids", "completion.0", "completion.1"]
    assert [len(strip.pieces) for strip in shown.values()] == [2, 3, 1]
    values = {key: [n.compute("") for n in numbers_of(row, strip, [])] for key, strip in shown.items()}
    np.testing.assert_array_equal(values["response_ids"], [[-0.5, np.nan]])
    np.testing.assert_array_equal(values["completion.0"], LOG_PROBS[:, 0])
    np.testing.assert_array_equal(values["completion.1"], LOG_PROBS[:, 1, :1])


def test_another_tokenizer_than_the_one_that_made_the_ids_decodes_nothing(model: Path) -> None:
    row = row_of(model, input_ids=[1, 2])
    content = json.loads((model / "tokenizer.json").read_text())
    content["model"]["vocab"] |= {"dog": 2, "cat": 5}
    (model / "tokenizer.json").write_text(json.dumps(content))
    strip = strips(row)["input_ids"]
    assert (strip.pieces, strip.exact) == ([" 1", " 2"], False)


def test_pages_load_neither_torch_nor_transformers(model: Path) -> None:
    """A first page once took seconds: what reads probes and tokenizers loaded all of Lightning."""
    row_of(model, name="runs", input_ids=[0, 1])
    code = (
        "import sys\nfrom pathlib import Path\nfrom lit_experiments.serving.site import Site\n"
        f"page = Site(Path({str(model.parent)!r})).answer('/row', 'run=runs&row=1')\n"
        "assert b'&lt;s&gt;' in page.content\n"
        "print([m for m in ('torch', 'lightning', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
