"""The next token's logits under many interventions at the last token of each sequence.

    passes = last_token_passes(lm, sequences, together=32)
    for slot, logits in passes.logits([Steer("resid_post.3", direction, m, "last") for m in (-2.0, 2.0)]):
        ...

What is changed at the last token reaches no earlier one, so the tokens before it are read once and kept as a cache.
The last token is then fed `together` times side by side: each copy (a slot) sees the tokens before it and itself, never
the other copies, and has an intervention of its own. Nor does a change reach the blocks before it, so what those give
is kept as well, of one layer at a time, and the pass starts behind them. Where a model cannot do that (attention that
takes no mask of ours, a sliding window shorter than the prompts), `WholePrompts` gives the same by reading everything
anew each time.

Owns both ways and the choice between them. Rounding depends on a row's place in a matrix product, so a change is to be
measured against the clean logits of the same slot: then an intervention that changes nothing gives exactly nothing.
Knows nothing of what the sequences ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from lit_experiments.lm.batching import Batch, pad_left
from lit_experiments.lm.cache import new_cache, shallow_copy
from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.errors import NonFiniteStateError, model_error
from lit_experiments.lm.hooks import Tap, tapped
from lit_experiments.lm.intervene import Intervention, intervened
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.resume import START, Reached, blocks_before, reach, resumed
from lit_experiments.lm.score import next_token_logits
from lit_experiments.lm.sites import parse_site, resolve_sites

# Largest difference between a slot's and a whole pass's logits, relative to the largest logit, that is rounding.
ROUNDING = {torch.float32: 1e-4, torch.bfloat16: 6e-2, torch.float16: 1e-2}
_COMPARED = 4  # sequences, the longest ones, on which the two ways are compared


class LastTokenPasses(Protocol):
    """Passes over one batch of sequences that differ in what is done at their last tokens.

    slots: how many interventions are computed at once. cached: whether the tokens before are read only once.
    """

    slots: int
    cached: bool

    def clean(self) -> Iterator[Tensor]:
        """Per slot, logits float32 [sequence, vocabulary] of the model as it is."""

    def logits(self, interventions: Sequence[Intervention]) -> Iterator[tuple[int, Tensor]]:
        """Per intervention, its slot and logits float32 [sequence, vocabulary]. Its own `positions` do not count.

        Raises ModelError for one that does not fit, NonFiniteStateError where the model computed no numbers."""

    def states(self, site: str) -> Tensor:
        """[slot, sequence, hidden] at the last tokens of the model as it is: unrounded, to be put back."""


def last_token_passes(lm: LanguageModel, sequences: Sequence[Sequence[int]], together: int) -> LastTokenPasses:
    """The faster way that this model allows for these sequences."""
    if together > 1 and _can_share(lm, sequences):
        few = sorted(sequences, key=len)[-_COMPARED:]
        if rounding_between(SharedPrefix(lm, few, together), WholePrompts(lm, few)) <= ROUNDING[lm.dtype]:
            return SharedPrefix(lm, sequences, together)
    return WholePrompts(lm, sequences)


def rounding_between(one: LastTokenPasses, other: LastTokenPasses) -> float:
    """Largest difference of clean logits between two ways, over the largest logit's size."""
    whole = next(iter(other.clean()))
    return max(float((logits - whole).abs().max() / whole.abs().max()) for logits in one.clean())


class WholePrompts:
    """Reads the whole sequences anew for each intervention: works for every model."""

    slots, cached = 1, False

    def __init__(self, lm: LanguageModel, sequences: Sequence[Sequence[int]]) -> None:
        self.lm, self.sequences = lm, sequences

    def clean(self) -> Iterator[Tensor]:
        yield next_token_logits(self.lm, self.sequences)

    def logits(self, interventions: Sequence[Intervention]) -> Iterator[tuple[int, Tensor]]:
        for intervention in interventions:
            with intervened(self.lm, [replace(intervention, positions="last")], self.sequences):
                logits = next_token_logits(self.lm, self.sequences)
            yield 0, logits

    def states(self, site: str) -> Tensor:
        (states,) = exact_states(self.lm, self.sequences, [site], "last").values()
        return states[None]


