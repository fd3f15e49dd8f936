"""What computes: one interface to every engine. A study asks for states, scores and continuations, and does not know
which engine gives them.

Owns the interface alone. `transformers_engine.py` is the exact one, next to the modules themselves; `vllm_engine/` is
the fast one, and can spread a model over several devices. `engines.py` makes the one that a `ModelSpec` names.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from lit_experiments.lm.batching import Positions
from lit_experiments.lm.capture import Captured
from lit_experiments.lm.continuations import Continuations
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.sinks import Pool


class Texts(Protocol):
    """N texts where they stand while they are being continued.

    ids: every row's token ids. logits: float32 [N, V], for the token after the last one. captured: {site: [N, hidden]}
    at the last token, for the sites that the decoder was made with.
    """

    @property
    def ids(self) -> list[list[int]]: ...

    @property
    def logits(self) -> Tensor: ...

    @property
    def captured(self) -> dict[str, Tensor]: ...

    def __len__(self) -> int: ...

    def fork(self, n: int) -> "Texts":
        """Each row `n` times, one after the other; independent of these."""

    def select(self, rows: Sequence[int]) -> "Texts":
        """The given rows, in that order (repeats allowed); independent of these."""


class Continuer(Protocol):
    """Continues texts, by the rules of `decode.Decoder`: raw log-probabilities, noise from (seed, sample, draw).

    near_ties: how many choices so far were closer than rounding may turn.
    """

    near_ties: int

    def prefill(self, prompts: Sequence[Sequence[int]]) -> Any:
        """`Texts` that hold these token ids. Raises ModelError for what the model cannot read."""

    def sample(
        self,
        state: Any,
        steps: int,
        sampling: Sampling,
        keys: Sequence[StreamKey],
        stop_ids: Sequence[int] = (),
        feed_last: bool = True,
    ) -> Continuations:
        """Continues every row of this continuer's `state` by `steps` tokens, and moves `state` there; see `Decoder`."""


class Engine(Protocol):
    """A loaded model. info: what is known of it without its weights."""

    @property
    def info(self) -> ModelInfo: ...

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

    def capture_together(
        self, sequences: Sequence[Sequence[int]], sites: Sequence[str], readings: Mapping[str, Positions | Pool]
    ) -> dict[str, Captured]:
        """As `capture.capture_together`."""

    def token_log_probs(self, sequences: Sequence[Sequence[int]]) -> list[Tensor]:
        """As `score.token_log_probs`."""

    def decoder(self, sites: Sequence[str] = (), between_steps: Callable[[], None] | None = None) -> Continuer:
        """What continues texts. sites: whose states to hold at the last token of each; between_steps: is called before
        every step, and may raise to end a long call."""

    def notes(self) -> list[str]:
        """What is to be said after a run."""

    def unrounded(self) -> "Engine":
        """The same model, whose captured states come in float32, as it computed them."""
