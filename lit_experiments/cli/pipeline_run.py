"""Runs the chosen steps of a pipeline: those of different lanes side by side, their words in the pipeline's order.

Each step is a command in a process of its own. One that fails, or a signal, stops the others, which the same command
takes up again. Does not know: what a step's command is, how it is started.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from lit_experiments.cli.pipeline_children import PipelineChildren
from lit_experiments.cli.pipeline_commands import Given, Planned
from lit_experiments.cli.pipeline_screen import Screen
from lit_experiments.collecting.crew import Child, Crew
from lit_experiments.errors import EXIT_DONE, EXIT_STOPPED, UserError
from lit_experiments.signals import held_back

_SHARED_OUT = ("preset", "devices", "num_nodes", "strategy")
"""Options of runs that fill a machine by themselves."""


def jobs_at_once(number: str | None, chosen: Sequence[Planned], given: Given) -> int:
    """How many steps may run at a time.

    Raises:
        UserError: `number`, the value of --jobs, is no number from 1.
    """
    if number is not None:
        if not number.isdecimal() or int(number) < 1:
            raise UserError(f"--jobs must be a number of steps, at least 1, found {number!r}.\nNext: --jobs 1")
        return int(number)
    lanes = len({planned.step.lane for planned in chosen})
    heavy = any(key in given.all for key in _SHARED_OUT) or given.value("model") not in (None, "embedded")
    if lanes < 2 or heavy or _has_gpu():
        return 1
    return min(lanes, len(os.sched_getaffinity(0)))


def _has_gpu() -> bool:
    import torch

    return torch.cuda.device_count() > 0


def ready(lanes: Sequence[str | None], done: Collection[int], started: Collection[int]) -> list[int]:
    """Which steps may start: not begun, and those before them in their lane, or without a lane, are done; for a step
    without a lane, all before it.

    lanes: of the steps in their order.
    """

    def waits(place: int) -> bool:
        before = (other for other in range(place) if other not in done)
        return any(lanes[place] is None or lanes[other] in (None, lanes[place]) for other in before)

    return [place for place in range(len(lanes)) if place not in started and not waits(place)]


def run_steps(chosen: Sequence[Planned], children: PipelineChildren, jobs: int) -> tuple[int, Planned | None]:
    """Runs steps to their end or to the first that does not end well.

    Returns:
        The exit code: of that step, 75 if a signal came, or 0; and that step.
    """
    crew = Crew()
    crew.take_signals()
    try:
        with tempfile.TemporaryDirectory() as folder:
            steps = _Steps(chosen, children, crew, jobs, Path(folder))
            code = crew.wait(steps.tend)
            steps.screen.show_rest()
        return (EXIT_STOPPED if crew.stop.name is not None else code), steps.failed(code)
    finally:
        crew.give_back_signals()


class _Steps:
    """The steps of a run, under way."""

    def __init__(
        self, chosen: Sequence[Planned], children: PipelineChildren, crew: Crew, jobs: int, folder: Path
    ) -> None:
        self._chosen, self._children, self._crew, self._jobs = chosen, children, crew, jobs
        self._lanes = [planned.step.lane for planned in chosen]
        self._processes: dict[int, Child] = {}  # place -> process, of the steps that have started
        self._left_out = {place for place, planned in enumerate(chosen) if planned.command is None}
        titles = [f"[{place}/{len(chosen)}] step {planned.step}" for place, planned in enumerate(chosen, start=1)]
        notes = {place: chosen[place].left_out for place in self._left_out}
        self.screen = Screen(titles, notes, folder)

    def tend(self) -> None:
        """Shows what has been said meanwhile, and starts what may start."""
        self.screen.show(self._ended())
        if not self._crew.may_go_on():
            return
        for place in ready(self._lanes, self._done(), {*self._processes, *self._left_out}):
            if len(self._processes) - len(self._ended()) < self._jobs:
                self._start(place)

    def failed(self, code: int) -> Planned | None:
        """The first step that ended with this code, if it is none of success."""
        places = [place for place, process in self._processes.items() if process.returncode == code != EXIT_DONE]
        return self._chosen[min(places)] if places else None

    def _start(self, place: int) -> None:
        words = self._chosen[place].command
        assert words is not None, "a step that is left out is done from the start"
        output = self.screen.begin(place)
        with held_back():
            self._children.start(self._crew, words, output, self._jobs)
        self._processes[place] = self._crew.workers[-1]

    def _ended(self) -> set[int]:
        return {place for place, process in self._processes.items() if process.returncode is not None}

    def _done(self) -> set[int]:
        return self._left_out | {place for place in self._ended() if self._processes[place].returncode == EXIT_DONE}
