"""Sequences of different lengths as one rectangle, padded on the right (to read) or on the left (to write on).

Owns padding, and where positions lie in a padded batch. What is padding follows from the lengths alone, never from ids,
so a text that holds the pad or the end-of-text token is read like any other; and rows are padded with a token of their
own, so padding brings in no value that could overflow. Knows no model.

On the right, padding needs no mask: causal attention hides what comes later from every real token, and what the padded
places compute is thrown away. On the left it needs mask and positions. The mask is given in any case: one that hides
nothing is skipped by Hugging Face's attention, while its absence makes some models warn of padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lit_experiments.lm.errors import model_error

Positions = str | Sequence[Sequence[int]]


@dataclass(frozen=True)
class Batch:
    """ids: int64 [batch, token]; positions: int64 [batch or 1, token]; mask: bool [batch, token], False hides, or one
    that is added to attention's scores. lengths: int64 [batch, token or 1], how many tokens a row's text had when the
    token was read, which frequencies of rotary embeddings may depend on (`rope.py`)."""

    ids: Tensor
    positions: Tensor
    mask: Tensor
    lengths: Tensor


def pad_right(sequences: Sequence[Sequence[int]], device: torch.device) -> Batch:
    """Real tokens first, positions 0.. for all rows alike, nothing hidden."""
    longest = max(map(len, sequences))
    ids = torch.tensor([[*sequence, *[sequence[-1]] * (longest - len(sequence))] for sequence in sequences])
    lengths = torch.tensor([[len(sequence)] for sequence in sequences])
    mask = torch.ones_like(ids, dtype=torch.bool)
    return Batch(ids.to(device), torch.arange(longest, device=device)[None], mask.to(device), lengths.to(device))


def pad_left(sequences: Sequence[Sequence[int]], device: torch.device, width: int = 0) -> Batch:
    """Real tokens last, positions counted from each row's first real token; the padding is hidden. width: columns at
    least."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    longest = max(width, int(lengths.max()))
    ids = torch.tensor([[*[sequence[0]] * (longest - len(sequence)), *sequence] for sequence in sequences])
    column = torch.arange(longest)[None] - (longest - lengths)[:, None]
    return Batch(ids.to(device), column.clamp(min=0).to(device), (column >= 0).to(device), lengths[:, None].to(device))


def chosen_rows(sequences: Sequence[Sequence[int]], positions: Positions, longest: int) -> list[list[int]]:
    """For each sequence, the chosen positions as indices into a right-padded batch's flattened [batch * token] axis.

    positions: `all`, `last`, or per sequence a list of token indices (negative ones count from its end). Raises
    ModelError for other names, another number of lists, and positions outside their sequence.
    """
    if isinstance(positions, str):
        if positions not in ("all", "last"):
            raise model_error(f"Unknown positions {positions!r}.", allowed="all, last, or a list per sequence")
    elif len(positions) != len(sequences):
        raise model_error(f"{len(positions)} lists of positions for {len(sequences)} sequences.")
    return [_row(row, len(ids), positions, row * longest) for row, ids in enumerate(sequences)]


def _row(row: int, length: int, positions: Positions, start: int) -> list[int]:
    if isinstance(positions, str):
        return list(range(start, start + length)) if positions == "all" else [start + length - 1]
    resolved = [p + length if p < 0 else p for p in positions[row]]
    if any(not 0 <= p < length for p in resolved):
        raise model_error(
            f"A position lies outside its sequence: position {list(positions[row])} of sequence {row}, "
            f"which has {length} tokens."
        )
    return [start + p for p in resolved]
