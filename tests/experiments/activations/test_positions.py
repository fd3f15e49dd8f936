"""Which tokens' states are stored: against the model's own pass, and against each other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stores
from lit_experiments.collecting.positions import parse_positions
from lit_experiments.errors import EXIT_DONE, UserError
from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.load import load
from lit_experiments.lm.spec import ModelSpec
from tests.experiments.activations.conftest import POSITIONS, RECORDS, collect, jsonl, rows_of, states_of
from tests.tolerance import EMBEDDED, assert_close


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All positions at once with a model that puts a BOS in front."""
    folder = tmp_path_factory.mktemp("positions")
    table = jsonl(folder / "texts.jsonl", RECORDS)
    options = {"positions": POSITIONS, "span_column": "spans", "sites": "[embed, '*.2', final_norm]"}
    assert collect(folder / "run", texts=table, **options) == EXIT_DONE
    return folder / "run"


def test_all_are_the_model_s_own_states(embedded: Path) -> None:
    sites = stores.open_store(embedded / "store").schema.coords["site"]
    assert sites == ["embed", "resid_pre.2", "attn_out.2", "resid_mid.2", "mlp_out.2", "resid_post.2", "final_norm"]
    lm = load(ModelSpec("embedded", None, None, "float32", "auto"), "cpu")
    for row, states in zip(rows_of(embedded), states_of(embedded, "hidden_all"), strict=True):
        assert row["input_ids"] == lm.encode(row["text"])
        exact = exact_states(lm, [row["input_ids"]], [str(site) for site in sites])
        for site, stored in zip(sites, states, strict=True):
            assert_close(stored, exact[str(site)], EMBEDDED, stored=True)


def test_the_others_are_parts_and_reductions_of_all(embedded: Path) -> None:
    fields = ["last", "first", "mean", "max", "last_3", "spans"]
    stored = {name: states_of(embedded, f"hidden_{name}") for name in fields}
    for k, (row, every) in enumerate(zip(rows_of(embedded), states_of(embedded, "hidden_all"), strict=True)):
        assert row["input_ids"][0] == 1, "the embedded model's BOS"
        without_bos = every[:, 1:]
        np.testing.assert_array_equal(stored["last"][k], every[:, -1])
        np.testing.assert_array_equal(stored["first"][k], every[:, 1])
        np.testing.assert_array_equal(stored["last_3"][k], every[:, -3:])
        np.testing.assert_array_equal(stored["spans"][k], every[:, row["span_positions"]])
        np.testing.assert_array_equal(stored["max"][k], without_bos.max(1))
        # Each token's state was rounded to float16 before this mean was taken, and the pooled one after.
        assert_close(stored["mean"][k], without_bos.astype(float).mean(1), EMBEDDED, stored=np.abs(without_bos).max(1))


def test_fields_have_the_dims_that_probes_rely_on(embedded: Path) -> None:
    schema = stores.open_store(embedded / "store").schema
    assert {field.name: field.dims for field in schema.fields} == {
        "hidden_all": ("site", "token", "hidden"),
        "hidden_last": ("site", "sample", "hidden"),
        "hidden_first": ("site", "sample", "hidden"),
        "hidden_mean": ("site", "sample", "hidden"),
        "hidden_max": ("site", "sample", "hidden"),
        "hidden_last_3": ("site", "tail", "hidden"),
        "hidden_spans": ("site", "span_token", "hidden"),
    }
    assert {field.dtype for field in schema.fields} == {"float16"}


def test_characters_of_every_token_are_those_of_the_text(llama: Path, tmp_path: Path) -> None:
    """Several tokens of one character's bytes all have that character."""
    table = jsonl(tmp_path / "t.jsonl", [{"text": "a \u00e9\U0001f600b"}])
    assert collect(tmp_path / "run", model=llama, texts=table) == EXIT_DONE
    (row,) = rows_of(tmp_path / "run")
    characters = [row["text"][a:b] for a, b in zip(row["char_start"], row["char_end"], strict=True)]
    assert [text.strip() for text in characters] == ["a", "", "\u00e9", "\u00e9", *["\U0001f600"] * 4, "b"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("middle", "there is no"),
        ("lost", 'Nearest: "last"'),
        ("last_0", "last_0"),
        ([], "one of them"),
        (["mean", "mean"], "at most once"),
        (["last_2", "last_3"], "one last_K"),
        ("response", "--generate N"),
        ("spans", "--span_column"),
    ],
)
def test_positions_that_cannot_be_are_refused(words: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        parse_positions(words, answers=False, spans=False)
