"""Adapters of every kind give what plain PEFT gives, and leave no trace when they are switched off."""

import warnings

import peft
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tiny_models import ARCHITECTURES, VOCAB, make_tokenizer, random_model, random_sequences, save, spec
from transformers import AutoModelForCausalLM

from lit_experiments.lm.attribution import attribute
from lit_experiments.lm.capture import capture
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.info import read_info
from lit_experiments.lm.load import load
from lit_experiments.lm.score import next_token_logits

pytestmark = pytest.mark.filterwarnings("ignore")
QV = ["q_proj", "v_proj"]
SEQUENCES = random_sequences([5, 9, 3])


def lora(**settings):
    return LoraConfig(**{"r": 2, "target_modules": QV, "task_type": "CAUSAL_LM", **settings})


KINDS = {
    "LoRA": lambda: lora(),
    "rank-stabilised": lambda: lora(use_rslora=True, lora_alpha=4),
    "DoRA": lambda: lora(use_dora=True),
    "LoRA on the head": lambda: lora(target_modules=[*QV, "lm_head"]),
    "LoRA on the embedding": lambda: lora(target_modules=[*QV, "embed_tokens"]),
    "head saved": lambda: lora(modules_to_save=["lm_head"]),
    "embedding saved": lambda: lora(modules_to_save=["embed_tokens"]),
    "embedding and head saved": lambda: lora(modules_to_save=["embed_tokens", "lm_head"]),
    "final norm saved": lambda: lora(modules_to_save=["norm"]),
    "a few tokens trained": lambda: lora(trainable_token_indices=[3, 7, 50]),
    "all biases": lambda: lora(bias="all"),
    "biases of LoRA's modules": lambda: lora(bias="lora_only"),
    "LoRA with biases of its own": lambda: lora(lora_bias=True),
    "IA3": lambda: peft.IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "VeRA": lambda: peft.VeraConfig(r=4, target_modules=["q_proj"]),
    "VeRA without its projections": lambda: peft.VeraConfig(r=4, target_modules=["q_proj"], save_projection=False),
    "LoHa": lambda: peft.LoHaConfig(r=2, target_modules=QV),
    "LoKr": lambda: peft.LoKrConfig(r=2, target_modules=QV),
    "OFT": lambda: peft.OFTConfig(oft_block_size=4, r=0, target_modules=QV),
    "trained norms": lambda: peft.LNTuningConfig(target_modules=["input_layernorm", "norm"]),
    "AdaLoRA": lambda: peft.AdaLoraConfig(init_r=4, target_r=2, total_step=10, target_modules=QV),
}


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def base(request, tmp_path_factory):
    """A Llama with biases that are not zero, its embeddings tied or not."""
    name, arguments = ARCHITECTURES["llama"]
    changes = {"attention_bias": True, "tie_word_embeddings": request.param}
    folder = tmp_path_factory.mktemp("base") / "model"
    return save(random_model(name, {**arguments, **changes}), folder)


