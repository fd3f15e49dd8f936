"""The engine that is exact: Hugging Face's own modules, in this process.

Owns nothing but the way from the engines' interface to `capture`, `score` and `decode`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from lit_experiments.lm.batching import Positions
from lit_experiments.lm.capture import Captured, capture, capture_together
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.float16 import UnroundedRows
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.score import token_log_probs
from lit_experiments.lm.sinks import Pool


@dataclass(frozen=True)
class TransformersEngine:
    """A loaded `LanguageModel` behind the interface that all engines have."""

    lm: LanguageModel

    @property
    def info(self) -> ModelInfo:
        return self.lm.info

    def capture(
        self,
        sequences: Sequence[Sequence[int]],
        sites: Sequence[str],
        positions: Positions = "all",
        nonfinite: str = "raise",
        next_logits: bool = False,
        log_probs: bool = False,
    ) -> Captured:
        """As `capture.capture`."""
        return capture(self.lm, sequences, sites, positions, nonfinite, next_logits, log_probs)

    def capture_together(
        self, sequences: Sequence[Sequence[int]], sites: Sequence[str], readings: Mapping[str, Positions | Pool]
    ) -> dict[str, Captured]:
        """As `capture.capture_together`."""
        return capture_together(self.lm, sequences, sites, readings)

    def token_log_probs(self, sequences: Sequence[Sequence[int]]) -> list[Tensor]:
        """As `score.token_log_probs`."""
        return token_log_probs(self.lm, sequences)

    def decoder(self, sites: Sequence[str] = (), between_steps: Callable[[], None] | None = None) -> Decoder:
        """What continues texts, see `Decoder`."""
        return Decoder(self.lm, sites, between_steps)

    def notes(self) -> list[str]:
        """Nothing: close choices were settled."""
        return []

    def unrounded(self) -> "TransformersEngine":
        """The same model, whose captured states come in float32, as it computed them."""
        return TransformersEngine(replace(self.lm, encoder=UnroundedRows()))
