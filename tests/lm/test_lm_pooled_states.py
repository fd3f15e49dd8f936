"""Several readings of one pass, means and maxima among them, against reductions of the model's own states."""

import numpy as np
import pytest
import torch
from tiny_models import ARCHITECTURES, random_model, random_sequences, save, spec

from lit_experiments.lm.capture import capture, capture_together, exact_states
from lit_experiments.lm.errors import ModelError, NonFiniteStateError
from lit_experiments.lm.float16 import decode_rows
from lit_experiments.lm.load import load
from lit_experiments.lm.sinks import Pool
from tests.tolerance import assert_close

SITES = ["embed", "resid_post.1", "final_norm"]
RANGES = [(1, 3), (0, 11), (4, 7), (0, 1)]


def values_of(captured):
    return decode_rows(captured.values, captured.exponents).numpy()


@pytest.mark.parametrize("name", ["llama", "opt", "gemma2"])
@pytest.mark.parametrize("statistic", ["mean", "max"])
def test_what_is_pooled_is_the_reduction_of_the_tokens_states(lm_of, name, statistic):
    lm, sequences = lm_of(name), random_sequences([3, 11, 7, 1])
    pooled = capture_together(lm, sequences, SITES, {"pooled": Pool(statistic, RANGES)})["pooled"]
    assert pooled.lengths.tolist() == [1, 1, 1, 1]
    for k, (ids, (start, stop)) in enumerate(zip(sequences, RANGES, strict=True)):
        states = exact_states(lm, [ids], SITES)
        for site, name in enumerate(SITES):
            tokens = states[name][start:stop].double()
            expected = tokens.mean(0) if statistic == "mean" else tokens.amax(0)
            assert_close(values_of(pooled)[site, k], expected, stored=True, scale=float(tokens.abs().max()))


def test_readings_of_one_pass_are_those_of_several(lm_of):
    lm, sequences = lm_of("llama"), random_sequences([3, 11, 7, 1])
    places = [[0, -1], [2], [], [0]]
    runs = []
    first = lm.model.get_submodule(lm.info.layout.blocks)[0]
    handle = first.register_forward_hook(lambda *_: runs.append(1))
    together = capture_together(lm, sequences, SITES, {"all": "all", "last": "last", "places": places})
    handle.remove()
    assert runs == [1], "one pass"
    for name, positions in {"all": "all", "last": "last", "places": places}.items():
        alone = capture(lm, sequences, SITES, positions)
        assert torch.equal(together[name].values, alone.values)
        assert torch.equal(together[name].lengths, alone.lengths)


def test_a_pooled_state_does_not_depend_on_its_batch(lm_of):
    lm, sequences = lm_of("gpt2"), random_sequences([3, 11, 7])
    ranges = [(0, 3), (2, 9), (0, 7)]
    together = values_of(capture_together(lm, sequences, SITES, {"mean": Pool("mean", ranges)})["mean"])
    for k, (ids, part) in enumerate(zip(sequences, ranges, strict=True)):
        alone = values_of(capture_together(lm, [ids], SITES, {"mean": Pool("mean", [part])})["mean"])
        assert_close(together[:, k], alone[:, 0], stored=True)


def test_sums_run_in_float32_whatever_the_model_s_dtype(tmp_path):
    """60 tokens of one state: in bfloat16 a running sum would stop growing at 256 units."""
    model = random_model(*ARCHITECTURES["llama"])
    lm = load(spec(save(model, tmp_path / "half"), "bfloat16"), "cpu")
    ids = [5] * 60
    embedded = lm.model.get_input_embeddings().weight[5].float()
    mean = capture_together(lm, [ids], ["embed"], {"mean": Pool("mean", [(0, 60)])})["mean"]
    assert_close(values_of(mean)[0, 0], embedded, stored=True)


def test_nan_in_what_is_pooled_is_named_and_beside_it_passed_over(tmp_path):
    model = random_model(*ARCHITECTURES["llama"])
    model.model.embed_tokens.weight.data[50] = torch.nan
    lm = load(spec(save(model, tmp_path / "nan")), "cpu")
    for statistic in ("mean", "max"):
        with pytest.raises(NonFiniteStateError, match="site embed, position 1 of sequence 1"):
            capture_together(lm, [[5, 6], [7, 50, 8]], ["embed"], {"p": Pool(statistic, [(0, 2), (0, 3)])})
        fine = capture_together(lm, [[5, 6], [7, 50, 8]], ["embed"], {"p": Pool(statistic, [(0, 2), (0, 1)])})["p"]
        assert np.isfinite(values_of(fine)).all()


def test_a_pool_without_tokens_or_beyond_its_sequence_is_refused(lm_of):
    with pytest.raises(ModelError, match=r"no token to take the mean over(.|\n)*2 to 2 of sequence 1"):
        Pool("mean", [(0, 1), (2, 2)])
    with pytest.raises(ModelError, match="lies outside its sequence"):
        capture_together(lm_of("llama"), [[5, 6]], ["embed"], {"p": Pool("max", [(0, 3)])})
