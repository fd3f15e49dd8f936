"""Collecting study 2: every row against the model's own forward pass and generation, reuse of texts, odd paragraphs."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_STOPPED, EXIT_USER
from tests.collecting.conftest import Launcher, assert_same, content
from tests.tolerance import assert_close
from tests.toys import bigram_model, random_llama

CONDITIONS = ["human", "model", "model-temp07", "shuffled"]
PARAGRAPHS = 6
SIZES = {"min_tokens": 20, "max_tokens": 90, "max_new_tokens": 24, "n_samples": PARAGRAPHS}


def words(run: Path, **options: Any) -> list[str]:
    head = ["collect", "--exp", "prefill_dynamics", "--accelerator", "cpu", "--run", str(run)]
    return head + [f"--{key}={value}" for key, value in options.items()]


def collect(run: Path, **options: Any) -> int:
    return main(words(run, **options))


def rows_of(run: Path) -> list[dict[str, Any]]:
    return stores.open_store(run / "store").table().to_pylist()


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_llama(tmp_path_factory.mktemp("llama"), seed=0)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    lines = [f"Number {i:03d} begins." + "".join(f" w{n}" for n in rng.integers(9, 99, 5 + i)) for i in range(8)]
    path.write_text("\n\n".join(lines))
    return path


@pytest.fixture(scope="module")
def options(llama: Path, texts: Path) -> dict[str, Any]:
    return {"model": llama, "paragraphs": texts, **SIZES}


@pytest.fixture(scope="module")
def run(options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert collect(folder, **options) == EXIT_DONE
    return folder


def test_a_row_for_every_paragraph_and_condition_paragraph_by_paragraph(run: Path) -> None:
    rows = rows_of(run)
    assert [r["condition"] for r in rows] == CONDITIONS * PARAGRAPHS
    assert [r["sample_id"] for r in rows[:2]] == [f"{rows[0]['paragraph_id']}/{name}" for name in CONDITIONS[:2]]
    assert [r["temperature"] for r in rows[:4]] == [None, 0.0, 0.7, None]
    for row in rows:
        assert "".join(row["tokens"][: row["boundary"]]) == row["prompt"]
        assert row["reader"] == row["generator"]
        assert (
            row["continuation_length"]
            == len(row["input_ids"]) - row["boundary"]
            == len(row["tokens"][row["boundary"] :])
        )


def test_states_and_cross_entropy_are_the_model_s_own(run: Path, llama: Path) -> None:
    store = stores.open_store(run / "store")
    model = AutoModelForCausalLM.from_pretrained(llama)
    states, lengths = store["resid_post"].read(), store["resid_post"].lengths()
    ends, ce_ends = np.cumsum(lengths), np.cumsum(store["ce"].lengths())
    ce = store["ce"].read()
    kept: dict[int, Any] = {}
    for layer, block in enumerate(model.model.layers):
        block.register_forward_hook(lambda _m, _a, out, at=layer: kept.__setitem__(at, out))
    for i, row in enumerate(rows_of(run)):
        ids = torch.tensor([row["input_ids"]])
        with torch.no_grad():
            output = model(ids, labels=ids)
        expected = torch.stack([kept[layer][0] for layer in range(3)])[:, row["boundary"] :].numpy()
        assert_close(states[:, ends[i] - lengths[i] : ends[i]], expected, stored=True)
        scores = ce[ce_ends[i] - (len(row["input_ids"]) - 1) : ce_ends[i]]
        largest = float(output.logits.abs().max())
        assert_close(scores.mean(), output.loss, scale=largest)
        table = output.logits[0].log_softmax(-1)
        assert_close(scores[-1], -table[-2, row["input_ids"][-1]], scale=largest)


def test_greedy_text_is_what_greedy_decoding_gives(run: Path, llama: Path) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(llama), AutoTokenizer.from_pretrained(llama)
    seen = 0
    for row in rows_of(run):
        if row["condition"] != "model":
            continue
        prompt = torch.tensor([tokenizer(row["prompt"])["input_ids"]])
        theirs = model.generate(prompt, do_sample=False, max_new_tokens=24, pad_token_id=1)[0].tolist()
        ended = row["stop_reason"] == "end_of_text"
        assert row["input_ids"] + [0] * ended == theirs
        assert ended == (len(theirs) - prompt.shape[1] < 24 or theirs[-1] == 0)
        seen += 1
    assert seen == PARAGRAPHS


def test_batches_of_one_hdf5_and_two_devices_give_the_same_texts_and_numbers(
    run: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    assert collect(tmp_path / "other", **options, batch_size=1, backend="hdf5", devices=2) == EXIT_DONE
    one, other = content(run), content(tmp_path / "other")
    del one["certificate"]  # batches of another size round otherwise, and a certificate is of bits
    for name, values in one.items():
        if isinstance(values, np.ndarray):
            assert_close(other[name], values, stored=True)
        else:
            assert other[name] == values, name


def test_killed_again_and_again_it_ends_like_a_run_never_disturbed(
    launcher: Launcher, run: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    argv = words(tmp_path / "run", **options, batch_size=2, flush_seconds=0.02)
    assert launcher.run(words(tmp_path / "whole", **options, batch_size=2)) == EXIT_DONE
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        assert launcher.interrupt_commit(argv, number, tmp_path / "run") in (-number, EXIT_STOPPED, EXIT_DONE)
    assert launcher.run(argv) == EXIT_DONE
    assert_same(content(tmp_path / "run"), content(tmp_path / "whole"))


def test_states_of_prompt_tokens_on_request(run: Path, options: dict[str, Any], tmp_path: Path) -> None:
    assert collect(tmp_path / "all", **options, states="all") == EXIT_DONE
    some, every = stores.open_store(run / "store"), stores.open_store(tmp_path / "all" / "store")
    rows = rows_of(tmp_path / "all")
    assert every["resid_post"].lengths().tolist() == [len(r["input_ids"]) for r in rows]
    assert {r["first_state"] for r in rows} == {0}
    starts = np.cumsum([0] + [len(r["input_ids"]) for r in rows])[:-1]
    behind = [np.arange(s + r["boundary"], s + len(r["input_ids"])) for s, r in zip(starts, rows, strict=True)]
    assert np.array_equal(every["resid_post"].gather(np.concatenate(behind)), some["resid_post"].read())


def test_a_second_reader_reads_the_stored_texts_and_generates_none(
    run: Path,
    options: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = random_llama(tmp_path / "other", seed=1)
    capsys.readouterr()
    from lit_experiments.lm.decode import Decoder

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a reader must not generate")

    monkeypatch.setattr(Decoder, "sample", refuse)
    assert collect(tmp_path / "read", **options, reader=other, generations=run) == EXIT_DONE
    output = capsys.readouterr().out
    assert f"{PARAGRAPHS * 2} generated texts reused (6 model, 6 model-temp07), 0 generated" in output
    assert "as the very token ids" in output
    first, second = rows_of(run), rows_of(tmp_path / "read")
    for name in ("sample_id", "input_ids", "boundary", "continuation", "stop_reason", "generator"):
        assert [r[name] for r in first] == [r[name] for r in second]
    assert {r["reader"] for r in second} == {str(other)}
    ours, theirs = (stores.open_store(path / "store")["ce"].read() for path in (run, tmp_path / "read"))
    assert not np.allclose(ours, theirs, atol=0.1)


def word_reader(folder: Path, window: int = 256) -> Path:
    """A model whose tokens are whole words."""
    random_llama(folder, seed=2, window=window)
    known = ["<unk>", *(f"w{i}" for i in range(255))]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(known)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    return folder


def test_a_reader_with_another_tokenizer_reads_the_text(run: Path, options: dict[str, Any], tmp_path: Path) -> None:
    other = word_reader(tmp_path / "words")
    assert collect(tmp_path / "read", **options, reader=other, generations=run) == EXIT_DONE
    tokenizer = AutoTokenizer.from_pretrained(other)
    for ours, theirs in zip(rows_of(run), rows_of(tmp_path / "read"), strict=True):
        assert theirs["read_as"] == "text"
        assert (theirs["prompt"], theirs["continuation"]) == (ours["prompt"], ours["continuation"])
        assert theirs["input_ids"] == tokenizer(ours["prompt"] + ours["continuation"])["input_ids"]
        if theirs["condition"] == "human":
            assert theirs["boundary"] == len(ours["prompt"].split())


def test_texts_too_long_for_the_reader_s_window_are_left_out_and_named(
    run: Path, options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lengths = {r["sample_id"]: len(r["input_ids"]) for r in rows_of(run)}
    limit = max(lengths.values()) - 1
    small = random_llama(tmp_path / "small", seed=1, window=limit)
    assert collect(tmp_path / "read", **options, reader=small, generations=run) == EXIT_DONE
    left = [name for name, length in lengths.items() if length > limit]
    output = capsys.readouterr().out
    assert f"left out: {len(left)} texts: {', '.join(left)}" in output
    assert [r["sample_id"] for r in rows_of(tmp_path / "read")] == [n for n in lengths if n not in left]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed: 0 there, 1 asked for"),
        ({"max_new_tokens": 12}, "max_new_tokens: 24 there, 12 asked for"),
        ({"generations": "nowhere"}, "--generations nowhere: no run there"),
        ({"generations": None}, "Next: collect them first without --reader"),
    ],
)
def test_generations_of_another_making_are_refused(
    change: dict[str, Any], message: str, run: Path, options: dict[str, Any], llama: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    merged = {**options, "reader": llama, "generations": run, **change}
    given = {key: value for key, value in merged.items() if value is not None}
    assert collect(tmp_path / "read", **given) == EXIT_USER
    assert message in capsys.readouterr().err
    assert not (tmp_path / "read" / "store").exists()


def test_generations_of_another_model_or_of_a_reader_are_refused(
    run: Path, options: dict[str, Any], llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = random_llama(tmp_path / "other", seed=1)
    assert collect(tmp_path / "a", **{**options, "model": other}, generations=run) == EXIT_USER
    assert "generator.model.weights.model.safetensors" in capsys.readouterr().err
    assert collect(tmp_path / "b", **options, reader=other, generations=run) == EXIT_DONE
    assert collect(tmp_path / "c", **options, reader=llama, generations=tmp_path / "b") == EXIT_USER
    assert "Next: name the run that wrote them" in capsys.readouterr().err


def test_an_interrupted_run_s_texts_are_refused_and_a_limited_run_s_are_used(
    options: dict[str, Any], llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collect(tmp_path / "first", **options, limit=4) == EXIT_DONE
    assert collect(tmp_path / "read", **options, reader=llama, generations=tmp_path / "first") == EXIT_DONE
    assert f"holds the first 4 of its {4 * PARAGRAPHS} texts" in capsys.readouterr().out
    assert len(rows_of(tmp_path / "read")) == 4
    # A store with a hole: the rows of one stage are there, those of the next are not.
    store = stores.open_store(tmp_path / "first" / "store")
    holed = tmp_path / "holed" / "store"
    stores.create_store(holed, store.schema, store.fingerprint, {}, "zarr")
    with stores.PartWriter(holed, 0, 10**9, 60) as part:
        for row in store.select([0, 3]).iter_rows():
            arrays = {"resid_post": row.pop("resid_post"), "ce": row.pop("ce")}
            lengths = {"token": [arrays["resid_post"].shape[1]], "predicted": [len(arrays["ce"])]}
            part.append(stores.Records([row], arrays, {k: np.array(v) for k, v in lengths.items()}))
    assert collect(tmp_path / "again", **options, reader=llama, generations=tmp_path / "holed") == EXIT_USER
    assert "an interrupted run" in capsys.readouterr().err


def ending_model(folder: Path, text: str, ends_after: str) -> Path:
    """A model that writes the words of `text` in their cycle and ends behind `ends_after`."""
    known = [*dict.fromkeys(text.split()), "</s>"]
    transition = np.zeros((len(known), len(known)))
    for i, word in enumerate(known):
        transition[i, -1 if word == ends_after else (i + 1) % (len(known) - 1)] = 1.0
    bigram_model(folder, transition, known)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"eos_token_id": len(known) - 1}))
    return folder


def test_a_model_that_ends_at_once_leaves_empty_rows_that_are_stored_and_marked(tmp_path: Path) -> None:
    text = "one two three four. five six seven eight"
    model = ending_model(tmp_path / "model", text, ends_after="four.")
    (tmp_path / "texts.txt").write_text(text + "\n")
    sizes = {"min_tokens": 2, "max_tokens": 20, "n_samples": 1, "max_new_tokens": 9}
    assert collect(tmp_path / "run", model=model, paragraphs=tmp_path / "texts.txt", **sizes) == EXIT_DONE
    rows = rows_of(tmp_path / "run")
    assert [r["continuation_length"] for r in rows] == [4, 0, 0, 4]
    assert [r["stop_reason"] for r in rows] == [None, "end_of_text", "end_of_text", None]
    assert rows[1]["continuation"] == ""
    assert rows[1]["boundary"] == len(rows[1]["input_ids"]) == 4
    assert stores.open_store(tmp_path / "run" / "store")["resid_post"].lengths().tolist() == [4, 0, 0, 4]


def test_the_end_of_text_token_is_no_part_of_the_text(tmp_path: Path) -> None:
    text = "one two three four. five six seven eight"
    model = ending_model(tmp_path / "model", text, ends_after="six")
    (tmp_path / "texts.txt").write_text(text + "\n")
    sizes = {"min_tokens": 2, "max_tokens": 20, "n_samples": 1, "max_new_tokens": 9}
    assert collect(tmp_path / "run", model=model, paragraphs=tmp_path / "texts.txt", **sizes) == EXIT_DONE
    row = rows_of(tmp_path / "run")[1]
    assert row["tokens"] == text.split()[:6]
    assert (row["continuation_length"], row["stop_reason"], row["retokenises"]) == (2, "end_of_text", True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_samples": 9}, "8 paragraphs are usable, 9 were asked for"),
        ({"min_tokens": 91}, "min_tokens 91 is above max_tokens 90"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
        ({"temperatures": "[0]"}, "temperatures must be above 0"),
        ({"max_new_tokens": 250}, "lower --max_new_tokens (now 250): 8 would outgrow the model's window"),
    ],
)
def test_mistakes_end_with_one_message(
    change: dict[str, Any], message: str, options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collect(tmp_path / "run", **{**options, **change}) == EXIT_USER
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run" / "store").exists()


def test_inspect_of_a_run_that_has_no_rows_yet(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = stores.open_store(run / "store")
    stores.create_store(tmp_path / "store", store.schema, store.fingerprint, store.provenance, "zarr")
    assert main(["inspect", str(tmp_path), "--examples", "2", "--compare_with", str(run)]) == EXIT_DONE
    assert "no text in common" in capsys.readouterr().out


def test_inspect_shows_conditions_and_two_readers_side_by_side(
    run: Path, options: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = random_llama(tmp_path / "other", seed=1)
    assert collect(tmp_path / "read", **options, reader=other, generations=run) == EXIT_DONE
    capsys.readouterr()
    assert main(["inspect", str(run), "--examples", "1", "--compare_with", str(tmp_path / "read")]) == EXIT_DONE
    output = capsys.readouterr().out
    row = rows_of(run)[0]
    part = row["input_ids"][row["boundary"] :]
    ce = stores.open_store(run / "store").select([0])["ce"].read()[-len(part) :].mean()
    assert f"human ({len(part)} tokens, CE {ce:.3f}):" in output
    assert "Side by side" in output
    assert "100%" in output
