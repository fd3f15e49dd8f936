"""An adapter changes the model while it is on, leaves no trace when off, and belongs to one model."""

import json
import shutil
import socket
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tiny_models import ARCHITECTURES, random_model, random_sequences, save, spec

from lit_experiments.lm.capture import capture
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.info import read_info
from lit_experiments.lm.load import load
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.score import token_log_probs
from tests.tolerance import assert_close


def save_adapter(folder, config, architecture="llama", **changes):
    name, arguments = ARCHITECTURES[architecture]
    model = get_peft_model(random_model(name, {**arguments, **changes}), config)
    torch.manual_seed(1)
    for parameter_name, parameter in model.named_parameters():
        if "lora_B" in parameter_name:
            parameter.data.normal_(0, 0.3)
    model.save_pretrained(folder)
    return folder


def lora(**settings):
    return LoraConfig(**{"r": 2, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM", **settings})


@pytest.fixture
def adapter(tmp_path):
    """LoRA on the last two of three blocks."""
    return save_adapter(tmp_path / "adapter", lora(layers_to_transform=[1, 2]))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_with_the_adapter_off_the_model_is_the_base_bit_for_bit(folder_of, adapter, dtype):
    base = load(spec(folder_of("llama"), dtype), "cpu")
    adapted = load(spec(folder_of("llama"), dtype, adapter), "cpu")
    sequences = random_sequences([5, 9])
    sites = list(base.info.sites)
    with adapted.adapter_disabled():
        off = capture(adapted, sequences, sites).values
        off_scores = token_log_probs(adapted, sequences)
        state = Decoder(adapted).prefill(sequences)
    reference = capture(base, sequences, sites).values
    assert torch.equal(off, reference)
    assert all(torch.equal(a, b) for a, b in zip(off_scores, token_log_probs(base, sequences), strict=True))
    assert torch.equal(state.logits, Decoder(base).prefill(sequences).logits)
    on = capture(adapted, sequences, sites).values
    assert not torch.equal(on, reference)


def test_layers_below_the_first_adapted_one_are_identical(folder_of, adapter):
    lm = load(spec(folder_of("llama"), adapter=adapter), "cpu")
    sequences = random_sequences([5, 9])
    sites = ["embed", "resid_post.0", "resid_post.1", "resid_post.2"]
    on = capture(lm, sequences, sites).values
    with lm.adapter_disabled():
        off = capture(lm, sequences, sites).values
    assert torch.equal(on[:2], off[:2])
    assert not torch.equal(on[2], off[2])
    assert not torch.equal(on[3], off[3])


def test_an_adapted_model_decodes_from_its_own_distribution(folder_of, adapter):
    lm = load(spec(folder_of("llama"), adapter=adapter), "cpu")
    decoder = Decoder(lm)
    state = decoder.prefill(random_sequences([4, 6]))
    out = decoder.sample(state, 8, Sampling(1, 1.0, 0), [StreamKey(0, "s", d) for d in range(2)])
    for row, scores in enumerate(token_log_probs(lm, state.ids)):
        assert_close(scores[-8:], out.log_probs[row])


def test_the_adapter_is_part_of_name_and_fingerprint(folder_of, adapter, tmp_path):
    plain = read_info(spec(folder_of("llama"))).fingerprint()
    info = read_info(spec(folder_of("llama"), adapter=adapter))
    first = info.fingerprint()
    assert plain["adapter"] is None
    assert first["model"] == plain["model"]
    assert info.name.endswith(f"+{adapter}")
    moved = Path(shutil.copytree(adapter, tmp_path / "elsewhere"))
    config = json.loads((moved / "adapter_config.json").read_text())
    (moved / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "/elsewhere"}))
    assert read_info(spec(folder_of("llama"), adapter=moved)).fingerprint() == first
    weights = load_file(moved / "adapter_model.safetensors")
    save_file({name: tensor * 2 for name, tensor in weights.items()}, moved / "adapter_model.safetensors")
    assert read_info(spec(folder_of("llama"), adapter=moved)).fingerprint()["adapter"] != first["adapter"]


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (lora(), {"hidden_size": 64}),
        (lora(), {"num_hidden_layers": 5}),
        (lora(target_modules=["fc_in"]), {}),
    ],
    ids=["hidden size", "more blocks", "other modules"],
)
def test_an_adapter_for_another_model_is_refused(folder_of, tmp_path, config, changes):
    if config.target_modules == {"fc_in"}:
        folder = save_adapter(tmp_path / "a", config, "gptj")
    else:
        folder = save_adapter(tmp_path / "a", config, **changes)
    with pytest.raises(ModelError, match=r"was made for another model than(.|\n)*where:(.|\n)*next:") as caught:
        load(spec(folder_of("llama"), adapter=folder), "cpu")
    assert str(folder) in str(caught.value)


def test_an_adapter_made_for_another_hub_model_is_refused(folder_of, adapter):
    """Shapes may fit; the weights below are still not the ones it was trained on."""
    from dataclasses import replace

    from lit_experiments.lm.adapter import load_adapter
    from lit_experiments.lm.locate import Located

    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "org/base"}))
    lm = load(spec(folder_of("llama"), adapter=adapter), "cpu")  # a folder may hold any model: shapes decide
    info = replace(lm.info, located=Located("org/other", folder_of("llama"), "0" * 40))
    with pytest.raises(ModelError, match="it was made for org/base"):
        load_adapter(random_model(*ARCHITECTURES["llama"]), info)


def test_an_adapter_may_bring_the_embeddings_along(folder_of, tmp_path):
    name, arguments = ARCHITECTURES["llama"]
    model = get_peft_model(random_model(name, arguments), lora())
    model.save_pretrained(tmp_path / "a", save_embedding_layers=True)
    assert any("embed_tokens" in key for key in load_file(tmp_path / "a" / "adapter_model.safetensors"))
    assert load(spec(folder_of("llama"), adapter=tmp_path / "a"), "cpu").peft is not None


def test_loading_asks_no_server_about_the_base(folder_of, adapter, monkeypatch):
    """PEFT would look the base's configuration up on the Hub."""
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "org/base"}))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    load(spec(folder_of("llama"), adapter=adapter), "cpu")


def test_what_is_no_adapter_is_refused(folder_of, tmp_path):
    with pytest.raises(ModelError, match="is not a PEFT adapter"):
        read_info(spec(folder_of("llama"), adapter=folder_of("gpt2")))
    with pytest.raises(ModelError, match="There is no folder"):
        read_info(spec(folder_of("llama"), adapter=tmp_path / "missing"))


def test_adapters_that_feed_tokens_are_refused(folder_of, tmp_path):
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    folder = save_adapter(tmp_path / "prompt", config)
    with pytest.raises(ModelError, match="PROMPT_TUNING"):
        load(spec(folder_of("llama"), adapter=folder), "cpu")


def test_an_adapter_works_on_a_saved_copy_of_its_base(tmp_path, adapter):
    lm = load(spec(save(random_model(*ARCHITECTURES["llama"]), tmp_path / "copy"), adapter=adapter), "cpu")
    assert lm.peft is not None
    assert lm.peft.get_base_model() is lm.model
