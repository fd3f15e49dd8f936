"""Branches that share one text's cache equal branches that read their prefix anew, token for token."""

import pytest
import torch
from reading_anew import keys, read_anew
from tiny_models import ARCHITECTURES, random_sequences

from lit_experiments.lm.cache import new_cache
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.pool import LatentPool, Window
from lit_experiments.lm.sampling import Sampling
from tests.tolerance import assert_close

GREEDY = Sampling(temperature=0, top_p=1.0, top_k=0)
PURE = Sampling(temperature=1, top_p=1.0, top_k=0)
AHEAD = 9
SLIDING = ["mistral", "gemma2", "gemma3_text", "olmo3", "starcoder2", "gpt_neo"]


def baseline(lm, prompts, steps=16):
    decoder = Decoder(lm)
    state = decoder.prefill(prompts, keep_past=True)
    decoder.sample(state, steps, GREEDY, keys(len(prompts)))
    return decoder, state


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_all_branches_of_a_text_in_one_batch_equal_recomputation(lm_of, name):
    """Windows of 5 tokens are long past at the later branches. The runner-up is forced, then greedy."""
    lm = lm_of(name)
    decoder, state = baseline(lm, random_sequences([6, 9]))
    before = state.logits.clone()
    lengths, rows = [7, 12, 17, 22, 10, 24], [0, 0, 0, 0, 1, 1]
    branches = decoder.branch(state, lengths, rows)
    second = branches.logits.topk(2).indices[:, 1].tolist()
    pool = LatentPool(["resid_post.1"], [Window(1, 4), Window(3, 9)])
    out = decoder.sample(branches, AHEAD, GREEDY, keys(6), forced=[[token] for token in second], pool=pool)
    assert torch.equal(state.logits, before)
    for i, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        prefix = state.ids[row][:length]
        expected, _ = read_anew(lm, [*prefix, second[i]], AHEAD - 1, GREEDY, None)
        assert out.token_ids[i].tolist() == [second[i], *expected]
        alone = LatentPool(["resid_post.1"], [Window(1, 4), Window(3, 9)])
        fresh = Decoder(lm)
        fresh.sample(fresh.prefill([prefix]), AHEAD, GREEDY, keys(1), forced=[[second[i]]], pool=alone)
        assert_close(pool.result().means[i], alone.result().means[0])


@pytest.mark.parametrize("name", SLIDING)
def test_branches_of_branches(lm_of, name):
    lm = lm_of(name)
    decoder, state = baseline(lm, random_sequences([6, 3]))
    first = decoder.branch(state, [8, 15, 9], [0, 0, 1])
    decoder.sample(first, 7, PURE, keys(3))
    second = decoder.branch(first, [10, 21, 14, 15], [0, 1, 1, 2])
    starts = [list(ids) for ids in second.ids]
    assert starts == [first.ids[r][:n] for r, n in zip([0, 1, 1, 2], [10, 21, 14, 15], strict=True)]
    out = decoder.sample(second, 6, PURE, keys(4))
    for row, ids in enumerate(starts):
        assert out.token_ids[row].tolist() == read_anew(lm, ids, 6, PURE, keys(4)[row])[0]


@pytest.mark.parametrize("name", ["llama", "mistral", "gemma3_text"])
def test_a_branch_reads_nothing_but_its_own_last_token_anew(lm_of, name, monkeypatch):
    lm = lm_of(name)
    decoder, state = baseline(lm, random_sequences([6]))
    monkeypatch.setattr(decoder, "prefill", None)
    shapes = []
    honest = decoder._forward
    monkeypatch.setattr(
        decoder, "_forward", lambda batch, *rest: (shapes.append(batch.ids.shape), honest(batch, *rest))[1]
    )
    decoder.branch(state, [8, 15], [0, 0])
    assert shapes == [(2, 1)]


