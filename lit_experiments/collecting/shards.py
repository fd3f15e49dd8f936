"""`--shard 3/8`: one of several parts of a collection that are collected apart and merged afterwards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lit_experiments.collecting.plan import Batches, share
from lit_experiments.errors import UserError

_SHARD = re.compile(r"([0-9]{1,9})/([0-9]{1,9})")


@dataclass(frozen=True)
class Shard:
    """Part `number`, from 1, of `count`."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, batches: Batches) -> Batches:
        """The plan of this part: whole batches of the plan of everything, shared as processes share them. So every
        sample is computed in the company that it has in an undivided run."""
        packing = batches.packing
        mine = share(batches, self.number - 1, self.count).numbers
        places = np.isin(np.repeat(np.arange(len(packing.starts) - 1), np.diff(packing.starts)), mine)
        in_part = np.zeros_like(batches.selected)
        in_part[packing.order[places]] = True
        return Batches(packing, batches.selected & in_part)


def parse_shard(text: str | None) -> Shard | None:
    """Raises UserError for anything but N/COUNT, with N from 1 to COUNT."""
    if text is None:
        return None
    match = _SHARD.fullmatch(text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UserError(
            f"--shard must be N/COUNT with N from 1 to COUNT, found {text!r}.\n"
            "Next: --shard 1/2 and, elsewhere, --shard 2/2; then lit-experiments merge RUN RUN --out RUN"
        )
    return Shard(int(match[1]), int(match[2]))


def missing_shards(shards: Sequence[str | None]) -> str:
    """Which parts are lacking for parts to make a whole; "" where none is. None stands for an undivided collection."""
    if None in shards:
        return ""
    parts = [part for part in map(parse_shard, shards) if part is not None]
    count = max((part.count for part in parts), default=0)
    here = {part.number for part in parts if part.count == count}
    return ", ".join(str(Shard(number, count)) for number in range(1, count + 1) if number not in here)
