"""Texts continued by vLLM, by the rules of `lm/decode.py`: every row is a request, and nothing is kept between calls.

Owns `VllmDecoder` and `VllmTexts`. A text is its token ids: forks and rows are chosen by copying these, and what a
prefix computes is shared inside of a call by vLLM's own prefix cache, which is emptied before. Logits and states at the
last token are computed when they are looked at. Close choices are counted and not settled: vLLM's rounding is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lit_experiments.lm.continuations import Continuations
from lit_experiments.lm.errors import NonFiniteStateError, model_error
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.sequences import check_sequences
from lit_experiments.lm.vllm_engine.regions import Plan, Reading, Views

if TYPE_CHECKING:
    from lit_experiments.lm.vllm_engine.engine import VllmEngine

NEAR_TIE = 5e-4  # in logits, as `lm/decode.py` has it for float32


class VllmTexts:
    """N texts where they stand; see `lm.engine.Texts`. finished: the last token is not part of what is continued."""

    def __init__(self, engine: VllmEngine, sites: list[str], ids: Sequence[Sequence[int]]) -> None:
        self.engine, self.sites = engine, sites
        self.ids = [list(one) for one in ids]
        self.finished = False
        self._read: tuple[list[list[int]], Views] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def logits(self) -> Tensor:
        """float32 [N, V], for the token after the last one."""
        return self._held().next_logits

    @property
    def captured(self) -> dict[str, Tensor]:
        """{site: float32 [N, hidden]} at the last token."""
        values = self._held().readings[0].values
        return {site: values[k] for k, site in enumerate(self.sites)}

    def fork(self, n: int) -> VllmTexts:
        """Each row `n` times, one after the other."""
        return self.select([row for row in range(len(self)) for _ in range(n)])

    def select(self, rows: Sequence[int]) -> VllmTexts:
        """The given rows, in that order (repeats allowed)."""
        self.require_open()
        return VllmTexts(self.engine, self.sites, [self.ids[row] for row in rows])

    def require_open(self) -> None:
        """Raises ModelError once the last sampled token was not fed."""
        if self.finished:
            raise model_error(
                "These texts ended with a token that was not fed.", next_step="sample with feed_last=True"
            )

    def _held(self) -> Views:
        if self._read is None or self._read[0] != self.ids:
            last = Reading([[len(ids) - 1] for ids in self.ids], None, unrounded=True)
            held = self.engine.read(self.ids, self.sites, [last], next_logits=True)
            _require_numbers(self.engine, held.next_logits.logsumexp(-1), [len(ids) - 1 for ids in self.ids])
            self._read = ([list(ids) for ids in self.ids], held)
        return self._read[1]


class VllmDecoder:
    """Continues texts with one model; see `lm.engine.Continuer`."""

    def __init__(self, engine: VllmEngine, sites: list[str], between_steps: Callable[[], None] | None) -> None:
        self.engine, self.sites, self.between_steps = engine, sites, between_steps
        self.near_ties = 0

    def prefill(self, prompts: Sequence[Sequence[int]]) -> VllmTexts:
        """These texts. Raises ModelError for what the model cannot read."""
        check_sequences(self.engine.info, prompts)
        return VllmTexts(self.engine, self.sites, prompts)

    def sample(
        self,
        state: VllmTexts,
        steps: int,
        sampling: Sampling,
        keys: Sequence[StreamKey],
        stop_ids: Sequence[int] = (),
        feed_last: bool = True,
    ) -> Continuations:
        """As `Decoder.sample`. Raises ModelError when the texts outgrow the model's window, NonFiniteStateError where
        the model computed no numbers."""
        state.require_open()
        check_sequences(self.engine.info, state.ids, room=steps)
        plan, held = self.engine.planned(self._plan(state, steps))
        held.close.zero_()
        self.engine.llm.reset_prefix_cache()
        self.engine.call("lit_begin_sampling", plan)
        try:
            requests = (
                (ids, self._params(row, keys[row], steps, sampling, stop_ids)) for row, ids in enumerate(state.ids)
            )
            written = self.engine.run(requests, self.between_steps)
        finally:
            self.engine.call("lit_end_sampling")
        out = _continuations(written, held, steps, stop_ids)
        self._check_numbers(state, out)
        close = int((held.close & (out.token_ids >= 0)).sum())
        self.near_ties += close
        self.engine.tally.close += close
        self.engine.tally.sampled += int(out.lengths.sum())
        _move(state, written, out.stopped, feed_last)
        return out

    def _plan(self, state: VllmTexts, steps: int) -> Plan:
        return Plan("", [], state.ids, [], self.engine.info.d_model, self.engine.info.vocab_size, steps=steps)

    def _params(self, row: int, key: StreamKey, steps: int, sampling: Sampling, stop_ids: Sequence[int]) -> Any:
        from vllm import SamplingParams

        from lit_experiments.lm.vllm_engine.sampling import race_arguments

        margin = NEAR_TIE if self.engine.info.spec.dtype == "float32" else 0.0
        return SamplingParams(
            max_tokens=steps,
            temperature=0,  # the race leaves one token to take
            detokenize=False,
            ignore_eos=True,
            stop_token_ids=list(stop_ids),
            extra_args=race_arguments(row, key, sampling, margin),
        )

    def _check_numbers(self, state: VllmTexts, out: Continuations) -> None:
        for row, (scores, n) in enumerate(zip(out.log_probs, out.lengths.tolist(), strict=True)):
            lost = (~scores[:n].isfinite()).nonzero()[:, 0].tolist()
            if lost:
                _refuse(self.engine, row, len(state.ids[row]) + lost[0] - 1)


def _continuations(written: list[list[int]], held: Views, steps: int, stop_ids: Sequence[int]) -> Continuations:
    lengths = torch.tensor([len(ids) for ids in written])
    tokens = torch.tensor([[*ids, *[-1] * (steps - len(ids))] for ids in written], dtype=torch.int64)
    scores = torch.where(tokens >= 0, held.token_log_probs, torch.nan)
    return Continuations(tokens, scores, lengths, torch.tensor([ids[-1] in stop_ids for ids in written]))


def _move(state: VllmTexts, written: list[list[int]], stopped: Tensor, feed_last: bool) -> None:
    """Rows that a stop token ended leave `state`; the others go on behind what was written."""
    rows = zip(state.ids, written, stopped.tolist(), strict=True)
    state.ids = [[*ids, *new] for ids, new, ended in rows if not ended]
    state.finished = not feed_last


def _require_numbers(engine: VllmEngine, log_totals: Tensor, positions: list[int]) -> None:
    lost = (~log_totals.isfinite()).nonzero()[:, 0].tolist()
    if lost:
        _refuse(engine, lost[0], positions[lost[0]])


def _refuse(engine: VllmEngine, row: int, position: int) -> None:
    message = f"{engine.info.name!r} computed NaN or infinity in its logits at position {position} of row {row}."
    raise NonFiniteStateError(message, index=row, site="logits", position=position)
