"""A known answer: steering, patching and ablating a direction that the unembedding reads move the logit as computed."""

import pytest
import torch
from tiny_models import VOCAB, random_sequences, save, spec
from transformers import OPTConfig, OPTForCausalLM

from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.intervene import Ablate, Patch, Steer, intervened
from lit_experiments.lm.load import load
from lit_experiments.lm.score import next_token_logits
from tests.tolerance import assert_close

D = 32
TEXTS, DONORS = random_sequences([3, 11, 7]), random_sequences([3, 11, 7], seed=1)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """An OPT whose blocks add nothing and whose head reads the stream itself, without a norm. Dimension 0 is the
    confidence: the head reads it into token 7 with weight 1.5. Dimension 1 tells odd tokens from even, unread."""
    torch.manual_seed(0)
    size = {"vocab_size": VOCAB, "hidden_size": D, "word_embed_proj_dim": D, "ffn_dim": 8, "num_hidden_layers": 2}
    config = OPTConfig(**size, num_attention_heads=2, max_position_embeddings=64, tie_word_embeddings=False)
    config._remove_final_layer_norm = True
    model = OPTForCausalLM(config)
    with torch.no_grad():
        for parameter in (*model.model.decoder.layers.parameters(), model.model.decoder.embed_positions.weight):
            parameter.zero_()
        model.model.decoder.embed_tokens.weight.normal_()
        model.model.decoder.embed_tokens.weight[:, 1] = torch.arange(VOCAB) % 2 * 4.0
        model.lm_head.weight.normal_()
        model.lm_head.weight[:, :2] = 0.0
        model.lm_head.weight[7, 0] = 1.5
    return load(spec(save(model, tmp_path_factory.mktemp("planted") / "opt")), "cpu")


@pytest.mark.parametrize("site", ["embed", "resid_post.0", "resid_mid.1", "mlp_out.1", "resid_post.1"])
def test_only_a_direction_that_is_read_moves_the_logit(planted, site):
    read, unread = torch.eye(D)[0] * 3, torch.eye(D)[1] * 3
    before = next_token_logits(planted, TEXTS)
    with intervened(planted, [Steer(site, read, [1.0, 2.0, -4.0], "last")], TEXTS):
        moved = next_token_logits(planted, TEXTS) - before
    assert_close(moved[:, 7], torch.tensor([1.5, 3.0, -6.0]), scale=float(before.abs().max()))
    assert torch.equal(moved[:, :7], torch.zeros(3, 7))
    with intervened(planted, [Steer(site, unread, 4.0, "last")], TEXTS):
        assert torch.equal(next_token_logits(planted, TEXTS), before)
        read_out = exact_states(planted, TEXTS, ["resid_post.1"], "last")["resid_post.1"][:, 1]
    torch.testing.assert_close(read_out, torch.tensor([ids[-1] % 2 * 4.0 + 4.0 for ids in TEXTS]))


def test_patching_the_confidence_moves_it_to_the_donors(planted):
    mine, donor = (exact_states(planted, ids, ["resid_post.0"], "last")["resid_post.0"] for ids in (TEXTS, DONORS))
    swapped = mine.clone()
    swapped[:, 0] = donor[:, 0]
    before = next_token_logits(planted, TEXTS)
    with intervened(planted, [Patch("resid_post.0", swapped, "last")], TEXTS):
        moved = next_token_logits(planted, TEXTS) - before
    assert_close(moved[:, 7], 1.5 * (donor - mine)[:, 0], scale=float(before.abs().max()))
    with intervened(planted, [Ablate("resid_post.0", torch.eye(D)[0], "last")], TEXTS):
        ablated = next_token_logits(planted, TEXTS)
    assert_close(ablated[:, 7], before[:, 7] - 1.5 * mine[:, 0], scale=float(before.abs().max()))