class SharedPrefix:
    """Reads the tokens before the last one once, and the last one `slots` times side by side.

    Raises ModelError for a sequence of one token, which has nothing before its last, or one that does not fit.
    """

    cached = True

    def __init__(self, lm: LanguageModel, sequences: Sequence[Sequence[int]], slots: int) -> None:
        lm.check_sequences(sequences)
        if min(map(len, sequences)) < 2:
            raise model_error("A sequence of one token has no tokens before its last one to share.")
        self.lm, self.slots = lm, slots
        self.fed = [[ids[-1]] * slots for ids in sequences]
        self.prefix = new_cache(lm.info.config)
        batch = pad_left([ids[:-1] for ids in sequences], lm.device)
        lengths = batch.lengths + 1  # of the whole text, which the tokens before its last one are a part of
        with torch.no_grad():
            lm.read(replace(batch, lengths=lengths), self.prefix)
        self.last = Batch(
            ids=torch.tensor(self.fed, device=lm.device),
            positions=(lengths - 1).expand(-1, slots),
            mask=self._sees(batch.mask),
            lengths=lengths,
        )
        self._reached = START

    def clean(self) -> Iterator[Tensor]:
        hidden = self._feed()
        for slot in range(self.slots):
            yield self._head(hidden, slot)

    def logits(self, interventions: Sequence[Intervention]) -> Iterator[tuple[int, Tensor]]:
        for start in range(0, len(interventions), self.slots):
            chosen = interventions[start : start + self.slots]
            placed = [
                replace(intervention, positions=[[slot]] * len(self.fed)) for slot, intervention in enumerate(chosen)
            ]
            before = self._before([intervention.site for intervention in chosen])
            with intervened(self.lm, placed, self.fed, cached=True):
                hidden = self._feed(before)
            for slot in range(len(chosen)):
                yield slot, self._head(hidden, slot)

    def states(self, site: str) -> Tensor:
        names = resolve_sites([site], self.lm.info.layout, self.lm.info.n_layers)
        captured: list[Tensor] = []
        tap = Tap(
            (*self.last.ids.shape, self.lm.info.d_model), 1, lambda _, h: captured.append(h.transpose(0, 1)), False
        )
        before = self._before(names)
        with tapped(self.lm.model, self.lm.info.layout, names, tap):
            self._feed(before)
        return captured[0].contiguous()

    def _sees(self, prefix: Tensor) -> Tensor:
        """[sequence, 1, slot, prefix + slot], added to attention's scores: a slot sees real tokens and itself."""
        itself = torch.eye(self.slots, dtype=torch.bool, device=prefix.device).expand(len(prefix), -1, -1)
        seen = torch.cat([prefix[:, None].expand(-1, self.slots, -1), itself], -1)[:, None]
        lowest = torch.finfo(self.lm.dtype).min
        return torch.zeros(seen.shape, dtype=self.lm.dtype, device=seen.device).masked_fill_(~seen, lowest)

    def _before(self, sites: Sequence[str]) -> Reached:
        """What the blocks before the first of these sites give."""
        info = self.lm.info
        names = [name for site in sites for name in resolve_sites([site], info.layout, info.n_layers)]
        count = min(blocks_before(parse_site(name), info.n_layers) for name in names)
        known = self._reached if self._reached.count <= count else START
        self._reached = reach(self.lm, self.last, shallow_copy(self.prefix), count, known)
        return self._reached

    @torch.no_grad()
    def _feed(self, before: Reached = START) -> Tensor:
        """The body's output at the last tokens, [sequence, slot, hidden]."""
        with resumed(self.lm, before):
            return self.lm.read(self.last, shallow_copy(self.prefix))

    @torch.no_grad()
    def _head(self, hidden: Tensor, slot: int) -> Tensor:
        logits = self.lm.head(hidden[:, slot]).float()
        broken = (~logits.amax(-1).isfinite()).nonzero()[:, 0].tolist()  # NaN is the largest of all
        if broken:
            position = int(self.last.positions[broken[0], 0])
            raise NonFiniteStateError(
                f"{self.lm.info.name!r} computed NaN or infinity in its logits at position {position} of sequence "
                f"{broken[0]}.",
                index=broken[0],
                site="logits",
                position=position,
            )
        return logits


def _can_share(lm: LanguageModel, sequences: Sequence[Sequence[int]]) -> bool:
    """Whether a mask and a cache of ours mean to this model what they are to mean; the numbers are compared after."""
    if lm.info.attn not in ("eager", "sdpa") or min(map(len, sequences)) < 2:
        return False
    longest = max(map(len, sequences))
    windows = [layer.sliding_window for layer in new_cache(lm.info.config).layers if layer.is_sliding]
    return all(longest < window for window in windows)
