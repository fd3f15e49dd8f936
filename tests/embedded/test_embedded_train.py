"""Training from end to end on a tiny recipe: a folder that loads, a report, and a resumed run that changes nothing."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch
import yaml
from safetensors.torch import load_file

from lit_experiments.embedded import evaluate, module, recipe, report, train


@pytest.fixture
def made(split):
    training, held_out = ([p for d in part[:12] for p in d.paragraphs][:40] for part in split)
    return train.Corpus(training, held_out[:8])


@pytest.fixture
def tiny():
    full = recipe.load_recipe(recipe.SHIPPED)
    return dataclasses.replace(
        full,
        vocab_size=700,
        window=64,
        architecture={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
        },
        arithmetic_per_epoch=24,
        training=dataclasses.replace(full.training, epochs=2, rows_per_step=8, warmup_steps=2, threads=1),
        question_repeats={"easy": 1, "medium": 0, "hard": 0},
        adapter=dataclasses.replace(full.adapter, first_layer=1, epochs=1, warmup_steps=1),
        report=dataclasses.replace(full.report, problems=4, shuffled_min_tokens=8, resamples=20, batch=4),
    )


class StopsInSecondEpoch(module.EmbeddedLM):
    """Loses its machine half-way."""

    def training_step(self, ids, index):
        if self.current_epoch == 1:
            raise ConnectionAbortedError("power cut")
        return super().training_step(ids, index)


def test_a_run_writes_a_folder_that_loads_and_is_measured(tiny, made, tmp_path):
    train.build(tiny, made, tmp_path / "run", tmp_path / "model", None)
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
    } <= names
    train.build_adapter(tiny, tmp_path / "model", tmp_path / "adapter")
    assert {path.name for path in (tmp_path / "adapter").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    model, tokenizer = evaluate.load_folder(tmp_path / "model", torch.float16)
    assert model.dtype == torch.float16
    assert model.config.bos_token_id == tokenizer.bos_token_id
    measured = report.measure(tmp_path / "model", tmp_path / "adapter", made.training, made.held_out, tiny.report)
    assert 0 < measured["held-out CE, nats/token"]["value"] < 10
    assert report.header(tmp_path / "model", tmp_path / "adapter").splitlines()[0] == report.FIRST_LINE
    assert "| arithmetic solved at T = 0.8 |" in report.table(measured)
    assert 0 <= measured["  ECE, adapter, held-out half"]["value"] <= 1


def test_a_run_resumed_after_a_crash_ends_with_the_same_weights(tiny, made, tmp_path, monkeypatch):
    train.build(tiny, made, tmp_path / "whole", tmp_path / "whole-model", None)
    monkeypatch.setattr(train, "EmbeddedLM", StopsInSecondEpoch)
    with pytest.raises(ConnectionAbortedError):
        train.build(tiny, made, tmp_path / "cut", tmp_path / "cut-model", None)
    monkeypatch.undo()
    train.build(tiny, made, tmp_path / "cut", tmp_path / "cut-model", "last")
    whole, cut = (load_file(tmp_path / f"{name}-model" / "model.safetensors") for name in ("whole", "cut"))
    assert whole.keys() == cut.keys()
    for name in whole:
        torch.testing.assert_close(cut[name], whole[name])


def test_every_epoch_reads_other_rows(tiny, made):
    tokenizer = train.train_tokenizer(made.training, tiny.vocab_size, tiny.window)
    data = module.MixtureData(train.build_mixture(tiny, made.training), made.held_out, tokenizer, tiny.window, 4)
    epochs = []
    for epoch in (0, 1, 1):
        data.trainer = SimpleNamespace(current_epoch=epoch)
        epochs.append(torch.cat(list(data.train_dataloader())))
    assert torch.equal(epochs[1], epochs[2])
    assert not torch.equal(epochs[0][:4], epochs[1][:4])


def test_the_learning_rate_warms_up_and_decays_to_a_tenth():
    factors = [module.learning_rate_factor(step, 10, 100) for step in (0, 9, 10, 55, 100, 200)]
    assert factors == pytest.approx([0.1, 1.0, 1.0, 0.55, 0.1, 0.1])


def test_a_weight_beyond_float16_is_refused(tiny, made, tmp_path):
    tokenizer = train.train_tokenizer(made.training, tiny.vocab_size, tiny.window)
    model = module.new_model(tiny, tokenizer)
    model.model.norm.weight.data[0] = 70000.0
    with pytest.raises(RuntimeError, match="70000"):
        train.save(model, tokenizer, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_mistakes_end_with_one_message_and_exit_code_two(tmp_path, capsys):
    settings = yaml.safe_load(recipe.SHIPPED.read_text(encoding="utf-8"))
    settings["training"]["epoch"] = settings["training"].pop("epochs")
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    run = ["--run", str(tmp_path / "run"), "--out", str(tmp_path / "model")]
    assert train.main(["--recipe", str(tmp_path / "bad.yaml"), *run]) == 2
    assert "unknown keys ['epoch'], missing keys ['epochs']" in capsys.readouterr().err
    assert train.main(["--recipe", str(tmp_path / "none.yaml"), *run]) == 2
    assert "no such file" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_resuming_without_a_checkpoint_says_so(tiny, made, tmp_path):
    with pytest.raises(recipe.EmbeddedError, match=r"no checkpoint at .*last\.ckpt"):
        train.build(tiny, made, tmp_path / "run", tmp_path / "model", "last")


def test_a_folder_without_a_model_says_how_to_build_one(tmp_path):
    with pytest.raises(recipe.EmbeddedError, match=r"lit_experiments\.embedded\.train"):
        evaluate.load_folder(tmp_path, torch.float32)
