"""Changed states reach exactly what lies downstream of them, at the positions meant, and nothing else."""

from contextlib import ExitStack

import pytest
import torch
from tiny_models import random_sequences, spec

from lit_experiments.lm.capture import capture, exact_states
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import ModelError, NonFiniteStateError
from lit_experiments.lm.intervene import Ablate, Patch, Steer, intervened
from lit_experiments.lm.load import load
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.score import next_token_logits, token_log_probs
from tests.tolerance import assert_close

SIX = ("gpt2", "opt", "gpt_neox", "llama", "gemma2", "phi")
TEXTS = random_sequences([3, 11, 7])
DONORS = random_sequences([3, 11, 7], seed=1)
D = 32
# The residual stream itself: who replaces it everywhere has replaced all that the blocks after it know.
WHOLE = ("embed", "resid_pre", "resid_mid", "resid_post", "final_norm")


def direction(seed=0):
    return torch.randn(D, generator=torch.Generator().manual_seed(seed))


def vectors(*shape):
    return torch.randn(*shape, D, generator=torch.Generator().manual_seed(3))


def states(lm, sequences=TEXTS, positions="all"):
    return exact_states(lm, sequences, lm.info.sites, positions)


def hooks(lm):
    """How many; Hugging Face leaves its own behind where a test asks for all hidden states."""
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in lm.model.modules())


@pytest.mark.parametrize("name", SIX)
def test_next_token_logits_are_the_models_own(lm_of, name):
    lm = lm_of(name)
    together = next_token_logits(lm, TEXTS)
    assert together.dtype == torch.float32
    with torch.no_grad():
        alone = torch.cat([lm.model(torch.tensor([ids])).logits[:, -1] for ids in TEXTS])
    assert_close(together, alone)


def test_logits_that_are_no_numbers_are_an_error(lm_of):
    lm, broken = lm_of("llama"), torch.full((D,), 3e38)
    with (
        pytest.raises(NonFiniteStateError) as caught,
        intervened(lm, [Patch("final_norm", broken[None], [[], [-1], []])], TEXTS),
    ):
        next_token_logits(lm, TEXTS)
    assert (caught.value.index, caught.value.position) == (1, 10)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", SIX)
def test_putting_a_state_back_changes_no_bit(lm_of, name, dtype):
    lm = lm_of(name, dtype)
    before, clean = next_token_logits(lm, TEXTS), states(lm)
    for site in lm.info.sites:
        with intervened(lm, [Patch(site, clean[site], "all")], TEXTS) as fired:
            after = next_token_logits(lm, TEXTS)
        assert fired == [1]
        assert torch.equal(before, after), site


@pytest.mark.parametrize("name", [*SIX, "gpt_neox-sequential", "olmo2"])
def test_replacing_everything_reproduces_the_donor(lm_of, name):
    """Also at resid_mid, where the block adds the MLP's output to a sum that the hooked module never returns."""
    lm = lm_of(name)
    clean, donor, expected = states(lm), states(lm, DONORS), next_token_logits(lm, DONORS)
    for site in (s for s in lm.info.sites if s.partition(".")[0] in WHOLE):
        with intervened(lm, [Patch(site, donor[site], "all")], TEXTS):
            after, logits = states(lm), next_token_logits(lm, TEXTS)
        assert torch.equal(logits, expected), site
        at = lm.info.sites.index(site)
        for other in lm.info.sites[:at]:
            same_place = {other, site} == {"embed", "resid_pre.0"}
            assert torch.equal(after[other], donor[other] if same_place else clean[other]), (site, other)
        for other in lm.info.sites[at:]:
            assert torch.equal(after[other], donor[other]), (site, other)


@pytest.mark.parametrize("name", SIX)
def test_a_patch_of_the_last_token_leaves_the_past_alone(lm_of, name):
    lm = lm_of(name)
    before = states(lm)
    with intervened(lm, [Patch("resid_post.0", vectors(3), "last")], TEXTS):
        after = states(lm)
    last = torch.tensor([2, 13, 20])
    earlier = [row for row in range(21) if row not in last]
    assert torch.equal(after["resid_post.0"][last], vectors(3))
    for site in lm.info.sites:
        assert torch.equal(before[site][earlier], after[site][earlier]), site
        downstream = lm.info.sites.index(site) >= lm.info.sites.index("resid_post.0")
        assert (before[site][last] != after[site][last]).any(dim=1).tolist() == [downstream] * 3, site


@pytest.mark.parametrize("kind", ["attn_out.1", "mlp_out.1"])
@pytest.mark.parametrize("name", SIX)
def test_what_a_part_adds_moves_the_stream_by_as_much(lm_of, name, kind):
    lm = lm_of(name)
    before = states(lm)
    with intervened(lm, [Patch(kind, before[kind] + 1.0, "all")], TEXTS):
        after = states(lm)
    first = "resid_mid.1" if kind.startswith("attn") and "resid_mid.1" in after else "resid_post.1"
    assert_close(after[first], before[first] + 1.0)


