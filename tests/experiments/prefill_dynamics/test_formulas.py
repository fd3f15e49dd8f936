"""Known trajectories: straight, back and forth, standing still, random; and by the definition on any states."""

from __future__ import annotations

import numpy as np
import pytest

from lit_experiments.experiments.prefill_dynamics.formulas import METRICS, metrics, sinks, steps


def of(path, upto=None, left_out=None):
    """Metrics of a path [token, hidden] as the only layer."""
    of_path = metrics(steps(np.asarray(path, np.float32)[None]), upto, left_out)
    return {name: values.item() for name, values in of_path.items()}


def test_a_straight_line_is_consistent():
    values = of(np.outer(np.arange(1, 9), [3.0, 4.0]))
    assert values["consistency"] == pytest.approx(1)
    assert values["smoothness"] == pytest.approx(5)
    assert values["magnitude"] == pytest.approx(5 * 4.5)
    assert values["relative smoothness"] == pytest.approx(1 / 4.5)


def test_a_zig_zag_turns_back_at_every_step():
    values = of([[1.0, 0.0], [1.0, 2.0]] * 6)
    assert values["consistency"] == pytest.approx(-1)
    assert values["smoothness"] == pytest.approx(2)


def test_standing_still_is_perfectly_smooth_and_has_no_direction():
    values = of(np.full((7, 5), 2.0))
    assert values["smoothness"] == values["variance"] == 0
    assert values["magnitude"] == pytest.approx(2 * np.sqrt(5))
    assert np.isnan(values["consistency"])


def test_a_random_walk_has_no_direction_on_average():
    rng = np.random.default_rng(0)
    turns = [of(np.cumsum(rng.normal(size=(80, 64)), 0))["consistency"] for _ in range(60)]
    error = np.std(turns, ddof=1) / np.sqrt(len(turns))
    assert abs(np.mean(turns)) < 3 * error
    assert error < 0.01


def test_metrics_by_definition_at_every_layer():
    states = np.random.default_rng(1).normal(2, 1, (3, 11, 6)).astype(np.float32)
    values = metrics(steps(states), None, None)
    assert set(values) == set(METRICS)
    for layer, path in enumerate(states.astype(np.float64)):
        moves = path[1:] - path[:-1]
        lengths, norms = np.sqrt((moves**2).sum(1)), np.sqrt((path**2).sum(1))
        cosines = [moves[i] @ moves[i + 1] / (lengths[i] * lengths[i + 1]) for i in range(9)]
        assert values["smoothness"][layer] == pytest.approx(lengths.mean())
        assert values["magnitude"][layer] == pytest.approx(norms.mean())
        assert values["variance"][layer] == pytest.approx(norms.var(ddof=1))
        assert values["relative smoothness"][layer] == pytest.approx(lengths.mean() / norms.mean())
        assert values["consistency"][layer] == pytest.approx(np.mean(cosines))


def test_cutting_equals_a_shorter_text():
    path = np.random.default_rng(2).normal(size=(20, 4))
    assert of(path, upto=8) == pytest.approx(of(path[:8]))


@pytest.mark.parametrize(("tokens", "known"), [(0, set()), (1, {"magnitude"}), (2, set(METRICS) - {"consistency"})])
def test_too_few_tokens_give_nan_never_zero(tokens, known):
    values = of(np.random.default_rng(3).normal(size=(tokens, 4)))
    assert {name for name, value in values.items() if not np.isnan(value)} == known


def test_a_token_left_out_takes_the_steps_on_both_sides_with_it():
    path = np.array([[0.0, 1], [1, 1], [500, 1], [2, 1], [3, 1], [4, 1]])
    values = of(path, left_out=np.array([[False, False, True, False, False, False]]))
    assert values["smoothness"] == pytest.approx(1)  # the step from token 1 to token 3 is not counted as one
    assert values["consistency"] == pytest.approx(1)


def test_sinks_are_position_zero_and_norms_that_stand_out_by_layer():
    norms = np.array([[1.0, 1, 50, 1, 1], [1, 1, 5, 1, 1]])
    assert np.argwhere(sinks(norms, 7, 10.0)).tolist() == [[0, 2]]
    assert np.argwhere(sinks(norms, 0, 10.0)).tolist() == [[0, 0], [0, 2], [1, 0]]


def test_states_that_overflow_float16_sums_do_not_overflow_here():
    """The squares of 4096 numbers near 30 do not fit float16, nor do those of 4e4."""
    values = of(np.full((3, 4096), 30.0).astype(np.float16) * [[1.0], [-1.0], [1.0]])
    assert values["magnitude"] == pytest.approx(30 * 64)
    assert values["smoothness"] == pytest.approx(2 * 30 * 64)
    assert of(np.full((2, 4096), 4e4))["magnitude"] == pytest.approx(4e4 * 64)
