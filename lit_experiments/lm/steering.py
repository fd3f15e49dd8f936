"""Steering while decoding: changes of hidden states that act on every token that a row is fed, from one token on.

    state = decoder.prefill(prompts, [[Steer("resid_post.3", direction, 4.0, "all")], []])

Owns `RowChanges`: what is done to each row of a `State`, forked and thinned with it. Its conventions:
  * A row has a list of `Steer` and `Ablate`. `positions` say where in the prompt a change begins: "all" at its first
    token, "last" at its last; every token after that is changed too, whether it is read with the prompt, fed while
    decoding, or read anew. What the cache holds is what changed states left there.
  * Changes of a row at one site act in their order. A tap sees the state after them, as in `intervene`.
  * A row without changes, or with a `Steer` whose amount is 0, is not touched: no bit of it changes, not even a sign of
    zero. No row's changes depend on the others'.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from lit_experiments.lm.batching import Batch
from lit_experiments.lm.edits import Edit, hook_edits
from lit_experiments.lm.errors import ModelError, model_error
from lit_experiments.lm.interventions import Ablate, Change, Steer, Target, on_device, unit_direction, without
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.sites import Site, parse_site, resolve_sites

RowChange = Steer | Ablate
_NEVER = torch.iinfo(torch.int64).max  # where the change of a row begins that has none


@dataclass(frozen=True, eq=False)
class _Slot:
    """The k-th change at one site, of the rows that have one of this kind.

    vectors: float32 [N, hidden], what is added, or the unit vector that is taken out. begins: int64 [N], the first
    position that is changed; _NEVER in rows without.
    """

    site: Site
    ablates: bool
    vectors: Tensor
    begins: Tensor

    def select(self, index: Tensor) -> _Slot:
        return _Slot(self.site, self.ablates, self.vectors[index], self.begins[index])

    def change(self, rows: Tensor) -> Change:
        """Of states of these rows, one after the other."""
        vectors = self.vectors[rows]
        if self.ablates:
            return lambda before: without(before.float(), vectors).to(before.dtype)
        return lambda before: (before.float() + vectors).to(before.dtype)


@dataclass(frozen=True, eq=False)
class RowChanges:
    """What is done to each of N rows."""

    slots: tuple[_Slot, ...]

    def select(self, index: Tensor) -> RowChanges:
        """The changes of these rows, in that order; repeats allowed."""
        return RowChanges(tuple(slot.select(index) for slot in self.slots))

    @contextmanager
    def applied(self, lm: LanguageModel, batch: Batch) -> Iterator[None]:
        """Changes the states of one forward pass over `batch`. Raises ModelError if a change did not act once."""
        positions = batch.positions.expand(batch.ids.shape)
        real = batch.mask[:, -batch.ids.shape[1] :]
        size, edits, fired = (batch.ids.numel(), lm.info.d_model), [], list[str]()
        for slot in self.slots:
            rows, columns = (real & (positions >= slot.begins[:, None])).nonzero(as_tuple=True)
            if len(rows):
                flat = rows * batch.ids.shape[1] + columns
                note = _Note(slot.site.name, fired)
                edits.append(Edit(slot.site, flat, slot.change(rows), note, size))
        with ExitStack() as stack:
            hook_edits(lm, edits, stack)
            yield
        expected = [edit.site.name for edit in edits]
        if sorted(fired) != sorted(expected):
            raise ModelError(f"Every change must act once in a forward pass: {expected}; these did: {fired}.")


class _Note:
    """Notes the firing of one edit."""

    def __init__(self, name: str, fired: list[str]) -> None:
        self.name, self.fired = name, fired

    def __call__(self) -> None:
        self.fired.append(self.name)


def row_changes(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], changes: Sequence[Sequence[RowChange]] | None
) -> RowChanges | None:
    """The changes of each prompt's row, checked; None where no row has any.

    Raises ModelError for another number of lists than prompts, unknown sites, positions other than "all" and "last",
    and directions or amounts that do not fit the model.
    """
    if changes is None:
        return None
    if len(changes) != len(prompts):
        raise model_error(f"{len(changes)} lists of changes for {len(prompts)} prompts: every row needs one.")
    binder = _Binder(lm, prompts)
    for row, of_row in enumerate(changes):
        ranks: dict[str, int] = {}
        for change in of_row:
            site = binder.site(change)
            ranks[site] = ranks.get(site, -1) + 1
            binder.add(row, ranks[site], site, change)
    return binder.result()


class _Binder:
    """Gathers the rows' changes into slots."""

    def __init__(self, lm: LanguageModel, prompts: Sequence[Sequence[int]]) -> None:
        self.lm, self.prompts = lm, prompts
        self._slots: dict[tuple[int, str, bool], _Slot] = {}
        self._units: dict[tuple[int, str, bool], Tensor] = {}

    def site(self, change: RowChange) -> str:
        names = resolve_sites([change.site], self.lm.info.layout, self.lm.info.n_layers)
        if len(names) != 1:
            raise model_error(f"An intervention acts at one site, {change.site!r} is {len(names)}.")
        return names[0]

    def add(self, row: int, rank: int, site: str, change: RowChange) -> None:
        """Notes a row's change; one that adds nothing is left out, but holds its place in the order."""
        ablates = isinstance(change, Ablate)
        target = Target(site, [1], self.lm.info.d_model, self.lm.device, self.lm.dtype)
        key = (id(change.direction), site, ablates)
        if key not in self._units:
            self._units[key] = unit_direction(type(change).__name__, target, change.direction)
        vector = self._units[key]
        if isinstance(change, Steer):
            amount = on_device("Steer", target, "amount", torch.as_tensor(change.amount), torch.float32)
            if amount.numel() != 1:
                raise model_error(f"Steer at {site}: a row of a batch takes one amount.", actual=f"{amount.numel()}")
            if not bool(amount):
                return
            vector = amount.reshape(()) * vector
        slot = self._slot(rank, site, ablates)
        slot.vectors[row], slot.begins[row] = vector, self._begin(row, change)

    def result(self) -> RowChanges | None:
        """Slots in the order in which they act."""
        keys = sorted(self._slots, key=lambda key: key[0])
        return RowChanges(tuple(self._slots[key] for key in keys)) if keys else None

    def _slot(self, rank: int, site: str, ablates: bool) -> _Slot:
        if (rank, site, ablates) not in self._slots:
            vectors = torch.zeros(len(self.prompts), self.lm.info.d_model, device=self.lm.device)
            begins = torch.full((len(self.prompts),), _NEVER, device=self.lm.device)
            self._slots[rank, site, ablates] = _Slot(parse_site(site), ablates, vectors, begins)
        return self._slots[rank, site, ablates]

    def _begin(self, row: int, change: RowChange) -> int:
        if not isinstance(change.positions, str) or change.positions not in ("all", "last"):
            raise model_error(
                f"While decoding, a change begins at a prompt's first or last token: found {change.positions!r}.",
                allowed='"all", "last"',
            )
        return 0 if change.positions == "all" else len(self.prompts[row]) - 1
