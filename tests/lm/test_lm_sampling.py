"""The sampler draws from exactly the distribution that its settings describe."""

import numpy as np
import pytest
import torch
from scipy import stats
from tiny_models import ARCHITECTURES, random_model, save, spec

from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.load import load
from lit_experiments.lm.noise import NoiseAhead, StreamKey, race_noise
from lit_experiments.lm.sampling import _LEADING, Sampling, _among_all, _among_few, _kept, choose

TOY = torch.tensor([0.35, 0.25, 0.2, 0.1, 0.06, 0.04])
DRAWS = 20_000


def draws(probabilities, sampling, n=DRAWS):
    logits = probabilities.log().expand(n, -1)
    noise = torch.from_numpy(np.stack([race_noise(StreamKey(1, f"s{i}", 0), 0, len(probabilities)) for i in range(n)]))
    return torch.bincount(choose(logits, noise, sampling, 0.0)[0], minlength=len(probabilities)).numpy()


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(1, 1.0, 0), TOY),
        (Sampling(0.5, 1.0, 0), TOY**2),
        (Sampling(2.0, 1.0, 0), TOY**0.5),
        (Sampling(1, 1.0, 3), TOY * torch.tensor([1, 1, 1, 0, 0, 0])),
        (Sampling(1, 0.7, 0), TOY * torch.tensor([1, 1, 1, 0, 0, 0])),  # .35 + .25 = .60 < .7: the third one crosses
        (Sampling(1, 0.5, 4), TOY * torch.tensor([1, 1, 0, 0, 0, 0])),  # of .9 kept by top-k, .6 / .9 reaches .5
        (Sampling(0.5, 0.6, 0), TOY**2 * torch.tensor([1, 1, 0, 0, 0, 0])),  # temperature first: .486 + .248
    ],
)
def test_frequencies_follow_the_exact_distribution(sampling, expected):
    counts = draws(TOY, sampling)
    expected = (expected.double() / expected.double().sum() * DRAWS).numpy()
    assert (counts[expected == 0] == 0).all()
    assert stats.chisquare(counts[expected > 0], expected[expected > 0]).pvalue > 1e-3


def test_greedy_is_the_largest_logit_the_lower_id_on_a_tie():
    logits = torch.tensor([[0.0, 3.0, 3.0, 1.0], [5.0, 1.0, 2.0, 5.0]])
    assert choose(logits, None, Sampling(0, 0.1, 1), 0.0)[0].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("top_p", "top_k", "kept"),
    [
        (1.0, 0, 6),
        (0.35, 0, 1),
        (0.3499, 0, 1),
        (0.3501, 0, 2),
        (0.9999, 0, 6),
        (1.0, 1, 1),
        (1.0, 6, 6),
        (1.0, 50, 6),
        (0.01, 3, 1),
        (0.99, 3, 3),
    ],
)
def test_the_kept_set_is_the_smallest_that_reaches_top_p(top_p, top_k, kept):
    mask = _kept(TOY.log()[None], Sampling(1, top_p, top_k), 0.0)[0]
    assert mask[0].tolist() == [i < kept for i in range(6)]


def test_equally_likely_tokens_rank_by_id():
    uniform = torch.zeros(1, 8)
    assert _kept(uniform, Sampling(1, 1.0, 3), 0.0)[0][0].tolist() == [True] * 3 + [False] * 5
    assert _kept(uniform, Sampling(1, 0.4, 0), 0.0)[0][0].tolist() == [True] * 4 + [False] * 4


def test_a_nucleus_larger_than_the_quick_look_is_found():
    """A flat distribution over more tokens than are looked at first."""
    torch.manual_seed(0)
    logits = torch.stack([torch.randn(5000) * 0.1, torch.randn(5000) * 8])
    mask = _kept(logits, Sampling(1, 0.9, 0), 0.0)[0]
    for row in range(2):
        ordered, order = logits[row].double().softmax(-1).sort(descending=True)
        count = int((ordered.cumsum(0) < 0.9).sum()) + 1
        assert torch.equal(mask[row].nonzero()[:, 0], order[:count].sort().values)
    assert mask[0].sum() > _LEADING > mask[1].sum()


