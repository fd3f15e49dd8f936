"""Texts continued in batches from a forked cache equal texts continued alone and read anew at each step."""

import pytest
import torch
from reading_anew import keys, read_anew
from tiny_models import ARCHITECTURES, MAIN, random_model, random_sequences, save, spec

from lit_experiments.lm.capture import capture
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import ModelError, NonFiniteStateError
from lit_experiments.lm.float16 import decode_rows
from lit_experiments.lm.load import load
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from tests.tolerance import assert_close

GREEDY = Sampling(temperature=0, top_p=1.0, top_k=0)
PURE = Sampling(temperature=1, top_p=1.0, top_k=0)
NUCLEUS = Sampling(temperature=0.8, top_p=0.9, top_k=20)
STEPS = 12


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("sampling", [GREEDY, PURE], ids=["greedy", "pure"])
def test_batched_cached_forked_equals_reading_anew(lm_of, name, sampling):
    """Prompts of unequal length, some longer than the sliding window (5), continued past it."""
    lm = lm_of(name)
    prompts = random_sequences([3, 9, 6, 1])
    decoder = Decoder(lm)
    state = decoder.prefill(prompts).fork(2)
    out = decoder.sample(state, STEPS, sampling, keys(8))
    for row in range(8):
        ids, log_probs = read_anew(lm, prompts[row // 2], STEPS, sampling, keys(8)[row])
        assert out.token_ids[row].tolist() == ids
        assert_close(out.log_probs[row], log_probs)
        assert state.ids[row] == prompts[row // 2] + ids
    if sampling is PURE:
        assert not torch.equal(out.token_ids[0], out.token_ids[1])


@pytest.mark.parametrize("attn", ["eager", "sdpa"])
def test_both_attention_implementations_handle_padding(folder_of, attn):
    lm = load(spec(folder_of("mistral"), attn=attn), "cpu")
    prompts = random_sequences([2, 11])
    out = Decoder(lm).sample(Decoder(lm).prefill(prompts), STEPS, GREEDY, keys(2))
    for row, prompt in enumerate(prompts):
        assert out.token_ids[row].tolist() == read_anew(lm, prompt, STEPS, GREEDY, None)[0]


@pytest.mark.parametrize("batch", [1, 4, 8])
def test_tokens_do_not_depend_on_the_batch(lm_of, batch):
    lm = lm_of("gpt2")
    prompts = random_sequences([3, 9, 6, 1, 7, 2, 9, 5])
    streams = [StreamKey(0, f"sample {i}", 0) for i in range(8)]
    rows = []
    for start in range(0, 8, batch):
        decoder = Decoder(lm)
        state = decoder.prefill(prompts[start : start + batch])
        rows.extend(decoder.sample(state, STEPS, NUCLEUS, streams[start : start + batch]).token_ids.tolist())
    expected = [read_anew(lm, p, STEPS, NUCLEUS, k)[0] for p, k in zip(prompts, streams, strict=True)]
    assert rows == expected


def test_one_call_or_several_make_no_difference(lm_of):
    decoder = Decoder(lm_of("llama"))
    prompts = random_sequences([3, 5])
    whole, parts = decoder.prefill(prompts), decoder.prefill(prompts)
    expected = decoder.sample(whole, 9, PURE, keys(2))
    first = decoder.sample(parts, 4, PURE, keys(2))
    second = decoder.sample(parts, 5, PURE, keys(2), feed_last=False)
    assert torch.equal(torch.cat([first.token_ids, second.token_ids], 1), expected.token_ids)


@pytest.mark.parametrize("name", MAIN)
def test_a_state_is_not_changed_by_what_its_forks_do(lm_of, name):
    """The cache is mutated in place by the model; a second branch from the same state must see none of it."""
    decoder = Decoder(lm_of(name), ["final_norm"])
    state = decoder.prefill(random_sequences([4, 9]))
    before = state.logits.clone()
    first = decoder.sample(state.fork(3), STEPS, PURE, keys(6))
    decoder.sample(state.select([1]), 3, GREEDY, keys(1))
    second = decoder.sample(state.fork(3), STEPS, PURE, keys(6))
    assert torch.equal(first.token_ids, second.token_ids)
    assert torch.equal(first.log_probs, second.log_probs)
    assert torch.equal(state.logits, before)
    assert [len(ids) for ids in state.ids] == [4, 9]
    fork = state.fork(1)
    decoder.sample(state, 2, GREEDY, keys(2))
    assert torch.equal(fork.logits, before)


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "gpt_neox"])
def test_captured_states_are_those_of_the_last_token_fed(lm_of, name):
    lm = lm_of(name)
    sites = ["embed", "resid_post.1", "final_norm"]
    decoder = Decoder(lm, sites)
    state = decoder.prefill(random_sequences([4, 9]))
    for _ in range(2):
        for row, ids in enumerate(state.ids):
            alone = capture(lm, [ids], sites, positions="last")
            expected = decode_rows(alone.values, alone.exponents)[:, 0]
            ours = torch.stack([state.captured[site][row] for site in sites])
            assert_close(ours, expected, stored=True)
            torch.testing.assert_close(lm.head(state.captured["final_norm"]).float(), state.logits)
        decoder.sample(state, 3, PURE, keys(2))


def test_log_probs_are_raw_whatever_the_sampling(lm_of):
    """Not tempered, not renormalised over the kept tokens."""
    lm = lm_of("llama")
    state = Decoder(lm).prefill(random_sequences([4]))
    raw = state.logits.log_softmax(-1)
    out = Decoder(lm).sample(state, 1, Sampling(0.3, 0.5, 3), keys(1))
    torch.testing.assert_close(out.log_probs[0, 0], raw[0, out.token_ids[0, 0]])


def test_finished_rows_stop_and_the_others_go_on_unchanged(lm_of):
    lm = lm_of("llama")
    decoder = Decoder(lm, ["final_norm"])
    prompts = random_sequences([3, 9, 6, 2])
    free = decoder.sample(decoder.prefill(prompts), STEPS, PURE, keys(4))
    stop = free.token_ids[1, 3].item()
    state = decoder.prefill(prompts)
    out = decoder.sample(state, STEPS, PURE, keys(4), stop_ids=[stop])
    going = []
    for row in range(4):
        tokens = free.token_ids[row].tolist()
        length = tokens.index(stop) + 1 if stop in tokens else STEPS
        assert out.lengths[row] == length
        assert out.stopped[row] == (stop in tokens)
        assert out.token_ids[row].tolist() == tokens[:length] + [-1] * (STEPS - length)
        assert_close(out.log_probs[row, :length], free.log_probs[row, :length])
        assert out.log_probs[row, length:].isnan().all()
        if stop not in tokens:
            going.append(prompts[row] + tokens)
    assert out.stopped.any()
    assert state.ids == going
    assert len(state.logits) == len(state.captured["final_norm"]) == len(going) > 0


def test_every_row_may_finish(lm_of):
    decoder = Decoder(lm_of("llama"))
    prompts = random_sequences([3, 9])
    free = decoder.sample(decoder.prefill(prompts), 2, GREEDY, keys(2))
    state = decoder.prefill(prompts)
    out = decoder.sample(state, STEPS, GREEDY, keys(2), stop_ids=free.token_ids[:, 1].tolist())
    assert (out.lengths <= 2).all()
    assert out.stopped.all()
    assert len(state) == 0


def test_end_of_text_is_a_token_like_any_other(lm_of):
    lm = lm_of("llama")
    decoder = Decoder(lm)
    out = decoder.sample(decoder.prefill([[5]]), 4, PURE, keys(1), forced=[[1, 1]])
    assert lm.tokenizer.eos_token_id == 1
    assert out.token_ids[0, :2].tolist() == [1, 1]
    assert out.lengths[0] == 4
    assert not out.stopped[0]


def test_forced_tokens_are_taken_and_scored(lm_of):
    lm = lm_of("gpt2")
    decoder = Decoder(lm)
    prompts = random_sequences([3, 5])
    out = decoder.sample(decoder.prefill(prompts), 6, PURE, keys(2), forced=[[10, 11, 12], [13]])
    assert out.token_ids[0, :3].tolist() == [10, 11, 12]
    assert out.token_ids[1, 0] == 13
    rest, log_probs = read_anew(lm, [*prompts[0], 10, 11, 12], 3, PURE, keys(2)[0])
    assert out.token_ids[0, 3:].tolist() == rest
    assert_close(out.log_probs[0, 3:], log_probs)


@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral", "gemma3_text"])
@pytest.mark.parametrize("lengths", [[5, 8], [4, 8], [1, 2], [9, 12]])
def test_going_back_to_a_position_equals_reading_the_shorter_text(lm_of, name, lengths):
    """Equal and unequal numbers of tokens taken back, beyond a sliding window too."""
    decoder = Decoder(lm_of(name), ["final_norm"])
    state = decoder.prefill(random_sequences([6, 9]))
    decoder.sample(state, 3, PURE, keys(2))
    before = state.logits.clone()
    back = decoder.branch(state, lengths)
    fresh = decoder.prefill([ids[:length] for ids, length in zip(state.ids, lengths, strict=True)])
    assert back.ids == fresh.ids
    assert_close(back.logits, fresh.logits)
    assert_close(back.captured["final_norm"], fresh.captured["final_norm"])
    branches = [decoder.sample(one.fork(2), 6, PURE, keys(4)) for one in (back, fresh)]
    assert torch.equal(branches[0].token_ids, branches[1].token_ids)
    assert torch.equal(state.logits, before)


def test_branching_with_the_same_stream_repeats_the_original(lm_of):
    """The stream counts positions, so the branch draws at position t what the first pass drew there."""
    decoder = Decoder(lm_of("llama"))
    state = decoder.prefill(random_sequences([6]))
    first = decoder.sample(state, 8, PURE, keys(1))
    again = decoder.sample(decoder.branch(state, [9]), 5, PURE, keys(1))
    assert torch.equal(again.token_ids[0], first.token_ids[0, 3:])


def test_a_state_that_was_not_fed_its_last_token_cannot_go_on(lm_of):
    decoder = Decoder(lm_of("llama"))
    state = decoder.prefill([[5, 6]])
    decoder.sample(state, 2, GREEDY, keys(1), feed_last=False)
    for use in (
        lambda: state.fork(2),
        lambda: decoder.sample(state, 1, GREEDY, keys(1)),
        lambda: decoder.branch(state, [2]),
    ):
        with pytest.raises(ModelError, match="feed_last=True"):
            use()


def test_texts_that_outgrow_the_window_are_refused(lm_of):
    decoder = Decoder(lm_of("gpt2"))
    state = decoder.prefill(random_sequences([3, 60]))
    with pytest.raises(ModelError, match=r"Sequence 1.*\n.*60 tokens and 5 to come\n.*64 tokens in all"):
        decoder.sample(state, 5, GREEDY, keys(2))
    decoder.sample(state, 4, GREEDY, keys(2), feed_last=False)


def test_too_few_keys_are_refused(lm_of):
    decoder = Decoder(lm_of("gpt2"))
    with pytest.raises(ModelError, match="2 rows"):
        decoder.sample(decoder.prefill([[5], [6]]), 1, PURE, keys(1))


def test_nan_logits_are_named(tmp_path):
    model = random_model(*ARCHITECTURES["llama"])
    model.model.embed_tokens.weight.data[50] = torch.nan
    lm = load(spec(save(model, tmp_path / "nan")), "cpu")
    state = Decoder(lm).prefill([[5, 6], [50]])
    with pytest.raises(NonFiniteStateError, match="position 0 of row 1"):
        Decoder(lm).sample(state, 1, PURE, keys(2))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_decodes_and_repeats_itself(lm_of, dtype):
    decoder = Decoder(lm_of("llama", dtype), ["final_norm"])
    runs = []
    for _ in range(2):
        state = decoder.prefill(random_sequences([3, 9]))
        runs.append(decoder.sample(state, STEPS, NUCLEUS, keys(2)))
        assert state.logits.dtype == torch.float32
        assert state.captured["final_norm"].dtype == getattr(torch, dtype)
    assert torch.equal(runs[0].token_ids, runs[1].token_ids)
    assert decoder.near_ties == 0


def test_a_long_call_can_be_ended_between_steps(lm_of):
    """A signal must not wait for hundreds of steps."""
    steps = []

    def stop_after_three() -> None:
        steps.append(None)
        if len(steps) > 3:
            raise TimeoutError

    decoder = Decoder(lm_of("llama"), between_steps=stop_after_three)
    with pytest.raises(TimeoutError):
        decoder.sample(decoder.prefill([[1, 2, 3]]), 50, PURE, [StreamKey(0, "a", 0)])
    assert len(steps) == 4
