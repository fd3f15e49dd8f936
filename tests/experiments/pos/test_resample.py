"""Resampling prefixes: known frequencies, nothing found, foreign probes, short memory, devices, interruptions."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import DynamicCache

import stores
from lit_experiments.cli import main
from lit_experiments.errors import EXIT_DONE, EXIT_STOPPED, EXIT_USER
from lit_experiments.experiments.pos.words import open_words
from lit_experiments.probes.class_probe import ClassProbe, load_class_probe, save_class_probe
from tests.collecting.conftest import Launcher, assert_same, content
from tests.experiments.pos.conftest import EXACT, Toy, command, run
from tests.experiments.pos.toy import NOUN, TRANSITION, WORDS, toy_model, toy_treebank
from tests.tolerance import assert_close


def warped(shares: np.ndarray, temperature: float, top_p: float) -> np.ndarray:
    """The exact distribution that tempered nucleus sampling draws from."""
    p = np.where(shares > 0, shares, 0.0) ** (1 / temperature)
    p /= p.sum()
    order = np.argsort(-p)
    kept = order[: int((np.cumsum(p[order]) < top_p).sum()) + 1]
    out = np.zeros_like(p)
    out[kept] = p[kept]
    return out / out.sum()


def first_tokens(folder: Path, word: str) -> np.ndarray:
    """Counts of the vocabulary right after the word, over all prefixes that end with it."""
    store = stores.open_store(folder / "store")
    at = np.flatnonzero(np.array(store.table(["word"]).column(0).to_pylist()) == word)
    return np.bincount(store["token_ids"].read(at)[..., 0].ravel(), minlength=len(WORDS))


@pytest.mark.parametrize("word", ["duck", "fish"])
def test_what_follows_has_the_models_own_frequencies(toy: Toy, word: str) -> None:
    counts, expected = first_tokens(toy.resampled, word), TRANSITION[WORDS.index(word)]
    assert counts[expected == 0].sum() == 0
    possible = expected > 0
    assert chisquare(counts[possible], expected[possible] * counts.sum()).pvalue > 1e-3


def test_temperature_and_top_p_change_the_frequencies_exactly_as_defined(toy: Toy, tmp_path: Path) -> None:
    options = {"model": toy.model, "probe": toy.probe, "temperature": 0.7, "top_p": 0.95, "max_new_tokens": 1}
    assert run("collect", "pos_resample", tmp_path / "run", **options) == EXIT_DONE
    counts, expected = first_tokens(tmp_path / "run", "duck"), warped(TRANSITION[WORDS.index("duck")], 0.7, 0.95)
    assert (expected > 0).sum() == 2, "the nucleus leaves one word out"
    assert counts[expected == 0].sum() == 0
    assert chisquare(counts[expected > 0], expected[expected > 0] * counts.sum()).pvalue > 1e-3


def test_every_ambiguous_word_is_found_and_no_other(toy: Toy) -> None:
    store = stores.open_store(toy.resampled / "store")
    words = open_words(toy.tokens)
    table = words.table.iloc[words.of_part("validation")]
    expected = sorted(
        zip(table[table.form.isin(list(NOUN))].doc_id, table[table.form.isin(list(NOUN))].form, strict=True)
    )
    rows = store.table().to_pylist()
    assert sorted((row["doc_id"], row["word"]) for row in rows) == expected
    classes = store.fingerprint["settings"]["classes"]
    for row in rows:
        assert sum(row["probe_probs"]) == pytest.approx(1, abs=1e-9)
        assert row["probe_probs"][classes.index("NOUN")] == pytest.approx(NOUN[row["word"]], abs=0.08)
        assert row["probe_pred"] == classes[int(np.argmax(row["probe_probs"]))]
        assert row["prefix_text"] == f"they {row['word']}" == row["sentence_text"][: row["char_end"]]
        assert row["sentence_text"][row["char_start"] : row["char_end"]] == row["word"] == row["target_token"]
        assert row["prefix_ids"] == [WORDS.index(word) for word in row["prefix_text"].split()]
        assert row["target_position"] == 1
        assert all(text.startswith(" ") for text in row["completions"])


def test_the_order_is_fixed_and_max_prefixes_takes_the_first(toy: Toy, tmp_path: Path) -> None:
    options = {"model": toy.model, "probe": toy.probe, "num_samples": 2, **EXACT}
    assert run("collect", "pos_resample", tmp_path / "few", **options, max_prefixes=4) == EXIT_DONE
    few, every = (stores.open_store(f / "store").sample_ids for f in (tmp_path / "few", toy.resampled))
    assert few == every[:4]
    assert run("collect", "pos_resample", tmp_path / "text", **options, order="text", max_prefixes=4) == EXIT_DONE
    rows = stores.open_store(tmp_path / "text" / "store").table(["dataset_idx"]).column(0).to_pylist()
    assert rows == sorted(rows)


def test_none_found_is_said_and_ends_well_and_is_no_error_further_on(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {"model": toy.model, "probe": toy.probe, "conf_thresh": 0.3}
    assert run("collect", "pos_resample", tmp_path / "run", **options) == EXIT_DONE
    assert "No uncertain word" in capsys.readouterr().out
    assert main([*command("collect", "pos_resample", tmp_path / "dry", **options), "--dry_run"]) == EXIT_DONE
    assert "Nothing would run" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "run")]) == EXIT_DONE
    assert run("analyze", "pos_ambiguity", tmp_path / "run") == EXIT_DONE
    assert "nothing to compare" in capsys.readouterr().out
    out = tmp_path / "none.jsonl"
    assert main(["export", str(tmp_path / "run"), "--format", "jsonl", "--out", str(out)]) == EXIT_DONE
    (header,) = out.read_text().splitlines()
    assert json.loads(header)["prefixes"] == 0


def refused(capsys: pytest.CaptureFixture[str], folder: Path, **options: Any) -> str:
    assert run("collect", "pos_resample", folder, **options) == EXIT_USER
    assert not (folder / "store").exists()
    return capsys.readouterr().err


def test_a_probe_of_another_model_layer_order_or_hand_is_refused_with_the_reason(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual: dict[str, Any] = {"model": toy.model, "probe": toy.probe}
    other = toy_model(tmp_path / "other", np.roll(TRANSITION, 1, axis=1))
    assert "are another model's: model differ" in refused(capsys, tmp_path / "a", **usual | {"model": other})
    assert "reads layer resid_post.0, not resid_post.1" in refused(
        capsys, tmp_path / "b", **usual, layer="resid_post.1"
    )
    probe = load_class_probe(toy.probe, model=None, layer=None, classes=None)
    turned = {**vars(probe), "classes": probe.classes[::-1]}
    save_class_probe(ClassProbe(**turned), tmp_path / "turned")
    message = refused(capsys, tmp_path / "c", **usual | {"probe": tmp_path / "turned"}, tokens=toy.tokens)
    assert f"has the classes {', '.join(probe.classes[::-1])}, in this order; expected" in message
    shutil.copytree(toy.probe, tmp_path / "edited")
    path = tmp_path / "edited" / "probe.json"
    path.write_text(
        path.read_text().replace('"NOUN"', '"NUON"').replace('"VERB"', '"NOUN"').replace('"NUON"', '"VERB"')
    )
    message = refused(capsys, tmp_path / "d", **usual | {"probe": tmp_path / "edited"}, tokens=toy.tokens)
    assert "not as it was written" in message
    assert "holds no probe" in refused(capsys, tmp_path / "e", **usual | {"probe": tmp_path}, tokens=toy.tokens)


def test_states_of_another_model_or_position_are_refused(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual: dict[str, Any] = {"model": toy.model, "probe": toy.probe}
    bank = toy_treebank(tmp_path / "bank", {"train": 5, "dev": 5, "test": 5})
    other = toy_model(tmp_path / "other", np.roll(TRANSITION, 1, axis=1))
    assert run("collect", "pos_tokens", tmp_path / "one", model=other, treebank=bank) == EXIT_DONE
    assert run("collect", "pos_tokens", tmp_path / "two", model=toy.model, treebank=bank, position="mean") == EXIT_DONE
    assert "another model's: model differ" in refused(capsys, tmp_path / "a", **usual, tokens=tmp_path / "one")
    message = refused(capsys, tmp_path / "b", **usual, tokens=tmp_path / "two")
    assert "trained with position last" in message
    assert "name the run whose states" in refused(capsys, tmp_path / "c", **usual | {"probe": tmp_path / "bank"})


def test_prefixes_that_leave_no_room_in_the_window_are_an_error_or_left_out_and_counted(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = stores.open_store(toy.resampled / "store")
    window = json.loads((toy.model / "config.json").read_text())["max_position_embeddings"]
    usual: dict[str, Any] = {"model": toy.model, "probe": toy.probe, "max_prefixes": "null", "num_samples": 1}
    usual |= {"max_new_tokens": window - 1, "order": "text"}
    err = refused(capsys, tmp_path / "a", **usual, too_long="error")
    assert f"No room for {window - 1} more tokens in the model's window ({window}): {len(store)} prefixes: " in err
    assert err.count("(2 tokens)") == 5
    assert f"and {len(store) - 5} more" in err
    assert run("collect", "pos_resample", tmp_path / "b", **usual, too_long="skip") == EXIT_DONE
    assert f"left out: {len(store)} prefixes" in capsys.readouterr().out
    assert len(stores.open_store(tmp_path / "b" / "store")) == 0


def exported(folder: Path, out: Path) -> bytes:
    assert main(["export", str(folder), "--format", "jsonl", "--out", str(out)]) == EXIT_DONE
    return out.read_bytes()


@pytest.mark.parametrize("fits", [40, 7])
def test_short_memory_splits_the_draws_and_changes_nothing(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fits: int
) -> None:
    """The cache of so many draws does not fit; prefixes alone do."""
    real, sizes = DynamicCache.batch_select_indices, []

    def small(cache: DynamicCache, indices: torch.Tensor) -> None:
        sizes.append(len(indices))
        if len(indices) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        real(cache, indices)

    options = {"model": toy.model, "probe": toy.probe, "num_samples": 96, **EXACT}
    with monkeypatch.context() as short:
        short.setattr(DynamicCache, "batch_select_indices", small)
        assert run("collect", "pos_resample", tmp_path / "short", **options) == EXIT_DONE
    assert max(sizes) > fits
    assert "batches were halved" in capsys.readouterr().err
    assert exported(tmp_path / "short", tmp_path / "a.jsonl") == exported(toy.resampled, tmp_path / "b.jsonl")


def test_batch_size_and_backend_change_nothing(toy: Toy, tmp_path: Path) -> None:
    options = {"model": toy.model, "probe": toy.probe, "num_samples": 96, **EXACT}
    assert run("collect", "pos_resample", tmp_path / "one", **options, batch_size=1, backend="hdf5") == EXIT_DONE
    assert exported(tmp_path / "one", tmp_path / "a.jsonl") == exported(toy.resampled, tmp_path / "b.jsonl")


def test_the_jsonl_has_a_header_and_the_published_keys_and_may_be_compressed(toy: Toy, tmp_path: Path) -> None:
    import zstandard

    plain = exported(toy.resampled, tmp_path / "prefixes.jsonl")
    packed = exported(toy.resampled, tmp_path / "prefixes.jsonl.zst")
    assert zstandard.ZstdDecompressor().stream_reader(packed).read() == plain
    header, *records = map(json.loads, plain.decode().splitlines())
    assert (header["record"], header["prefixes"]) == ("header", len(records))
    assert header["classes"] == ["ADV", "NOUN", "PRON", "PUNCT", "VERB"]
    one = records[0]
    required = {"dataset_idx", "prefix", "sentence_text", "generation_params", "completions"}
    assert required <= set(one)
    keys = {"text", "token_ids", "target_position", "target_token", "true_label", "probe_probs", "probe_pred"}
    assert keys <= set(one["prefix"])
    parameters = {"model", "layer", "temperature", "top_p", "max_new_tokens", "num_samples", "seed"}
    assert set(one["generation_params"]) == parameters
    assert one["generation_params"]["seed"] == 123
    assert one["generation_params"] == header["generation_params"]
    assert len(one["completions"]) == 96
    for completion in one["completions"]:
        assert completion["text"].split() == [WORDS[i] for i in completion["token_ids"]]


def test_the_summary_gives_the_average_length(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(toy.resampled)]) == EXIT_DONE
    assert "average completion length 3.00 tokens" in capsys.readouterr().out


@pytest.mark.slow
def test_killed_and_resumed_on_two_devices_the_completions_are_the_same(
    toy: Toy,
    launcher: Launcher,
    tmp_path: Path,
) -> None:
    """One process killed at random moments, then two for the rest."""
    options = {"model": toy.model, "probe": toy.probe, "num_samples": 96, **EXACT}
    argv = command("collect", "pos_resample", tmp_path / "run", **options, batch_size=1, flush_seconds=0.02)
    for number in (9, 15):
        assert launcher.interrupt([*argv, "--limit=8"], number, 3.0) in (-number, EXIT_STOPPED, EXIT_DONE)
    assert launcher.run([*argv, "--devices=2"]) == EXIT_DONE
    assert len(list((tmp_path / "run" / "store" / "parts").iterdir())) >= 2
    assert stores.verify(tmp_path / "run" / "store") == []
    expected = exported(toy.resampled, tmp_path / "wanted.jsonl")
    assert exported(tmp_path / "run", tmp_path / "found.jsonl") == expected
    one, other = content(toy.resampled), content(tmp_path / "run")
    del one["certificate"], other["certificate"]  # of bits, and batches of another size round otherwise
    assert_close(one.pop("log_probs"), other.pop("log_probs"))
    assert_same(one, other)
