"""The batched L-BFGS on functions whose minima are known."""

import numpy as np
import pytest
import torch

from lit_experiments.probes.lbfgs import CONVERGED, OUT_OF_ITERATIONS, STALLED, BatchedLBFGS


def minimise(start, function, **settings):
    optimiser = BatchedLBFGS(
        start, **({"history": 8, "tolerance": 1e-12, "max_iterations": 500, "notes": 1} | settings)
    )
    calls = 0
    while not optimiser.finished:
        ids, at = optimiser.ask()
        with torch.enable_grad():
            at = at.clone().requires_grad_()
            values = function(ids, at)
            values.sum().backward()
        optimiser.tell(values.detach(), at.grad, values.detach()[:, None])
        calls += 1
        assert calls < 2000
    return optimiser


def bowls(count=5, size=12):
    """Convex quadratics of growing condition, with minimum 1 at known points."""
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(count, size, generator=generator, dtype=torch.float64)
    curves = torch.stack([torch.logspace(0, k, size, dtype=torch.float64) for k in range(count)])
    return centers, lambda ids, x: 1 + (curves[ids] * (x - centers[ids]) ** 2).sum(1) / 2


def test_each_problem_ends_at_its_own_minimum_in_its_own_time():
    centers, function = bowls()
    done = minimise(torch.zeros_like(centers), function)
    assert done.values.numpy() == pytest.approx(np.ones(5), abs=1e-10)
    assert (done.points - centers).abs().max() < 1e-4
    assert done.status.tolist() == [CONVERGED] * 5
    assert done.iterations[0] < done.iterations[4]
    assert torch.equal(done.notes[:, 0], done.values)


def test_a_problem_ends_the_same_alone_and_in_company():
    centers, function = bowls()
    together = minimise(torch.zeros_like(centers), function)
    for k in range(5):
        alone = minimise(torch.zeros(1, 12, dtype=torch.float64), lambda ids, x, k=k: function(ids + k, x))
        assert torch.equal(alone.points[0], together.points[k])


def test_a_curved_valley_that_takes_line_searches():
    def rosenbrock(ids, x):
        return 1 + (1 - x[:, 0]) ** 2 + 100 * (x[:, 1] - x[:, 0] ** 2) ** 2

    done = minimise(torch.tensor([[-1.2, 1.0], [3.0, -5.0]], dtype=torch.float64), rosenbrock)
    assert (done.points - 1).abs().max() < 1e-4


def test_values_that_never_fall_are_given_up():
    def deceitful(ids, x):
        return 1 + (x - x.detach()).sum(1) + (x.detach() ** 2).sum(1)

    done = minimise(torch.zeros(1, 3, dtype=torch.float64), deceitful)
    assert done.status.tolist() == [STALLED]


def test_stopping_at_the_limit_says_so():
    centers, function = bowls()
    done = minimise(torch.zeros_like(centers), function, max_iterations=3)
    assert done.status.tolist()[1:] == [OUT_OF_ITERATIONS] * 4
    assert int(done.iterations.max()) == 3
