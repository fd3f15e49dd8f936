"""Statistics and words of the interventions: against numpy and scipy, and on numbers chosen to say each thing."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lit_experiments.experiments.introspection.patching.passes import MEASURES
from lit_experiments.experiments.introspection.patching.result import Checks, Interventions, PassEffects
from lit_experiments.experiments.introspection.patching.run import LayerRun, random_directions
from lit_experiments.experiments.introspection.patching.statistics import (
    Settings,
    pass_statistics,
    patching,
    steering,
)
from lit_experiments.experiments.introspection.patching.words import outcome
from lit_experiments.statistics import GroupBootstrap

Floats = NDArray[np.float64]
N, R, P = 12, 80, 8
RESAMPLER = partial(GroupBootstrap, resamples=200, level=0.95, seed=0)
SETTINGS = Settings(
    np.array([-2.0, 1.0, 4.0]),
    flips=2000,
    seed=0,
    resampler=RESAMPLER,
    sample=np.arange(N).astype(str),
    recipients=np.arange(P).astype(str),
)
CHECKS: dict[str, Any] = {"identity": 0, "whole_replacement": None, "whole_replacements": 0, "collected": 0.0}
CHECKS |= {"last_replacement": 0.0, "cached": True, "spread": 2.0}


def layer(effect: float, seed: int = 0) -> LayerRun:
    """Arrays of one layer of a confidence pass: everything moves by about `effect`, controls by about 0."""
    rng = np.random.default_rng(seed)
    nothing = {
        "clean": rng.normal(50, 5, (N, 5)),
        "steer": rng.normal(0, 0.1, (3, N, 5)),
        "ablate": rng.normal(0, 0.1, (N, 5)),
        "random_steer": rng.normal(0, 0.1, (R, 3, 5)),
        "random_ablate": rng.normal(0, 0.1, (R, 5)),
        "low": rng.normal(20, 1, (P, 5)),
        "high": rng.normal(30, 1, (P, 5)),
        "patch": rng.normal(0, 0.1, (P, 5)),
        "control": rng.normal(0, 0.1, (P, 5)),
        "again": rng.normal(20, 1, (P, 5)),
    }
    for name, steps in (("steer", SETTINGS.multiples[:, None, None]), ("ablate", -1.0), ("patch", 1.0)):
        nothing[name] = nothing[name] + effect * steps
    for name in ("clean", "steer", "ablate", "patch", "control", "low", "high"):
        nothing[name][..., 3:] = np.nan  # no accuracy in a confidence pass
    return LayerRun(**nothing, **CHECKS)


def test_the_slope_is_that_of_least_squares_through_no_change() -> None:
    rng = np.random.default_rng(0)
    changes, random = rng.normal(size=(3, N)), rng.normal(size=(R, 3))
    effect = steering(changes, random, SETTINGS, RESAMPLER(SETTINGS.sample))
    slope = np.linalg.lstsq(SETTINGS.multiples[:, None], changes.mean(1), rcond=None)[0][0]
    assert effect.slope.value == pytest.approx(slope)
    slopes = np.linalg.lstsq(SETTINGS.multiples[:, None], random.T, rcond=None)[0][0]
    assert effect.p == (1 + (np.abs(slopes) >= abs(slope)).sum()) / (1 + R)
    assert effect.random.low == pytest.approx(np.quantile(slopes, 0.025))
    assert [change.value for change in effect.changes] == pytest.approx(changes.mean(1))


def test_the_share_of_a_gap_is_a_ratio_of_sums_and_none_without_a_gap() -> None:
    rng = np.random.default_rng(2)
    gaps, control = rng.uniform(5, 10, P), np.zeros(P)
    patched = patching(0.4 * gaps, control, gaps, SETTINGS, RESAMPLER(SETTINGS.recipients))
    assert (patched.share.value, patched.share.unanimous) == (pytest.approx(0.4), True)
    assert patched.difference.value == pytest.approx(0.4 * gaps.mean())
    around_0 = gaps - gaps.mean()
    assert np.isnan(patching(gaps, control, around_0, SETTINGS, RESAMPLER(SETTINGS.recipients)).share.value)
    assert np.isnan(patching(gaps, control, None, SETTINGS, RESAMPLER(SETTINGS.recipients)).gap.value)


def test_copies_of_a_recipient_have_one_sign_and_count_as_one() -> None:
    """Six copies of one question were six signs: p 0.03 for what one question did."""
    rng = np.random.default_rng(3)
    patch, control = 1.0 + 0.01 * rng.normal(size=P), np.zeros(P)
    alone = patching(patch, control, None, SETTINGS, RESAMPLER(SETTINGS.recipients))
    copied = replace(SETTINGS, recipients=np.array([*["q0"] * 6, "q1", "q2"]))
    together = patching(patch, control, None, copied, RESAMPLER(copied.recipients))
    assert alone.p < 0.02
    assert together.p == pytest.approx(2 / 8, abs=0.05)  # eight ways to give three groups a sign, two as far from 0
    assert alone.difference.has_interval
    assert not together.difference.has_interval  # of three groups


def test_p_values_are_corrected_over_the_layers_there_are() -> None:
    statistics = pass_statistics([layer(3.0), None, layer(0.0, seed=1)], SETTINGS)
    assert statistics[1] is None
    both = [of_layer for of_layer in statistics if of_layer is not None]
    assert set(both[0].steer) == {"confidence", "entropy", "outside"} < set(MEASURES)
    for what in ("steer", "ablate", "patch"):
        scores = [getattr(of_layer, what)["confidence"] for of_layer in both]
        assert [s.p_corrected >= s.p for s in scores] == [True, True]
        assert scores[0].p_corrected == pytest.approx(scores[0].p)  # max-T: as small as the draws allow
        assert scores[0].p_corrected < 0.05 < scores[1].p_corrected
        for score in scores:
            assert score.together.value == pytest.approx(score.effect.value)
            assert score.together.low < score.effect.low < score.effect.high < score.together.high
            assert score.together.method.endswith("simultaneous")


def words(*effects: float) -> list[str]:
    layers = pass_statistics([layer(e, i + 5) for i, e in enumerate(effects)], SETTINGS)
    names = [f"resid_post.{i}" for i in range(len(effects))]
    passes = {"self_confidence": PassEffects(N, P, layers, Checks(0, 0.0, None, 0, 0.0, cached=True))}
    return outcome(Interventions(names, list(MEASURES), [1.0], R, 2000, 0.95, passes, []))


def test_sentences_are_chosen_by_the_numbers() -> None:
    (nothing,) = words(0.0, 0.0)
    assert nothing.count("at none of 2 layers") == 3
    assert nothing.count("would have been seen with 80 % power") == 3
    (some,) = words(0.0, 3.0)
    assert some.count("at 1 of 2 layers (resid_post.1)") == 3
    assert "(largest at resid_post.1: 3.0" in some
    assert "would have been seen" not in some
    (everything,) = words(3.0, 4.0)
    assert everything.count("at 2 of 2 layers (every one)") == 3


def test_random_directions_are_of_unit_length_and_differ_between_sites() -> None:
    one, other = (random_directions(500, 30, 0, f"resid_post.{i}") for i in (0, 1))
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1)
    np.testing.assert_array_equal(one, random_directions(500, 30, 0, "resid_post.0"))
    assert np.abs((one * other).sum(1)).max() < 0.9
    np.testing.assert_allclose(one.T @ one / 500, np.eye(30) / 30, atol=0.02)  # no way is favoured
