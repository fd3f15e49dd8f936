"""Continue texts: prefill once, fork, sample, force tokens, go back to a position and branch.

Owns `Decoder`. Its conventions:
  * The state that predicts token t is the one at t - 1. The state *of* a generated token is the one computed when that
    token is fed back; `State.captured` is that of the last token fed.
  * Log-probabilities are those of the model itself: float32, from raw logits, before temperature, top-k and top-p.
  * End-of-text is a token like any other unless it is among `stop_ids`.
  * In float32 the tokens do not depend on batch size, forking, order or cutting a call in two. Logits move by rounding
    with the batch's shape; a choice that is closer than NEAR_TIE is made again from the row's own full text, alone,
    without cache, on one thread. In float16 and bfloat16 rounding is too coarse for this promise and none is made.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor

from lit_experiments.lm.alive import AliveRows
from lit_experiments.lm.batching import Batch, pad_left, pad_right
from lit_experiments.lm.cache import cut, keeps_past, new_cache, with_rows
from lit_experiments.lm.continuations import Continuations, Recorder
from lit_experiments.lm.errors import ModelError, NonFiniteStateError, model_error
from lit_experiments.lm.hooks import Tap, tapped
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.noise import NoiseAhead, StreamKey
from lit_experiments.lm.pool import LatentPool
from lit_experiments.lm.sampling import Sampling, choose
from lit_experiments.lm.sites import resolve_sites
from lit_experiments.lm.state import State
from lit_experiments.lm.steering import RowChange, RowChanges, row_changes

# In logits. Between batch shapes float32 logits were seen to move by 1e-6 of their size: 1e-5 in trained models, 5e-4
# in badly conditioned random ones. One choice in some thousands is this close, so settling them costs next to nothing.
NEAR_TIE = {torch.float32: 5e-4, torch.float16: 0.0, torch.bfloat16: 0.0}


class Decoder:
    """Continues texts with one model. `sites`: whose states to keep at the last token fed. `between_steps`: called
    before every step; it may raise to end a long call. `near_ties`: how many choices so far were settled by the
    canonical recomputation."""

    def __init__(
        self, lm: LanguageModel, sites: Sequence[str] = (), between_steps: Callable[[], None] | None = None
    ) -> None:
        self.lm, self.between_steps = lm, between_steps
        self.sites = resolve_sites(list(sites), lm.info.layout, lm.info.n_layers)
        self.near_ties = 0

    def prefill(
        self,
        prompts: Sequence[Sequence[int]],
        keep_past: bool = False,
        changes: Sequence[Sequence[RowChange]] | None = None,
    ) -> State:
        """Reads `prompts` (token ids) once. keep_past: also keep what a sliding window has passed, to branch there
        later. changes: per prompt, what is done to its states then and while it is continued (`steering.py`). Raises
        ModelError for what the model cannot read, and for changes that do not fit it."""
        self.lm.check_sequences(prompts)
        return self._read_whole(prompts, keep_past, row_changes(self.lm, prompts, changes))

    def _read_whole(self, texts: Sequence[Sequence[int]], keep_past: bool, changes: RowChanges | None) -> State:
        cache = new_cache(self.lm.info.config, keep_past)
        batch = pad_left(texts, self.lm.device)
        logits, captured = self._forward(batch, cache, self.sites, changes)
        whole = list(map(len, texts))
        return State([list(ids) for ids in texts], logits, captured, cache, batch.mask, whole, changes)

    def sample(
        self,
        state: State,
        steps: int,
        sampling: Sampling,
        keys: Sequence[StreamKey],
        stop_ids: Sequence[int] = (),
        feed_last: bool = True,
        forced: Sequence[Sequence[int]] | None = None,
        pool: LatentPool | None = None,
        limits: Sequence[int] | None = None,
        ended: dict[int, State] | None = None,
    ) -> Continuations:
        """Continues every row of `state` by `steps` tokens, and moves `state` there.

        keys: one random stream per row. stop_ids: tokens that end their row; ended rows leave `state`, the others stay
        in order. feed_last: whether the last token is fed too (`state.logits` and `.captured` then stand after it);
        without, `state` is finished. forced: per row, tokens to take instead of sampled ones in the first steps. pool:
        takes means of the states of this call's tokens, the first being its token 1. limits: per row, after how many
        tokens it ends, if before `steps`; the last of them is fed. ended: receives the state of each row that ends
        before `steps`, by its index in `state`, behind the last token that was fed (a stop token is not).
        Raises ModelError when the texts outgrow the model's window.
        """
        self._check(state, steps, keys, forced, limits)
        if pool is not None:
            pool.begin(len(state), self.lm.info.d_model, self.lm.device)
        out, rows = Recorder(len(state), steps), AliveRows(state, keys, ended)
        with NoiseAhead(state.logits.shape[1]) as noise:
            for step in range(steps):
                if not rows.numbers:
                    break
                if self.between_steps is not None:
                    self.between_steps()
                log_total = self._log_total(state, rows.numbers)
                tokens = self._next_tokens(state, sampling, rows.keys, noise, last=step + 1 == steps)
                if forced is not None:
                    _force(tokens, [forced[row][step : step + 1] for row in rows.numbers])
                going = out.record(step, rows.numbers, tokens, _chosen(state.logits, tokens) - log_total, stop_ids)
                for ids, token in zip(state.ids, tokens.tolist(), strict=True):
                    ids.append(token)
                rows.keep(going, fed=False)
                if rows.numbers:
                    self._go_on(rows, tokens[going], step + 1, pool, feed=step + 1 < steps or feed_last)
                if limits is not None and step + 1 < steps:
                    rows.keep([i for i, row in enumerate(rows.numbers) if step + 1 < limits[row]], fed=True)
        state.finished = not feed_last
        return out.result()

    def branch(self, state: State, lengths: Sequence[int], rows: Sequence[int] | None = None) -> State:
        """A new state, to go another way from there: its row i holds the first lengths[i] tokens of row rows[i] (row i
        when not given); `state` stays as it is.

        The cache is cut to each row's length and one token fed again. Only where a sliding window may have let go of
        the past, the shortened texts are read again (`prefill` with keep_past avoids that), and so are texts that were
        read as a whole when they were longer and turned by other rotary frequencies.
        """
        state.require_open()
        rows = range(len(state)) if rows is None else rows
        for row, length in zip(rows, lengths, strict=True):
            if not 1 <= length <= len(state.ids[row]):
                raise model_error(f"Row {row} has {len(state.ids[row])} tokens, it cannot go back to {length}.")
        texts = [state.ids[row][:length] for row, length in zip(rows, lengths, strict=True)]
        columns = state.mask.shape[1]
        starts = [columns - len(state.ids[row]) for row in rows]  # a row's tokens lie behind its padding
        counts = [length - 1 for length in lengths]
        cache = cut(state.cache, rows, starts, counts) if max(counts) else None
        changes = state.changes_of(rows)
        if cache is None:
            return self._read_whole(texts, keep_past=False, changes=changes)
        column = torch.arange(max(counts), device=state.mask.device)
        mask = column[None] >= max(counts) - torch.tensor(counts, device=state.mask.device)[:, None]
        whole = [state.whole[row] for row in rows]
        shorter = State(texts, state.logits, state.captured, cache, mask, whole, changes)
        self._feed(shorter, torch.tensor([ids[-1] for ids in texts], device=self.lm.device))
        return shorter

    def _next_tokens(
        self, state: State, sampling: Sampling, keys: list[StreamKey], noise: NoiseAhead, last: bool
    ) -> Tensor:
        drawn = None
        if not sampling.greedy:
            drawn = noise.draw(keys, [len(ids) for ids in state.ids], last).to(state.logits.device, non_blocking=True)
        margin = NEAR_TIE[self.lm.dtype]
        tokens, close = choose(state.logits, drawn, sampling, margin)
        if margin:
            for row in close.nonzero()[:, 0].tolist():
                logits = self._canonical_logits(state.ids[row], state.whole[row], state.changes_of([row]))
                tokens[row] = choose(logits, None if drawn is None else drawn[row : row + 1], sampling, margin)[0][0]
                self.near_ties += 1
        return tokens

    def _log_total(self, state: State, alive: list[int]) -> Tensor:
        """log of the sum of exp(logits), [N]; raises NonFiniteStateError where the model computed no numbers.

        alive: each row's index in the state that `sample` was given, which is the one that the error names.
        """
        log_total = state.logits.logsumexp(-1)
        broken = (~log_total.isfinite()).nonzero()[:, 0].tolist()
        if broken:
            row, position = alive[broken[0]], len(state.ids[broken[0]]) - 1
            message = (
                f"{self.lm.info.name!r} computed NaN or infinity in its logits at position {position} of row {row}."
            )
            raise NonFiniteStateError(message, index=row, site="logits", position=position)
        return log_total

    def _go_on(self, rows: AliveRows, tokens: Tensor, number: int, pool: LatentPool | None, feed: bool) -> None:
        """Feeds the generated token with this number (from 1), if it is to be fed or its states are wanted."""
        if pool is not None and pool.wants(number, rows.numbers):
            pool.add(number, rows.numbers, self._feed(rows.state, tokens, pool.sites))
        elif feed:
            self._feed(rows.state, tokens)

    def _feed(self, state: State, tokens: Tensor, sites: Sequence[str] = ()) -> Tensor:
        """Feeds each row the token that its ids already end with; returns its states at `sites` [site, N, hidden]."""
        lengths = torch.tensor([[len(ids)] for ids in state.ids], device=self.lm.device)
        state.mask = torch.cat([state.mask, state.mask.new_ones(len(state), 1)], dim=1)
        all_sites = list(dict.fromkeys([*self.sites, *sites]))
        batch = Batch(tokens[:, None], lengths - 1, state.mask, lengths)
        state.logits, states = self._forward(batch, state.cache, all_sites, state.changes)
        stale = [row for row in range(len(state)) if self._is_stale(state, row)]
        if stale:
            self._read_anew(state, stale, states)
        state.captured = {site: states[site] for site in self.sites}
        return torch.stack([states[site] for site in sites]) if sites else state.logits.new_empty(0)

    def _is_stale(self, state: State, row: int) -> bool:
        """Whether the row's cache holds tokens turned by frequencies that `generate` would not have left there."""
        rope, length = self.lm.info.rope, len(state.ids[row])
        if rope is None:
            return False
        return length == rope.reread_at or (length < state.whole[row] and not rope.same(length, state.whole[row]))

    @torch.inference_mode()
    def _read_anew(self, state: State, rows: list[int], states: dict[str, Tensor]) -> None:
        """Reads the texts of `rows` as a whole, and puts what comes out in the place of what `state` and `states` hold
        of them."""
        texts = [state.ids[row] for row in rows]
        fresh = new_cache(self.lm.info.config, keeps_past(state.cache))
        batch = pad_left(texts, self.lm.device, width=state.mask.shape[1])
        logits, captured = self._forward(batch, fresh, list(states), state.changes_of(rows))
        index = torch.tensor(rows, device=self.lm.device)
        state.cache = with_rows(state.cache, rows, fresh)
        state.logits = state.logits.index_copy(0, index, logits)
        for site, held in states.items():
            states[site] = held.index_copy(0, index, captured[site])
        for row, text in zip(rows, texts, strict=True):
            state.whole[row] = len(text)

    @torch.inference_mode()
    def _forward(
        self, batch: Batch, cache: object, sites: Sequence[str], changes: RowChanges | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """float32 logits [N, V] and site states [N, hidden] at the last column."""
        captured: dict[str, Tensor] = {}
        shape = (*batch.ids.shape, self.lm.info.d_model)
        sink = lambda k, state: captured.__setitem__(sites[k], state[:, -1].clone())  # noqa: E731
        tap = Tap(shape, len(sites), sink, stop_when_complete=False)
        steered = nullcontext() if changes is None else changes.applied(self.lm, batch)
        with steered, tapped(self.lm.model, self.lm.info.layout, sites, tap):  # in this order: taps see changed states
            hidden = self.lm.read(batch, cache)
        return self.lm.head(hidden[:, -1]).float(), captured

    def _canonical_logits(self, ids: list[int], whole: int, changes: RowChanges | None) -> Tensor:
        """The logits [1, V] after `ids`, computed in the one way that depends on nothing but `ids`, on how many of
        them were read at once, and on what is done to their states."""
        batch = pad_right([ids], self.lm.device)
        with _one_thread(self.lm.device):
            logits, _ = self._forward(replace(batch, lengths=(batch.positions + 1).clamp(min=whole)), None, (), changes)
        return logits

    def _check(
        self,
        state: State,
        steps: int,
        keys: Sequence[StreamKey],
        forced: Sequence[Sequence[int]] | None,
        limits: Sequence[int] | None,
    ) -> None:
        state.require_open()
        if any(given is not None and len(given) != len(state) for given in (keys, forced, limits)):
            raise ModelError(
                f"{len(state)} rows need as many keys (forced continuations, limits): {len(keys)} keys given."
            )
        room = [steps] * len(state) if limits is None else [min(steps, limit) for limit in limits]
        self.lm.check_sequences(state.ids, room=room)


def _chosen(logits: Tensor, tokens: Tensor) -> Tensor:
    return logits.gather(1, tokens[:, None])[:, 0]


def _force(tokens: Tensor, forced: list[Sequence[int]]) -> None:
    for row, ids in enumerate(forced):
        if len(ids):
            tokens[row] = ids[0]


@contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    # How a CPU splits a sum over threads is part of its rounding; other devices have no such setting.
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
