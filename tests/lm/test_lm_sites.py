"""Every site of every known architecture holds what its name says."""

from dataclasses import replace

import pytest
import torch
from further_models import AROUND, FURTHER, model_type
from tiny_models import ARCHITECTURES, random_model, random_sequences, save, spec

from lit_experiments.lm.architectures import known_architectures
from lit_experiments.lm.capture import capture
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.float16 import decode_rows
from lit_experiments.lm.hooks import Tap, tapped
from lit_experiments.lm.layouts import Point
from lit_experiments.lm.load import load
from lit_experiments.lm.selfcheck import check_sites
from lit_experiments.lm.sites import resolve_sites
from tests.tolerance import assert_close


def states_of(lm, ids):
    """{site: float32 [token, hidden]}, read one sequence alone, not cast."""
    states = {}
    names = lm.info.sites
    tap = Tap(
        (1, len(ids), lm.info.d_model), len(names), lambda k, s: states.__setitem__(names[k], s[0].clone()), False
    )
    with torch.inference_mode(), tapped(lm.model, lm.info.layout, names, tap):
        logits = lm.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    return states, logits


def test_every_architecture_in_the_table_is_tested():
    tested = {name.partition("-")[0] for name in ARCHITECTURES} | {model_type(name) for name in (*FURTHER, *AROUND)}
    text_models = {text for text, _, _ in AROUND.values()}
    assert set(known_architectures()) - tested - text_models == {"gemma4", "qwen3_5_moe"}  # towers too large for a test


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_residual_stream_adds_up(lm_of, name):
    lm = lm_of(name)
    states, logits = states_of(lm, random_sequences([9])[0])
    for layer in range(lm.info.n_layers):
        pre, post = states[f"resid_pre.{layer}"], states[f"resid_post.{layer}"]
        attn, mlp = states[f"attn_out.{layer}"], states[f"mlp_out.{layer}"]
        if lm.info.layout.flow == "sequential":
            assert_close(states[f"resid_mid.{layer}"], pre + attn)
            assert_close(post, states[f"resid_mid.{layer}"] + mlp)
        if lm.info.layout.flow == "parallel":
            assert_close(post, pre + attn + mlp)
        if layer:
            assert torch.equal(pre, states[f"resid_post.{layer - 1}"])
        assert attn.abs().max() > 0.01
        assert mlp.abs().max() > 0.01
    assert torch.equal(states["embed"], states["resid_pre.0"])
    if "final_norm" in states:
        assert_close(lm.head(states["final_norm"]), logits)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2"])
def test_states_equal_hugging_faces_own_hidden_states(lm_of, name):
    """hidden_states[-1] is after the final norm, all others are the stream."""
    lm = lm_of(name)
    ids = random_sequences([9])[0]
    states, _ = states_of(lm, ids)
    theirs = lm.model(input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False).hidden_states
    assert torch.equal(theirs[0][0], states["embed"])
    for layer in range(lm.info.n_layers - 1):
        assert torch.equal(theirs[layer + 1][0], states[f"resid_post.{layer}"])
    assert torch.equal(theirs[-1][0], states["final_norm"])
    assert not torch.allclose(theirs[-1][0], states[f"resid_post.{lm.info.n_layers - 1}"])


def test_embed_contains_gemmas_scaling(lm_of):
    lm = lm_of("gemma2")
    states, _ = states_of(lm, [5, 6, 7])
    weight = lm.model.get_input_embeddings().weight[[5, 6, 7]]
    torch.testing.assert_close(states["embed"], weight * 32**0.5)


def test_a_wrong_layout_is_caught_at_load(lm_of):
    """The self-check is what stands between a new transformers version and silently wrong states."""
    lm = lm_of("gemma2")
    for wrong in ({"attn_out": Point("self_attn", "output")}, {"resid_mid": Point("mlp", "input")}):
        broken = replace(lm, info=replace(lm.info, layout=replace(lm.info.layout, **wrong)))
        with pytest.raises(ModelError, match=r"not where lm/architectures\.py says: resid_mid\.0"):
            check_sites(broken)
    wrong_norm = replace(lm.info, layout=replace(lm.info.layout, norm="model.layers.0.input_layernorm"))
    with pytest.raises(ModelError, match="final_norm is off"):
        check_sites(replace(lm, info=wrong_norm))


