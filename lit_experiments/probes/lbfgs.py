"""Many smooth minimisations in lock-step by L-BFGS. Owns search directions, line searches and stopping; knows no data.

The caller asks for one point per unfinished problem, evaluates all of them together (one pass over the data), and
tells the values and gradients. Each problem has its own step length, history and end, and leaves the batch when done,
so a hard one does not make the others wait. Nothing is drawn at random, and `state_dict` holds everything.
Nocedal & Wright 2006, algorithms 7.4 and 3.5; the line search also accepts Hager & Zhang's (2005) approximate Wolfe
condition, without which values rounded to float32 end the search too early.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CONVERGED, STALLED, OUT_OF_ITERATIONS = 1, 2, 3
_DECREASE, _CURVATURE = 1e-4, 0.9
_NOISE = 1e-6  # relative; values this close count as equal when the slopes say that the step is good
_SEARCHES = 30  # evaluations of one line search before its history is dropped, or the problem given up

# What is kept per unfinished problem, and per problem at the end.
_ALIVE = (
    "ids",
    "point",
    "value",
    "gradient",
    "direction",
    "slope",
    "step",
    "low",
    "low_slope",
    "high",
    "searches",
    "begun",
)
_HISTORY = ("count", "moves", "turns", "rho", "bend")
_FOUND = ("points", "values", "notes", "iterations", "status")


class BatchedLBFGS:
    """Minimises P functions of N numbers each.

    start: [P, N] float64. history: pairs remembered per problem. tolerance: a problem has converged when the
    estimated distance of its value to the minimum, the larger of |g|^2 / 2c and g'Hg / 2 (H the L-BFGS inverse
    Hessian, c the smallest curvature along the steps remembered, at most 1 and the share of its first value that is
    left), is at most this share of the value. So 1 should be about the curvature at the start; a fit that flattens
    on its way, as those of separable classes do, must get nearer. max_iterations: accepted steps. notes: how many
    further numbers per problem to record with the accepted point.
    """

    def __init__(self, start: Tensor, history: int, tolerance: float, max_iterations: int, notes: int) -> None:
        problems, size = start.shape
        self.tolerance, self.max_iterations = tolerance, max_iterations
        self.ids = torch.arange(problems, device=start.device)
        self.point, self.direction = start.clone(), torch.zeros_like(start)
        self.gradient = torch.zeros_like(start)
        self.value, self.slope, self.low, self.low_slope = (start.new_zeros(problems) for _ in range(4))
        self.step, self.high = start.new_ones(problems), start.new_full((problems,), torch.inf)
        self.begun = start.new_full((problems,), torch.nan)  # value at the start
        self.searches, self.count = torch.zeros_like(self.ids), torch.zeros_like(self.ids)
        # Single precision is enough for a direction, and halves what is held.
        self.moves = torch.zeros(problems, history, size, dtype=torch.float32, device=start.device)
        self.turns = torch.zeros_like(self.moves)
        self.rho, self.bend = start.new_zeros(problems, history), start.new_ones(problems, history)
        self.points, self.values = start.clone(), start.new_full((problems,), torch.nan)
        self.notes = start.new_zeros(problems, notes)
        self.iterations, self.status = torch.full_like(self.ids, -1), torch.zeros_like(self.ids)

    @property
    def finished(self) -> bool:
        """Whether every problem is done."""
        return len(self.ids) == 0

    def ask(self) -> tuple[Tensor, Tensor]:
        """Which problems to evaluate, [A], and where, [A, N]."""
        return self.ids, self.point + self.step[:, None] * self.direction

    def tell(self, value: Tensor, gradient: Tensor, notes: Tensor) -> None:
        """Take [A] values, [A, N] gradients and [A, M] notes at the points asked for."""
        point = self.ask()[1]
        slope = (gradient * self.direction).sum(1)
        first = self.iterations[self.ids] < 0
        finite = value.isfinite() & gradient.isfinite().all(1)
        lower = self._low_enough(value, slope) & finite
        accept = torch.where(first, finite, lower & (slope >= _CURVATURE * self.slope))
        self._bracket(slope, ~lower, ~accept)
        self.begun = torch.where(first & accept, value, self.begun)
        at = torch.nonzero(accept)[:, 0]
        self._remember(at, point[at] - self.point[at], gradient[at] - self.gradient[at], ~first[at])
        self.point[at], self.value[at], self.gradient[at] = point[at], value[at], gradient[at]
        done = self.ids[at]
        self.points[done], self.values[done], self.notes[done] = point[at], value[at], notes[at]
        self.iterations[done] += 1
        given_up = self._give_up(~accept)
        self._aim(torch.nonzero(accept | (self.searches == 0))[:, 0])
        self._leave(accept, given_up)

    def state_dict(self) -> dict[str, Any]:
        """Tensors by name; `load_state_dict` goes on from them to the bit."""
        return {name: getattr(self, name) for name in (*_ALIVE, *_HISTORY, *_FOUND)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        for name in (*_ALIVE, *_HISTORY, *_FOUND):
            setattr(self, name, state[name].to(self.points.device).clone())

    def _low_enough(self, value: Tensor, slope: Tensor) -> Tensor:
        sufficient = value <= self.value + _DECREASE * self.step * self.slope
        level = value <= self.value + _NOISE * self.value.abs()
        return sufficient | (level & (slope <= (2 * _DECREASE - 1) * self.slope))

    def _bracket(self, slope: Tensor, too_far: Tensor, rejected: Tensor) -> None:
        """Shrink the bracket of the rejected problems and pick their next step inside it."""
        ratio = self.low_slope / (self.low_slope - slope)
        secant = self.low + (self.step - self.low) * ratio
        far, near = rejected & too_far, rejected & ~too_far
        self.high = torch.where(far, self.step, self.high)
        self.low_slope = torch.where(near, slope, self.low_slope)
        tried, self.low = self.step, torch.where(near, self.step, self.low)
        width = self.high - self.low
        inside = torch.where(secant.isfinite(), secant, self.low + width / 2)
        inside = torch.minimum(torch.maximum(inside, self.low + width / 10), self.high - width / 10)
        beyond = torch.minimum(torch.maximum(torch.nan_to_num(secant), 2 * tried), 10 * tried)
        self.step = torch.where(rejected, torch.where(self.high.isfinite(), inside, beyond), self.step)
        self.searches = torch.where(rejected, self.searches + 1, self.searches)

    def _remember(self, at: Tensor, move: Tensor, turn: Tensor, worth: Tensor) -> None:
        product = (move * turn).sum(1)
        worth = worth & (product > 1e-12 * move.norm(dim=1) * turn.norm(dim=1))
        at, move, turn, product = at[worth], move[worth], turn[worth], product[worth]
        slot = self.count[at] % self.moves.shape[1]
        self.moves[at, slot], self.turns[at, slot] = move.to(self.moves.dtype), turn.to(self.turns.dtype)
        self.rho[at, slot] = 1 / product
        self.bend[at, slot] = product / (move**2).sum(1)
        self.count[at] += 1

    def _give_up(self, rejected: Tensor) -> Tensor:
        """Which problems have nothing left to try; the others that searched too long lose their history."""
        stuck = rejected & (self.searches >= _SEARCHES)
        forget = stuck & (self.count > 0)
        self.count = torch.where(forget, 0, self.count)
        self.rho[forget], self.bend[forget] = 0, 1
        self.searches = torch.where(forget, 0, self.searches)
        return stuck & ~forget

    def _aim(self, at: Tensor) -> None:
        """New directions of these problems, and a whole step along them."""
        direction = -self._inverse_hessian_times(at, self.gradient[at])
        slope = (direction * self.gradient[at]).sum(1)
        uphill = slope >= 0
        direction[uphill] = -self.gradient[at][uphill]
        slope[uphill] = -(self.gradient[at][uphill] ** 2).sum(1)
        self.direction[at], self.slope[at], self.low_slope[at] = direction, slope, slope
        self.step[at], self.low[at], self.high[at], self.searches[at] = 1.0, 0.0, torch.inf, 0

    def _inverse_hessian_times(self, at: Tensor, vector: Tensor) -> Tensor:
        """The two loops over each problem's own history, newest first and back."""
        size, out, weights = self.moves.shape[1], vector.clone(), []
        if not len(at):
            return out
        known_pairs = min(size, max(1, int(self.count[at].max())))  # what was not filled yet would change nothing
        slots = [(self.count[at] - 1 - back) % size for back in range(known_pairs)]
        for slot in slots:
            weight = self.rho[at, slot] * (self.moves[at, slot] * out).sum(1)
            out -= weight[:, None] * self.turns[at, slot]
            weights.append(weight)
        latest = self.turns[at, slots[0]].to(out.dtype)
        rho = self.rho[at, slots[0]]
        known = rho > 0
        out *= torch.where(known, 1 / (rho * (latest**2).sum(1)).where(known, 1.0), 1.0)[:, None]
        for slot, weight in zip(reversed(slots), reversed(weights), strict=True):
            back = self.rho[at, slot] * (self.turns[at, slot] * out).sum(1)
            out += (weight - back)[:, None] * self.moves[at, slot]
        return out

    def _leave(self, accepted: Tensor, given_up: Tensor) -> None:
        # The curvature of a cross-entropy is at most about its value, so it has fallen at least as much.
        left = (self.value / self.begun).nan_to_num(nan=1.0)  # a value that began at 0 is there already
        flattest = torch.minimum(self.bend.amin(1), left).clamp(1e-12, 1)
        gap = torch.maximum((self.gradient**2).sum(1) / flattest, -self.slope) / 2
        near = accepted & (gap <= self.tolerance * self.value.abs())
        late = accepted & (self.iterations[self.ids] >= self.max_iterations)
        status = torch.where(near, CONVERGED, torch.where(given_up, STALLED, torch.where(late, OUT_OF_ITERATIONS, 0)))
        self.status[self.ids] = status
        stay = status == 0
        if not bool(stay.all()):
            for name in (*_ALIVE, *_HISTORY):
                setattr(self, name, getattr(self, name)[stay])
