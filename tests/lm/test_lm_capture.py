"""Captured states are the model's own, at the right positions, whatever they are batched with."""

import pytest
import torch
from tiny_models import ARCHITECTURES, MAIN, random_model, random_sequences, save, spec

from lit_experiments.lm.capture import capture
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import ModelError, NonFiniteStateError
from lit_experiments.lm.float16 import decode_rows
from lit_experiments.lm.hooks import Tap, tapped
from lit_experiments.lm.load import load
from lit_experiments.lm.score import token_log_probs
from tests.tolerance import assert_close


def values_of(captured):
    return decode_rows(captured.values, captured.exponents)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_batched_equals_alone(lm_of, name):
    """Padding, and who else is in the batch, change nothing; the pad id inside a text is a token like any other."""
    lm = lm_of(name)
    sequences = random_sequences([3, 11, 7, 1])
    together = capture(lm, sequences, lm.info.sites)
    alone = [capture(lm, [ids], lm.info.sites) for ids in sequences]
    assert together.lengths.tolist() == [3, 11, 7, 1]
    expected = torch.cat([values_of(one) for one in alone], dim=1)
    assert_close(values_of(together), expected, stored=True)


@pytest.mark.parametrize("name", MAIN)
def test_the_values_are_the_models_own(lm_of, name):
    lm = lm_of(name)
    ids = random_sequences([9])[0]
    captured = capture(lm, [[4, 5], ids], ["final_norm"])
    with torch.inference_mode():
        hidden = lm.body(input_ids=torch.tensor([ids]), use_cache=False).last_hidden_state[0]
    assert_close(values_of(captured)[0, 2:], hidden, stored=True)


def test_positions_pick_the_right_tokens(lm_of):
    lm = lm_of("gpt2")
    sequences = random_sequences([3, 11, 7])
    everything = values_of(capture(lm, sequences, ["resid_post.1"]))[0]
    last = capture(lm, sequences, ["resid_post.1"], positions="last")
    assert last.lengths.tolist() == [1, 1, 1]
    assert torch.equal(values_of(last)[0], everything[[2, 13, 20]])
    some = capture(lm, sequences, ["resid_post.1"], positions=[[0, -1], [], [5, 2]])
    assert some.lengths.tolist() == [2, 0, 2]
    assert torch.equal(values_of(some)[0], everything[[0, 2, 19, 16]])


@pytest.mark.parametrize(
    ("positions", "says"),
    [([[3], [0]], r"\[3\] of sequence 0, which has 3 tokens"), ([[0]], "1 lists of positions"), ("first", "Unknown")],
)
def test_positions_outside_a_sequence_are_refused(lm_of, positions, says):
    with pytest.raises(ModelError, match=says):
        capture(lm_of("gpt2"), [[5, 6, 7], [8]], ["embed"], positions=positions)


@pytest.mark.parametrize(
    ("sequences", "says"),
    [
        ([[5], []], "Sequence 1 is empty"),
        ([list(range(65))], "65 tokens\n.*64 tokens in all"),
        ([[5, 97]], "0 to 96"),
        ([[-1]], "0 to 96"),
    ],
)
def test_unreadable_sequences_are_refused(lm_of, sequences, says):
    with pytest.raises(ModelError, match=says):
        capture(lm_of("gpt2"), sequences, ["embed"])


def test_the_forward_pass_ends_after_the_last_block_that_is_needed(lm_of):
    lm = lm_of("llama")
    blocks = lm.model.get_submodule(lm.info.layout.blocks)
    runs = []
    handles = [b.register_forward_hook(lambda *_, k=k: runs.append(k)) for k, b in enumerate(blocks)]
    full = values_of(capture(lm, [[5, 6, 7]], ["embed", "resid_post.0", "final_norm"]))
    assert runs == [0, 1, 2]
    runs.clear()
    short = values_of(capture(lm, [[5, 6, 7]], ["embed", "resid_post.0"]))
    for handle in handles:
        handle.remove()
    assert 1 not in runs
    assert 2 not in runs
    assert torch.equal(short, full[:2])


def test_no_output_embedding_is_computed(lm_of):
    lm = lm_of("llama")
    handle = lm.model.lm_head.register_forward_hook(lambda *_: pytest.fail("the LM head ran"))
    capture(lm, [[5, 6, 7]], ["final_norm"])
    handle.remove()


def test_a_site_that_does_not_fire_once_is_an_error(lm_of):
    lm = lm_of("llama")

    def run(times):
        tap = Tap((1, 3, 32), 1, lambda k, state: None, stop_when_complete=False)
        with torch.inference_mode(), tapped(lm.model, lm.info.layout, ["embed"], tap):
            for _ in range(times):
                lm.body(input_ids=torch.tensor([[5, 6, 7]]))

    run(1)
    with pytest.raises(ModelError, match=r"embed.*: 0"):
        run(0)
    with pytest.raises(ModelError, match=r"embed.*: 2"):
        run(2)


def test_no_hook_is_left_behind(lm_of):
    lm = lm_of("gpt2")
    capture(lm, [[5, 6]], ["embed", "resid_post.*", "final_norm"])
    with pytest.raises(ModelError):
        capture(lm, [[5, 97]], ["embed"])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in lm.model.modules())