def test_names_resolve_to_what_is_stored(lm_of):
    layout = lm_of("llama").info.layout
    assert resolve_sites(["resid_post.-1", "embed", "attn_out.last", "final_norm"], layout, 3) == [
        "resid_post.2",
        "embed",
        "attn_out.2",
        "final_norm",
    ]
    assert resolve_sites(["resid_pre.*"], layout, 3) == ["resid_pre.0", "resid_pre.1", "resid_pre.2"]


@pytest.mark.parametrize(
    ("names", "sites"),
    [
        (["*.1"], ["resid_pre.1", "attn_out.1", "resid_mid.1", "mlp_out.1", "resid_post.1"]),
        (["resid_*.0"], ["resid_pre.0", "resid_mid.0", "resid_post.0"]),
        (["*_out.last"], ["attn_out.2", "mlp_out.2"]),
        (["resid_p*.-1"], ["resid_pre.2", "resid_post.2"]),
        (["mlp_out.[02]", "f*"], ["mlp_out.0", "mlp_out.2", "final_norm"]),
        (["resid_post.*", "resid_post.1", "*_post.0"], ["resid_post.0", "resid_post.1", "resid_post.2"]),
        (["resid_post.2", "resid_post.*"], ["resid_post.2", "resid_post.0", "resid_post.1"]),
    ],
)
def test_patterns_stand_for_the_sites_that_match_once_each(lm_of, names, sites):
    assert resolve_sites(names, lm_of("llama").info.layout, 3) == sites


def test_a_pattern_passes_over_what_an_architecture_lacks(lm_of):
    layout = lm_of("gpt_neox").info.layout
    assert resolve_sites(["resid_*.0"], layout, 3) == ["resid_pre.0", "resid_post.0"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("resid_pots.*.1", "No site of this model matches"),
        ("*.7", "3 blocks and the sites embed, resid_pre"),
        ("*.-4", "3 blocks"),
        ("resid_pots.1", "did you mean 'resid_post'"),
        ("resid_post", "resid_post.L"),
        ("resid_post.3", "layers 0 to 2"),
        ("resid_post.-4", "3 blocks"),
        ("embed.0", "Unknown site"),
        ("resid_post.1.5", "Unknown site"),
    ],
)
def test_unknown_sites_are_refused(lm_of, name, says):
    with pytest.raises(ModelError, match=says):
        resolve_sites([name], lm_of("llama").info.layout, 3)


def test_one_site_twice_is_refused(lm_of):
    with pytest.raises(ModelError, match="twice"):
        resolve_sites(["resid_post.2", "resid_post.last"], lm_of("llama").info.layout, 3)


@pytest.mark.parametrize(
    ("name", "site", "says"),
    [
        ("gpt_neox", "resid_mid.0", "read the same stream"),
        ("phi", "resid_mid.*", "read the same stream"),
        ("opt-post-norm", "resid_mid.0", "no running sum"),
        ("opt-post-norm", "final_norm", "no final norm"),
    ],
)
def test_a_site_that_an_architecture_lacks_is_refused_with_the_reason(lm_of, name, site, says):
    lm = lm_of(name)
    assert not any(known.startswith(site.partition(".")[0]) for known in lm.info.sites)
    with pytest.raises(ModelError, match=says):
        capture(lm, [[1, 2, 3]], [site])


def test_the_vision_wrapper_of_gemma3_reads_text(tmp_path):
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    arguments = {
        "text_config": {**ARCHITECTURES["gemma3_text"][1], "final_logit_softcapping": None},
        "vision_config": {**vision, "image_size": 28, "patch_size": 14},
        "mm_tokens_per_image": 1,
        "image_token_index": 96,
    }
    lm = load(spec(save(random_model("Gemma3Config", arguments), tmp_path / "gemma3")), "cpu")
    ids = random_sequences([7])[0]
    captured = capture(lm, [ids], ["final_norm"])
    with torch.inference_mode():
        logits = lm.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
        ours = lm.head(decode_rows(captured.values, captured.exponents)[0])
    torch.testing.assert_close(ours, logits, rtol=1e-2, atol=2e-2)
