"""Rotary frequencies that depend on a text's length: every row gets what it gets alone, as Hugging Face computes it."""

from functools import partial

import pytest
import torch
from tiny_models import ARCHITECTURES, random_model, random_sequences, save, spec
from transformers import AutoModelForCausalLM

from lit_experiments.lm import decode
from lit_experiments.lm.capture import capture, exact_states
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.intervene import Steer
from lit_experiments.lm.last_token import SharedPrefix, WholePrompts
from lit_experiments.lm.load import load
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.rope import RotaryByRow
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.score import next_token_logits, token_log_probs

ORIGINAL = 16  # tokens of the original window; the models' window is 64
GREEDY = Sampling(0.0, 1.0, 0)


def longrope(width=4, original=ORIGINAL):
    factors = [1.5, 4.0, 8.0, 16.0][:width]
    return {
        "rope_type": "longrope",
        "factor": 4.0,
        "original_max_position_embeddings": original,
        "short_factor": [1.0] * width,
        "long_factor": factors,
    }


DYNAMIC = {"rope_type": "dynamic", "factor": 4.0}
VARIANTS = {
    "llama longrope": ("llama", {"rope_scaling": longrope()}),
    "phi3 longrope": ("phi3", {"rope_scaling": longrope(), "original_max_position_embeddings": ORIGINAL}),
    "phi3 longrope, other switch": ("phi3", {"rope_scaling": longrope(), "original_max_position_embeddings": 20}),
    "mistral longrope": ("mistral", {"rope_scaling": longrope(), "sliding_window": 7}),
    "qwen2 longrope": ("qwen2", {"rope_scaling": longrope()}),
    "stablelm longrope": ("stablelm", {"rope_scaling": longrope(1), "partial_rotary_factor": 0.25}),
    "gemma3 longrope": (
        "gemma3_text",
        {"rope_parameters": {"sliding_attention": {"rope_type": "default"}, "full_attention": longrope()}},
    ),
    "llama dynamic": ("llama", {"rope_scaling": DYNAMIC, "max_position_embeddings": ORIGINAL}),
    "gpt_neox dynamic": (
        "gpt_neox",
        {"rope_scaling": {**DYNAMIC, "partial_rotary_factor": 1.0}, "max_position_embeddings": ORIGINAL},
    ),
    "qwen3 dynamic": ("qwen3", {"rope_scaling": DYNAMIC, "max_position_embeddings": ORIGINAL}),
}


@pytest.fixture(scope="module")
def folder_for(tmp_path_factory):
    root = tmp_path_factory.mktemp("rope")

    def make(variant):
        folder = root / variant.replace(" ", "_")
        if not folder.exists():
            architecture, changes = VARIANTS[variant]
            name, arguments = ARCHITECTURES[architecture]
            save(random_model(name, {**arguments, **{k: _copy(v) for k, v in changes.items()}}), folder)
        return folder

    return make


def _copy(value):
    """Configurations write into the mappings that they are given."""
    return {k: _copy(v) for k, v in value.items()} if isinstance(value, dict) else value


