"""Means taken while decoding equal means of the states that reading the finished text gives."""

import gc

import pytest
import torch
from reading_anew import keys
from tiny_models import MAIN, random_sequences

from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import ModelError, NonFiniteStateError
from lit_experiments.lm.pool import LatentPool, Window
from lit_experiments.lm.sampling import Sampling
from tests.tolerance import assert_close

PURE = Sampling(temperature=1, top_p=1.0, top_k=0)
SITES = ["embed", "resid_post.0", "resid_post.1"]
STEPS = 13


def decoded(lm, prompts, pool, draws=1, decoder_sites=(), **options):
    decoder = Decoder(lm, decoder_sites)
    state = decoder.prefill(prompts).fork(draws)
    return decoder.sample(state, STEPS, PURE, keys(draws * len(prompts)), pool=pool, **options), state


def read(lm, prompt, tokens, sites=SITES):
    """[site, generated token, hidden] from reading prompt and tokens at once."""
    at = list(range(len(prompt), len(prompt) + len(tokens)))
    states = exact_states(lm, [[*prompt, *tokens]], sites, [at])
    return torch.stack([states[site] for site in sites]).float()


def expected(states, window):
    """The definition: mean over tokens start + stride, start + 2 stride, ..., numbered from 1."""
    numbers = range(window.start + window.stride, window.start + window.length + 1, window.stride)
    there = [n - 1 for n in numbers if n <= states.shape[1]]
    return states[:, there].mean(1), len(there)


