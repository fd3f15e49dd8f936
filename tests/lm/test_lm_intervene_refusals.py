"""Interventions that do not fit model or sequences are refused before the model runs, each with one message."""

import pytest
import torch
from test_lm_intervene import TEXTS, D, direction, hooks, vectors

from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.intervene import Ablate, Patch, Steer, intervened

NAN = torch.full((D,), torch.nan)


@pytest.mark.parametrize(
    ("intervention", "says"),
    [
        (Patch("resid_post.0", vectors(2), "last"), r"(?s)vectors does not fit.*\(2, 32\).*\(3, 32\) or \(3, 1, 32\)"),
        (Patch("resid_post.0", torch.zeros(3, 31), "last"), r"(?s)vectors does not fit.*hidden size of 32"),
        (Patch("resid_post.0", vectors(3, 11), "all"), r"(?s)vectors does not fit.*\(21, 32\)"),
        (Patch("resid_post.0", NAN.expand(3, D), "last"), "(?s)vectors must be finite.*96 of 96"),
        (Patch("resid_post.7", vectors(3), "last"), "outside the model"),
        (Patch("resid_past.0", vectors(3), "last"), "did you mean 'resid_post'"),
        (Patch("resid_post.*", vectors(3), "last"), "one site"),
        (Patch("resid_post.0", vectors(3), "first"), "Unknown positions"),
        (Patch("resid_post.0", vectors(3), [[0], [1]]), "2 lists of positions for 3"),
        (Patch("resid_post.0", vectors(3), [[3], [0], [0]]), "outside its sequence"),
        (Patch("resid_post.0", vectors(4), [[2, -1], [0], [0]]), "(?s)different positions.*more than once"),
        (Steer("resid_post.0", direction(), 1.0, [[], [], []]), "(?s)different positions.*none"),
        (Steer("resid_post.0", direction()[:5], 1.0, "all"), "direction does not fit"),
        (Steer("resid_post.0", torch.zeros(D), 1.0, "all"), "direction is zero"),
        (Steer("resid_post.0", direction(), [1.0, 2.0], "all"), "amount does not fit"),
        (Steer("resid_post.0", direction(), float("inf"), "all"), "amount must be finite"),
        (Ablate("resid_post.0", NAN, "all"), "direction must be finite"),
        (Ablate("resid_post.0", torch.zeros(D), "all"), "direction is zero"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_model_runs(lm_of, intervention, says):
    lm = lm_of("gpt2")
    left = hooks(lm)
    with pytest.raises(ModelError, match=says), intervened(lm, [intervention], TEXTS):
        pytest.fail("the block was entered")
    assert hooks(lm) == left


def test_sites_and_numbers_that_a_model_lacks_are_refused(lm_of):
    with pytest.raises(ModelError, match="no site 'resid_mid'"):
        intervened(lm_of("phi"), [Ablate("resid_mid.0", direction(), "all")], TEXTS).__enter__()
    with pytest.raises(ModelError, match="finite numbers in float16"):
        intervened(lm_of("gpt2", "float16"), [Patch("embed", 1e6 * vectors(3), "last")], TEXTS).__enter__()
    with pytest.raises(ModelError, match="none given"):
        intervened(lm_of("gpt2"), [], []).__enter__()
