"""Steering while decoding, held against plain forward hooks on Hugging Face's model, which reads the text anew."""

from contextlib import ExitStack

import pytest
import torch
from reading_anew import keys
from tiny_models import ARCHITECTURES, MAIN, VOCAB, random_model, random_sequences, save, spec

from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.hooks import locate_site
from lit_experiments.lm.intervene import intervened
from lit_experiments.lm.interventions import Ablate, Steer
from lit_experiments.lm.load import load
from lit_experiments.lm.noise import race_noise
from lit_experiments.lm.pool import LatentPool, Window
from lit_experiments.lm.sampling import Sampling, choose
from lit_experiments.lm.sites import parse_site
from tests.tolerance import assert_close

GREEDY = Sampling(temperature=0, top_p=1.0, top_k=0)
PURE = Sampling(temperature=1, top_p=1.0, top_k=0)
STEPS = 8
PROMPTS = random_sequences([3, 9, 6, 2])
_GENERATOR = torch.Generator().manual_seed(3)
FIRST, SECOND = torch.randn(2, 64, generator=_GENERATOR)


def changes(width, begin="all"):
    """What is done to the four rows: two layers, one layer, an ablation, nothing."""
    first, second = FIRST[:width], SECOND[:width]
    return [
        [Steer("resid_post.0", first, 3.0, begin), Steer("resid_post.1", second, -2.0, begin)],
        [Steer("resid_post.1", second, 4.0, begin), Ablate("resid_post.1", first, begin)],
        [Ablate("resid_post.0", first, begin)],
        [],
    ]


def by_hand(lm, of_row, prompt_length):
    """Forward hooks that do the same to the whole text, in plain torch."""
    stack = ExitStack()
    for change in of_row:
        module = locate_site(lm.model, lm.info.layout, parse_site(change.site)).module
        unit = change.direction / change.direction.norm()
        start = 0 if change.positions == "all" else prompt_length - 1

        def hook(_module, _args, output, change=change, unit=unit, start=start):
            h = (output if isinstance(output, torch.Tensor) else output[0]).clone()
            if isinstance(change, Steer):
                h[:, start:] += change.amount * unit
            else:
                h[:, start:] -= (h[:, start:] @ unit)[..., None] * unit
            return h if isinstance(output, torch.Tensor) else (h, *output[1:])

        stack.callback(module.register_forward_hook(hook).remove)
    return stack


@torch.inference_mode()
def steered_anew(lm, prompt, of_row, steps, sampling, key):
    """Ids and log-probabilities, the whole text read for every token."""
    ids, log_probs = list(prompt), []
    with by_hand(lm, of_row, len(prompt)):
        for _ in range(steps):
            logits = lm.model(input_ids=torch.tensor([ids]), use_cache=False).logits[:, -1].float()
            noise = None if sampling.greedy else torch.from_numpy(race_noise(key, len(ids), logits.shape[1]))[None]
            token = int(choose(logits, noise, sampling, margin=0.0)[0])
            log_probs.append(float(logits.log_softmax(-1)[0, token]))
            ids.append(token)
    return ids[-steps:], torch.tensor(log_probs)


