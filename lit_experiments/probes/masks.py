"""Targets that are numbers, grouped by the rows that have them. Fits nothing."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from lit_experiments.probes.blocks import Block
from lit_experiments.probes.data import BlockDataModule
from lit_experiments.probes.waves import Part


def number_parts(data: BlockDataModule, targets: list[int]) -> list[Part]:
    """Targets (by position) whose rows are the same, together; one part where the data lets no target be missing."""
    if not targets:
        return []
    if not data.missing_allowed:
        return [_part(targets, len(data.targets))]
    present = ~np.isnan(data.target_values(np.arange(len(data.order))))
    alike: dict[str, list[int]] = {}
    for target in targets:
        alike.setdefault(hashlib.sha256(present[..., target].tobytes()).hexdigest(), []).append(target)
    return [_part(group, len(data.targets)) for group in alike.values()]


def _part(targets: list[int], of: int) -> Part:
    if targets == list(range(of)):
        return Part(targets, of, lambda block: block)

    def view(block: Block) -> Block:
        return replace(block, y=block.y[..., targets])

    return Part(targets, len(targets), view)
