"""Choices closer than rounding are made in one canonical way, so that tokens do not depend on the batch."""

import pytest
import torch
from reading_anew import keys, read_anew
from tiny_models import ARCHITECTURES, random_model, random_sequences, save, spec

from lit_experiments.lm import decode
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.load import load
from lit_experiments.lm.sampling import Sampling

GREEDY = Sampling(temperature=0, top_p=1.0, top_k=0)
PURE = Sampling(temperature=1, top_p=1.0, top_k=0)
NUCLEUS = Sampling(temperature=0.8, top_p=0.9, top_k=20)
STEPS = 12


def tied_model(tmp_path, name="llama"):
    """Every token has a twin with the same output row: each greedy choice and many races are ties up to rounding."""
    model = random_model(*ARCHITECTURES[name])
    head = model.get_output_embeddings().weight.data
    head[2::2] = head[1::2][: len(head[2::2])] * (1 + 1e-7)
    return load(spec(save(model, tmp_path / "tied")), "cpu")


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(0.7, 0.6, 0), Sampling(1.0, 1.0, 7)], ids=["greedy", "p", "k"])
def test_near_ties_are_settled_the_same_way_in_every_batch(tmp_path, sampling):
    lm = tied_model(tmp_path)
    prompts = random_sequences([3, 9, 6, 1, 7, 2, 9, 5])
    decoder = Decoder(lm)
    together = decoder.sample(decoder.prefill(prompts), STEPS, sampling, keys(8)).token_ids
    assert decoder.near_ties > 0
    for row, prompt in enumerate(prompts):
        alone = decoder.sample(decoder.prefill([prompt]), STEPS, sampling, keys(8)[row : row + 1]).token_ids
        assert torch.equal(alone[0], together[row])
    forked = decoder.sample(decoder.prefill(prompts[:1]).fork(5), STEPS, sampling, keys(1) * 5).token_ids
    assert (forked == together[0]).all()


def test_near_ties_survive_rounding_that_differs_from_call_to_call(lm_of, monkeypatch):
    """Every batched logit is off by up to 0.01; tokens still equal those of exact ones: the canonical pass decides."""
    lm = lm_of("gpt2")
    prompts = random_sequences([4] * 40)
    exact = [read_anew(lm, p, 4, NUCLEUS, k)[0] for p, k in zip(prompts, keys(40), strict=True)]
    monkeypatch.setattr(decode, "NEAR_TIE", {torch.float32: 0.05})
    decoder = Decoder(lm)
    honest = decoder._forward
    generator = torch.Generator().manual_seed(0)

    def shaken(batch, cache, sites, changes):
        logits, captured = honest(batch, cache, sites, changes)
        if cache is not None:
            logits = logits + 0.01 * (2 * torch.rand(logits.shape, generator=generator) - 1)
        return logits, captured

    monkeypatch.setattr(decoder, "_forward", shaken)
    ours = decoder.sample(decoder.prefill(prompts), 4, NUCLEUS, keys(40)).token_ids.tolist()
    assert ours == exact
    assert 0 < decoder.near_ties < 100


def test_ordinary_texts_need_the_canonical_pass_rarely(lm_of):
    decoder = Decoder(lm_of("llama"))
    decoder.sample(decoder.prefill(random_sequences([5])).fork(32), 40, PURE, keys(32))
    assert decoder.near_ties < 10
