"""The vLLM engine gives the transformers engine's states, scores and tokens."""

from __future__ import annotations

import pytest
import torch

from lit_experiments.lm.engine import Engine
from lit_experiments.lm.engines import load_engine
from lit_experiments.lm.errors import ModelError, SequenceError
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.sinks import Pool
from lit_experiments.lm.spec import ModelSpec

LENGTHS = (5, 40, 512, 17, 1, 300, 33)
TEXTS = [[(13 * i + 7 * k) % 2048 for i in range(n)] for k, n in enumerate(LENGTHS)]
RELATIVE = 1e-5
pytestmark = pytest.mark.timeout(900)  # vLLM takes half a minute to start, on a busy machine minutes


@pytest.fixture(scope="module")
def engines() -> tuple[Engine, Engine]:
    """The transformers engine and vLLM's, with the embedded model."""
    exact = load_engine(ModelSpec("embedded", None, None, "float32", "auto"), "cpu")
    return exact, load_engine(ModelSpec("embedded", None, None, "float32", "auto", engine="vllm"), "cpu")


def near(value: torch.Tensor, expected: torch.Tensor) -> bool:
    """Within RELATIVE of the largest value."""
    assert value.shape == expected.shape
    return float((value - expected).abs().max()) <= RELATIVE * float(expected.abs().max())


def test_states_of_all_sites_logits_and_scores_are_the_other_engines(engines: tuple[Engine, Engine]) -> None:
    exact, fast = (
        engine.unrounded().capture(TEXTS, engine.info.sites, next_logits=True, log_probs=True) for engine in engines
    )
    assert exact.values.shape == (5 * 6 + 2, sum(LENGTHS), 256)
    for site, (expected, state) in enumerate(zip(exact.values, fast.values, strict=True)):
        assert near(state, expected), engines[0].info.sites[site]
    assert exact.next_logits is not None
    assert fast.next_logits is not None
    assert near(fast.next_logits, exact.next_logits)
    assert exact.log_probs is not None
    assert fast.log_probs is not None
    assert [len(scores) for scores in fast.log_probs] == [n - 1 for n in LENGTHS]
    assert near(torch.cat(fast.log_probs), torch.cat(exact.log_probs))
    assert near(torch.cat(engines[1].token_log_probs(TEXTS)), torch.cat(exact.log_probs))


def test_chosen_positions_and_pools_come_in_their_order(engines: tuple[Engine, Engine]) -> None:
    places = [[-1, 0] for _ in TEXTS]
    readings = {
        "ends": places,
        "mean": Pool("mean", [(0, n) for n in LENGTHS]),
        "max": Pool("max", [(n // 2, n) for n in LENGTHS]),
    }
    sites = ["resid_mid.2", "final_norm"]
    exact, fast = (engine.unrounded().capture_together(TEXTS, sites, readings) for engine in engines)
    for name in readings:
        assert near(fast[name].values, exact[name].values), name
        assert fast[name].lengths.tolist() == exact[name].lengths.tolist()


def test_stored_states_are_float16_and_memory_is_not_shared(engines: tuple[Engine, Engine]) -> None:
    fast = engines[1]
    first = fast.capture(TEXTS, ["resid_post.*"])
    kept = first.values.clone()
    second = fast.capture(TEXTS[::-1], ["resid_post.*"])
    assert first.values.dtype == torch.float16
    assert torch.equal(first.values, kept)
    assert not torch.equal(second.values, kept)
    again = fast.capture(TEXTS, ["resid_post.*"])
    assert torch.equal(again.values, kept), "the same call gives the same bits"


@pytest.mark.parametrize("sampling", [Sampling(1, 1, 0), Sampling(0.7, 0.9, 50), Sampling(0, 1, 0)], ids=str)
def test_tokens_are_the_other_engines_but_for_counted_close_choices(
    engines: tuple[Engine, Engine], sampling: Sampling
) -> None:
    prompts = [ids for ids in TEXTS if len(ids) < 400]
    keys = [StreamKey(3, f"text-{k}", draw) for k in range(len(prompts)) for draw in range(4)]
    written = []
    for engine in engines:
        decoder = engine.decoder(["resid_post.3"])
        state = decoder.prefill(prompts).fork(4)
        written.append((decoder.sample(state, 30, sampling, keys, stop_ids=[5, 11]), state, decoder.near_ties))
    (exact, left, _), (fast, moved, close) = written
    parted = int((exact.token_ids != fast.token_ids).any(1).sum())
    assert parted <= close
    same = (exact.token_ids == fast.token_ids).all(1)
    assert int(same.sum()) >= len(keys) - 2
    assert torch.equal(exact.lengths[same], fast.lengths[same])
    assert torch.equal(exact.stopped[same], fast.stopped[same])
    scores = [out.log_probs[same].nan_to_num(0.0) for out in (exact, fast)]
    assert near(scores[1], scores[0])
    if bool(same.all()):
        assert moved.ids == left.ids
        assert near(moved.logits, left.logits)
        assert near(moved.captured["resid_post.3"], left.captured["resid_post.3"])


def test_noise_that_differs_gives_other_tokens(engines: tuple[Engine, Engine]) -> None:
    decoder = engines[1].decoder()
    out = [
        decoder.sample(decoder.prefill(TEXTS[:1]), 20, Sampling(1, 1, 0), [StreamKey(seed, "text", 0)]).token_ids
        for seed in (1, 1, 2)
    ]
    assert torch.equal(out[0], out[1])
    assert not torch.equal(out[0], out[2])


def test_what_the_model_cannot_read_is_refused(engines: tuple[Engine, Engine]) -> None:
    fast = engines[1]
    with pytest.raises(SequenceError, match="does not fit"):
        fast.capture([[1] * 513], ["final_norm"])
    with pytest.raises(SequenceError, match="does not have"):
        fast.capture([[2048]], ["final_norm"])
    decoder = fast.decoder()
    with pytest.raises(SequenceError, match="20 to come"):
        decoder.sample(decoder.prefill([[1] * 500]), 20, Sampling(0, 1, 0), [StreamKey(0, "a", 0)])
    ended = decoder.prefill([[1, 2]])
    decoder.sample(ended, 2, Sampling(0, 1, 0), [StreamKey(0, "a", 0)], feed_last=False)
    with pytest.raises(ModelError, match="not fed"):
        ended.fork(2)


def test_a_call_that_is_ended_leaves_nothing_behind(engines: tuple[Engine, Engine]) -> None:
    steps = []

    def stop() -> None:
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt

    decoder = engines[1].decoder((), stop)
    with pytest.raises(KeyboardInterrupt):
        decoder.sample(decoder.prefill(TEXTS[:2]), 20, Sampling(0, 1, 0), [StreamKey(0, n, 0) for n in "ab"])
    kept = engines[1].capture(TEXTS[:1], ["final_norm"]).values
    assert torch.equal(kept, engines[1].capture(TEXTS[:1], ["final_norm"]).values)