def test_without_the_past_a_sliding_window_is_read_again(lm_of):
    lm = lm_of("mistral")
    decoder = Decoder(lm)
    state = decoder.prefill(random_sequences([6]))
    decoder.sample(state, 9, GREEDY, keys(1))
    kept, kept_state = baseline(lm, random_sequences([6]), steps=9)
    out = decoder.sample(decoder.branch(state, [8, 12], [0, 0]), 5, PURE, keys(2))
    expected = kept.sample(kept.branch(kept_state, [8, 12], [0, 0]), 5, PURE, keys(2))
    assert torch.equal(out.token_ids, expected.token_ids)
    widths = {layer.keys.shape[-2] for layer in state.cache.layers}
    assert widths == {4}
    assert {layer.keys.shape[-2] for layer in kept_state.cache.layers} == {15}


def test_states_of_rows_that_ended_can_be_branched(lm_of):
    """By a stop token, which is not fed, or by their own limit; whatever went on without them."""
    lm = lm_of("gemma2")
    prompts = random_sequences([3, 9, 6, 2])
    decoder = Decoder(lm)
    free = decoder.sample(decoder.prefill(prompts), 12, PURE, keys(4))
    stop = free.token_ids[1, 3].item()
    state, ended = decoder.prefill(prompts, keep_past=True), {}
    out = decoder.sample(state, 12, PURE, keys(4), stop_ids=[stop], limits=[12, 12, 3, 12], ended=ended)
    assert out.lengths[1] <= 4
    assert out.stopped[1]
    assert out.lengths[2] == 3
    assert {1, 2} <= set(ended)
    assert len(ended) + len(state) == 4
    for row, one in ended.items():
        length = int(out.lengths[row])
        assert one.ids == [prompts[row] + out.token_ids[row, : length - int(out.stopped[row])].tolist()]
        assert_close(one.logits, decoder.prefill(one.ids).logits)
        back = decoder.branch(one, [len(prompts[row])], [0])
        again = decoder.sample(back, length, PURE, [keys(4)[row]])
        assert again.token_ids[0].tolist() == out.token_ids[row, :length].tolist()


def test_limits_end_rows_and_make_room_in_the_window(lm_of):
    lm = lm_of("gpt2")  # a window of 64
    decoder = Decoder(lm)
    prompts = random_sequences([3, 60])
    free = decoder.sample(decoder.prefill(prompts), 4, PURE, keys(2), feed_last=False)
    out = decoder.sample(decoder.prefill(prompts), 9, PURE, keys(2), limits=[9, 4], feed_last=False)
    assert out.lengths.tolist() == [9, 4]
    assert not out.stopped.any()
    assert torch.equal(out.token_ids[:, :4], free.token_ids)
    pool = LatentPool(["resid_post.1"], [Window(1, 4), Window(1, 5)])
    decoder.sample(decoder.prefill(prompts), 9, PURE, keys(2), limits=[9, 4], feed_last=False, pool=pool)
    assert pool.result().counts.tolist() == [[4, 5], [4, 4]]  # the last token of a limit has a state
    with pytest.raises(ModelError, match="60 tokens and 5 to come"):
        decoder.sample(decoder.prefill(prompts), 9, PURE, keys(2), limits=[9, 5])
    with pytest.raises(ModelError, match="limits"):
        decoder.sample(decoder.prefill(prompts), 4, PURE, keys(2), limits=[4])


def test_lengths_outside_a_text_are_refused(lm_of):
    decoder, state = baseline(lm_of("llama"), random_sequences([6]), steps=3)
    for length in (0, 10):
        with pytest.raises(ModelError, match=f"Row 0 has 9 tokens, it cannot go back to {length}"):
            decoder.branch(state, [length], [0])


def test_a_cache_is_written_in_place_and_rarely_copied(lm_of):
    """Columns to spare: after the first step the buffers stay where they are for many steps."""
    lm = lm_of("llama")
    decoder = Decoder(lm)
    state = decoder.prefill(random_sequences([6]))
    places = []
    for _ in range(40):
        decoder.sample(state, 1, GREEDY, keys(1))
        places.append(state.cache.layers[0].keys.data_ptr())
    assert len(set(places)) == 1
    assert {type(layer).__name__ for layer in new_cache(lm.info.config).layers} == {"GrowingLayer"}
