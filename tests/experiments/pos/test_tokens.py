"""Collecting the states of labelled words: which states, which counts, what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.pos.words import open_words
from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.load import load
from lit_experiments.lm.spec import ModelSpec
from tests.collecting.conftest import assert_same, content
from tests.experiments.pos.conftest import run
from tests.tolerance import assert_close
from tests.toys import random_llama

HAND_MADE = """# newdoc id = a
# sent_id = one
# text = I can't see \U0001f600.
1\tI\t_\tPRON\tPRP\t_\t_\t_\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_
2\tca\t_\tAUX\tMD\t_\t_\t_\t_\t_
3\tn't\t_\tPART\tRB\t_\t_\t_\t_\t_
4\tsee\t_\tVERB\tVB\t_\t_\t_\t_\t_
4.1\tit\t_\tPRON\tPRP\t_\t_\t_\t_\t_
5\t\U0001f600\t_\tSYM\tNFP\t_\t_\t_\t_\tSpaceAfter=No
6\t.\t_\tPUNCT\t.\t_\t_\t_\t_\t_

# sent_id = two
# text = Oh
1\tOh\t_\tINTJ\tUH\t_\t_\t_\t_\t_

"""


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_llama(tmp_path_factory.mktemp("llama"), seed=3)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bank") / "train.conllu"
    path.write_text(HAND_MADE, encoding="utf-8")
    return path


@pytest.mark.parametrize("position", ["last", "first", "mean"])
def test_a_words_state_is_that_of_its_last_or_first_token_or_their_mean(
    llama: Path, bank: Path, tmp_path: Path, position: str
) -> None:
    assert run("collect", "pos_tokens", tmp_path, model=llama, treebank=bank, position=position) == EXIT_DONE
    store = stores.open_store(tmp_path / "store")
    row = store.table().to_pylist()[0]
    assert row["forms"] == ["I", "ca", "n't", "see", "."]
    assert row["excluded"] == ["\U0001f600/SYM"]
    assert (row["first_tokens"], row["last_tokens"]) == ([0, 2, 4, 8, 16], [0, 3, 6, 10, 16])
    lm = load(ModelSpec(str(llama), None, None, "float32", "auto"), "cpu")
    states = exact_states(lm, [row["input_ids"]], ["resid_post.1"])["resid_post.1"].numpy()
    ends = list(zip(row["first_tokens"], row["last_tokens"], strict=True))
    pick = {
        "last": lambda a, b: states[b],
        "first": lambda a, b: states[a],
        "mean": lambda a, b: states[a : b + 1].mean(0),
    }
    expected = np.stack([pick[position](first, last) for first, last in ends])
    largest = np.stack([np.abs(states[first : last + 1]).max(0) for first, last in ends])
    assert_close(store["resid_post"].read([0], layer=1), expected, stored=largest)
    assert row["positions"] == row["first_tokens" if position == "first" else "last_tokens"]


def test_sentences_without_a_labelled_word_keep_their_row_and_their_counts(
    llama: Path, bank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("collect", "pos_tokens", tmp_path, model=llama, treebank=bank, batch_size=1) == EXIT_DONE
    assert "labelled 5, excluded by tag 2 (INTJ 1, SYM 1), not alignable 0" in capsys.readouterr().out
    assert stores.open_store(tmp_path / "store")["resid_post"].lengths().tolist() == [5, 0]
    assert main(["inspect", str(tmp_path), "--examples", "1"]) == EXIT_DONE
    output = capsys.readouterr().out
    assert "train          1          2      7         5         2              0" in output
    assert "I/PRON ca/AUX n't/PART see/VERB ./PUNCT" in output


def test_the_words_of_a_store_are_those_of_the_treebank_in_order(toy: Any) -> None:
    words = open_words(toy.tokens)
    assert words.parts == ["train", "validation", "test"]
    lines = words.of_part("test")
    states = words.states(lines, "resid_post.0")
    vocabulary = {form: state.argmax() for form, state in zip(words.table.form.iloc[lines], states, strict=True)}
    assert len(set(vocabulary.values())) == len(vocabulary), "a toy state is the word's own unit vector"
    assert (states.sum(1) == 1).all()


def test_batch_size_and_backend_change_nothing(llama: Path, tmp_path: Path) -> None:
    options = {"model": llama, "treebank": "embedded", "limit": 12, "sites": "[resid_post.2]"}
    assert run("collect", "pos_tokens", tmp_path / "one", **options) == EXIT_DONE
    assert run("collect", "pos_tokens", tmp_path / "two", **options, batch_size=3, backend="hdf5") == EXIT_DONE
    one, other = content(tmp_path / "one"), content(tmp_path / "two")
    del one["certificate"], other["certificate"]  # of bits, and batches of another size round otherwise
    assert_close(one.pop("resid_post"), other.pop("resid_post"), stored=True)
    assert_same(one, other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"excluded_tags": "[NUON]"}, "there is no tag NUON"),
        ({"treebank": "nowhere"}, "Treebank not found"),
        ({"sites": "[resid_post.9]"}, "resid_post.9"),
        ({"position": "middle"}, "position"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    llama: Path, bank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any], message: str
) -> None:
    assert run("collect", "pos_tokens", tmp_path / "run", **{"model": llama, "treebank": bank} | options) == EXIT_USER
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_long_sentences_are_refused_or_left_out_and_named(
    bank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = random_llama(tmp_path / "small", seed=3, window=8)
    options = {"model": small, "treebank": bank}
    assert run("collect", "pos_tokens", tmp_path / "run", **options) == EXIT_USER
    message = capsys.readouterr().err
    assert "1 of 2 sentences: one (17 tokens)" in message
    assert "--too_long skip" in message
    assert run("collect", "pos_tokens", tmp_path / "run", **options, too_long="skip") == EXIT_DONE
    assert stores.open_store(tmp_path / "run" / "store").sample_ids == ["train/two"]