@pytest.mark.parametrize("name", SIX)
def test_steering_and_ablating_follow_their_formulas(lm_of, name):
    lm, u = lm_of(name), direction() / direction().norm()
    before, logits = states(lm), next_token_logits(lm, TEXTS)
    for site in lm.info.sites:
        h = before[site]
        with intervened(lm, [Steer(site, 5 * direction(), [0.5, -2.0, 7.0], "all")], TEXTS):
            steered = states(lm)[site]
        amounts = torch.tensor([0.5, -2.0, 7.0]).repeat_interleave(torch.tensor([3, 11, 7]))
        assert_close(steered, h + amounts[:, None] * u)
        with intervened(lm, [Ablate(site, 5 * direction(), "all")], TEXTS):
            once = states(lm)[site]
        with intervened(lm, [Ablate(site, direction(), "all")] * 2, TEXTS) as fired:
            twice = states(lm)[site]
        assert fired == [1, 1]
        assert_close(once, h - (h @ u)[:, None] * u)
        assert ((once @ u).abs() <= 1e-5 * h.norm(dim=1)).all()
        assert_close(once, twice)
        with intervened(lm, [Steer(site, direction(), 0.0, "all")], TEXTS):
            assert torch.equal(next_token_logits(lm, TEXTS), logits)


@pytest.mark.parametrize("name", SIX)
def test_batched_equals_alone(lm_of, name):
    lm, rows, places = lm_of(name), vectors(5), [[0, -1], [4], [2, 5]]
    last = lm.info.n_layers - 1
    kind = "resid_mid.1" if "resid_mid.1" in lm.info.sites else "attn_out.1"

    def plan(vectors, places, amount):
        u = direction()
        return [
            Patch("resid_pre.1", vectors, places),
            Steer(kind, u, amount, "last"),
            Ablate(f"mlp_out.{last}", u, "all"),
        ]

    with intervened(lm, plan(rows, places, [1.0, 2.0, 3.0]), TEXTS):
        together = next_token_logits(lm, TEXTS)
    alone, start = [], 0
    for ids, chosen, amount in zip(TEXTS, places, [1.0, 2.0, 3.0], strict=True):
        with intervened(lm, plan(rows[start : start + len(chosen)], [chosen], amount), [ids]):
            alone.append(next_token_logits(lm, [ids]))
        start += len(chosen)
    assert_close(together, torch.cat(alone))
    assert not torch.allclose(together, next_token_logits(lm, TEXTS), atol=1e-2)


@pytest.mark.parametrize("backwards", [False, True])
def test_changes_along_one_block_add_up_in_any_order_of_the_list(lm_of, backwards):
    """A changed resid_mid is carried into the block's output before, not after, what is done to that output."""
    lm, u = lm_of("llama"), direction()
    plan = [Steer(f"{kind}.1", u, 1.0, "all") for kind in ("attn_out", "resid_mid", "mlp_out", "resid_post")]
    before = states(lm)
    with intervened(lm, plan[::-1] if backwards else plan, TEXTS):
        after = states(lm)
    moved = {kind: (after[f"{kind}.1"] - before[f"{kind}.1"]) @ u / u.norm() for kind in ("resid_mid", "resid_post")}
    mlp = (after["mlp_out.1"] - before["mlp_out.1"]) @ u / u.norm()
    largest = float(after["resid_post.1"].norm(dim=1).max())
    assert_close(moved["resid_mid"], torch.full((21,), 2.0), scale=largest)
    assert_close(moved["resid_post"], 3.0 + mlp, scale=largest)


def test_at_one_site_the_order_of_the_list_counts(lm_of):
    lm, patch, steer = lm_of("gpt2"), Patch("embed", vectors(3), "last"), Steer("resid_pre.0", direction(), 1.0, "last")
    moved = vectors(3) + direction() / direction().norm()
    for plan, expected in (([patch, steer], moved), ([steer, patch], vectors(3))):
        with intervened(lm, plan, TEXTS):
            torch.testing.assert_close(states(lm, positions="last")["embed"], expected)


