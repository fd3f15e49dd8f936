"""Read sequences with the model and keep its hidden states at named sites, as float16 with exponents.

Owns `capture`: one forward pass of the body (no output embedding), right padding, and inside each site's hook, on the
device: drop the padding, pick the positions, cast, check. The pass ends after the last block that is asked for, unless
what the model predicts is wanted too. `capture_together` takes several readings of one pass, means and maxima over
tokens among them (`sinks.py`). `exact_states` reads the same way, in the model's own dtype, for states that are
to be put back into the model. Knows no store; the result's axis order is the stores' [site, token, hidden].

The state at position t has read tokens 0..t; it is the state that predicts token t + 1.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress

import torch
from torch import Tensor

from lit_experiments.lm.batching import Batch, Positions, chosen_rows, pad_right
from lit_experiments.lm.errors import NonFiniteStateError
from lit_experiments.lm.hooks import ForwardComplete, Sink, Tap, tapped
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.score import log_probs_within, logits_after
from lit_experiments.lm.sinks import Pool, PoolSink, StateSink, TokenSink
from lit_experiments.lm.sites import resolve_sites


class Captured:
    """States of one batch, on the host, in memory of their own.

    values: float16 [site, position, hidden], the rows of all sequences one after another, no padding; exponents: int8
    [site, position], value = float16 * 2**exponent; lengths: int64 [sequence], rows of each sequence; finite: bool
    [site, token that was read]. If they were asked for: next_logits: float32 [sequence, vocabulary], what the last
    token of each sequence predicts; log_probs: for each sequence as from `token_log_probs`. From a GPU the copy runs in
    the background: reading `values` or `exponents` waits for it.
    """

    def __init__(
        self,
        values: Tensor,
        exponents: Tensor,
        lengths: Tensor,
        finite: Tensor,
        next_logits: Tensor | None,
        log_probs: list[Tensor] | None,
    ) -> None:
        self.lengths, self.finite, self.next_logits, self.log_probs = lengths, finite, next_logits, log_probs
        self._values, self._exponents = values, exponents
        self._copied: torch.cuda.Event | None = None
        if values.device.type == "cuda":
            self._start_copy(values, exponents)

    def _start_copy(self, values: Tensor, exponents: Tensor) -> None:
        # A stream of its own, so that the next batch's forward pass does not wait for this copy.
        stream = torch.cuda.Stream(values.device)
        stream.wait_stream(torch.cuda.current_stream(values.device))
        with torch.cuda.stream(stream):
            self._values, self._exponents = (
                torch.empty(source.shape, dtype=source.dtype, pin_memory=True).copy_(source, non_blocking=True)
                for source in (values, exponents)
            )
            self._copied = torch.cuda.Event()
            self._copied.record(stream)
        # The allocator must not hand the device memory to the next batch while the copy still reads it.
        values.record_stream(stream)
        exponents.record_stream(stream)

    @property
    def values(self) -> Tensor:
        if self._copied is not None:
            self._copied.synchronize()
        return self._values

    @property
    def exponents(self) -> Tensor:
        if self._copied is not None:
            self._copied.synchronize()
        return self._exponents


@torch.inference_mode()
def capture(
    lm: LanguageModel,
    sequences: Sequence[Sequence[int]],
    sites: Sequence[str],
    positions: Positions = "all",
    nonfinite: str = "raise",
    next_logits: bool = False,
    log_probs: bool = False,
) -> Captured:
    """Hidden states of `sequences` (token ids) at `sites`, in the order given.

    positions: `all`, `last`, or per sequence the token indices wanted (negative ones count from its end). nonfinite:
    `raise` a NonFiniteStateError that names sequence, site and position, or `record` such values as they are.
    next_logits, log_probs: in the same pass, the raw logits of the token that follows each sequence, and the
    log-probability of each token that has a predecessor.
    Raises ModelError for sequences that the model cannot read and for unknown sites.
    """
    names = resolve_sites(list(sites), lm.info.layout, lm.info.n_layers)
    lm.check_sequences(sequences)
    batch = pad_right(sequences, lm.device)
    rows = chosen_rows(sequences, positions, batch.ids.shape[1])
    sink = TokenSink(lm, len(names), rows, batch.ids.numel())
    output = _read(lm, batch, names, sink, to_the_end=next_logits or log_probs)
    finite = sink.finite.cpu()
    if nonfinite == "raise":
        require_finite(finite, names, rows, batch.ids.shape[1], lm.info.name)
    logits = logits_after(lm, output, sequences).cpu() if output is not None and next_logits else None
    scored = log_probs_within(lm, batch, output, sequences) if output is not None and log_probs else None
    return Captured(sink.values, sink.exponents, torch.tensor([len(row) for row in rows]), finite, logits, scored)


@torch.inference_mode()
def capture_together(
    lm: LanguageModel,
    sequences: Sequence[Sequence[int]],
    sites: Sequence[str],
    readings: Mapping[str, Positions | Pool],
) -> dict[str, Captured]:
    """Several readings of one forward pass, by name: states at positions, as `capture` takes them, or pooled over
    tokens; the latter have one entry per sequence, [site, sequence, hidden], computed on the device in float32.

    Raises ModelError as `capture` does, and NonFiniteStateError for any state that is read or pooled.
    """
    names = resolve_sites(list(sites), lm.info.layout, lm.info.n_layers)
    lm.check_sequences(sequences)
    batch = pad_right(sequences, lm.device)
    sinks = {name: _sink_of(lm, len(names), sequences, reading, batch) for name, reading in readings.items()}

    def hand_out(k: int, state: Tensor) -> None:
        for sink in sinks.values():
            sink(k, state)

    _read(lm, batch, names, hand_out, to_the_end=False)
    for sink in sinks.values():
        require_finite(sink.finite.cpu(), names, sink.rows, batch.ids.shape[1], lm.info.name)
    return {
        name: Captured(sink.values, sink.exponents, sink.lengths, sink.finite.cpu(), None, None)
        for name, sink in sinks.items()
    }


def _sink_of(
    lm: LanguageModel, n_sites: int, sequences: Sequence[Sequence[int]], reading: Positions | Pool, batch: Batch
) -> StateSink:
    if isinstance(reading, Pool):
        return PoolSink(lm, n_sites, reading, chosen_rows(sequences, reading.positions(), batch.ids.shape[1]))
    return TokenSink(lm, n_sites, chosen_rows(sequences, reading, batch.ids.shape[1]), batch.ids.numel())


@torch.no_grad()
def exact_states(
    lm: LanguageModel, sequences: Sequence[Sequence[int]], sites: Sequence[str], positions: Positions = "all"
) -> dict[str, Tensor]:
    """{site as it is stored: [position, hidden]}, rows as in `Captured.values`, but unrounded: in the model's own dtype
    and on its device. `positions` and errors as in `capture`; values are taken as they are, finite or not."""
    names = resolve_sites(list(sites), lm.info.layout, lm.info.n_layers)
    lm.check_sequences(sequences)
    batch = pad_right(sequences, lm.device)
    rows = chosen_rows(sequences, positions, batch.ids.shape[1])
    indices = torch.tensor([index for row in rows for index in row], dtype=torch.long, device=lm.device)
    states: dict[str, Tensor] = {}

    def keep(k: int, state: Tensor) -> None:
        states[names[k]] = state.reshape(-1, state.shape[-1])[indices]

    _read(lm, batch, names, keep, to_the_end=False)
    return {name: states[name] for name in names}


def _read(lm: LanguageModel, batch: Batch, names: list[str], sink: Sink, to_the_end: bool) -> Tensor | None:
    """One pass. Returns the body's output [batch, token, hidden] if it ran to the end, which it otherwise need not."""
    tap = Tap((*batch.ids.shape, lm.info.d_model), len(names), sink, stop_when_complete=not to_the_end)
    with tapped(lm.model, lm.info.layout, names, tap), suppress(ForwardComplete):
        output = lm.read(batch)
        return output if to_the_end else None
    return None


def require_finite(finite: Tensor, names: list[str], rows: list[list[int]], longest: int, model: str) -> None:
    """finite: bool [site, entry of `rows`]; rows: as from `chosen_rows` with `longest`.

    Raises NonFiniteStateError for the first state that is not finite.
    """
    if bool(finite.all()):
        return
    site, column = (~finite).nonzero()[0].tolist()
    flat = [index for row in rows for index in row][column]
    index, position = divmod(flat, longest)
    raise NonFiniteStateError(
        f"{model!r} computed NaN or infinity at site {names[site]}, position {position} of sequence {index} "
        f"({int((~finite).sum())} of {finite.numel()} vectors in this batch).\n"
        "  next:    try float32, or record such values instead of stopping",
        index=index,
        site=names[site],
        position=position,
    )
