"""Embedding, layers and biases sum to the difference of two logits, on every architecture."""

import pytest
import torch
from tiny_models import ARCHITECTURES, random_model, random_sequences, save, spec
from torch import nn

from lit_experiments.lm.attribution import attribute
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.frozen_norm import FrozenNorm
from lit_experiments.lm.load import load
from tests.tolerance import assert_close

LENGTHS = [5, 9, 3, 12]


def model_logits(lm, sequences):
    """The model's own logits for the token that follows each sequence."""
    with torch.inference_mode():
        rows = [lm.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1] for ids in sequences]
    return torch.stack(rows).double()


def two_most_likely(lm, sequences):
    logits = model_logits(lm, sequences)
    pairs = [tuple(pair) for pair in logits.topk(2).indices.tolist()]
    return pairs, torch.stack([row[a] - row[b] for row, (a, b) in zip(logits, pairs, strict=True)])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_contributions_are_complete(lm_of, name):
    """Below 1e-4 of the difference, biases of norm and head, scales and projections included."""
    lm = lm_of(name)
    sequences = random_sequences(LENGTHS)
    pairs, difference = two_most_likely(lm, sequences)
    attribution = attribute(lm, sequences, pairs)
    assert (attribution.residual.abs() < 1e-4 * attribution.difference.abs()).all(), (
        attribution.residual / attribution.difference
    )
    assert_close(attribution.capped, difference, scale=float(model_logits(lm, sequences).abs().max()))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_layers_are_attention_and_mlp(lm_of, name):
    lm = lm_of(name)
    sequences = random_sequences(LENGTHS)
    attribution = attribute(lm, sequences, two_most_likely(lm, sequences)[0])
    for parts in (attribution.raw, attribution.frozen):
        size = parts.layers.abs() + parts.attention.abs() + parts.mlp.abs()
        if lm.info.layout.flow == "post_norm":
            assert (parts.rest.abs() > 1e-3 * size).any()  # its blocks' norms are part of what a layer does
        else:
            assert (parts.rest.abs() < 1e-4 * size.amax()).all()
        assert parts.layers.shape == (4, lm.info.n_layers)


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt-post-norm"])
def test_raw_contributions_leave_the_norm_out(lm_of, name):
    """(W_U[a] - W_U[b]) . h_last, the unnormalised stream."""
    lm = lm_of(name)
    sequences = random_sequences(LENGTHS)
    pairs, _ = two_most_likely(lm, sequences)
    attribution = attribute(lm, sequences, pairs)
    weight = lm.model.get_output_embeddings().weight
    for row, (ids, (a, b)) in enumerate(zip(sequences, pairs, strict=True)):
        with torch.inference_mode():
            streams = []
            last = lm.model.get_submodule(lm.info.layout.blocks)[-1]
            handle = last.register_forward_hook(
                lambda _m, _i, o, s=streams: s.append(o[0] if isinstance(o, tuple) else o)
            )
            lm.model(input_ids=torch.tensor([ids]), use_cache=False)
            handle.remove()
        state = streams[0].reshape(-1, lm.info.d_model)[-1]
        for path in lm.info.layout.after_norm:
            state = lm.model.get_submodule(path)(state)
        assert float(attribution.raw.total[row]) == pytest.approx(
            float((weight[a] - weight[b]) @ state), rel=1e-4, abs=1e-4
        )


