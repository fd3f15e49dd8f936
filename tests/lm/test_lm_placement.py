"""A model spread over memory and disk, or loaded in few bits, computes what Hugging Face's own loading of it does."""

import json

import pytest
import torch
import yaml
from reading_anew import keys
from tiny_models import ARCHITECTURES, random_model, random_sequences, save
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from lit_experiments.lm.attribution import attribute
from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.info import read_info
from lit_experiments.lm.intervene import Steer, intervened
from lit_experiments.lm.load import load, load_untrained
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.score import next_token_logits
from lit_experiments.lm.selfcheck import TOLERANCE
from lit_experiments.lm.spec import ModelSpec

PURE = Sampling(temperature=1, top_p=1.0, top_k=0)


def placed(folder, device_map=None, quantization=None, dtype="float32"):
    return ModelSpec(str(folder), None, None, dtype, "auto", device_map=device_map, quantization=quantization)


@pytest.fixture(params=["gpt2", "opt", "llama"])
def folder(request, tmp_path):
    return save(random_model(*ARCHITECTURES[request.param]), tmp_path / "model")


@pytest.fixture
def blocks_on_disk(tmp_path, folder):
    """The map of a model whose blocks all lie on the disk, written as a user would."""
    path = tmp_path / "map.yaml"
    path.write_text(yaml.safe_dump({"device_map": "auto", "max_memory": {"cpu": 20_000}}))
    return str(path)


def everything(lm):
    """States, logits, sampled tokens, attribution, and logits after steering."""
    texts = random_sequences([4, 9])
    decoder = Decoder(lm)
    tokens = decoder.sample(decoder.prefill(texts).fork(2), 6, PURE, keys(4)).token_ids
    direction = torch.ones(lm.info.d_model)
    with intervened(lm, [Steer("resid_post.1", direction, 2.0, "last")], texts):
        steered = next_token_logits(lm, texts)
    parts = attribute(lm, texts, [(3, 4), (5, 6)])
    states = exact_states(lm, texts, list(lm.info.sites))
    return [*states.values(), next_token_logits(lm, texts), tokens, steered, parts.frozen.layers, parts.difference]


def test_blocks_on_the_disk_compute_what_they_do_in_memory(folder, blocks_on_disk):
    lm = load(placed(folder, blocks_on_disk), "cpu")
    assert "disk" in lm.model.hf_device_map.values()
    for value, expected in zip(everything(lm), everything(load(placed(folder), "cpu")), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)


def test_a_random_twin_is_placed_like_the_model(folder, blocks_on_disk):
    twin = load_untrained(placed(folder, blocks_on_disk), "cpu", seed=3)
    assert "disk" in twin.model.hf_device_map.values()
    again = load_untrained(placed(folder, blocks_on_disk), "cpu", seed=3)
    other = load_untrained(placed(folder, blocks_on_disk), "cpu", seed=4)
    logits = [next_token_logits(lm, random_sequences([5])) for lm in (twin, again, other)]
    assert torch.equal(logits[0], logits[1])
    assert not torch.allclose(logits[0], logits[2])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_few_bits_are_hugging_faces(tmp_path, bits, dtype):
    pytest.importorskip("bitsandbytes")
    sizes = {"hidden_size": 64, "intermediate_size": 128}
    folder = save(random_model("LlamaConfig", {**ARCHITECTURES["llama"][1], **sizes}), tmp_path)
    four = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": dtype}
    config = BitsAndBytesConfig(**(four if bits == "4bit" else {"load_in_8bit": True}))
    plain = AutoModelForCausalLM.from_pretrained(
        folder, dtype=getattr(torch, dtype), quantization_config=config, device_map={"": "cpu"}
    )
    lm = load(placed(folder, quantization=bits, dtype=dtype), "cpu")
    ids = random_sequences([9])
    with torch.no_grad():
        expected, same = (model(input_ids=torch.tensor(ids)).logits[0, -1].float() for model in (plain, lm.model))
    assert torch.equal(same, expected)
    largest = float(expected.abs().max())
    torch.testing.assert_close(next_token_logits(lm, ids)[0], expected, rtol=0, atol=largest * TOLERANCE[lm.dtype])
    exact = next_token_logits(load(placed(folder, dtype=dtype), "cpu"), ids)[0]
    assert not torch.allclose(exact, expected, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_quantised_checkpoint_computes_in_the_dtype_asked_for(tmp_path, dtype):
    """nf4 weights loaded as float32 once computed in whatever dtype they had been saved with."""
    pytest.importorskip("bitsandbytes")
    sizes = {"hidden_size": 64, "intermediate_size": 128}
    plain = save(random_model("LlamaConfig", {**ARCHITECTURES["llama"][1], **sizes}), tmp_path / "plain")
    four = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype="bfloat16")
    kwargs = {"dtype": torch.bfloat16, "quantization_config": four, "device_map": {"": "cpu"}}
    folder = save(AutoModelForCausalLM.from_pretrained(plain, **kwargs), tmp_path / "nf4")
    lm = load(placed(folder, dtype=dtype), "cpu")
    assert lm.model.model.layers[0].mlp.up_proj.compute_dtype is getattr(torch, dtype)
    assert next_token_logits(lm, random_sequences([9])).isfinite().all()
    with pytest.raises(ModelError, match="quantised already"):
        read_info(placed(folder, quantization="4bit"))


def test_any_other_method_comes_from_a_file(tmp_path):
    pytest.importorskip("torchao")
    folder = save(random_model(*ARCHITECTURES["llama"]), tmp_path / "model")
    path = tmp_path / "int8.json"
    method = {"_type": "Int8WeightOnlyConfig", "_version": 2, "_data": {}}
    path.write_text(json.dumps({"quant_method": "torchao", "quant_type": {"default": method}}))
    lm = load(placed(folder, quantization=str(path)), "cpu")
    assert "Int8" in type(lm.model.model.layers[0].mlp.up_proj.weight).__name__
    assert next_token_logits(lm, random_sequences([5])).isfinite().all()


def test_few_bits_are_part_of_the_identity(folder):
    pytest.importorskip("bitsandbytes")
    plain, four = (read_info(placed(folder, quantization=bits)).fingerprint() for bits in (None, "4bit"))
    assert "quantization" not in plain
    assert json.loads(json.dumps(four))["quantization"]["bnb_4bit_quant_type"] == "nf4"


@pytest.mark.parametrize(
    ("device_map", "says"),
    [("atuo", "did you mean 'auto'"), ("{}", "neither a known word nor a file")],
)
def test_an_unknown_map_is_refused(folder, device_map, says):
    with pytest.raises(ModelError, match=says):
        read_info(placed(folder, device_map))


def test_a_file_of_something_else_is_refused(folder, tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("device_map: everywhere")
    with pytest.raises(ModelError, match="Unknown device_map 'everywhere'"):
        read_info(placed(folder, str(path)))


def test_unknown_bits_are_refused(folder):
    with pytest.raises(ModelError, match="quantization '3bit' is neither"):
        read_info(placed(folder, quantization="3bit"))
