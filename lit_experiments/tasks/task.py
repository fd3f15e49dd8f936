"""The base of every train and analyze task. A task is a frozen dataclass: its fields are its options, its `result` a
function from opened data to a typed result, its `page` the same result as blocks.

Owns what follows from that alone: checks, identity, resampling, the files of a result. Does not know: any study.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from numpy.typing import ArrayLike

from lit_experiments.plain import write_json
from lit_experiments.probes.waves import MEMORY_BYTES
from lit_experiments.ranges import at_least, seeds
from lit_experiments.reports.blocks import Page
from lit_experiments.reports.terminal import terminal_text
from lit_experiments.reports.write import write_page
from lit_experiments.statistics import LEVEL, GroupBootstrap
from lit_experiments.tasks.certificates import NAME as CERTIFICATE
from lit_experiments.tasks.certificates import certificate_of
from lit_experiments.tasks.forecast import ReadForecast, read_forecast
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.result_files import write_result
from lit_experiments.tasks.source import source_of
from lit_experiments.tasks.training import Trainer
from stores import Store

R = TypeVar("R")


@dataclass(frozen=True)
class Opened:
    """A run that a task reads. run: its folder; store: its rows, checked against `Task.reads`; out: where results of
    the task go."""

    run: Path
    store: Store
    out: Path

    def setting(self, name: str) -> Any:
        """One of the settings that the collection was made with."""
        return self.store.fingerprint["settings"][name]


@dataclass(frozen=True, kw_only=True)
class Task(ABC, Generic[R]):
    """What train and analyze tasks have in common.

    Args:
        bootstraps: Resamples of the groups, for intervals that leaving out groups does not give.
        seed: Seed of the resamples and of everything else that is drawn.
    """

    bootstraps: int
    seed: int

    reads: ClassVar[Reads]
    result_type: ClassVar[type]
    verb: ClassVar[str]
    shapes_nothing: ClassVar[frozenset[str]] = frozenset({"block_mb"})
    """Options that change how a result is computed and not what it is; they are no part of its identity."""

    def __post_init__(self) -> None:
        at_least(1, bootstraps=self.bootstraps)
        seeds(seed=self.seed)
        self.check()

    def check(self) -> None:
        """Raises UserError for options that no data could go with."""

    @property
    def collects(self) -> dict[str, Any] | None:
        """Options of the collection that is to make, or to complete, the store that is read; None where it is there."""
        return None

    def check_data(self, data: Opened) -> None:
        """Raises UserError for data that the options do not go with; called before anything is made."""

    def also_reads(self, data: Opened) -> dict[str, Any]:
        """What the result follows from besides the store's rows and the options, as JSON: other runs, probes."""
        return {}

    @abstractmethod
    def page(self, result: R, data: Opened) -> Page:
        """The result as blocks."""

    def write(self, result: R, data: Opened) -> None:
        """Writes files next to result.json that the study promises to other tools."""

    def identity(self, run: Path) -> dict[str, Any]:
        """What the results of a run follow from: the rows of the store, the options, and what else is read.

        Raises:
            UserError: a store that the task cannot read, or data that its options do not go with.
        """
        data = self._open(run, run)
        self.check_data(data)
        rows = {"store": data.store.fingerprint, "rows": len(data.store), "ids": data.store.ids_digest()}
        return {**rows, "settings": self.options(), **self.also_reads(data)}

    def foresee(self, data: Opened) -> ReadForecast:
        """What it reads and holds: fields that it names (all, where it takes any store), in blocks where it has an
        option for their size."""
        names = self.reads.needs or tuple(field.name for field in data.store.schema.fields)
        block_mb = getattr(self, "block_mb", None)
        return read_forecast(data.store, names, None if block_mb is None else int(block_mb * 1e6), self._fit_bytes)

    @property
    def _fit_bytes(self) -> int:
        """What its fits may take, as its options bound it."""
        return 0

    def forecast(self, run: Path, out: Path) -> str:
        """What --dry_run shows. Raises UserError where memory or disk cannot hold it."""
        expected = self.foresee(self._open(run, out))
        expected.require(out)
        return "\n".join(expected.lines(out))

    @abstractmethod
    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Computes the result and writes it into `out` with its page; returns what the terminal shows.

        trainer: the Trainer's arguments; checkpoint: what --ckpt_path names; both empty for tasks that do not train.
        """

    def _open(self, run: Path, out: Path) -> Opened:
        return Opened(run, self.reads.open(run), out)

    def _finish(self, result: R, data: Opened) -> str:
        """Writes a result and everything that shows it; returns what the terminal shows."""
        write_result(data.out, result)
        write_json(data.out / CERTIFICATE, certificate_of(data.run, data.store))
        self.write(result, data)
        page = self.page(result, data)
        path = write_page(page, data.out, source_of(data.run, data.out, data.store, self.verb))
        return f"{terminal_text(page)}\n\nReport:  {path}"

    def resampler(self, groups: ArrayLike) -> GroupBootstrap:
        """Intervals over these groups, [row]: the same replicates for every statistic that is asked of it."""
        return GroupBootstrap(groups, resamples=self.bootstraps, level=LEVEL, seed=self.seed)

    def options(self) -> dict[str, Any]:
        """The options that shape the result."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in self.shapes_nothing}


@dataclass(frozen=True, kw_only=True)
class AnalyzeTask(Task[R]):
    """A task that computes statistics of what is stored, in one process."""

    verb: ClassVar[str] = "analyze"

    @abstractmethod
    def result(self, data: Opened) -> R:
        """What the study computes from opened data."""

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Computes, and writes everything into `out`."""
        data = self._open(run, out)
        self.foresee(data).require(out)
        return self._finish(self.result(data), data)


@dataclass(frozen=True, kw_only=True)
class TrainTask(Task[R]):
    """A task that fits probes by Lightning, on any number of devices."""

    verb: ClassVar[str] = "train"

    @property
    def _fit_bytes(self) -> int:
        """Of a logistic fit, which holds rows and the optimiser's state; sums of other fits are half of it."""
        memory_mb = getattr(self, "memory_mb", None)
        return 2 * (MEMORY_BYTES if memory_mb is None else int(memory_mb * 1e6))

    @abstractmethod
    def result(self, data: Opened, trainer: Trainer) -> R | None:
        """What comes out of training; None in every process but the first."""

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Trains, and writes everything into `out`; empty in every process but the first."""
        data = self._open(run, out)
        self.foresee(data).require(out)
        result = self.result(data, Trainer(trainer, out, checkpoint))
        return "" if result is None else self._finish(result, data)
