"""Collecting study 3: every field against the model's own forward pass, prompts and letters in context, the plan."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import stores
from lit_experiments.cli import main
from lit_experiments.cli.configs import find, read_yaml
from lit_experiments.cli.parser import resolve, select
from lit_experiments.collecting.dry_run import dry_run
from lit_experiments.collecting.run import RunSettings
from lit_experiments.embedded import prompts as taught
from lit_experiments.errors import EXIT_DONE, EXIT_USER
from lit_experiments.experiments.introspection.collect import IntrospectionCollector
from lit_experiments.experiments.introspection.prompts import CONFIDENCE_LETTERS, MIDPOINTS, PASSES
from lit_experiments.lm.spec import ModelSpec
from tests.tolerance import assert_close, assert_probabilities_close
from tests.toys import random_llama

QUESTIONS = [
    {"question": "What is not wet?", "options": ["sand", "rain", "sea", "dew"], "answer": "A"},
    {"question": "Who may sing best?", "subject": "birds", "choices": ["stone", "lark", "log", "clay"], "answer": 1},
    {"question": "Name a colour" + " and a colour" * 6, "options": ["red", "cat", "dog", "hat"], "answer": "A"},
    {"question": "How many is two?", "options": ["one", "two", "six", "ten"], "answer": "B"},
    {"question": "Which is hot?", "options": ["ice", "hail", "fire", "snow"], "answer": "C"},
]


def collect(run: Path, **options: Any) -> int:
    words = [f"--{key}={value}" for key, value in options.items()]
    return main(["collect", "--exp", "introspection", "--accelerator", "cpu", "--run", str(run), *words])


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_llama(tmp_path_factory.mktemp("llama"), seed=0, window=512)


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    path.write_text("".join(json.dumps(q) + "\n" for q in QUESTIONS))
    return path


@pytest.fixture(scope="module")
def run(llama: Path, questions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert collect(folder, model=llama, questions=questions) == EXIT_DONE
    return folder


def rows_of(run: Path) -> list[dict[str, Any]]:
    return stores.open_store(run / "store").table().to_pylist()


def test_every_question_has_a_row_in_every_pass_in_the_order_of_the_passes(run: Path) -> None:
    rows = rows_of(run)
    assert [r["prompt_type"] for r in rows] == [kind for kind in PASSES for _ in QUESTIONS]
    assert [r["question_text"] for r in rows[:5]] == [q["question"] for q in QUESTIONS]
    assert [r["correct_answer_letter"] for r in rows[:5]] == ["A", "B", "A", "B", "C"]
    assert len({r["sample_id"] for r in rows}) == 15


def test_states_logits_and_text_are_the_model_s_own(run: Path, llama: Path) -> None:
    store = stores.open_store(run / "store")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(llama), AutoTokenizer.from_pretrained(llama)
    states, lengths = store["resid_post"].read(), store["resid_post"].lengths()
    starts = np.cumsum(lengths) - lengths
    layers = store.schema.coords["layer"]
    for i, row in enumerate(store.table().to_pylist()):
        ids = torch.tensor([row["input_ids"]])
        kept: dict[int, Any] = {}
        for layer, block in enumerate(model.model.layers):
            block.register_forward_hook(lambda _m, _a, out, at=layer, to=kept: to.__setitem__(at, out))
        with torch.no_grad():
            logits = model(ids).logits[0, -1]
        expected = torch.stack([kept[layer][0] for layer in range(len(layers))]).numpy()
        assert_close(states[:, starts[i] : starts[i] + lengths[i]], expected, stored=True)
        letter_ids = [tokenizer.convert_tokens_to_ids(letter) for letter in row["letters"]]
        largest = float(logits.abs().max())
        assert_close(row["logits"], logits[letter_ids], scale=largest)
        probs = logits.double().softmax(-1)[letter_ids]
        assert_probabilities_close(row["probs"], probs / probs.sum(), largest)
        assert_probabilities_close(row["outside_mass"], 1 - probs.sum(), largest)
        assert row["output_text"] == tokenizer.decode([int(logits.argmax())])
        assert row["answer_position"] == len(row["input_ids"]) - 1


def test_metadata_follow_from_the_distribution(run: Path) -> None:
    for row in rows_of(run):
        probs = np.array(row["probs"])
        assert row["entropy"] == pytest.approx(float(-(probs @ np.log(probs))))
        assert row["parsed_answer"] == row["letters"][int(probs.argmax())]
        assert row["answer_source"] == "letters"
        if row["prompt_type"] == "mcq":
            key = "ABCD".index(row["correct_answer_letter"])
            assert row["is_correct"] == (row["parsed_answer"] == row["correct_answer_letter"])
            assert row["logit_margin"] == pytest.approx(row["logits"][key] - max(np.delete(row["logits"], key)))
            assert row["self_confidence"] is row["other_confidence"] is None
        else:
            assert row["letters"] == list(CONFIDENCE_LETTERS)
            assert row[row["prompt_type"]] == pytest.approx(float(probs @ MIDPOINTS))
            assert row["is_correct"] is row["logit_margin"] is None


def test_surface_features(run: Path) -> None:
    first, second, third = rows_of(run)[:3]
    assert (first["question_type"], second["question_type"], third["question_type"]) == ("what", "who", "other")
    assert (first["has_negation"], second["has_negation"]) == (True, False)
    assert (first["has_ambiguity"], second["has_ambiguity"]) == (False, True)
    assert first["char_length"] == len(QUESTIONS[0]["question"]) == first["token_length"]  # bytes are tokens here
    assert 0 < first["token_rarity_mean"] < first["token_rarity_max"] <= 1
    assert first["token_surprisal_mean"] is None


def test_stored_positions(run: Path, llama: Path, questions: Path, tmp_path: Path) -> None:
    everything = stores.open_store(run / "store")
    whole, lengths = everything["resid_post"].read(), everything["resid_post"].lengths()
    ends = np.cumsum(lengths)
    for positions, kept in (("answer", 1), ("last_3", 3)):
        assert collect(tmp_path / positions, model=llama, questions=questions, positions=positions) == EXIT_DONE
        store = stores.open_store(tmp_path / positions / "store")
        assert store["resid_post"].lengths().tolist() == [kept] * 15
        entries = np.concatenate([np.arange(end - kept, end) for end in ends])
        assert np.array_equal(store["resid_post"].read(), whole[:, entries])
        assert rows_of(tmp_path / positions)[0]["positions"] == list(range(lengths[0] - kept, lengths[0]))


@pytest.mark.real_starts
def test_the_same_rows_with_batches_of_one_hdf5_and_two_devices(
    run: Path, llama: Path, questions: Path, tmp_path: Path
) -> None:
    want = stores.open_store(run / "store")
    options = {"batch_size": 1, "backend": "hdf5", "devices": 2}
    assert collect(tmp_path / "other", model=llama, questions=questions, **options) == EXIT_DONE
    other = stores.open_store(tmp_path / "other" / "store")
    assert other.sample_ids == want.sample_ids
    largest = float(np.abs(want["letter_logits"].read()).max())
    assert_probabilities_close(other["letter_probs"].read(), want["letter_probs"].read(), largest)
    assert_close(other["resid_post"].read(), want["resid_post"].read(), stored=True)


def test_options_are_shuffled_with_their_key_and_the_draw_is_seeded(
    llama: Path, questions: Path, tmp_path: Path
) -> None:
    options = {"model": llama, "questions": questions, "num_questions": 4, "shuffle_options": "true", "passes": "[mcq]"}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert collect(tmp_path / name, seed=seed, **options) == EXIT_DONE
    a, b, c = ([(r["question_text"], r["options"]) for r in rows_of(tmp_path / name)] for name in "abc")
    assert a == b != c
    right = {q["question"]: (q.get("options") or q["choices"])["ABCD".find(str(q["answer"]))] for q in QUESTIONS}
    for row in rows_of(tmp_path / "a"):
        expected = "lark" if row["question_text"].startswith("Who") else right[row["question_text"]]
        assert row["options"]["ABCD".index(row["correct_answer_letter"])] == expected


def test_a_question_too_long_in_one_pass_is_an_error_or_left_out_of_all(
    llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    window = AutoModelForCausalLM.from_pretrained(llama).config.max_position_embeddings
    long = {"question": "x" * (window - 60), "options": ["a", "b", "c", "d"], "answer": "D"}
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(q) + "\n" for q in [QUESTIONS[0], long]))
    assert collect(tmp_path / "run", model=llama, questions=tmp_path / "q.jsonl") == EXIT_USER
    assert "1 of 2 questions: line-000002" in capsys.readouterr().err
    assert collect(tmp_path / "run", model=llama, questions=tmp_path / "q.jsonl", too_long="skip") == EXIT_DONE
    assert "left out of every pass: 1 of 2 questions: line-000002" in capsys.readouterr().out
    assert {r["question_id"] for r in rows_of(tmp_path / "run")} == {"line-000001"}


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("positions", "some", "positions must be all, answer or last_K"),
        ("passes", "[mcq, mcq]", "at most once"),
        ("top_p", "0", "top_p must be above 0"),
        ("templates.mcq", "{question}", "missing ['A', 'B', 'C', 'D']"),
        ("token_counts", "nowhere.json", "nowhere.json: No such file"),
        ("chat_template", "true", "no chat template"),
    ],
)
def test_mistakes_end_with_one_message(
    option: str,
    value: str,
    message: str,
    llama: Path,
    questions: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert collect(tmp_path / "run", model=llama, questions=questions, **{option: value}) == EXIT_USER
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run" / "store").exists()


def test_longer_output_text_begins_with_the_most_probable_token(
    run: Path, llama: Path, questions: Path, tmp_path: Path
) -> None:
    assert collect(tmp_path / "run", model=llama, questions=questions, max_new_tokens=4) == EXIT_DONE
    for short, longer in zip(rows_of(run), rows_of(tmp_path / "run"), strict=True):
        assert longer["output_text"].startswith(short["output_text"].rstrip("\ufffd"))
        assert_probabilities_close(longer["probs"], short["probs"], max(map(abs, short["logits"])))


def test_in_a_chat_the_prompt_is_the_user_s_turn_and_the_answer_begins_the_model_s(
    llama: Path, questions: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(llama, tmp_path / "chatty"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<me>{% endif %}"
    )
    tokenizer.save_pretrained(folder)
    options = {"model": folder, "questions": questions, "chat_template": "true", "passes": "[mcq]"}
    assert collect(tmp_path / "run", **options) == EXIT_DONE
    for row in rows_of(tmp_path / "run"):
        assert row["prompt_text"].startswith(f"<user>Question: {row['question_text']}")
        assert row["prompt_text"].endswith("Answer:<me>")
        assert tokenizer.decode(row["input_ids"]) == row["prompt_text"]


def test_the_embedded_model_is_asked_in_the_words_it_was_trained_on() -> None:
    settings = read_yaml(find("collect", "introspection"))["init_args"]
    assert settings["templates"] == taught.TEMPLATES
    assert (taught.CONFIDENCE_LETTERS, taught.MIDPOINTS) == (CONFIDENCE_LETTERS, MIDPOINTS)


def test_a_dry_run_says_the_bytes_to_two_percent(tmp_path: Path) -> None:
    words = ["--exp", "introspection", "--accelerator", "cpu", "--num_questions", "40", "--run", str(tmp_path / "run")]
    resolved = resolve("collect", select("collect", words))
    collector = IntrospectionCollector(ModelSpec("embedded", None, None, "float32", "auto"), **resolved.init_args)
    settings = RunSettings(tmp_path / "run", "zarr", 8192, None, 64_000_000, 30, None, {"accelerator": "cpu"})
    forecast = dry_run(collector, settings).on_disk
    assert main(["collect", *words]) == EXIT_DONE
    contents = stores.inspect(tmp_path / "run" / "store")
    assert forecast == pytest.approx(contents["data_bytes"] + contents["rows_bytes"], rel=0.02)
