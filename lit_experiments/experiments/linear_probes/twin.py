"""Which tokens of a row a field's states are of, so that a random-weights twin can read the same ones.

Owns: what collections call their ids, positions and fields. Does not know: probes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lit_experiments.controls.fields import StateField
from lit_experiments.controls.texts import IDS, POSITIONS
from lit_experiments.errors import UserError
from lit_experiments.probes.scratch_states import ScratchStates
from lit_experiments.tasks.random_twin import Floats32, RandomTwin, model_of
from stores import Store, fingerprint_hash

Pool = Callable[[Floats32], Floats32]
_LAST = ("hidden_last", "starting_hidden")
_FIRST = "hidden_first"
_POOLED: dict[str, Pool] = {"hidden_mean": lambda x: x.mean(0, keepdims=True), "hidden_max": lambda x: x.max(0)[None]}


@dataclass(frozen=True, eq=False)
class TwinPlan:
    """ids, places: token ids of every row, and the tokens whose states are stored. pool: what is made of these states
    [place, layer, hidden]; None where each is an entry of its own."""

    ids: Sequence[Sequence[int]]
    places: Sequence[Sequence[int]]
    pool: Pool | None


@dataclass(frozen=True)
class TwinOptions:
    """See the task's options of these names; accelerator: the Trainer's. count: of twins, with seeds from `seed` on."""

    seed: int
    count: int
    batch_tokens: int
    accelerator: str


def twin_plan(store: Store, field: StateField) -> TwinPlan | str:
    """How a twin reads what a field holds, or why it cannot."""
    try:
        model_of(store)
    except UserError as error:
        return str(error).partition("\n")[0]
    kinds = {column.name: column.type for column in store.schema.columns}
    column = next((name for name in IDS if kinds.get(name) == "list<int64>"), None)
    if column is None:
        return f"{store.path} holds no token ids for a random twin to read."
    ids = [row or [] for row in store.table([column]).column(0).to_pylist()]
    if field.name in _LAST:
        return TwinPlan(ids, [[len(row) - 1] for row in ids], None)
    if field.name == _FIRST or field.name in _POOLED:
        inside = _text_tokens(store, ids)
        if field.name == _FIRST:
            return TwinPlan(ids, [row[:1] for row in inside], None)
        return TwinPlan(ids, inside, _POOLED[field.name])
    if field.ragged:
        lengths = store.field(field.name).lengths().tolist()
        for name in (name for name in POSITIONS if kinds.get(name) == "list<int64>"):
            places = [row or [] for row in store.table([name]).column(0).to_pylist()]
            if [len(row) for row in places] == lengths:
                return TwinPlan(ids, places, None)
        if [len(row) for row in ids] == lengths:
            return TwinPlan(ids, [[*range(len(row))] for row in ids], None)
    return f"It is not known of which tokens {field.name} holds the states, so no random twin reads them."


def twin_states(
    store: Store, field: StateField, plan: TwinPlan, options: TwinOptions, folder: Path
) -> ScratchStates | str:
    """[entry of all rows, layer, hidden] of the twin, or why there are none.

    folder: where the first process leaves them in a file that the other processes of the run read.
    """
    identity = {"store": store.fingerprint, "ids": store.sample_ids, "field": field.name, "seed": options.seed}
    path = folder / f"twin-{fingerprint_hash(identity | {'layers': list(field.layers)})[:16]}.states"
    states = ScratchStates(path, int(_lengths(plan).sum()), field.layers, field.width)
    if states.exist():
        return states
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if states.nbytes > free:
        needed = f"{states.nbytes / 1e9:,.1f} GB; {folder} has {free / 1e9:,.1f}"
        return f"A random twin's states of {field.name} take {needed}."
    twin = RandomTwin(model_of(store), options.seed, options.accelerator, options.batch_tokens)
    used = [row for row, places in enumerate(plan.places) if places]
    starts = entries_before(plan)[used]

    def pieces() -> Iterator[tuple[NDArray[np.int64], Floats32]]:
        of_rows = [plan.ids[row] for row in used], [plan.places[row] for row in used]
        for number, read in twin.read(*of_rows, field.layers):
            values = read if plan.pool is None else plan.pool(read)
            yield starts[number] + np.arange(len(values)), values

    states.write(pieces())
    return states


def entries_before(plan: TwinPlan) -> NDArray[np.int64]:
    """[row] entries of the rows before each in what `twin_states` gives."""
    lengths = _lengths(plan)
    return np.cumsum(lengths) - lengths


def _lengths(plan: TwinPlan) -> NDArray[np.int64]:
    return np.array([len(row) if plan.pool is None else min(1, len(row)) for row in plan.places], np.int64)


def _text_tokens(store: Store, ids: Sequence[Sequence[int]]) -> list[list[int]]:
    """[row] tokens of the text itself: those that cover characters, where the store tells; else all."""
    if not {"char_start", "char_end"} <= set(store.column_names):
        return [[*range(len(row))] for row in ids]
    table = store.table(["char_start", "char_end"])
    starts, ends = (table.column(name).to_pylist() for name in ("char_start", "char_end"))
    return [
        [place for place, (a, b) in enumerate(zip(first or (), last or (), strict=True)) if b > a]
        for first, last in zip(starts, ends, strict=True)
    ]