def test_a_linear_toy_gives_exactly_what_was_planted(tmp_path):
    """Blocks that add constants: every weight matrix is zero, every output bias a known vector."""
    model = random_model(*ARCHITECTURES["gpt2"])
    generator = torch.Generator().manual_seed(1)
    planted = []
    for block in model.transformer.h:
        vectors = torch.randn(2, 32, generator=generator)
        planted.append(vectors)
        for linear, vector in zip((block.attn.c_proj, block.mlp.c_proj), vectors, strict=True):
            linear.weight.data.zero_()
            linear.bias.data.copy_(vector)
    lm = load(spec(save(model, tmp_path / "toy")), "cpu")
    ids, pair = [3, 14, 15], (7, 21)
    attribution = attribute(lm, [ids], [pair])
    embed = (model.transformer.wte.weight[15] + model.transformer.wpe.weight[2]).detach().double()
    whole = embed + sum(vectors.double().sum(0) for vectors in planted)
    direction = (model.lm_head.weight[7] - model.lm_head.weight[21]).detach().double()
    norm = model.transformer.ln_f.requires_grad_(False)
    deviation = (whole.var(unbiased=False) + norm.eps).sqrt()

    def through(part):
        return float(direction @ ((part - part.mean()) / deviation * norm.weight.double()))

    assert float(attribution.frozen.embed[0]) == pytest.approx(through(embed), rel=1e-4)
    assert float(attribution.raw.embed[0]) == pytest.approx(float(direction @ embed), rel=1e-4)
    for layer, (attention, mlp) in enumerate(planted):
        assert float(attribution.frozen.attention[0, layer]) == pytest.approx(
            through(attention.double()), rel=1e-4, abs=1e-5
        )
        assert float(attribution.frozen.mlp[0, layer]) == pytest.approx(through(mlp.double()), rel=1e-4, abs=1e-5)
        both = (attention + mlp).double()
        assert float(attribution.frozen.layers[0, layer]) == pytest.approx(through(both), rel=1e-4, abs=1e-5)
        assert float(attribution.raw.layers[0, layer]) == pytest.approx(float(direction @ both), rel=1e-4, abs=1e-5)
    assert float(attribution.bias[0]) == pytest.approx(float(direction @ norm.bias.double()), rel=1e-4)


def test_the_soft_cap_is_told_apart(lm_of):
    lm = lm_of("gemma2")
    sequences = random_sequences(LENGTHS)
    attribution = attribute(lm, sequences, two_most_likely(lm, sequences)[0])
    assert (attribution.capped < attribution.difference - 1e-3).any()
    plain = attribute(lm_of("llama"), sequences, two_most_likely(lm_of("llama"), sequences)[0])
    assert torch.equal(plain.capped, plain.difference)


def test_texts_in_a_batch_do_not_disturb_each_other(lm_of):
    lm = lm_of("qwen2")
    sequences = random_sequences(LENGTHS)
    pairs, _ = two_most_likely(lm, sequences)
    together = attribute(lm, sequences, pairs)
    for row, (ids, pair) in enumerate(zip(sequences, pairs, strict=True)):
        alone = attribute(lm, [ids], [pair])
        assert_close(alone.frozen.layers[0], together.frozen.layers[row])


def test_half_precision_reports_its_residual(lm_of):
    lm = lm_of("llama", "bfloat16")
    sequences = random_sequences(LENGTHS)
    attribution = attribute(lm, sequences, two_most_likely(lm, sequences)[0])
    assert attribution.residual.isfinite().all()
    assert (attribution.residual.abs() < 0.05 * attribution.difference.abs().amax()).all()
    assert (attribution.residual != 0).any()


@pytest.mark.parametrize("width", [8, 7])
def test_frozen_norms_are_the_norms(width):
    torch.manual_seed(0)
    states = torch.randn(5, width) * 3 + 1
    layer, rms = nn.LayerNorm(width), nn.RMSNorm(width, eps=1e-6)
    for norm in (layer, rms):
        norm.weight.data.normal_()
    layer.bias.data.normal_()
    for norm, centred in ((layer, True), (rms, False)):
        frozen = FrozenNorm(norm, states)
        assert frozen.centred == centred
        assert_close(frozen.weight.float(), norm.weight)
        assert_close((frozen(states.double()) + frozen.bias).float(), norm(states))
        direction = torch.randn(5, width, dtype=torch.float64)
        parts = torch.randn(5, width, dtype=torch.float64)
        pulled = (frozen.pull_back(direction) * parts).sum(1)
        torch.testing.assert_close(pulled, (direction * frozen(parts)).sum(1))


def test_another_kind_of_norm_is_refused():
    with pytest.raises(ModelError, match="GroupNorm1 is no LayerNorm"):
        FrozenNorm(GroupNorm1(), torch.randn(3, 8))


class GroupNorm1(nn.Module):
    """Normalises two halves apart."""

    def forward(self, states):
        halves = states.unflatten(-1, (2, -1))
        return (halves / halves.square().mean(-1, keepdim=True).sqrt()).flatten(-2)


def test_what_cannot_be_is_refused(lm_of):
    lm = lm_of("llama")
    with pytest.raises(ModelError, match="as many pairs"):
        attribute(lm, [[5, 6]], [])
    with pytest.raises(ModelError, match="no token 97"):
        attribute(lm, [[5, 6]], [(1, 97)])
