"""The vLLM engine behind the interface of all engines: texts go in as requests, states come out of shared memory.

Owns `VllmEngine`: how a reading becomes a plan and requests, and how what the workers wrote becomes `Captured`. How the
model is loaded stands in `start.py`, how texts are continued in `continuing.py`.

The scheduler runs in this process and gets all texts of a call before its first step, without any cache of earlier
ones: which tokens are computed together, and with them every rounding, depends on the call alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lit_experiments.lm.batching import Positions, chosen_rows
from lit_experiments.lm.capture import Captured, require_finite
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.float16 import encode_rows
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.sequences import check_sequences
from lit_experiments.lm.sinks import Pool
from lit_experiments.lm.sites import resolve_sites
from lit_experiments.lm.vllm_engine.regions import Plan, Reading, ReadingViews, Regions, Views, views

if TYPE_CHECKING:
    from lit_experiments.lm.vllm_engine.continuing import VllmDecoder


@dataclass
class Tally:
    """Tokens that were sampled, and how many of these choices were close."""

    sampled: int = 0
    close: int = 0


@dataclass(frozen=True)
class VllmEngine:
    """A model that vLLM holds. llm: vLLM's own `LLM`; lora: its adapter, as a `LoRARequest`, None for none; exact:
    whether states come unrounded."""

    info: ModelInfo
    llm: Any
    lora: Any = None
    exact: bool = False
    regions: Regions = field(default_factory=Regions, repr=False)
    names: Any = field(default_factory=count, repr=False)
    tally: Tally = field(default_factory=Tally)

    def capture(
        self,
        sequences: Sequence[Sequence[int]],
        sites: Sequence[str],
        positions: Positions = "all",
        nonfinite: str = "raise",
        next_logits: bool = False,
        log_probs: bool = False,
    ) -> Captured:
        """As `lm.capture.capture`."""
        names = self._resolved(sites)
        longest = max(map(len, sequences), default=0)
        reading = Reading(chosen_rows(sequences, positions, 0), None, self.exact)
        held = self.read(sequences, names, [reading], next_logits, log_probs)
        (states,) = held.readings
        if nonfinite == "raise":
            rows = chosen_rows(sequences, positions, longest)
            require_finite(states.finite, names, rows, longest, self.info.name)
        scores = list(held.log_probs.split([len(ids) - 1 for ids in sequences])) if log_probs else None
        lengths = torch.tensor([len(row) for row in reading.rows])
        logits = held.next_logits if next_logits else None
        return Captured(states.values, states.exponents, lengths, states.finite, logits, scores)

    def capture_together(
        self, sequences: Sequence[Sequence[int]], sites: Sequence[str], readings: Mapping[str, Positions | Pool]
    ) -> dict[str, Captured]:
        """As `lm.capture.capture_together`."""
        names, longest = self._resolved(sites), max(map(len, sequences), default=0)
        places_of = {name: _places(reading) for name, reading in readings.items()}
        plans = [Reading(chosen_rows(sequences, places, 0), kind, self.exact) for places, kind in places_of.values()]
        held = self.read(sequences, names, plans)
        out = {}
        for (name, (places, kind)), plan, states in zip(places_of.items(), plans, held.readings, strict=True):
            rows = chosen_rows(sequences, places, longest)
            require_finite(states.finite, names, rows, longest, self.info.name)
            lengths = torch.tensor([len(row) for row in plan.rows])
            if kind is not None:
                states = self._pooled(states, kind, lengths)
                lengths = torch.ones(len(sequences), dtype=torch.int64)
            out[name] = Captured(states.values, states.exponents, lengths, states.finite, None, None)
        return out

    def token_log_probs(self, sequences: Sequence[Sequence[int]]) -> list[Tensor]:
        """As `lm.score.token_log_probs`."""
        held = self.read(sequences, [], [], log_probs=True)
        return list(held.log_probs.split([len(ids) - 1 for ids in sequences]))

    def decoder(self, sites: Sequence[str] = (), between_steps: Callable[[], None] | None = None) -> VllmDecoder:
        """What continues texts."""
        from lit_experiments.lm.vllm_engine.continuing import VllmDecoder

        return VllmDecoder(self, self._resolved(sites), between_steps)

    def notes(self) -> list[str]:
        """How many tokens another engine, or another company, might have chosen otherwise."""
        if not self.tally.sampled:
            return []
        close, sampled = self.tally.close, self.tally.sampled
        return [f"vLLM sampled {sampled:,} tokens; {close:,} of the choices were closer than rounding may turn."]

    def unrounded(self) -> VllmEngine:
        """The same model, whose captured states come in float32."""
        return replace(self, exact=True)

    def read(
        self,
        sequences: Sequence[Sequence[int]],
        sites: Sequence[str],
        readings: Sequence[Reading],
        next_logits: bool = False,
        log_probs: bool = False,
    ) -> Views:
        """Reads texts once. sites: resolved. Raises ModelError for texts that the model cannot read, and for sites
        that vLLM's modules do not have."""
        check_sequences(self.info, sequences)
        plan, held = self.planned(
            Plan(
                path="",
                sites=list(sites),
                sequences=[list(ids) for ids in sequences],
                readings=list(readings),
                hidden=self.info.d_model,
                vocabulary=self.info.vocab_size,
                next_logits=next_logits,
                log_probs=log_probs,
            )
        )
        self.call("lit_begin_reading", plan, self.info.layout)
        try:
            self.run((ids, self.read_params(row)) for row, ids in enumerate(plan.sequences))
        finally:
            written = self.call("lit_end_reading")
        _require_all(plan, written)
        return held

    def planned(self, plan: Plan) -> tuple[Plan, Views]:
        """The plan with memory of its own, and that memory."""
        path, memory = self.regions.take(plan.size())
        return replace(plan, path=path), views(plan, memory)

    def call(self, method: str, *args: object) -> list[Any]:
        """A method of `StateWorker` on all workers; what each returns."""
        result: list[Any] = self.llm.collective_rpc(method, args=args)
        return result

    def run(
        self, requests: Iterable[tuple[list[int], Any]], between_steps: Callable[[], None] | None = None
    ) -> list[list[int]]:
        """What vLLM writes after each of these (text, `SamplingParams`), as token ids."""
        engine, ids = self.llm.llm_engine, []
        written: dict[str, list[int]] = {}
        try:
            for text, params in requests:
                ids.append(f"lit-{next(self.names)}")
                engine.add_request(ids[-1], {"prompt_token_ids": text}, params, lora_request=self.lora)
            while engine.has_unfinished_requests():
                if between_steps is not None:
                    between_steps()
                for output in engine.step():
                    if output.finished:
                        written[output.request_id] = list(output.outputs[0].token_ids)
        except BaseException:
            engine.abort_request([name for name in ids if name not in written])
            raise
        return [written[name] for name in ids]

    def read_params(self, row: int) -> Any:
        """Of a request that only reads. vLLM writes one token at least; nobody looks at it."""
        from vllm import SamplingParams

        from lit_experiments.lm.vllm_engine.worker import ROW

        return SamplingParams(
            max_tokens=1,
            temperature=0,
            detokenize=False,
            ignore_eos=True,
            skip_reading_prefix_cache=True,
            extra_args={ROW: row},
        )

    def _resolved(self, sites: Sequence[str]) -> list[str]:
        return resolve_sites(list(sites), self.info.layout, self.info.n_layers)

    def _pooled(self, states: ReadingViews, kind: str, counts: Tensor) -> ReadingViews:
        """Sums or maxima [site, sequence, hidden] in float32 as they are stored. counts: tokens of each sequence."""
        values = states.values / counts[:, None] if kind == "mean" else states.values
        shape = values.shape
        if self.exact:
            return ReadingViews(values.clone(), torch.zeros(shape[:2], dtype=torch.int8), states.finite)
        out = torch.empty(shape, dtype=torch.float16)
        exponents, _ = encode_rows(values.reshape(-1, shape[2]), out.view(-1, shape[2]))
        return ReadingViews(out, exponents.view(shape[:2]), states.finite)


def _places(reading: Positions | Pool) -> tuple[Positions, str | None]:
    if isinstance(reading, Pool):
        return [list(span) for span in reading.positions()], reading.statistic
    return reading, None


def _require_all(plan: Plan, written: list[list[list[int]] | None]) -> None:
    """Raises ModelError if a site did not give the state of every token that was wanted."""
    (counts,) = (worker for worker in written if worker is not None)
    for reading, by_site in zip(plan.readings, counts, strict=True):
        for name, tokens in zip(plan.sites, by_site, strict=True):
            if tokens != reading.tokens:
                raise ModelError(f"Site {name} gave the states of {tokens} tokens, not of {reading.tokens}.")
