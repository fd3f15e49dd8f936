"""What was sampled, noted step by step. Owns `Continuations` and how its arrays fill; knows no model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Continuations:
    """What was sampled. token_ids: int64 [N, steps], -1 after a row's end; log_probs: float32 [N, steps] in nats, NaN
    after a row's end; lengths: int64 [N], the stop token counted; stopped: bool [N], ended by a stop token."""

    token_ids: Tensor
    log_probs: Tensor
    lengths: Tensor
    stopped: Tensor


class Recorder:
    """Fills the arrays of `Continuations` step by step."""

    def __init__(self, rows: int, steps: int) -> None:
        self.token_ids = torch.full((rows, steps), -1, dtype=torch.int64)
        self.log_probs = torch.full((rows, steps), torch.nan, dtype=torch.float32)
        self.stopped = torch.zeros(rows, dtype=torch.bool)

    def record(
        self, step: int, alive: list[int], tokens: Tensor, log_probs: Tensor, stop_ids: Sequence[int]
    ) -> list[int]:
        """Notes this step's tokens; returns which of the rows at hand go on."""
        self.token_ids[alive, step] = tokens.cpu()
        self.log_probs[alive, step] = log_probs.cpu()
        ended = [token in stop_ids for token in tokens.tolist()]
        self.stopped[[row for row, end in zip(alive, ended, strict=True) if end]] = True
        return [i for i, end in enumerate(ended) if not end]

    def result(self) -> Continuations:
        return Continuations(self.token_ids, self.log_probs, (self.token_ids >= 0).sum(1), self.stopped)
