"""Loading: what works stays offline, and each mistake is one message that says what to do."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import ARCHITECTURES, REAL_MODEL, make_tokenizer, random_model, random_sequences, save, spec

from lit_experiments.lm import hashing, locate
from lit_experiments.lm.capture import capture
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.info import read_info
from lit_experiments.lm.load import load, load_untrained
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.spec import ModelSpec

EMBEDDED = Path(locate.__file__).parents[1] / "embedded" / "model"


@pytest.fixture
def folder(folder_of, tmp_path):
    """A tiny Llama's folder that the test may damage."""
    return Path(shutil.copytree(folder_of("llama"), tmp_path / "model"))


def edit_json(path, **changes):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_are_loaded_in_the_asked_dtype_without_gradients(folder, dtype):
    lm = load(spec(folder, dtype), "cpu")
    assert {p.dtype for p in lm.model.parameters()} == {getattr(torch, dtype)}
    assert not any(p.requires_grad for p in lm.model.parameters())
    assert not lm.model.training
    assert lm.info.attn == lm.model.config._attn_implementation == "sdpa"


def test_info_needs_no_weights_and_tells_the_sizes(folder):
    (folder / "model.safetensors").write_bytes(b"")
    info = read_info(spec(folder))
    assert (info.n_layers, info.d_model, info.vocab_size, info.window) == (3, 32, 97, 64)
    assert info.sites[0] == "embed"
    assert info.sites[-1] == "final_norm"
    assert info.model_type == "llama"


def test_texts_end_where_configuration_generation_settings_or_tokenizer_say(folder_of, tmp_path):
    """A chat model names its end of turn in generation_config.json alone; `generate` stops there, and so must we."""
    folder = shutil.copytree(folder_of("llama"), tmp_path / "chatty")
    path = folder / "generation_config.json"
    for declared, expected in ((None, (1,)), (7, (1, 7)), ([9, 7], (1, 7, 9))):
        path.write_text(json.dumps({"eos_token_id": declared}))
        assert read_info(spec(folder)).eos_ids == expected
    path.unlink()
    assert read_info(spec(folder)).eos_ids == (1,)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: (f / "model.safetensors").unlink(), "has no weights"),
        (lambda f: [p.unlink() for p in f.glob("tokenizer*")], "without a tokenizer"),
        (lambda f: (f / "config.json").write_text("{"), "not JSON"),
        (lambda f: edit_json(f / "config.json", model_type="lama"), "'lama' is not known to transformers"),
        (lambda f: edit_json(f / "config.json", model_type="bert"), "blocks could not be found"),
        (lambda f: edit_json(f / "config.json", model_type="bart"), "blocks could not be found(.|\n)*bloom"),
        (lambda f: edit_json(f / "config.json", num_hidden_layers=4), "do not fill the model"),
        (lambda f: edit_json(f / "config.json", hidden_size=48), "weights of"),
        (lambda f: (f / "model.safetensors").write_bytes(b"torn"), "cannot be loaded"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer cannot be read"),
    ],
)
def test_a_damaged_folder_is_one_clear_message(folder, damage, says):
    damage(folder)
    with pytest.raises(ModelError, match=says) as caught:
        load(spec(folder), "cpu")
    assert str(folder) in str(caught.value)
    assert caught.value.exit_code == 2


def test_unknown_paths_are_refused_with_the_nearest(folder):
    with pytest.raises(ModelError, match=f"did you mean {folder}"):
        load(spec(folder.parent / "modle"), "cpu")
    with pytest.raises(ModelError, match="is a file"):
        load(spec(folder / "config.json"), "cpu")


@pytest.mark.parametrize(("field", "value"), [("dtype", "float61"), ("attn", "spda")])
def test_unknown_settings_are_refused_with_the_nearest(field, value):
    settings = {"model": "x", "adapter": None, "revision": None, "dtype": "float32", "attn": "auto", field: value}
    with pytest.raises(ModelError, match=f"Unknown {field}(.|\n)*did you mean"):
        ModelSpec(**settings)


def test_soft_capped_attention_needs_eager(folder_of):
    assert read_info(spec(folder_of("gemma2"))).attn == "eager"
    with pytest.raises(ModelError, match="soft-caps"):
        read_info(spec(folder_of("gemma2"), attn="sdpa"))


def test_the_embedded_model_or_a_message(monkeypatch, tmp_path):
    monkeypatch.setattr(locate.resources, "files", lambda package: tmp_path)
    with pytest.raises(ModelError, match="embedded model is missing"):
        read_info(spec("embedded"))
    save(random_model(*ARCHITECTURES["llama"]), tmp_path / "embedded" / "model")
    assert load(spec("embedded"), "cpu").info.n_layers == 3


@pytest.mark.skipif(not EMBEDDED.is_dir(), reason="this checkout has no embedded model")
def test_the_shipped_model_loads_and_spells():
    lm = load(spec("embedded"), "cpu")
    assert lm.decode(lm.encode("Two words.")).endswith("Two words.")
    assert capture(lm, [lm.encode("Two words.")], ["embed", "resid_post.*", "final_norm"]).finite.all()