@pytest.mark.parametrize("name", MAIN)
@pytest.mark.parametrize("begin", ["all", "last"])
def test_batched_cached_forked_equals_hooks_on_the_whole_text(lm_of, name, begin):
    lm = lm_of(name)
    steering = changes(lm.info.d_model, begin)
    decoder = Decoder(lm)
    out = decoder.sample(decoder.prefill(PROMPTS, changes=steering).fork(2), STEPS, PURE, keys(8))
    plain = decoder.sample(decoder.prefill(PROMPTS).fork(2), STEPS, PURE, keys(8))
    for row in range(8):
        ids, log_probs = steered_anew(lm, PROMPTS[row // 2], steering[row // 2], STEPS, PURE, keys(8)[row])
        assert out.token_ids[row].tolist() == ids
        assert_close(out.log_probs[row], log_probs)
    assert not torch.equal(out.token_ids[:6], plain.token_ids[:6])
    assert torch.equal(out.token_ids[6:], plain.token_ids[6:])


def test_greedy_equals_generate_under_the_same_hooks(lm_of):
    lm = lm_of("llama")
    steering = changes(lm.info.d_model)
    decoder = Decoder(lm)
    out = decoder.sample(decoder.prefill(PROMPTS, changes=steering), STEPS, GREEDY, keys(4))
    for row, prompt in enumerate(PROMPTS):
        with by_hand(lm, steering[row], len(prompt)):
            ids = lm.model.generate(
                torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                max_new_tokens=STEPS,
                do_sample=False,
                eos_token_id=VOCAB,  # none of its own
            )
        assert out.token_ids[row].tolist() == ids[0, len(prompt) :].tolist()


@pytest.mark.parametrize("site", ["resid_pre.1", "resid_mid.1", "mlp_out.1", "attn_out.0", "embed", "final_norm"])
def test_every_kind_of_site_is_what_interventions_on_whole_texts_do(lm_of, site):
    lm, direction = lm_of("llama"), FIRST[:32]
    decoder = Decoder(lm, ["final_norm"])
    of_row = [Steer(site, direction, 2.0, "all"), Ablate(site, SECOND[:32], "all")]
    state = decoder.prefill(PROMPTS, changes=[of_row] * 4)
    for _ in range(2):
        with intervened(lm, of_row, state.ids):
            expected = exact_states(lm, state.ids, ["final_norm"], "last")["final_norm"]
        assert_close(state.captured["final_norm"], expected)
        decoder.sample(state, 3, PURE, keys(4))


def test_amount_zero_changes_no_bit(lm_of):
    """Not even the sign of a zero: a state of -0.0 plus 0 would be 0.0."""
    lm = lm_of("gpt2")
    nothing = [[Steer("resid_post.1", FIRST[:32], amount, "all")] for amount in (0.0, -0.0, 0.0, 0)]
    decoder = Decoder(lm, ["resid_post.1"])
    plain, steered = decoder.prefill(PROMPTS), decoder.prefill(PROMPTS, changes=nothing)
    assert steered.changes is None
    beside = decoder.prefill(PROMPTS, changes=[nothing[0], nothing[1], nothing[2], changes(32)[0]])
    assert torch.equal(beside.logits[:3], plain.logits[:3])
    assert not torch.equal(beside.logits[3], plain.logits[3])
    one, other = (decoder.sample(state, STEPS, PURE, keys(4)) for state in (plain, steered))
    assert torch.equal(one.token_ids, other.token_ids)
    assert torch.equal(one.log_probs, other.log_probs)
    beside = decoder.sample(beside, STEPS, PURE, keys(4))
    assert torch.equal(beside.log_probs[:3], one.log_probs[:3])


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_tokens_do_not_depend_on_the_batch_nor_on_ties(tmp_path, batch):
    """Every token has a twin with the same output row, so ties are settled by the canonical pass, changed alike."""
    model = random_model(*ARCHITECTURES["llama"])
    head = model.get_output_embeddings().weight.data
    head[2::2] = head[1::2][: len(head[2::2])] * (1 + 1e-7)
    lm = load(spec(save(model, tmp_path / "tied")), "cpu")
    prompts, steering = random_sequences([3, 9, 6, 1, 7, 2, 9, 5]), changes(32) + changes(32, "last")
    expected = Decoder(lm).sample(Decoder(lm).prefill(prompts, changes=steering), STEPS, GREEDY, keys(8)).token_ids
    decoder, rows = Decoder(lm), []
    for start in range(0, 8, batch):
        some = slice(start, start + batch)
        state = decoder.prefill(prompts[some], changes=steering[some])
        rows.extend(decoder.sample(state, STEPS, GREEDY, keys(8)[some]).token_ids.tolist())
    assert decoder.near_ties > 0
    assert rows == expected.tolist()


@pytest.mark.parametrize("name", ["llama", "mistral"])
def test_branches_and_rows_that_leave_keep_their_changes(lm_of, name):
    """A branch may go back to before the change begins; a sliding window makes it read its text anew."""
    lm = lm_of(name)
    steering = changes(32, "last")
    decoder = Decoder(lm, ["final_norm"])
    state = decoder.prefill(PROMPTS, changes=steering)
    decoder.sample(state, 6, PURE, keys(4), limits=[2, 6, 6, 6])
    assert len(state) == 3
    branch = decoder.branch(state, [4, 8, 3], rows=[0, 1, 2])
    texts = [ids[:length] for ids, length in zip(state.ids, [4, 8, 3], strict=True)]
    for row, (ids, of_row) in enumerate(zip(texts, steering[1:], strict=True)):
        begin = len(PROMPTS[row + 1]) - 1
        placed = [type(c)(**{**vars(c), "positions": [list(range(begin, len(ids)))]}) for c in of_row]
        if placed and begin < len(ids):
            with intervened(lm, placed, [ids]):
                expected = exact_states(lm, [ids], ["final_norm"], "last")["final_norm"]
        else:
            expected = exact_states(lm, [ids], ["final_norm"], "last")["final_norm"]
        assert_close(branch.captured["final_norm"][row], expected[0])
    again = decoder.sample(branch, 4, PURE, keys(4)[1:])
    assert again.token_ids[2].tolist() == state.ids[2][3:7]  # an unchanged row goes on as it did


def test_pooled_states_are_the_changed_ones(lm_of):
    lm, unit = lm_of("llama"), FIRST[:32] / FIRST[:32].norm()
    pool = LatentPool(["resid_post.1"], [Window(1, STEPS)])
    decoder = Decoder(lm)
    of_row = [Ablate("resid_post.1", unit, "all"), Steer("resid_post.1", unit, 5.0, "all")]
    decoder.sample(decoder.prefill(PROMPTS, changes=[of_row] * 4), STEPS, PURE, keys(4), feed_last=False, pool=pool)
    assert_close(pool.result().means[:, 0, 0] @ unit, torch.full((4,), 5.0))


@pytest.mark.parametrize(
    "change",
    [
        Steer("resid_post.1", torch.zeros(32), 1.0, "all"),
        Steer("resid_post.1", torch.ones(31), 1.0, "all"),
        Steer("resid_post.1", torch.ones(32), float("nan"), "all"),
        Steer("resid_post.1", torch.ones(32), [1.0, 2.0], "all"),
        Steer("resid_post.9", torch.ones(32), 1.0, "all"),
        Steer("resid_post", torch.ones(32), 1.0, "all"),
        Ablate("resid_post.1", torch.ones(32), [[0]]),
    ],
    ids=["zero", "width", "nan", "amounts", "layer", "sites", "positions"],
)
def test_changes_that_do_not_fit_are_refused(lm_of, change):
    with pytest.raises(ModelError):
        Decoder(lm_of("llama")).prefill(PROMPTS[:1], changes=[[change]])


def test_every_prompt_needs_its_list(lm_of):
    with pytest.raises(ModelError, match="1 lists of changes for 4 prompts"):
        Decoder(lm_of("llama")).prefill(PROMPTS, changes=[[]])