def test_vectors_by_sequence_and_position_are_the_rows_in_order(lm_of):
    lm, places = lm_of("gpt2"), [[0, 2], [1, -1], [3, 4]]
    logits = []
    for given in (vectors(3, 2), vectors(3, 2).reshape(6, D)):
        with intervened(lm, [Patch("resid_post.0", given, places)], TEXTS):
            logits.append(next_token_logits(lm, TEXTS))
            assert torch.equal(
                exact_states(lm, TEXTS, ["resid_post.0"], places)["resid_post.0"], vectors(3, 2).view(6, D)
            )
    assert torch.equal(*logits)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_models_own_tensors_and_dtype_stay(lm_of, dtype):
    lm, seen = lm_of("gpt2", dtype), []
    block = lm.model.transformer.h[1]
    handle = block.register_forward_hook(lambda m, a, out: seen.append((out, out.clone())))
    with intervened(
        lm, [Steer("resid_post.1", direction(), 3.0, "all"), Ablate("resid_post.1", direction(1), "all")], TEXTS
    ):
        after = states(lm)
        next_token_logits(lm, TEXTS)
        token_log_probs(lm, TEXTS)
        capture(lm, TEXTS, ["resid_post.1"])
    handle.remove()
    assert len(seen) == 4
    assert all(torch.equal(held, copy) for held, copy in seen)
    assert {state.dtype for state in after.values()} == {getattr(torch, dtype)}


@pytest.mark.parametrize("name", SIX)
def test_interventions_that_never_fire_are_named(lm_of, name):
    lm = lm_of(name)
    steer = Steer("resid_post.2", direction(), 1.0, "last")
    with pytest.raises(ModelError, match=r"never fired: resid_post\.2"), intervened(lm, [steer], TEXTS):
        pass
    both, fired = [Steer("resid_post.0", direction(), 1.0, "last"), steer], []
    with ExitStack() as stack:
        stack.enter_context(pytest.raises(ModelError, match=r"never fired: resid_post\.2\."))
        fired = stack.enter_context(intervened(lm, both, TEXTS))
        capture(lm, TEXTS, ["resid_post.0"])
    assert fired == [1, 0]
    with intervened(lm, both, TEXTS) as fired:
        next_token_logits(lm, TEXTS)
        next_token_logits(lm, TEXTS)
    assert fired == [2, 2]


def test_hooks_are_gone_after_a_block_and_after_an_exception(lm_of):
    lm = lm_of("llama")
    left = hooks(lm)
    before, plan = next_token_logits(lm, TEXTS), [Steer("resid_mid.1", direction(), 9.0, "all")]
    with pytest.raises(KeyError, match="theirs"), intervened(lm, plan, TEXTS):
        raise KeyError("theirs")
    with pytest.raises(ModelError), intervened(lm, plan, TEXTS):
        pass
    assert hooks(lm) == left
    assert torch.equal(next_token_logits(lm, TEXTS), before)


def test_a_pass_over_anything_else_is_refused(lm_of):
    lm, plan = lm_of("llama"), [Steer("resid_post.1", direction(), 1.0, "all")]
    for read in (TEXTS[::-1], DONORS, TEXTS[:2], [*TEXTS, [5]]):
        with pytest.raises(ModelError, match="not over the sequences"), intervened(lm, plan, TEXTS):
            next_token_logits(lm, read)


def test_decoding_with_a_cache_is_refused(lm_of):
    """A cached step sees one token of a left-padded batch: positions bound to whole texts mean nothing there."""
    lm, plan = lm_of("llama"), [Steer("resid_post.1", direction(), 1.0, "all")]
    left = hooks(lm)
    state = Decoder(lm).prefill([TEXTS[0]])
    with pytest.raises(ModelError, match="keeps a cache"), intervened(lm, plan, [TEXTS[0]]):
        Decoder(lm).prefill([TEXTS[0]])
    with pytest.raises(ModelError, match="keeps a cache"), intervened(lm, plan, [TEXTS[0]]):
        Decoder(lm).sample(state, 2, Sampling(1, 1.0, 0), [StreamKey(0, "s", 0)])
    assert hooks(lm) == left


def test_a_block_inside_another_is_refused(lm_of):
    lm, plan = lm_of("llama"), [Steer("resid_post.1", direction(), 1.0, "all")]
    with intervened(lm, plan, TEXTS):
        with pytest.raises(ModelError, match="one list"), intervened(lm, plan, TEXTS):
            pass
        next_token_logits(lm, TEXTS)


def test_with_the_adapter_off_it_is_the_base_that_is_changed(folder_of, lm_of, tmp_path):
    from test_lm_adapter import lora, save_adapter

    base, plan = lm_of("llama"), [Steer("resid_mid.1", direction(), 2.0, "last")]
    lm = load(spec(folder_of("llama"), adapter=save_adapter(tmp_path / "adapter", lora())), "cpu")
    with intervened(base, plan, TEXTS):
        expected = next_token_logits(base, TEXTS)
    with intervened(lm, plan, TEXTS):
        on = next_token_logits(lm, TEXTS)
        with lm.adapter_disabled():
            inner = next_token_logits(lm, TEXTS)
    with lm.adapter_disabled(), intervened(lm, plan, TEXTS):
        outer = next_token_logits(lm, TEXTS)
    assert torch.equal(inner, expected)
    assert torch.equal(outer, expected)
    assert not torch.equal(on, expected)
