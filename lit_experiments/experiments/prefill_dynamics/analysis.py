"""Does the model's own text move its activations more smoothly than human text, and does surprise explain it?

Reads stores of study 2 row by row and compares conditions paired by paragraph, at every layer and averaged over layers;
relates smoothness to cross-entropy; finds the tokens that move most; and, where several models read the same texts,
compares the readers.

    lit-experiments analyze --exp prefill_dynamics --run runs/prefill_dynamics

Writes perplexity.json, activation_metrics.json, correlation.json, figures, RESULTS.md and report.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lit_experiments.experiments.prefill_dynamics.conditions import chosen_pairs, usual_pairs
from lit_experiments.experiments.prefill_dynamics.contrasts import (
    LEAST_TOKENS,
    VARIANTS,
    ByParagraph,
    Contrast,
    Resampling,
    Variant,
    by_condition,
    contrast,
)
from lit_experiments.experiments.prefill_dynamics.findings import Findings
from lit_experiments.experiments.prefill_dynamics.formulas import METRICS, metrics
from lit_experiments.experiments.prefill_dynamics.interpretation import interpretation
from lit_experiments.experiments.prefill_dynamics.levels import condition_levels, perplexity
from lit_experiments.experiments.prefill_dynamics.readers import (
    Reader,
    Sides,
    compare_readers,
    find_readers,
    side_names,
)
from lit_experiments.experiments.prefill_dynamics.repetition import ORDERS, distinct, loops
from lit_experiments.experiments.prefill_dynamics.report import write_report
from lit_experiments.experiments.prefill_dynamics.surprise import (
    moving_tokens,
    text_correlations,
    token_correlations,
)
from lit_experiments.experiments.prefill_dynamics.trajectories import READS, Trajectory, open_dynamics, trajectories
from lit_experiments.plain import write_json
from lit_experiments.ranges import at_least, seeds
from stores import Store

LEVEL = 0.95


@dataclass(frozen=True)
class _Run:
    """A store as numbers per token."""

    store: Store
    rows: list[Trajectory]

    @property
    def kept(self) -> list[Trajectory]:
        return [t for t in self.rows if t.steps.tokens >= LEAST_TOKENS]

    @property
    def fields(self) -> Any:
        """What two stores share whose layers correspond."""
        return self.store.schema.to_json()["fields"]


class PrefillDynamics:
    """Reads stores of study 2; writes metrics, figures and a report into the run's results folder."""

    reads: ClassVar[str] = READS

    def __init__(
        self,
        readers: list[str] | None,
        pairs: list[list[str]] | None,
        cut: bool,
        sink_factor: float,
        top_tokens: int,
        bootstraps: int,
        block_mb: float,
        seed: int,
    ) -> None:
        """Checks the settings.

        Args:
            readers: Runs in which other models read the same texts; null takes all such runs beside this one.
            pairs: Which conditions are compared, e.g. '[[human, model], [model-temp07, model-temp1]]'; a difference is
                the first minus the second. A condition as another reader read it has that run's folder behind an @:
                '[[human, human@wiki-xl]]'. Null compares human with each other condition and greedy text with sampled.
            cut: Compare the two texts of a pair over the length of the shorter one, since length alone shifts means;
                false makes the full length the main result. Both are always computed.
            sink_factor: A token whose norm exceeds this many times its layer's median is a sink.
            top_tokens: How many of the tokens that move most are listed per condition.
            bootstraps: Resamples of the bootstrap over paragraphs.
            block_mb: States read at a time, in megabytes.
            seed: Seed of the bootstrap.
        """
        at_least(1, sink_factor=sink_factor, top_tokens=top_tokens, bootstraps=bootstraps)
        at_least(1e-3, block_mb=block_mb)
        seeds(seed=seed)
        self.readers, self.pairs = readers, pairs
        self.cut, self.sink_factor, self.top_tokens = cut, sink_factor, top_tokens
        self.bootstraps, self.block_mb, self.seed = bootstraps, block_mb, seed

    @property
    def _how(self) -> Resampling:
        return Resampling(self.bootstraps, LEVEL, self.seed)

    def identity(self, run: Path) -> dict[str, Any]:
        """What the results follow from.

        Raises:
            UserError: a store that is none of study 2 or is empty, a reader that read other texts, a pair of
                conditions that are not there.
        """
        store = open_dynamics(run)
        settings = {key: value for key, value in vars(self).items() if key != "block_mb"}
        readers = find_readers(run, store, self.readers)
        self._pairs(list(side_names(store, readers)))
        others = [[str(path), each.fingerprint, len(each)] for path, each in readers]
        return {"store": store.fingerprint, "rows": len(store), "readers": others, "settings": settings}

    def run(self, run: Path, out: Path, trainer: dict[str, Any], checkpoint: str | None) -> str:
        """Computes, and writes everything into `out`; returns the result tables and where the page is."""
        own = self._read(open_dynamics(run))
        readers = find_readers(run, own.store, self.readers)
        others = [(path, self._read(store)) for path, store in readers]
        found = by_condition(own.kept)
        contrasts = self._contrasts(side_names(own.store, readers), {None: own, **dict(others)})
        main = [c for c in contrasts if c.variant == Variant(self.cut, sinks=True)]
        layers = [str(name) for name in own.store.schema.coords["layer"]]
        related = text_correlations(found, main, self._how)
        names = own.store.select(slice(0, 1)).table(["reader", "generator"]).to_pylist()[0]
        case, told = interpretation(main, related["smoothness"], layers, names["reader"], names["generator"])
        findings = Findings(
            store=own.store,
            layers=layers,
            level=LEVEL,
            sink_factor=self.sink_factor,
            cut=self.cut,
            rows=own.rows,
            levels={name: condition_levels(list(rows.values()), self._how) for name, rows in found.items()},
            contrasts=contrasts,
            main=main,
            correlations=related,
            tokens=token_correlations(found, self._how),
            moving=moving_tokens(found, layers, self.top_tokens),
            verdict=case,
            sentences=told,
            readers=self._readers(run, own, others),
        )
        self._write(out, findings)
        return write_report(out, findings)

    def _read(self, store: Store) -> _Run:
        return _Run(store, trajectories(store, self.sink_factor, int(self.block_mb * 1e6)))

    def _pairs(self, sides: list[str]) -> list[tuple[str, str]]:
        return usual_pairs(sides) if self.pairs is None else chosen_pairs(self.pairs, sides)

    def _contrasts(self, sides: Sides, runs: dict[Path | None, _Run]) -> list[Contrast]:
        """Every pair in every variant. runs: by their folders, the main one under None."""
        texts = {path: by_condition(run.kept) for path, run in runs.items()}

        def rows(name: str) -> ByParagraph:
            path, condition = sides[name]
            return texts[path].get(condition, {})

        def alike(pair: tuple[str, str]) -> bool:
            first, second = (runs[sides[name][0]] for name in pair)
            return bool(first.fields == second.fields)

        return [
            contrast(pair, rows(pair[0]), rows(pair[1]), variant, self._how, alike(pair))
            for pair in self._pairs(list(sides))
            for variant in VARIANTS
        ]

    def _readers(self, run: Path, own: _Run, others: list[tuple[Path, _Run]]) -> list[Reader]:
        if not others:
            return []
        variant = Variant(self.cut, sinks=True)
        every = [(run, own.store, own.kept), *((path, each.store, each.kept) for path, each in others)]
        return compare_readers(every, variant, self._how)

    def _write(self, out: Path, found: Findings) -> None:
        head = {"interval_level": LEVEL, "main_variant": Variant(self.cut, sinks=True).name}
        tests = [
            {"a": c.a, "b": c.b, "variant": c.variant.name, "ce": c.ce, "ce_text": c.ce_text} for c in found.contrasts
        ]
        levels = {name: each.surprise() for name, each in found.levels.items()}
        rows = [_surprise_row(t) for t in found.rows]
        write_json(out / "perplexity.json", head | {"conditions": levels, "contrasts": tests, "rows": rows})
        movement = {
            "layers": found.layers,
            "metrics": METRICS,
            "interpretation": {"verdict": found.verdict, "sentences": found.sentences},
            "excluded": found.excluded,
            "paragraph_counts": found.counts,
            "conditions": {name: each.movement() for name, each in found.levels.items()},
            "contrasts": [c.to_dict() for c in found.contrasts],
            "readers": [reader.to_dict() for reader in found.readers],
            "repetition": {name: each.repetition for name, each in found.levels.items()},
            "moving_tokens": found.moving,
            "rows": [_movement_row(t) for t in found.rows],
        }
        write_json(out / "activation_metrics.json", head | movement)
        write_json(out / "correlation.json", head | {"texts": found.correlations, "tokens": found.tokens})


def _surprise_row(each: Trajectory) -> dict[str, Any]:
    own, whole = each.ce_mean(None), each.ce_text
    return {
        "sample_id": each.row,
        "tokens": each.steps.tokens,
        "ce_continuation": own,
        "ce_text": whole,
        "perplexity_continuation": perplexity(own),
        "perplexity_text": perplexity(whole),
    }


def _movement_row(each: Trajectory) -> dict[str, Any]:
    sinks = each.sinks.sum(1)
    about = {"sample_id": each.row, "tokens": each.steps.tokens, "sink_tokens": np.asarray(sinks)}
    about |= {f"distinct_{n}": distinct(each.ids, n) for n in ORDERS} | {"loops": loops(each.ids)}
    return about | {"layers": metrics(each.steps, None, None)}
