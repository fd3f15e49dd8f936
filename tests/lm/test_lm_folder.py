"""Nothing in a model's folder shapes its numbers unseen: it is read and recorded, or refused by name, or named."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import ARCHITECTURES, random_model, random_sequences, save, spec

from lit_experiments.lm.capture import capture
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.info import read_info
from lit_experiments.lm.load import load


@pytest.fixture
def folder(folder_of, tmp_path):
    """A tiny Llama's folder that the test may change."""
    return Path(shutil.copytree(folder_of("llama"), tmp_path / "model"))


def edit(path, **changes):
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**content, **changes}))


def edit_weights(folder, change):
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("name", "changes", "config", "homeless"),
    [
        ("LlamaConfig", {"attention_bias": True}, {"attention_bias": False}, "q_proj.bias"),
        ("LlamaConfig", {"num_hidden_layers": 3}, {"num_hidden_layers": 2}, "model.layers.2"),
        ("LlamaConfig", {"mlp_bias": True}, {"mlp_bias": False}, "mlp.down_proj.bias"),
        ("StableLmConfig", {"use_qkv_bias": True}, {"use_qkv_bias": False}, "q_proj.bias"),
        ("CohereConfig", {"use_qk_norm": True, "logit_scale": 0.5}, {"use_qk_norm": False}, "q_norm"),
        ("GPTNeoXConfig", {"attention_bias": True}, {"attention_bias": False}, "dense.bias"),
    ],
)
def test_weights_that_the_config_has_no_place_for_are_refused(tmp_path, name, changes, config, homeless):
    """They loaded in silence, and the logits were another model's."""
    _, arguments = ARCHITECTURES["llama"]
    folder = save(random_model(name, {**arguments, "tie_word_embeddings": False, **changes}), tmp_path / "model")
    load(spec(folder), "cpu")
    edit(folder / "config.json", **config)
    with pytest.raises(ModelError, match=r"hold more than the model(.|\n)*without a place in it") as caught:
        load(spec(folder), "cpu")
    assert homeless.split(".")[-1] in str(caught.value)


def test_two_heads_of_which_only_one_can_be_meant_are_refused(folder):
    """config.json ties what the file holds apart; Transformers would only warn."""
    edit_weights(folder, lambda w: w.update({"lm_head.weight": torch.ones_like(w["model.embed_tokens.weight"])}))
    edit(folder / "config.json", tie_word_embeddings=True)
    with pytest.raises(ModelError, match=r"config\.json ties the two"):
        load(spec(folder), "cpu")


