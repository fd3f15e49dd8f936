"""`watch`: what a run is doing, seen from outside of it."""

from __future__ import annotations

import math
import sys
import time
from argparse import Namespace
from collections import deque

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lit_experiments.cli.store_verbs import store_path
from lit_experiments.cli.verbs import say
from lit_experiments.collecting.watched import Look, look, rows_per_second
from lit_experiments.errors import EXIT_DONE
from lit_experiments.ranges import at_least
from lit_experiments.units import byte_count, duration

_LOOKS = 30  # over which the rate is taken


def watch(args: Namespace) -> int:
    """Shows a run until it is complete or nobody collects it any more; without a terminal, or with --once, once."""
    at_least(0.1, every=args.every)
    run = store_path(args.run).removesuffix("/store")
    looks = deque([look(run)], maxlen=_LOOKS)
    if args.once or not sys.stdout.isatty():
        say("\n".join(lines(looks)))
        return EXIT_DONE
    with Live(_screen(looks), console=Console(), auto_refresh=False) as live:
        while looks[-1].state == "collecting":
            time.sleep(args.every)
            looks.append(look(run))
            live.update(_screen(looks), refresh=True)
    return EXIT_DONE


def lines(looks: deque[Look]) -> list[str]:
    """The last look in words, with the rate over all of them."""
    now, rate = looks[-1], rows_per_second(looks)
    of = f" of {now.planned_samples:,}" if now.planned_samples else ""
    text = [f"{now.run}: {now.state}", f"  rows       {now.rows:,}{of}, {byte_count(now.bytes)} on disk"]
    if math.isfinite(rate):
        text.append(f"  rate       {rate:,.1f} rows/s{_time_left(now, rate)}")
    if now.holder.get("pid"):
        memory = "" if now.memory is None else f", {byte_count(now.memory)} of memory with its workers"
        text.append(f"  collector  process {now.holder['pid']} on {now.holder['host']}{memory}")
    text += [f"  stage      {name}: {count:,} samples planned" for name, count in now.planned.items() if name]
    for part in now.parts:
        ago = f", last commit {duration(max(0.0, now.at - part.changed))} ago" if math.isfinite(part.changed) else ""
        text.append(f"  part       {part.name}: {part.rows:,} rows in {part.commits:,} commits{ago}")
    if now.state == "stopped":
        text.append(f"Next: lit-experiments collect --config {now.run}/config.yaml --run {now.run} goes on with it")
    return text


def _time_left(now: Look, rate: float) -> str:
    left = now.planned_samples - now.rows
    return f", {duration(left / rate)} left" if rate > 0 and left > 0 else ""


def _screen(looks: deque[Look]) -> Group:
    now = looks[-1]
    table = Table.grid()
    for line in lines(looks):
        table.add_row(Text(line))
    total = now.planned_samples
    bar = ProgressBar(total=total, completed=min(now.rows, total), width=60) if total else Text("")
    return Group(table, bar)