def test_a_folder_never_touches_the_network_and_offline_mode_is_respected(folder):
    """In a process of its own, started with HF_HUB_OFFLINE, whose sockets cannot be opened. PEFT stays unimported."""
    code = f"""
import socket, sys
def refuse(*a, **k): raise AssertionError("network")
socket.socket.connect = refuse; socket.getaddrinfo = refuse; socket.create_connection = refuse
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.load import load, load_untrained
from lit_experiments.lm.spec import ModelSpec
lm = load(ModelSpec({str(folder)!r}, None, None, "float32", "auto"), "cpu")
lm.info.fingerprint(); lm.encode("w5"); print("loaded", "peft" in sys.modules)
try: load(ModelSpec("facebook/opt-125m", None, None, "float32", "auto"), "cpu")
except ModelError as error: print(error)
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert run.stdout.startswith("loaded False\nModel 'facebook/opt-125m' is not on this machine"), run.stderr
    assert "HF_HUB_OFFLINE is set" in run.stdout
    assert run.stderr == ""


def test_the_fingerprint_follows_content_not_place(folder, tmp_path):
    original = read_info(spec(folder)).fingerprint()
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    edit_json(Path(moved) / "config.json", _name_or_path="elsewhere", transformers_version="9.9")
    assert read_info(spec(moved)).fingerprint() == original
    assert str(tmp_path) not in json.dumps(original)
    assert read_info(spec(folder, "bfloat16")).fingerprint() != original
    assert read_info(spec(folder, attn="eager")).fingerprint() != original
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][3] += 1e-3
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    changed = read_info(spec(folder)).fingerprint()
    assert changed["model"]["weights"] != original["model"]["weights"]
    assert changed["model"]["config"] == original["model"]["config"]
    make_tokenizer(adds_bos=False).save_pretrained(folder)
    assert read_info(spec(folder)).fingerprint()["model"]["tokenizer"] != original["model"]["tokenizer"]


def test_hashes_are_remembered_until_the_file_changes(tmp_path):
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    first = hashing.file_hash(file)
    entries = list((tmp_path / "cache").rglob("*"))
    assert hashing.file_hash(file) == first
    assert list((tmp_path / "cache").rglob("*")) == entries
    entry = next(e for e in entries if e.is_file())
    entry.write_text("remembered")
    assert hashing.file_hash(file) == "remembered"
    file.write_bytes(b"two!")
    assert hashing.file_hash(file) not in (first, "remembered")


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path, monkeypatch):
    (tmp_path / "blocked").write_text("a file where the cache folder should be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "blocked"))
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    assert len(hashing.file_hash(file)) == 64


@pytest.mark.skipif(not REAL_MODEL.is_dir(), reason="the folder ../shared is not there")
def test_a_real_model_continues_as_it_is_known_to():
    """stories260K, greedy: the text that llama2.c prints for it."""
    lm = load(spec(REAL_MODEL), "cpu")
    assert lm.info.bos_policy == "tokenizer"
    decoder = Decoder(lm)
    state = decoder.prefill([lm.encode("")])
    decoder.sample(state, 60, Sampling(0, 1.0, 0), [None])
    text = lm.decode(state.ids[0])
    assert text.startswith(
        "<s> Once upon a time, there was a little girl named Lily. She loved to play outside in the park."
    )
    expected = lm.model.generate(torch.tensor([[1]]), max_new_tokens=60, do_sample=False, eos_token_id=None)[0].tolist()
    assert state.ids[0] == expected


def test_loading_twice_gives_the_same_states(folder):
    ids = random_sequences([7])
    first, second = (capture(load(spec(folder), "cpu"), ids, ["final_norm"]).values for _ in range(2))
    assert torch.equal(first, second)


def test_untrained_weights_follow_from_the_seed_alone(folder_of):
    """They must be the same on every device and after anything else was drawn, and disturb no one's generator."""
    folder = folder_of("llama")
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    one = load_untrained(spec(folder), "cpu", seed=0)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(5)
    again, other = load_untrained(spec(folder), "cpu", seed=0), load_untrained(spec(folder), "cpu", seed=1)
    trained = load(spec(folder), "cpu")
    ids = random_sequences([7], seed=1)
    states = [capture(lm, ids, ["resid_post.0", "resid_post.2"], "last").values for lm in (one, again, other, trained)]
    assert torch.equal(states[0], states[1])
    assert not torch.allclose(states[0], states[2])
    assert not torch.allclose(states[0], states[3])
    assert {name: p.shape for name, p in one.model.named_parameters()} == {
        name: p.shape for name, p in trained.model.named_parameters()
    }


def test_untrained_weights_need_no_trained_ones(folder):
    (folder / "model.safetensors").write_bytes(b"")
    assert load_untrained(spec(folder, "bfloat16"), "cpu", seed=0).model.dtype == torch.bfloat16