@pytest.mark.parametrize("keep", [lambda c: c, lambda c: c.values[0], lambda c: c.values[0].numpy()[1:]])
def test_memory_is_used_again_only_when_nothing_looks_into_it(lm_of, keep):
    """Buffers are recycled; a result, a view of it, even a numpy view of a view keep theirs."""
    lm = lm_of("gpt2")
    held = keep(capture(lm, [[5, 6]], ["embed"]))
    held_values = torch.as_tensor(held.values if hasattr(held, "lengths") else held)
    before = held_values.clone()
    for ids in ([[7, 8]], [[9, 10]], [[11, 12]]):
        capture(lm, ids, ["embed"])
    assert torch.equal(held_values, before)


def test_memory_is_used_again(lm_of):
    lm = lm_of("gpt2")
    places = {capture(lm, [[5, 6], [7]], ["embed"]).values.data_ptr() for _ in range(5)}
    assert len(places) <= 2


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_residual_stream_beyond_float16_comes_back(tmp_path, dtype):
    model = random_model(*ARCHITECTURES["llama"])
    model.get_input_embeddings().weight.data[:48] *= 1e6
    lm = load(spec(save(model, tmp_path / "loud"), dtype), "cpu")
    captured = capture(lm, [[5, 60, 7]], ["embed", "resid_post.*"])
    assert captured.values.isfinite().all()
    assert captured.exponents[:, 0].min() > 0
    weight = lm.model.get_input_embeddings().weight[[5, 60, 7]].float()
    assert weight.abs().max() > 65504
    error = (values_of(captured)[0] - weight).abs().amax(-1)
    assert (error <= 2**-10 * weight.abs().amax(-1)).all()
    assert captured.exponents[0].tolist()[1] == 0


def test_nan_from_the_model_is_named(tmp_path):
    model = random_model(*ARCHITECTURES["llama"])
    model.model.embed_tokens.weight.data[50] = torch.nan
    lm = load(spec(save(model, tmp_path / "nan")), "cpu")
    with pytest.raises(NonFiniteStateError, match=r"site embed, position 1 of sequence 2") as caught:
        capture(lm, [[5, 6, 7, 8], [9], [10, 50, 11]], ["embed", "resid_post.0"])
    assert (caught.value.index, caught.value.site, caught.value.position) == (2, "embed", 1)
    assert caught.value.exit_code == 1
    recorded = capture(lm, [[5, 6], [10, 50, 11]], ["embed", "resid_post.0"], nonfinite="record")
    assert recorded.finite[0].tolist() == [True, True, True, False, True]
    assert recorded.finite[1, :2].all()  # the sequence beside it is untouched
    assert not recorded.finite[1, 3:].any()
    assert recorded.values[0, 3].isnan().all()


def test_padding_brings_no_token_of_its_own(tmp_path):
    """A pad token that overflows would reach real positions: attention weighs it with zero, and 0 * NaN is NaN."""
    model = random_model(*ARCHITECTURES["llama"])
    model.model.embed_tokens.weight.data[:2] = torch.nan
    lm = load(spec(save(model, tmp_path / "nan_pad")), "cpu")
    assert capture(lm, [[5, 6, 7, 8], [9]], ["final_norm"]).finite.all()
    assert Decoder(lm).prefill([[5, 6, 7, 8], [9]]).logits.isfinite().all()


def test_the_error_survives_a_process_boundary():
    import pickle

    error = NonFiniteStateError("NaN at site x", 3, "x", 7)
    twin = pickle.loads(pickle.dumps(error))
    assert (str(twin), twin.index, twin.site, twin.position) == ("NaN at site x", 3, "x", 7)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2"])
def test_a_float16_model_is_read_in_float16(lm_of, name):
    lm, exact = lm_of(name, "float16"), lm_of(name)
    assert lm.model.dtype == torch.float16
    ids = random_sequences([9])
    ours, reference = (values_of(capture(one, ids, ["resid_post.last"])) for one in (lm, exact))
    assert (ours - reference).abs().max() < 0.05 * reference.abs().max()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_next_token_s_logits_come_from_the_same_pass(lm_of, name):
    lm = lm_of(name)
    sequences = random_sequences([3, 11, 7])
    captured = capture(lm, sequences, ["embed"], next_logits=True)
    with torch.inference_mode():
        alone = [lm.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].float() for ids in sequences]
    assert_close(captured.next_logits, torch.stack(alone))
    assert capture(lm, sequences, ["embed"]).next_logits is None


def test_a_batch_of_which_nothing_is_wanted_gives_nothing(lm_of):
    captured = capture(lm_of("gpt2"), random_sequences([3, 2]), ["embed", "resid_post.1"], positions=[[], []])
    assert captured.values.shape[:2] == (2, 0)
    assert captured.exponents.shape == (2, 0)
    assert captured.lengths.tolist() == [0, 0]


@pytest.mark.parametrize("name", MAIN)
def test_log_probs_of_the_same_pass_are_those_of_scoring(lm_of, name):
    lm = lm_of(name)
    sequences = random_sequences([3, 11, 1])
    captured = capture(lm, sequences, ["resid_post.0"], positions=[[2], [], [0]], log_probs=True)
    for ours, scored in zip(captured.log_probs, token_log_probs(lm, sequences), strict=True):
        torch.testing.assert_close(ours, scored)
    assert captured.next_logits is None
    assert capture(lm, sequences, ["resid_post.0"]).log_probs is None
