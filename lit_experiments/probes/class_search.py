"""The schedule of the logistic fits: the held-out ones, then the final ones. Owns their state; reads no data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lit_experiments.probes.class_problems import Coordinates, Problems, Totals, Weights
from lit_experiments.probes.class_solution import Choice, ClassSolution, Fits
from lit_experiments.probes.class_sums import Standard
from lit_experiments.probes.lbfgs import BatchedLBFGS

_NOTES = 4  # recorded with an accepted point: largest gradient entry; held-out loss, right, rows


@dataclass(frozen=True)
class Settings:
    """held: the folds that are held out in turn; penalties: sorted; the others as `LogisticProbe` has them."""

    held: tuple[int, ...]
    penalties: tuple[float, ...]
    tolerance: float
    max_iterations: int
    history: int
    memory_bytes: int


class Search:
    """Asks for weights to evaluate and is told sums over the data, one pass at a time, until all fits are done.

    Attributes:
        running: the problems of this wave and their optimiser, None at the end.
    """

    def __init__(self, coordinates: Coordinates, settings: Settings) -> None:
        self.coordinates, self.settings = coordinates, settings
        device, columns = coordinates.origin.device, coordinates.columns
        self.penalties = torch.tensor(settings.penalties, dtype=torch.float64, device=device)
        self.held = torch.tensor(settings.held, dtype=torch.int64, device=device)
        layers, self.targets = len(coordinates.origin), coordinates.standard.prior.shape[1]
        shape = (layers, len(self.held), len(self.penalties), self.targets)
        self.choice = Choice.zeros(shape, coordinates.hidden, columns, device)
        self.ends = torch.zeros(layers, self.targets, 4, dtype=torch.float64, device=device)
        self.points = self.ends.new_zeros(layers, self.targets, coordinates.size)
        self.wave, self.running = 0, self._begin(0)

    def going_on(self) -> int:
        """How many fits of the wave go on."""
        return 0 if self.running is None else len(self.running[1].ids)

    def progress(self) -> str:
        """The same in words."""
        if self.running is None:
            return "all fits are done"
        return f"{self.going_on()} of {len(self.running[0])} fits go on"

    def empty(self) -> Totals:
        """Sums for the coming pass to fill."""
        return Totals.zeros(
            self.going_on(), self.coordinates.hidden, self.coordinates.columns, self.coordinates.origin.device
        )

    def ask(self) -> tuple[Problems, Weights]:
        """The problems still going on and the weights at which to evaluate them."""
        assert self.running is not None
        problems, optimiser = self.running
        ids, u = optimiser.ask()
        some = problems.pick(ids)
        return some, self.coordinates.weights(some, u)

    def tell(self, proposal: tuple[Problems, Weights], totals: Totals) -> None:
        """Take the sums of a whole pass at the proposed weights."""
        assert self.running is not None
        value, gradient, largest = self.coordinates.objective(*proposal, totals)
        problems, optimiser = self.running
        optimiser.tell(value, gradient, torch.cat([largest[:, None], totals.held], 1))
        if optimiser.finished:
            self._record(problems, optimiser)
            self.wave += 1
            self.running = self._begin(self.wave)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers: what `restored` needs to go on to the bit."""
        standard = self.coordinates.standard
        return {
            "origin": self.coordinates.origin,
            "standard": [standard.n, standard.mean, standard.inverse, standard.prior, standard.total],
            "basis": [list(layer) for layer in self.coordinates.basis],
            "choice": self.choice.state_dict(),
            "ends": self.ends,
            "found": self.points,
            "wave": self.wave,
            "optimiser": None if self.running is None else self.running[1].state_dict(),
        }

    @classmethod
    def restored(cls, state: dict[str, Any], settings: Settings, device: torch.device) -> Search:
        """The search that gave this state."""
        standard = Standard(*(t.to(device) for t in state["standard"]))
        basis = [(v.to(device), w.to(device), rest.to(device)) for v, w, rest in state["basis"]]
        search = cls(Coordinates(standard, state["origin"].to(device), basis), settings)
        search.choice = Choice(**{name: value.to(device) for name, value in state["choice"].items()})
        search.ends, search.points = state["ends"].to(device), state["found"].to(device)
        search.wave = state["wave"]
        search.running = search._begin(search.wave)
        if search.running is not None:
            search.running[1].load_state_dict(state["optimiser"])
        return search

    def solution(self, classes: list[str], passes: int) -> ClassSolution:
        """The fits, once `running` is None."""
        coordinates, choice = self.coordinates, self.choice
        standard, shape = coordinates.standard, self.ends.shape[:2]
        final = self._final()
        weights = coordinates.weights(final, self.points.flatten(0, 1))
        coef, intercept = weights.w.transpose(1, 2), coordinates.centred(final, weights)
        if coordinates.columns == 1:
            coef, intercept = (torch.cat([torch.zeros_like(t), t], 1) for t in (coef, intercept))
        rows = choice.held[0, :, 0, :, 2]
        left_out = standard.total[-1] - standard.total[self.held] - rows
        return ClassSolution(
            classes=tuple(classes),
            penalties=self.penalties.cpu(),
            mean=standard.mean[-1].cpu(),
            scale=standard.scale.cpu(),
            coef=coef.unflatten(0, shape).cpu(),
            intercept=intercept.unflatten(0, shape).cpu(),
            share=standard.prior[-1, 0].cpu(),
            cv_loss=choice.loss().cpu(),
            cv_accuracy=choice.accuracy().cpu(),
            cv_rows=rows.cpu(),
            cv_left_out=left_out.cpu(),
            penalty_index=choice.penalty_index().cpu(),
            layer_index=choice.layer_index().cpu(),
            final=Fits.of(self.ends.cpu()),
            chosen_from=Fits.of(choice.fits.cpu()),
            rows=round(float(standard.total[-1, 0])),
            passes=passes,
        )

    def _begin(self, wave: int) -> tuple[Problems, BatchedLBFGS] | None:
        """The problems of a wave and their optimiser, or None when there is no such wave."""
        waves = self._waves()
        if wave >= len(waves):
            return None
        problems, settings = waves[wave], self.settings
        start = self._warm(problems) if _all_final(problems) else self._cold(problems)
        optimiser = BatchedLBFGS(start, settings.history, settings.tolerance, settings.max_iterations, _NOTES)
        return problems, optimiser

    def _waves(self) -> list[Problems]:
        """Held-out problems, then final ones, in parts whose optimiser state fits the memory."""
        layers = len(self.coordinates.origin)
        choosing = Problems.grid(layers, self.held, self.targets, self.penalties)
        most = problems_at_once(self.settings, self.coordinates.size)
        parts = []
        for problems in (choosing, self._final()):
            parts += [problems.pick(index) for index in torch.arange(len(problems)).split(most) if len(index)]
        return parts

    def _final(self) -> Problems:
        """One for each layer and target, at its chosen penalty, with nothing held out."""
        nothing = torch.full((1,), -1, device=self.held.device)
        problems = Problems.grid(len(self.coordinates.origin), nothing, self.targets, self.penalties[:1])
        return Problems(
            problems.layer, problems.fold, problems.target, self.penalties[self.choice.penalty_index()].flatten()
        )

    def _cold(self, problems: Problems) -> Tensor:
        return self.ends.new_zeros(len(problems), self.coordinates.size)

    def _warm(self, problems: Problems) -> Tensor:
        """The mean of the folds' fits at the same penalty; 0 where a fold lacked a class."""
        cold = self._cold(problems)
        if not len(self.held):
            return cold
        at = (problems.layer, torch.searchsorted(self.penalties, problems.penalty), problems.target)
        v, b = (summed[at].to(torch.float64) / len(self.held) for summed in (self.choice.v, self.choice.b))
        standard = self.coordinates.standard
        w = v * standard.scale[problems.layer][..., None]
        lacking = (standard.prior[self.held] == 0).any(2).any(0)[problems.target]
        return torch.where(lacking[:, None], cold, self.coordinates.start(problems, Weights(w, v, b)))

    def _record(self, problems: Problems, done: BatchedLBFGS) -> None:
        """Keep what a wave found."""
        iterations, status = (count.to(torch.float64) for count in (done.iterations, done.status))
        ends = torch.stack([done.values, done.notes[:, 0], iterations, status], 1)
        if _all_final(problems):
            self.ends[problems.layer, problems.target] = ends
            self.points[problems.layer, problems.target] = done.points
            return
        fold = torch.searchsorted(self.held, problems.fold)
        penalty = torch.searchsorted(self.penalties, problems.penalty)
        self.choice.fits[problems.layer, fold, penalty, problems.target] = ends
        self.choice.held[problems.layer, fold, penalty, problems.target] = done.notes[:, 1:]
        weights, at = self.coordinates.weights(problems, done.points), (problems.layer, penalty, problems.target)
        self.choice.v.index_put_(at, weights.v.to(torch.float32), accumulate=True)
        self.choice.b.index_put_(at, weights.b.to(torch.float32), accumulate=True)


def problem_bytes(settings: Settings, size: int) -> int:
    """Of a problem's pairs (float32), its point, gradient, direction and end, the weights and sums of a pass, and what
    a step takes next to them (16 numbers, float64). size: numbers per problem."""
    return size * (8 * settings.history + 128)


def problems_at_once(settings: Settings, size: int) -> int:
    """How many problems make a wave at most."""
    return max(1, settings.memory_bytes // problem_bytes(settings, size))


def _all_final(problems: Problems) -> bool:
    return bool((problems.fold < 0).all())