@pytest.mark.parametrize(
    "leftover",
    ["model.layers.0.self_attn.rotary_emb.inv_freq", "v_head.summary.weight", "model.layers.1.mlp._extra_state"],
)
def test_leftovers_that_decide_nothing_are_let_pass(folder, leftover):
    ids = random_sequences([6])
    before = capture(load(spec(folder), "cpu"), ids, ["final_norm"]).values
    edit_weights(folder, lambda w: w.update({leftover: torch.ones(4)}))
    assert torch.equal(capture(load(spec(folder), "cpu"), ids, ["final_norm"]).values, before)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("quantization_config", {"quant_method": "fp8"}),
        ("compression_config", {"format": "naive"}),
        ("quantization", {"bits": 4}),
        ("is_causal", False),
        ("use_bidirectional_attention", True),
        ("add_cross_attention", True),
        ("is_encoder_decoder", True),
        ("pruned_heads", {"0": [1]}),
    ],
)
def test_keys_that_change_what_is_computed_are_refused_by_name(folder, key, value):
    edit(folder / "config.json", **{key: value})
    with pytest.raises(ModelError, match=key) as caught:
        read_info(spec(folder))
    assert str(folder / "config.json") in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"return_dict": False},
        {"use_cache": False},
        {"output_hidden_states": True},
        {"output_attentions": True},
        {"dtype": "float16"},
        {"torch_dtype": "bfloat16"},
        {"attn_implementation": "eager"},
        {"tie_last_hidden_states": False},
        {"pretraining_tp": 2},
        {"architectures": ["SomethingElse"]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_keys_that_our_options_decide_change_nothing_but_the_fingerprint(folder, folder_of, changes):
    edit(folder / "config.json", **changes)
    ids, lm, plain = random_sequences([6, 3]), load(spec(folder), "cpu"), load(spec(folder_of("llama")), "cpu")
    for sites in (["embed", "final_norm"], list(lm.info.sites)):
        assert torch.equal(capture(lm, ids, sites).values, capture(plain, ids, sites).values)
    assert (lm.dtype, lm.info.attn, lm.info.notes) == (torch.float32, "sdpa", ())
    assert lm.info.fingerprint()["model"]["config"] != plain.info.fingerprint()["model"]["config"]


def test_a_mixture_of_experts_may_ask_for_its_router(folder_of, tmp_path):
    folder = Path(shutil.copytree(folder_of("mixtral"), tmp_path / "model"))
    edit(folder / "config.json", output_router_logits=True)
    assert load(spec(folder), "cpu").info.n_layers == 3


@pytest.mark.parametrize(
    "name", ["adapter_config.json", "quantize_config.json", "quant_config.json", "hf_quant_config.json", "modules.json"]
)
def test_files_that_would_change_the_model_are_refused_by_name(folder, name):
    (folder / name).write_text("{}")
    with pytest.raises(ModelError, match=name):
        read_info(spec(folder))


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "LICENSE.txt",
        ".gitattributes",
        "modeling_own.py",
        "preprocessor_config.json",
        "consolidated.safetensors",
        "tf_model.h5",
        "model-q4.gguf",
        "trainer_state.json",
        "training_args.bin",
        "chat_template.json",
    ],
)
def test_files_that_decide_nothing_are_let_pass_unsaid(folder, name):
    before = read_info(spec(folder))
    (folder / name).write_text("x")
    info = read_info(spec(folder))
    assert info.notes == before.notes == ()
    assert info.fingerprint() == before.fingerprint()


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        ("generation_config.json", '{"eos_token_id": 7}', "generation"),
        ("chat_template.jinja", "{{ messages[0].content }}", "tokenizer"),
        ("additional_chat_templates/tool.jinja", "x", "tokenizer"),
        ("special_tokens_map.json", "{}", "tokenizer"),
        ("added_tokens.json", "{}", "tokenizer"),
        ("merges.txt", "a b", "tokenizer"),
        ("model.safetensors.index.json", '{"weight_map": {}}', "weights"),
    ],
)
def test_every_file_that_is_read_is_part_of_the_fingerprint(folder, name, text, part):
    before = read_info(spec(folder)).fingerprint()["model"]
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    after = read_info(spec(folder)).fingerprint()["model"]
    assert after[part] != before[part]
    assert {key for key in before if before[key] != after[key]} == {part}


def test_what_takes_no_part_is_named_once(folder):
    edit(folder / "config.json", logit_sharpening=3, use_logn_attn=True, auto_map={"AutoConfig": "x.Y"}, top_k=7)
    edit(folder / "generation_config.json", temperature=0.3, repetition_penalty=1.1, top_p=1.0, eos_token_id=7)
    (folder / "weights_of_another_kind.bin").write_text("x")
    notes = "\n".join(read_info(spec(folder)).notes)
    assert "weights_of_another_kind.bin" in notes
    assert "logit_sharpening, use_logn_attn" in notes
    assert "auto_map" in notes
    assert "temperature=0.3" in notes
    assert "repetition_penalty=1.1" in notes
    assert "top_k=7" in notes
    assert "top_p" not in notes
    assert "eos_token_id" not in notes


def test_what_transformers_warns_of_is_said(folder):
    rope = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4, "mystery": 5}
    edit(folder / "config.json", rope_parameters=rope)
    assert any("mystery" in line for line in read_info(spec(folder)).notes)


def test_the_shipped_model_has_nothing_to_say():
    assert read_info(spec("embedded")).notes == ()
    assert read_info(spec("embedded", adapter=Path("embedded"))).notes == ()
