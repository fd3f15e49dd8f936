"""Which commands are killed, at which kinds of moments, by which signal: the plan of `kill_points`."""

from __future__ import annotations

import random
import signal
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
PARENT, GROUP = "parent", "group"
WORKERS = ("rank 0", "rank 1")
CHAIN = 4  # points in one folder

_TINY = ("--accelerator", "cpu", "--limit", "40", "--gen_length", "8", "--eval_lengths", "[1, 8]", "--gen_number", "2")
_OFTEN = ("--batch_size", "2", "--flush_seconds", "0.01")
_QUICK = ("--folds", "2", "--bootstraps", "200", "--shuffles", "19", "--twins", "1", "--repeats", "3")
_TEXTS = ("--accelerator", "cpu", "--n_samples", "8", "--max_new_tokens", "12", "--batch_size", "4")


@dataclass(frozen=True)
class Command:
    """What is killed. needs: commands that are run undisturbed before it. stages: in which it can be met."""

    argv: tuple[str, ...]
    needs: tuple[str, ...]
    stages: tuple[str, ...]
    takes_devices: bool = True


COMMANDS = {
    "collect": Command(
        argv=("collect", "--exp", "tempnorm", "--run", "run", *_TINY, *_OFTEN),
        needs=(),
        stages=("loading", "collecting", "committing"),
    ),
    "train": Command(
        argv=("train", "--exp", "tempnorm_ridge", "--run", "run", "--accelerator", "cpu", *_QUICK),
        needs=("collect",),
        stages=("training",),
    ),
    "texts": Command(argv=("collect", "--exp", "prefill_dynamics", "--run", "texts", *_TEXTS), needs=(), stages=()),
    "analyze": Command(
        argv=("analyze", "--exp", "prefill_dynamics", "--run", "texts", "--bootstraps", "200"),
        needs=("texts",),
        stages=("analysing",),
        takes_devices=False,
    ),
    "export": Command(
        argv=("export", "run", "--format", "zarr", "--out", "exported"),
        needs=("collect",),
        stages=("exporting",),
        takes_devices=False,
    ),
    "pipeline": Command(
        argv=("run", "tempnorm", "--run", "run", *_TINY, *_OFTEN, *_QUICK), needs=(), stages=("pipeline",)
    ),
}


@dataclass(frozen=True)
class Point:
    """One kill."""

    command: str
    stage: str
    number: signal.Signals
    target: str
    devices: int


def plan(count: int, seed: int, most_devices: int, commands: Sequence[str]) -> list[list[Point]]:
    """Chains of points of one command each; every kind of point comes before any comes again."""
    luck, kinds = random.Random(seed), [kind for kind in _kinds(most_devices) if kind.command in commands]
    points: list[Point] = []
    while len(points) < count:
        points += luck.sample(kinds, min(len(kinds), count - len(points)))
    by_command: dict[str, list[Point]] = defaultdict(list)
    for point in points:
        by_command[point.command].append(point)
    chains = [group[i : i + CHAIN] for group in by_command.values() for i in range(0, len(group), CHAIN)]
    luck.shuffle(chains)
    return chains


def _kinds(most_devices: int) -> Iterator[Point]:
    for name, command in COMMANDS.items():
        several = command.takes_devices and most_devices > 1
        for stage in command.stages:
            for number in SIGNALS:
                for i, target in enumerate((PARENT, GROUP, *(WORKERS if several else ()))):
                    devices = 2 if several and (target in WORKERS or (i + number) % 2) else 1
                    yield Point(name, stage, number, target, devices)


def command_line(command: str, devices: int) -> list[str]:
    """The words of a command."""
    argv = list(COMMANDS[command].argv)
    return [*argv, "--devices", "2"] if devices > 1 else argv