@pytest.mark.parametrize(
    "sampling", [Sampling(0, 1.0, 0), Sampling(1, 1.0, 0), Sampling(0.7, 0.6, 0), Sampling(1.3, 0.8, 4)]
)
def test_a_choice_that_rounding_could_turn_is_called_close(sampling):
    """Whatever moves each logit by less than half the margin, a choice that was not close stays as it is."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 12, generator=generator)
    noise = torch.from_numpy(np.stack([race_noise(StreamKey(3, str(i), 0), 0, 12) for i in range(4000)]))
    token, close = choose(logits, noise, sampling, margin=0.02)
    assert 0 < close.float().mean() < 0.2
    changed = torch.zeros_like(close)
    for _ in range(20):
        moved = logits + 0.0099 * (2 * torch.rand(logits.shape, generator=generator) - 1)
        changed |= choose(moved, noise, sampling, 0.0)[0] != token
    assert changed.any()
    assert not (changed & ~close).any()


def test_noise_depends_on_each_part_of_its_key_and_on_the_position():
    base = race_noise(StreamKey(0, "a", 0), 5, 64)
    assert np.array_equal(base, race_noise(StreamKey(0, "a", 0), 5, 64))
    for seed, sample, draw, position in ((1, "a", 0, 5), (0, "b", 0, 5), (0, "a", 1, 5), (0, "a", 0, 6)):
        other = race_noise(StreamKey(seed, sample, draw), position, 64)
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.5


def test_noise_is_gumbel():
    sample = np.concatenate([race_noise(StreamKey(0, "x", d), 0, 1000) for d in range(20)])
    assert stats.kstest(sample, stats.gumbel_r.cdf).pvalue > 1e-3


def test_the_streams_stay_what_they_are():
    """Were these to change (a new numpy, say), every sampled token would: stores already collected could not go on."""
    assert StreamKey(0, "gsm8k/17", 3).words() == (9630776220323978010, 12873744236221490911)
    np.testing.assert_allclose(
        race_noise(StreamKey(0, "gsm8k/17", 3), 42, 4), [1.5832032, 0.34807879, -0.39979836, 1.1418805], rtol=1e-6
    )


def test_noise_drawn_ahead_in_threads_is_the_same_noise():
    keys = [StreamKey(0, str(i), 0) for i in range(4)]
    size = 1 << 16
    with NoiseAhead(size) as noise:
        for step in range(3):
            drawn = noise.draw(keys, [step + 10] * 4, last=step == 2)
            for row, key in enumerate(keys):
                assert np.array_equal(drawn[row].numpy(), race_noise(key, step + 10, size))
            keys = keys[1:] + keys[:1]
        assert noise._pool is not None


@pytest.mark.parametrize("settings", [(-0.1, 1.0, 0), (1.0, 0.0, 0), (1.0, 1.1, 0), (1.0, 1.0, -1), (1.0, 1.0, 2.5)])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ModelError, match="cannot be"):
        Sampling(*settings)


def test_a_model_with_fixed_logits_is_sampled_from_its_distribution(tmp_path):
    """End to end: every position predicts the same known distribution, whatever was read."""
    model = random_model(*ARCHITECTURES["gpt2"])
    target = torch.tensor([0.5, 0.3, 0.15, 0.05])
    model.transformer.ln_f.weight.data.zero_()
    model.transformer.ln_f.bias.data.zero_()
    model.transformer.ln_f.bias.data[0] = 1.0
    model.transformer.wte.weight.data[:, 0] = -50.0
    model.transformer.wte.weight.data[:4, 0] = target.log()
    lm = load(spec(save(model, tmp_path / "fixed")), "cpu")
    decoder = Decoder(lm)
    keys = [StreamKey(5, "x", draw) for draw in range(100)]
    out = decoder.sample(decoder.prefill([[7]]).fork(100), 40, Sampling(1, 1.0, 0), keys)
    counts = np.bincount(out.token_ids.flatten(), minlength=4)
    assert stats.chisquare(counts, 4000 * target.double().numpy().round(4)).pvalue > 1e-3
    torch.testing.assert_close(out.log_probs.exp(), target[out.token_ids])
    pairs = out.token_ids[:, 0::2] * 4 + out.token_ids[:, 1::2]
    table = np.bincount(pairs.flatten(), minlength=16).reshape(4, 4)
    assert stats.chi2_contingency(table).pvalue > 1e-3  # successive tokens are independent, as the model says


@pytest.mark.parametrize("top_p", [0.3, 0.95, 0.9999])
@pytest.mark.parametrize("margin", [0.0, 5e-4, 0.3])
def test_the_race_among_few_is_the_race_among_all(top_p, margin):
    """Flat and peaked rows, and rows of few different values, where equally likely tokens straddle the edge."""
    generator = torch.Generator().manual_seed(0)
    scaled = torch.randn(300, 1000, generator=generator) * torch.linspace(0.1, 8, 300)[:, None]
    scaled[::3] = scaled[::3].round()
    noise = torch.randn(300, 1000, generator=generator)
    noise[::2] = noise[::2].round()  # keys tie too
    sampling = Sampling(1.0, top_p, 0)
    few, all_ = (way(scaled, noise, sampling, margin) for way in (_among_few, _among_all))
    assert torch.equal(few[0], all_[0])
    assert torch.equal(few[1], all_[1])
