"""Interventions at the last token, many at once: the same numbers as one whole pass each, on every architecture."""

import pytest
import torch
from test_lm_intervene import DONORS, SIX, TEXTS, D, direction, vectors
from tiny_models import random_sequences

from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.errors import ModelError, NonFiniteStateError
from lit_experiments.lm.intervene import Ablate, Patch, Steer, intervened
from lit_experiments.lm.last_token import ROUNDING, SharedPrefix, WholePrompts, last_token_passes, rounding_between
from lit_experiments.lm.score import next_token_logits
from tests.tolerance import assert_close

SHORT = random_sequences([2, 4, 3])  # within every sliding window of the tiny models


def plan(site):
    steers = [Steer(site, direction(seed), amount, "last") for seed, amount in ((0, 1.0), (1, -3.0))]
    return [
        *steers,
        Ablate(site, direction(2), "last"),
        Patch(site, vectors(3), "last"),
        Ablate(site, direction(), "all"),
    ]


@pytest.mark.parametrize("name", SIX)
def test_many_at_once_are_what_each_is_in_a_pass_of_its_own(lm_of, name):
    """Five interventions in slots of three, so that the last pass has an empty one."""
    lm = lm_of(name)
    shared, whole = SharedPrefix(lm, SHORT, 3), WholePrompts(lm, SHORT)
    for site in lm.info.sites:
        clean = next(iter(whole.clean()))
        pairs = zip(shared.logits(plan(site)), whole.logits(plan(site)), strict=True)
        for at, ((slot, fast), (_, slow)) in enumerate(pairs):
            assert slot == at % 3
            assert_close(fast, slow)
            assert not torch.allclose(fast, clean, atol=1e-3), (site, at)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", SIX)
def test_a_slot_s_own_state_put_back_changes_no_bit_and_a_donor_s_last_state_gives_its_logits(lm_of, name, dtype):
    lm = lm_of(name, dtype)
    last = f"resid_post.{lm.info.n_layers - 1}"
    for mine, theirs in (
        (SharedPrefix(lm, SHORT, 4), SharedPrefix(lm, SHORT[::-1], 4)),
        (WholePrompts(lm, TEXTS), WholePrompts(lm, DONORS)),
    ):
        for site in lm.info.sites:
            patches = [Patch(site, states, "last") for states in mine.states(site)]
            assert len(patches) == mine.slots
            for before, (_, after) in zip(mine.clean(), mine.logits(patches), strict=True):
                assert torch.equal(before, after), site
        given = [Patch(last, states, "last") for states in theirs.states(last)]
        for expected, (_, logits) in zip(theirs.clean(), mine.logits(given), strict=True):
            assert torch.equal(expected, logits)


def test_slots_know_nothing_of_each_other(lm_of):
    shared = SharedPrefix(lm_of("llama"), TEXTS, 3)
    clean = list(shared.clean())
    huge = Steer("embed", direction(), 1e3, "last")
    nothing = Steer("embed", direction(), 0.0, "last")
    for _, logits in list(shared.logits([nothing, huge, nothing]))[::2]:
        assert any(torch.equal(logits, expected) for expected in clean)


@pytest.mark.parametrize("name", SIX)
def test_states_are_those_of_a_whole_pass(lm_of, name):
    lm = lm_of(name)
    shared = SharedPrefix(lm, SHORT, 2)
    for site in ("embed", "resid_post.0", f"mlp_out.{lm.info.n_layers - 1}"):
        (whole,) = exact_states(lm, SHORT, [site], "last").values()
        states = shared.states(site)
        assert states.shape == (2, 3, D)
        for slot in states:
            assert_close(slot, whole)


@pytest.mark.parametrize(
    ("name", "texts", "together", "cached"),
    [
        ("llama", TEXTS, 4, True),
        ("opt", TEXTS, 4, True),
        ("llama", TEXTS, 1, False),  # asked for
        ("gemma2", SHORT, 4, True),
        ("gemma2", TEXTS, 4, False),  # longer than its sliding window
        ("gpt_neo", TEXTS, 4, False),  # keeps a window of its own beside the mask: only the numbers show it
        ("llama", [[5], [6, 7]], 4, False),  # nothing before the last token
    ],
)
def test_the_way_is_chosen_by_what_the_model_can_do(lm_of, name, texts, together, cached):
    lm = lm_of(name)
    passes = last_token_passes(lm, texts, together)
    assert (passes.cached, passes.slots) == (cached, together if cached else 1)
    assert rounding_between(passes, WholePrompts(lm, texts)) < ROUNDING[lm.dtype]


def test_what_cannot_be_shared_or_is_no_number_is_refused(lm_of):
    lm = lm_of("llama")
    with pytest.raises(ModelError, match="no tokens before"):
        SharedPrefix(lm, [[5], [6, 7]], 2)
    shared = SharedPrefix(lm, TEXTS, 2)
    broken = vectors(3)
    broken[1] = 3e38
    with pytest.raises(NonFiniteStateError) as caught:
        list(shared.logits([Patch("final_norm", broken, "last")]))
    assert (caught.value.index, caught.value.position) == (1, len(TEXTS[1]) - 1)


def test_a_block_for_passes_after_a_cache_refuses_one_without(lm_of):
    lm = lm_of("llama")
    with (
        pytest.raises(ModelError, match=r"(?s)a pass without a cache.*after a cache"),
        intervened(lm, [Steer("resid_post.0", direction(), 1.0, "last")], TEXTS, cached=True),
    ):
        next_token_logits(lm, TEXTS)