def plain(folder):
    """Hugging Face's own model, never used before: dynamic NTK remembers what it has read."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@torch.no_grad()
def alone(folder, ids, stop=()):
    """(hidden states [layer, token, hidden], logits [token, vocabulary]) of one text, read by Hugging Face."""
    out = plain(folder)(input_ids=torch.tensor([ids]), use_cache=False, output_hidden_states=True)
    return torch.stack(out.hidden_states[1:-1])[:, 0], out.logits[0]


def generated(folder, prompt, steps):
    out = plain(folder).generate(
        torch.tensor([prompt]), max_new_tokens=steps, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    return out[0, len(prompt) :].tolist()


def continued(lm, prompts, steps, **settings):
    state = Decoder(lm).prefill(prompts)
    return state, Decoder(lm).sample(state, steps, GREEDY, [StreamKey(0, "s", i) for i in range(len(prompts))])


close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_row_of_a_mixed_batch_is_what_it_is_alone(folder_for, variant):
    """Read in one batch, short rows got the frequencies of the longest."""
    folder = folder_for(variant)
    lm = load(spec(folder), "cpu")
    sequences = random_sequences([5, 40, ORIGINAL, ORIGINAL + 1, 30])
    sites = [f"resid_post.{layer}" for layer in range(lm.info.n_layers - 1)]
    states, scores = exact_states(lm, sequences, sites), token_log_probs(lm, sequences)
    logits = next_token_logits(lm, sequences)
    start = 0
    for row, ids in enumerate(sequences):
        hidden, expected = alone(folder, ids)
        for layer, site in enumerate(sites):
            close(states[site][start : start + len(ids)], hidden[layer])
        close(logits[row], expected[-1])
        predicted = expected.log_softmax(-1)[range(len(ids) - 1), ids[1:]]
        close(scores[row], predicted)
        start += len(ids)


@pytest.mark.parametrize("variant", VARIANTS)
def test_decoding_across_the_window_is_generate(folder_for, variant):
    """Also in company, cut into two calls, from a fork, and after the model has read longer texts."""
    folder = folder_for(variant)
    lm = load(spec(folder), "cpu")
    capture(lm, random_sequences([60]), ["final_norm"])
    prompts = random_sequences([12, 5, ORIGINAL, ORIGINAL + 1, 25], seed=3)
    expected = [generated(folder, prompt, 14) for prompt in prompts]
    decoder = Decoder(lm)
    state = decoder.prefill(prompts)
    keys = [StreamKey(0, "s", i) for i in range(len(prompts))]
    first, second = (decoder.sample(state, steps, GREEDY, keys).token_ids.tolist() for steps in (3, 11))
    assert [a + b for a, b in zip(first, second, strict=True)] == expected
    forked = decoder.prefill(prompts).fork(2)
    keys = [StreamKey(0, "s", i) for i in range(len(forked))]
    twice = decoder.sample(forked, 14, GREEDY, keys).token_ids.tolist()
    assert twice == [tokens for tokens in expected for _ in range(2)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_choice_made_again_is_the_one_that_the_cache_gives(folder_for, variant, monkeypatch):
    """What settles near ties reads the text without a cache, with the frequencies that the cache holds."""
    folder = folder_for(variant)
    lm = load(spec(folder), "cpu")
    prompts = random_sequences([12, 5, 25], seed=3)
    monkeypatch.setitem(decode.NEAR_TIE, torch.float32, 1e9)
    state = Decoder(lm).prefill(prompts)
    decoder = Decoder(lm)
    out = decoder.sample(state, 14, GREEDY, [StreamKey(0, "s", i) for i in range(3)])
    assert decoder.near_ties == 3 * 14
    assert out.token_ids.tolist() == [generated(folder, prompt, 14) for prompt in prompts]


@pytest.mark.parametrize("variant", VARIANTS)
def test_states_of_generated_tokens_cross_the_window_too(folder_for, variant):
    """The states at the last token fed, for one row and in company, and the log-probabilities on the way."""
    lm = load(spec(folder_for(variant)), "cpu")
    prompts = random_sequences([13, 6, 22], seed=5)
    site = "resid_post.0"
    keys = [StreamKey(0, "s", i) for i in range(3)]

    def run(rows):
        decoder = Decoder(lm, [site])
        state = decoder.prefill([prompts[row] for row in rows])
        out = decoder.sample(state, 9, Sampling(1.0, 1.0, 0), [keys[row] for row in rows])
        return state, out

    state, out = run([0, 1, 2])
    for row in range(3):
        single, alone_out = run([row])
        assert torch.equal(alone_out.token_ids[0], out.token_ids[row])
        close(alone_out.log_probs[0], out.log_probs[row])
        close(single.captured[site][0], state.captured[site][row])
        close(single.logits[0], state.logits[row])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("keep_past", [False, True])
def test_a_branch_goes_on_as_generate_would(folder_for, variant, keep_past):
    """Back to inside the prompt (as if only that had been read), and to a token generated beyond the window."""
    folder = folder_for(variant)
    lm = load(spec(folder), "cpu")
    decoder = Decoder(lm)
    prompts = random_sequences([12, 30], seed=7)
    state = decoder.prefill(prompts, keep_past=keep_past)
    keys = [StreamKey(0, "s", i) for i in range(2)]
    decoder.sample(state, 12, GREEDY, keys)
    branch = decoder.branch(state, [10, 9])
    out = decoder.sample(branch, 12, GREEDY, keys).token_ids.tolist()
    assert out == [generated(folder, prompt[:n], 12) for prompt, n in zip(prompts, (10, 9), strict=True)]
    if keep_past or variant not in ("mistral longrope", "gemma3 longrope"):  # else the shortened text is read anew
        late = decoder.branch(state, [20, 36])
        tokens = decoder.sample(late, 4, GREEDY, keys).token_ids.tolist()
        assert tokens == [state.ids[0][20:24], state.ids[1][36:40]]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_shared_prefix_is_that_of_the_whole_text(folder_for, variant):
    """The text whose last token crosses the window is read as a whole; its prefix alone would not have crossed it."""
    lm = load(spec(folder_for(variant)), "cpu")
    sequences = random_sequences([ORIGINAL + 1, ORIGINAL, 6] if "sliding" not in variant else [6, 5, 4])
    if "mistral" in variant or "gemma3" in variant:
        sequences = random_sequences([5, 4, 3])
    shared, whole = SharedPrefix(lm, sequences, 3), WholePrompts(lm, sequences)
    for logits in shared.clean():
        close(logits, next(iter(whole.clean())))
    steer = Steer("resid_post.0", torch.arange(32.0), 2.0, "last")
    close(next(iter(shared.logits([steer])))[1], next(iter(whole.logits([steer])))[1])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_reduced_precision_models_load_and_decode(folder_for, dtype):
    lm = load(spec(folder_for("phi3 longrope"), dtype), "cpu")
    _, out = continued(lm, random_sequences([14, 8]), 6)
    assert (out.token_ids >= 0).all()


def test_dynamic_models_have_no_window_and_the_others_keep_theirs(folder_for):
    assert load(spec(folder_for("llama dynamic")), "cpu").info.window is None
    lm = load(spec(folder_for("llama longrope")), "cpu")
    with pytest.raises(ModelError, match="does not fit the model's window"):
        capture(lm, random_sequences([65]), ["final_norm"])


def test_a_model_without_such_modules_is_refused(folder_for):
    lm = load(spec(folder_for("llama longrope")), "cpu")
    with pytest.raises(ModelError, match=r"cannot be given row by row(.|\n)*longrope"):
        RotaryByRow(torch.nn.Linear(2, 2), lm.info.rope, "some model")


def test_the_load_time_check_notices_a_row_that_company_changes(folder_for, monkeypatch):
    """As it was before rows were turned by their own length."""
    monkeypatch.setattr(
        RotaryByRow, "_forward", lambda self, module, original, *args, **kwargs: original(*args, **kwargs)
    )
    with pytest.raises(ModelError, match="a row next to a longer one"):
        load(spec(folder_for("llama longrope")), "cpu")
