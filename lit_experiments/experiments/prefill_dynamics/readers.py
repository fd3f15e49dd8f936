"""Several models that read the same texts: found, described, and compared paired by paragraph.

Owns: which runs belong together, and what of two models can be compared. Does not know: figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lit_experiments.errors import UserError
from lit_experiments.experiments.prefill_dynamics.conditions import HUMAN, MODEL
from lit_experiments.experiments.prefill_dynamics.contrasts import (
    LEAST_TOKENS,
    Contrast,
    Resampling,
    Variant,
    by_condition,
    contrast,
)
from lit_experiments.experiments.prefill_dynamics.generations import texts_digest
from lit_experiments.experiments.prefill_dynamics.levels import Levels, condition_levels
from lit_experiments.experiments.prefill_dynamics.trajectories import READS, Trajectory
from stores import Store, StoreError, open_store, runs_in

Sides = dict[str, tuple[Path | None, str]]


@dataclass(frozen=True)
class ReadRun:
    """A run as numbers per token. path: its folder."""

    path: Path
    store: Store
    rows: list[Trajectory]

    @cached_property
    def texts(self) -> dict[str, dict[str, Trajectory]]:
        """condition -> paragraph -> its text, of those with enough tokens for any statistic."""
        return by_condition([text for text in self.rows if text.steps.tokens >= LEAST_TOKENS])

    @property
    def fields(self) -> object:
        """What is equal for two stores whose layers correspond."""
        return self.store.schema.to_json()["fields"]


@dataclass(frozen=True)
class Reader:
    """One model's reading of all texts.

    Attributes:
        name: the reader; run: its folder.
        levels: by condition.
        effect: human minus model text within this reader; None without both.
        against_first: by condition, the first reader minus this one on the same texts; empty for the first itself.
        same_layers: whether its layers are those of the first, so that sizes of states can be compared at all.
    """

    name: str
    run: str
    levels: dict[str, Levels]
    effect: Contrast | None
    against_first: dict[str, Contrast]
    same_layers: bool


def find_readers(run: Path, store: Store, named: Sequence[str] | None) -> list[tuple[Path, Store]]:
    """The runs that read the same texts: those named, or for None all next to `run`, in the order of their names.

    Raises:
        UserError: a named run that read other texts.
    """
    digest = _texts_of(store)
    if named is not None:
        return [(Path(name), _same_texts(Path(name), digest, run)) for name in named]
    beside = runs_in(run.resolve().parent)
    return [(p, s) for p in beside if p != run.resolve() and (s := _quietly(p, digest)) is not None]


def side_names(store: Store, readers: Sequence[tuple[Path, Store]]) -> Sides:
    """What can stand on a side of a pair: name -> (the reader's run, None for our own; condition).

    A condition's name is that of our own reading; what another reader read has that run's folder behind an @.
    """
    named = Counter(path.name for path, _ in readers)
    out: Sides = {name: (None, name) for name in _conditions_of(store)}
    for path, other in readers:
        folder = path.name if named[path.name] == 1 else str(path)
        out |= {f"{name}@{folder}": (path, name) for name in _conditions_of(other)}
    return out


def _conditions_of(store: Store) -> list[str]:
    return list(dict.fromkeys(store.table(["condition"]).column(0).to_pylist()))


def compare_readers(runs: Sequence[ReadRun], variant: Variant, resampling: Resampling) -> list[Reader]:
    """Every reader by itself, and compared with the first."""
    first = runs[0].texts
    out = []
    for run in runs:
        conditions, alike = run.texts, run.fields == runs[0].fields
        against = {
            name: contrast((name, name), first[name], conditions[name], variant, resampling, alike)
            for name in first
            if run is not runs[0] and name in conditions
        }
        pair = (HUMAN, MODEL)
        complete = set(pair) <= set(conditions)
        effect = contrast(pair, conditions[HUMAN], conditions[MODEL], variant, resampling) if complete else None
        levels = {name: condition_levels(list(texts.values()), resampling) for name, texts in conditions.items()}
        name = str(run.store.table(["reader"]).column(0)[0].as_py())
        out.append(Reader(name, str(run.path), levels, effect, against, alike))
    return out


def _texts_of(store: Store) -> str:
    """What identifies the texts: of a run that reads another's, what it recorded; else its own texts' digest."""
    recorded = store.fingerprint["settings"]["generations"]
    return str(recorded) if recorded is not None else texts_digest(store)


def _same_texts(other: Path, digest: str, run: Path) -> Store:
    store = READS.open(other)
    if _texts_of(store) != digest:
        raise UserError(
            f"--readers {other}: it did not read the texts of {run}.\nNext: collect it with --generations {run}."
        )
    return store


def _quietly(path: Path, digest: str) -> Store | None:
    """The store next to ours if it is of study 2, has rows and read the same texts. A damaged or foreign neighbour is
    not ours to complain about."""
    try:
        store = open_store(path / "store")
    except StoreError:
        return None
    settings = store.fingerprint.get("settings", {})
    if not isinstance(settings, dict) or "generations" not in settings or "boundary" not in store.column_names:
        return None
    return store if len(store) and _texts_of(store) == digest else None
