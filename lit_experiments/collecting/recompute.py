"""Computes some rows of a store again, each alone, and says whether they hold what comes out.

Owns: which rows, how far two right answers may lie apart (measured on the model at hand), the verdict. Does not know:
how a collector is made from what a store records, or what it collects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lit_experiments.collecting.collector import Collector
from lit_experiments.collecting.inputs import INPUT_DIGEST, input_digest
from lit_experiments.collecting.plan import Batch, Sample
from lit_experiments.collecting.row_values import (
    Difference,
    RowValues,
    apart,
    computed_row,
    differences,
    numbers_in,
    scales,
    stored_row,
    worst_share,
)
from stores import Store

Array = NDArray[Any]
MARGIN = 8.0
"""How often the measured noise is allowed. It is the largest of a few rows in one other company; a row of the store had
another company, maybe more threads, and is one of many."""
LEAST = 16.0
"""In unit roundoffs of the model's dtype: what is allowed where no noise was measured, since sums of some hundred
products differ by as much between machines."""
_MEASURED = 6  # rows of each kind whose noise is measured
_ROUNDOFF = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


@dataclass(frozen=True)
class Recomputed:
    """What came of it.

    rows, of: how many were computed again, and how many the store has. noise: the largest relative noise that was
    measured, over all fields of floats, and `noise_field` which one has it. worst, worst_field: the largest deviation
    beyond storage rounding, as a share of the allowed noise. in_company: rows that are right only as part of the batch
    that they were collected in, which happens in 16 bits.
    """

    rows: int
    of: int
    dtype: str
    noise: float
    noise_field: str
    worst: float
    worst_field: str
    in_company: int
    differences: tuple[Difference, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.differences

    def lines(self) -> list[str]:
        """As text: every difference, then what was done and came out."""
        problems = [str(difference) for difference in self.differences]
        noise = (
            f"noise measured between batches {self.noise:.1e} of a value's scale ({self.noise_field or 'no floats'})"
        )
        worst = f"largest deviation {self.worst:.2g} of the noise that is allowed ({self.worst_field or 'none'})"
        problems.append(
            f"Recomputed {self.rows:,} of {self.of:,} rows, one at a time, in {self.dtype}: {noise}; {worst}."
        )
        if self.in_company:
            problems.append(
                f"{self.in_company} rows are as stored only in the batch that they were collected in: in {self.dtype} "
                "a choice between tokens can depend on the batch."
            )
        samples = len({difference.sample_id for difference in self.differences})
        wrong = f"{len(self.differences)} fields or columns of {samples} rows are not what the model computes"
        return [*problems, f"Verdict: {'the rows are what the model computes' if self.holds else wrong}."]


def pick_rows(total: int, amount: int | float, seed: int) -> list[int]:
    """`amount` rows of `total` (all, if there are fewer), or that share of them and at least one; sorted."""
    count = amount if isinstance(amount, int) else max(1, round(total * amount))
    return sorted(np.random.default_rng(seed).choice(total, min(count, total), replace=False).tolist())


class Recomputation:
    """Rows of one store, computed again by the collector that filled it, whose model has been loaded.

    batches: as they were planned when the store was collected.
    """

    def __init__(self, store: Store, collector: Collector, batches: Callable[[], Sequence[Batch]]) -> None:
        self.store, self.collector, self._batches = store, collector, batches
        self.schema = store.schema
        self.dtype = collector.spec.dtype
        self.samples = {sample.sample_id: sample for sample in (*collector.companions(), *collector.samples())}

    def run(self, rows: Sequence[int], note: Callable[[int], None] = lambda done: None) -> Recomputed:
        """Checks the ids and inputs of all rows, and everything of `rows`. note: is called with how many are done.

        Raises:
            StoreError: damage in the store. ModelError, RunFailed: the model cannot compute a sample.
        """
        problems = self._misnamed()
        names = self.store.sample_ids
        matched = [row for row in rows if names[row] in self.samples]
        computed: dict[int, RowValues] = {}
        for done, row in enumerate(matched):
            computed[row] = self._alone(self.samples[names[row]])
            note(done + 1)
        typical = self._typical(matched)
        floors, noise = self._floors([(self.samples[names[row]], computed[row]) for row in matched], typical)
        worst, in_company = (0.0, ""), 0
        for row in matched:
            stored = stored_row(self.store, row)
            wrong = list(differences(stored, computed[row], floors, typical, self.schema))
            if wrong and self.dtype != "float32":
                company = self._in_company(names[row])
                again = list(differences(stored, company, floors, typical, self.schema))
                wrong, in_company = again, in_company + (not again)
            if not wrong:
                worst = max(worst, worst_share(stored, computed[row], floors, typical, self.schema))
            problems += [
                difference
                for difference in wrong
                if (difference.sample_id, difference.name) not in {(d.sample_id, d.name) for d in problems}
            ]
        return Recomputed(len(rows), len(names), self.dtype, *noise, *worst, in_company, tuple(problems))

    def _misnamed(self) -> list[Difference]:
        """Rows whose id, place or input is of no sample; of all rows, since no model is needed to see it."""
        by_index = {sample.index: sample.sample_id for sample in self.samples.values()}
        table = self.store.table(["sample_id", "sample_index", INPUT_DIGEST.name]).to_pydict()
        problems: list[Difference] = []
        for name, index, digest in zip(*table.values(), strict=True):
            sample = self.samples.get(name)
            if sample is None:
                expected = by_index.get(index, "no such sample")
                problems.append(Difference(name, "column 'sample_id'", "", repr(name), repr(expected)))
                continue
            if sample.index != index:
                problems.append(Difference(name, "column 'sample_index'", "", str(index), str(sample.index)))
            expected = input_digest(self.collector.model_input(sample))
            if digest != expected:
                problems.append(Difference(name, f"column {INPUT_DIGEST.name!r}", "", repr(digest), repr(expected)))
        return problems

    def _alone(self, sample: Sample) -> RowValues:
        return self._computed(sample, (sample,))

    def _computed(self, sample: Sample, together: tuple[Sample, ...]) -> RowValues:
        """The row of `sample` out of a batch of all in `together`."""
        return computed_row(self.collector.whole_rows(Batch(0, (sample,), together)), self.schema)

    def _in_company(self, name: str) -> RowValues:
        batch = self._planned[name]
        (sample,) = [sample for sample in batch.together if sample.sample_id == name]
        return self._computed(sample, batch.together)

    @cached_property
    def _planned(self) -> dict[str, Batch]:
        return {sample.sample_id: batch for batch in self._batches() for sample in batch.samples}

    def _typical(self, rows: Sequence[int]) -> dict[str, float]:
        """By field and column, the median magnitude of its floats in these rows."""
        chosen = self.store.select(np.array(rows, np.int64))
        pooled: dict[str, Array] = {field.name: np.ravel(chosen[field.name].read()) for field in self._plain_floats}
        for name, cells in chosen.to_pandas().items():
            pooled[str(name)] = np.array(numbers_in(cells.tolist()), np.float64)
        finite = {name: np.abs(values[np.isfinite(values)]) for name, values in pooled.items()}
        medians = {name: float(np.median(values)) if values.size else 0.0 for name, values in finite.items()}
        return {field.name: 0.0 for field in self.schema.fields} | medians

    @property
    def _plain_floats(self) -> list[Any]:
        return [f for f in self.schema.fields if f.dtype in ("float32", "float64")]

    def _floors(
        self, computed: Sequence[tuple[Sample, RowValues]], typical: Mapping[str, float]
    ) -> tuple[dict[str, Array], tuple[float, str]]:
        """By field (one for each index along its leading dims) and column, what is allowed relative to `scales`; and
        the largest noise that was measured with its field."""
        fields = {field.name: field for field in self.schema.fields if field.is_float}
        noise = {name: np.zeros(int(np.prod(field.leading))) for name, field in fields.items()}
        noise |= {name: np.zeros(1) for name in self.store.column_names}
        for sample, alone in of_each_kind(computed):
            company = self._computed(sample, (*self._padding(sample), sample))
            for name, field in fields.items():
                left, right = alone.arrays[name], company.arrays[name]
                if left.shape == right.shape:
                    lines = _relative(left, right, scales(left, field, typical[name])).reshape(len(noise[name]), -1)
                    noise[name] = np.maximum(noise[name], lines.max(1, initial=0.0))
            for name in self.store.column_names:
                left, right = (np.array(numbers_in(row.cells[name])) for row in (alone, company))
                if left.shape == right.shape:
                    relative = _relative(left, right, scales(left, None, typical[name]))
                    noise[name] = np.maximum(noise[name], relative.max(initial=0.0))
        least = LEAST * _ROUNDOFF[self.dtype]
        floors = {name: np.maximum(MARGIN * measured, least) for name, measured in noise.items()}
        exact = {field.name for field in self.schema.fields if not field.is_float} | self.collector.given_columns()
        floors |= {name: np.zeros(1) for name in exact}
        largest = max(((float(noise[name].max(initial=0.0)), name) for name in fields), default=(0.0, ""))
        return floors, largest

    def _padding(self, sample: Sample) -> tuple[Sample, ...]:
        """Two other samples that may share a batch with this one: the longest and the shortest."""
        others = [s for s in self.samples.values() if s.stage == sample.stage and s.sample_id != sample.sample_id]
        ordered = sorted(others, key=lambda other: (other.tokens, other.index))
        return tuple({other.sample_id: other for other in (*ordered[-1:], *ordered[:1])}.values())


def load_for_recomputation(collector: Collector) -> None:
    """Loads the weights, onto a GPU where there is one, and has states come unrounded. Raises ModelError."""
    collector.load_model(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    collector.read_unrounded()


def of_each_kind(computed: Sequence[tuple[Sample, RowValues]]) -> list[tuple[Sample, RowValues]]:
    """Some rows of each kind, which have numbers in the same columns: a column's noise shows in rows that fill it."""
    kinds: dict[frozenset[str], list[tuple[Sample, RowValues]]] = {}
    for sample, row in computed:
        filled = frozenset(name for name, cell in row.cells.items() if numbers_in(cell))
        kinds.setdefault(filled, []).append((sample, row))
    return [pair for rows in kinds.values() for pair in rows[:: max(1, len(rows) // _MEASURED)][:_MEASURED]]


def _relative(left: Array, right: Array, scale: Array) -> Array:
    """|left - right| / scale where both are finite; 0 elsewhere, and where there is no scale."""
    distance = apart(left, right)
    usable = np.isfinite(distance) & (scale > 0)
    return np.divide(distance, scale, out=np.zeros(distance.shape), where=usable)