@pytest.mark.parametrize("name", MAIN)
def test_pooled_while_decoding_equals_reading_the_finished_text(lm_of, name):
    """Unequal prompts, forks, past a sliding window of 5, with sites the decoder itself does not keep."""
    lm = lm_of(name)
    prompts = random_sequences([3, 9])
    windows = [Window(1, 13), Window(4, 13), Window(2, 6), Window(3, 7, start=5)]
    pool = LatentPool(SITES, windows)
    out, state = decoded(lm, prompts, pool, draws=2, decoder_sites=["final_norm"])
    pooled = pool.result()
    assert list(state.captured) == ["final_norm"]
    assert pooled.counts.tolist() == [[13, 3, 3, 2]] * 4
    assert pooled.full.all()
    for row in range(4):
        states = read(lm, prompts[row // 2], out.token_ids[row].tolist())
        for k, window in enumerate(windows):
            assert_close(pooled.means[row, k], expected(states, window)[0])
    assert not torch.allclose(pooled.means[0, 0], pooled.means[1, 0])


def test_pooling_changes_no_token_and_feeds_the_last_one_only_if_it_counts(lm_of):
    lm = lm_of("llama")
    prompts = random_sequences([3, 9])
    plain, _ = decoded(lm, prompts, None, feed_last=False)
    for stride in (5, 13):
        pool = LatentPool(SITES, [Window(stride, STEPS)])
        out, _ = decoded(lm, prompts, pool, feed_last=False)
        assert torch.equal(out.token_ids, plain.token_ids)
        assert pool.result().counts.tolist() == [[STEPS // stride]] * 2


def test_rows_that_end_stop_contributing(lm_of):
    """The stop token is never fed: it has no state. A row that did not fill a window says so."""
    lm = lm_of("llama")
    prompts = random_sequences([3, 9, 6, 2])
    free, _ = decoded(lm, prompts, None)
    stop = free.token_ids[1, 3].item()
    windows = [Window(1, 2), Window(2, 12), Window(5, 13)]
    pool = LatentPool(SITES, windows)
    out, _ = decoded(lm, prompts, pool, stop_ids=[stop])
    pooled = pool.result()
    lengths = out.lengths.tolist()
    assert lengths[1] == 4
    assert max(lengths) == STEPS
    for row, prompt in enumerate(prompts):
        fed = out.token_ids[row, : lengths[row] - int(out.stopped[row])].tolist()
        states = read(lm, prompt, fed)
        for k, window in enumerate(windows):
            mean, count = expected(states, window)
            assert pooled.counts[row, k] == count
            assert pooled.full[row, k] == (count == window.points)
            assert_close(pooled.means[row, k], mean)
    assert pooled.counts[1].tolist() == [2, 1, 0]
    assert pooled.means[1, 2].isnan().all()


def test_windows_may_differ_from_row_to_row(lm_of):
    """As the windows behind forced prefixes do, which are of another length for each text."""
    lm = lm_of("gpt2")
    prompts = random_sequences([3, 9])
    windows = [[Window(2, 4, start=1), Window(1, 5, start=5)], [Window(1, 3, start=4), Window(3, 6, start=7)]]
    forced = [[10], [11, 12, 13, 14]]
    pool = LatentPool(SITES, windows)
    out, _ = decoded(lm, prompts, pool, forced=forced)
    pooled = pool.result()
    for row, prompt in enumerate(prompts):
        tokens = out.token_ids[row].tolist()
        assert tokens[: len(forced[row])] == forced[row]
        states = read(lm, prompt, tokens)
        for k, window in enumerate(windows[row]):
            mean, count = expected(states, window)
            assert pooled.counts[row, k] == count
            assert_close(pooled.means[row, k], mean)


def test_means_do_not_depend_on_the_company(lm_of):
    lm = lm_of("qwen2")
    prompts = random_sequences([3, 9, 6])
    together = LatentPool(SITES, [Window(3, 12)])
    decoded(lm, prompts, together)
    for row, prompt in enumerate(prompts):
        alone = LatentPool(SITES, [Window(3, 12)])
        decoder = Decoder(lm)
        decoder.sample(decoder.prefill([prompt]), STEPS, PURE, [keys(3)[row]], pool=alone)
        assert_close(alone.result().means[0], together.result().means[row])


def test_trajectories_are_kept_on_request_only(lm_of):
    lm = lm_of("llama")
    prompts = random_sequences([3, 9])
    pool = LatentPool(SITES, [Window(4, 12)], keep=True)
    out, _ = decoded(lm, prompts, pool)
    for row, prompt in enumerate(prompts):
        numbers, states = zip(*pool.trajectories[row], strict=True)
        assert numbers == (4, 8, 12)
        whole = read(lm, prompt, out.token_ids[row].tolist())
        assert_close(torch.stack(states, 1), whole[:, [3, 7, 11]])
        torch.testing.assert_close(torch.stack(states).mean(0), pool.result().means[row, 0])
    without = LatentPool(SITES, [Window(4, 12)])
    decoded(lm, prompts, without)
    assert without.trajectories == []


def test_memory_does_not_grow_with_the_text(lm_of):
    """Bytes of all vectors as wide as the model, weights apart, at every step: the cache is narrower."""
    lm = lm_of("llama")
    owned = {id(parameter) for parameter in lm.model.parameters()}
    sizes = []

    def count() -> None:
        tensors = [o for o in gc.get_objects() if issubclass(type(o), torch.Tensor) and id(o) not in owned]
        sizes.append(sum(t.nbytes for t in tensors if t.ndim and t.shape[-1] == lm.info.d_model))

    gc.freeze()  # what was there before is there at every step: only what follows is looked through
    decoder = Decoder(lm, between_steps=count)
    pool = LatentPool(SITES, [Window(1, 50), Window(2, 50)])
    decoder.sample(decoder.prefill(random_sequences([4, 4])), 50, PURE, keys(2), pool=pool)
    assert pool.result().counts.tolist() == [[50, 25]] * 2
    one_step = 2 * len(SITES) * lm.info.d_model * 4
    assert max(sizes[5:]) - min(sizes[5:]) < one_step


def test_less_than_one_stride_is_refused():
    with pytest.raises(ModelError, match=r"(?s)stride 32, 31 tokens.*lower the stride"):
        Window(32, 31)
    assert Window(32, 32).points == 1


def test_a_pool_serves_one_call(lm_of):
    lm = lm_of("llama")
    pool = LatentPool(SITES, [Window(1, 4)])
    decoded(lm, random_sequences([3]), pool)
    with pytest.raises(ModelError, match="one call"):
        decoded(lm, random_sequences([3]), pool)
    with pytest.raises(ModelError, match="each of its 2 rows"):
        decoded(lm, random_sequences([3, 4]), LatentPool(SITES, [[Window(1, 4)]]))
    with pytest.raises(ModelError, match="as many windows"):
        LatentPool(SITES, [[Window(1, 4)], []])


def test_states_that_are_no_numbers_are_named():
    """A site may overflow although the logits, behind the norm, do not."""
    pool = LatentPool(["resid_post.0"], [Window(1, 2)])
    pool.begin(1, 4, torch.device("cpu"))
    pool.add(1, [0], torch.tensor([[[1.0, torch.inf, 0, 0]]]))
    with pytest.raises(NonFiniteStateError, match=r"resid_post\.0 among the first 2 generated tokens of row 0"):
        pool.result()
