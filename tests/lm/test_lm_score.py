"""Scores are the model's own, whatever the batch and however large the vocabulary."""

import pytest
import torch
from tiny_models import ARCHITECTURES, random_sequences

from lit_experiments.lm import score
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.score import cross_entropy, token_log_probs
from tests.tolerance import assert_close


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_cross_entropy_is_the_models_own_loss(lm_of, name):
    lm = lm_of(name)
    sequences = random_sequences([3, 11, 7])
    for ids, ours in zip(sequences, cross_entropy(lm, sequences), strict=True):
        tensor = torch.tensor([ids])
        with torch.inference_mode():
            theirs = float(lm.model(input_ids=tensor, labels=tensor, use_cache=False).loss)
        assert_close(ours, theirs)


def test_log_probs_belong_to_the_token_after_each_position(lm_of):
    lm = lm_of("llama")
    ids = random_sequences([6])[0]
    with torch.inference_mode():
        table = lm.model(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
    ours = token_log_probs(lm, [[4, 5, 6], ids])[1]
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, torch.stack([table[t - 1, ids[t]] for t in range(1, 6)]))


def test_scores_equal_the_log_probs_noted_while_sampling(lm_of):
    lm = lm_of("gemma2")
    decoder = Decoder(lm)
    state = decoder.prefill(random_sequences([3, 6]))
    out = decoder.sample(state, 9, Sampling(1, 1.0, 0), [StreamKey(0, "s", d) for d in range(2)])
    for row, scores in enumerate(token_log_probs(lm, state.ids)):
        assert_close(scores[-9:], out.log_probs[row])


def test_chunks_change_nothing(lm_of, monkeypatch):
    lm = lm_of("gpt2")
    sequences = random_sequences([11, 7])
    whole = token_log_probs(lm, sequences)
    monkeypatch.setattr(score, "CHUNK_BYTES", 3 * 4 * 97)
    sizes = []
    handle = lm.model.lm_head.register_forward_hook(lambda _m, _a, out: sizes.append(out.shape[0]))
    parts = token_log_probs(lm, sequences)
    handle.remove()
    assert max(sizes) == 3
    for one, other in zip(whole, parts, strict=True):
        assert_close(one, other)


def test_one_token_has_no_score(lm_of):
    assert token_log_probs(lm_of("gpt2"), [[5]])[0].shape == (0,)
    assert cross_entropy(lm_of("gpt2"), [[5]])[0] != cross_entropy(lm_of("gpt2"), [[5]])[0]  # NaN, never 0


def test_texts_longer_than_the_window_are_refused(lm_of):
    with pytest.raises(ModelError, match="64 tokens in all"):
        token_log_probs(lm_of("gpt2"), [[5] * 65])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_scores_in_float32(lm_of, dtype):
    sequences = random_sequences([9])
    ours, exact = (token_log_probs(lm_of("llama", d), sequences)[0] for d in (dtype, "float32"))
    assert ours.dtype == torch.float32
    assert (ours - exact).abs().max() < 0.2