def plain(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def trained(model, folder):
    """Saves an adapter all of whose trainable numbers are random."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder)
    return folder


@torch.no_grad()
def logits_of(model, sequences=SEQUENCES):
    return torch.stack([model(input_ids=torch.tensor([ids])).logits[0, -1] for ids in sequences])


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_what_plain_peft_loads(base, kind, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = trained(get_peft_model(plain(base), KINDS[kind]()), tmp_path / "adapter")
        expected = logits_of(PeftModel.from_pretrained(plain(base), folder).eval())
    lm = load(spec(base, adapter=folder), "cpu")
    adapted = next_token_logits(lm, SEQUENCES)
    torch.testing.assert_close(adapted, expected, rtol=1e-4, atol=1e-4)
    reference = load(spec(base), "cpu")
    untouched = next_token_logits(reference, SEQUENCES)
    assert not torch.allclose(adapted, untouched, atol=1e-3)
    sites = list(lm.info.sites)
    with lm.adapter_disabled():
        assert torch.equal(next_token_logits(lm, SEQUENCES), untouched)
        assert torch.equal(capture(lm, SEQUENCES, sites).values, capture(reference, SEQUENCES, sites).values)
    assert torch.equal(next_token_logits(lm, SEQUENCES), adapted)


@pytest.mark.parametrize("start", ["pissa", "olora"])
def test_an_adapter_that_took_from_the_base_cannot_be_switched_off(base, start, tmp_path):
    """PEFT leaves the rest of the base's weights behind, and its `disable_adapter` computes with that."""
    config = lora(init_lora_weights=start)
    folder = trained(get_peft_model(plain(base), config), tmp_path / "adapter")
    expected = logits_of(PeftModel.from_pretrained(plain(base), folder).eval())
    lm = load(spec(base, adapter=folder), "cpu")
    torch.testing.assert_close(next_token_logits(lm, SEQUENCES), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ModelError, match=r"changed \d+ weights of the base"), lm.adapter_disabled():
        pass


@pytest.mark.parametrize("kind", ["LoRA on the head", "head saved", "DoRA", "a few tokens trained", "final norm saved"])
def test_logits_are_attributed_with_the_head_as_it_is(base, kind, tmp_path):
    """The matrix of an adapted head is not that of the base."""
    folder = trained(get_peft_model(plain(base), KINDS[kind]()), tmp_path / "adapter")
    lm = load(spec(base, adapter=folder), "cpu")
    pairs = [(3, 40), (7, 9), (50, 2)]
    with torch.inference_mode():
        attribution = attribute(lm, SEQUENCES, pairs)
    logits = next_token_logits(lm, SEQUENCES).double()
    expected = torch.stack([row[a] - row[b] for row, (a, b) in zip(logits, pairs, strict=True)])
    torch.testing.assert_close(attribution.difference, expected, rtol=1e-4, atol=1e-4)
    assert attribution.residual.abs().max() < 1e-4


ADDED = {
    "embeddings brought along": lambda: lora(),
    "embedding and head saved": lambda: lora(modules_to_save=["embed_tokens", "lm_head"]),
    "LoRA on embedding and head": lambda: lora(target_modules=[*QV, "embed_tokens", "lm_head"]),
    "the added tokens trained": lambda: lora(trainable_token_indices=[VOCAB, VOCAB + 2]),
}


@pytest.mark.parametrize("kind", ADDED)
def test_added_tokens_come_with_the_adapter(base, kind, tmp_path):
    model = plain(base)
    torch.manual_seed(2)
    model.resize_token_embeddings(VOCAB + 3)
    folder = trained(get_peft_model(model, ADDED[kind]()), tmp_path / "adapter")
    tokenizer = make_tokenizer(True)
    tokenizer.add_tokens(["<x>", "<y>", "<z>"], special_tokens=True)
    tokenizer.save_pretrained(folder)
    again = plain(base)
    again.resize_token_embeddings(VOCAB + 3)
    reference = PeftModel.from_pretrained(again, folder).eval()
    lm = load(spec(base, adapter=folder), "cpu")
    assert lm.info.vocab_size == VOCAB + 3
    ids = lm.encode("w5 <y> w6 <z>")
    assert ids == [0, 5, VOCAB + 1, 6, VOCAB + 2]
    sequences = [ids, *SEQUENCES]
    logits = next_token_logits(lm, sequences)
    assert logits.shape[1] == VOCAB + 3
    torch.testing.assert_close(logits, logits_of(reference, sequences), rtol=1e-4, atol=1e-4)
    assert any("adapter's folder" in line for line in lm.info.notes)
    with pytest.raises(ModelError, match="adds 3 tokens"), lm.adapter_disabled():
        pass


def test_added_tokens_without_their_embeddings_are_refused(base, tmp_path):
    """Plain PEFT would leave them as they were drawn at random."""
    from safetensors.torch import load_file, save_file

    model = plain(base)
    model.resize_token_embeddings(VOCAB + 3)
    folder = trained(get_peft_model(model, lora()), tmp_path / "adapter")
    path = folder / "adapter_model.safetensors"
    weights = load_file(path)
    if model.config.tie_word_embeddings:
        pytest.skip("there is one matrix")
    kept = {key: tensor for key, tensor in weights.items() if "lm_head" not in key}
    save_file(kept, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="does not bring all of their embeddings"):
        load(spec(base, adapter=folder), "cpu")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (lambda: peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3), "PREFIX_TUNING"),
        (lambda: peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=3), "P_TUNING"),
        (lambda: peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3), "PROMPT_TUNING"),
        (lambda: lora(layer_replication=[[0, 2], [1, 3]]), "layer_replication"),
        (lambda: lora(alora_invocation_tokens=[5]), "alora_invocation_tokens"),
    ],
    ids=["prefix tuning", "p-tuning", "prompt tuning", "replicated layers", "activated LoRA"],
)
def test_what_does_not_work_inside_the_layers_is_refused_by_name(base, tmp_path, config, says):
    get_peft_model(plain(base), config()).save_pretrained(tmp_path / "adapter")
    with pytest.raises(ModelError, match=says):
        load(spec(base, adapter=tmp_path / "adapter"), "cpu")


def test_a_kind_that_peft_does_not_know_is_refused(base, tmp_path):
    folder = trained(get_peft_model(plain(base), lora()), tmp_path / "adapter")
    path = folder / "adapter_config.json"
    path.write_text(path.read_text().replace('"LORA"', '"NEXT_YEARS"'))
    with pytest.raises(ModelError, match="NEXT_YEARS"):
        load(spec(base, adapter=folder), "cpu")


@pytest.mark.parametrize("architecture", ["gpt2", "opt", "gpt_neox", "qwen2", "gemma2"])
def test_biases_and_heads_of_other_architectures(architecture, folder_of, tmp_path):
    """Convolutions in place of matrices, heads of another name, tied embeddings."""
    base = folder_of(architecture)
    modules = {"gpt2": ["c_attn", "wte"], "gpt_neox": ["query_key_value", "embed_out"]}
    config = lora(target_modules=modules.get(architecture, ["q_proj", "lm_head"]), bias="all")
    folder = trained(get_peft_model(plain(base), config), tmp_path / "adapter")
    expected = logits_of(PeftModel.from_pretrained(plain(base), folder).eval())
    lm = load(spec(base, adapter=folder, attn="auto"), "cpu")
    torch.testing.assert_close(next_token_logits(lm, SEQUENCES), expected, rtol=1e-3, atol=1e-3)
    untouched = next_token_logits(load(spec(base), "cpu"), SEQUENCES)
    with lm.adapter_disabled():
        assert torch.equal(next_token_logits(lm, SEQUENCES), untouched)


def test_the_tokenizer_of_an_adapter_is_part_of_its_identity(base, tmp_path):
    folder = trained(get_peft_model(plain(base), lora()), tmp_path / "adapter")
    without = read_info(spec(base, adapter=folder))
    before = without.fingerprint()["adapter"]
    make_tokenizer(False).save_pretrained(folder)
    within = read_info(spec(base, adapter=folder))
    assert within.fingerprint()["adapter"] != before
    assert (without.bos_policy, within.bos_policy) == ("tokenizer", "none")
    assert (len(without.notes), len(within.notes)) == (0, 1)
