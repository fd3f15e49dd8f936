"""Does the model's own text move its activations more smoothly than human text, and does surprise explain it?

Reads stores of study 2 row by row and compares conditions paired by paragraph, at every layer and averaged over layers;
relates smoothness to cross-entropy; finds the tokens that move most; and, where several models read the same texts,
compares the readers.

    lit-experiments analyze --exp prefill_dynamics --run runs/prefill_dynamics

Writes perplexity.json, activation_metrics.json and correlation.json next to result.json and the page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lit_experiments.experiments.prefill_dynamics.conditions import chosen_pairs, usual_pairs
from lit_experiments.experiments.prefill_dynamics.contrasts import (
    VARIANTS,
    ByParagraph,
    Contrast,
    Resampling,
    Variant,
    contrast,
)
from lit_experiments.experiments.prefill_dynamics.findings import Endings, Example, Findings, NormPath, Row, headline
from lit_experiments.experiments.prefill_dynamics.formulas import metrics
from lit_experiments.experiments.prefill_dynamics.interpretation import interpretation
from lit_experiments.experiments.prefill_dynamics.levels import condition_levels
from lit_experiments.experiments.prefill_dynamics.page import dynamics_page
from lit_experiments.experiments.prefill_dynamics.paragraph_split import Counts
from lit_experiments.experiments.prefill_dynamics.readers import (
    ReadRun,
    Sides,
    compare_readers,
    find_readers,
    side_names,
)
from lit_experiments.experiments.prefill_dynamics.repetition import ORDERS
from lit_experiments.experiments.prefill_dynamics.result_files import result_files
from lit_experiments.experiments.prefill_dynamics.surprise import (
    moving_tokens,
    text_correlations,
    token_correlations,
)
from lit_experiments.experiments.prefill_dynamics.trajectories import READS, Trajectory, trajectories
from lit_experiments.plain import write_json
from lit_experiments.ranges import at_least, between
from lit_experiments.reports.blocks import Page
from lit_experiments.statistics import LEVEL
from lit_experiments.statistics.repetition import distinct, loops
from lit_experiments.tasks.reads import Reads
from lit_experiments.tasks.source import is_demonstration
from lit_experiments.tasks.task import AnalyzeTask, Opened
from stores import Store


@dataclass(frozen=True, kw_only=True)
class PrefillDynamics(AnalyzeTask[Findings]):
    """Movement of the states under every condition, paired by paragraph, and its relation to surprise.

    Args:
        readers: Runs in which other models read the same texts; null takes all such runs next to this one.
        pairs: Which conditions are compared, e.g. '[[human, model], [model-temp07, model-temp1]]'; a difference is
            the first minus the second. A condition as another reader read it has that run's folder behind an @:
            '[[human, human@wiki-xl]]'. Null compares human with each other condition and greedy text with sampled.
        cut: Compare the two texts of a pair over the length of the shorter one, since length alone shifts means;
            false makes the full length the main result. Both are always computed.
        margin: Share of the first condition's smoothness below which a difference counts as none; "no difference" is
            said only where the whole interval lies inside.
        sink_factor: A token whose norm exceeds this many times its layer's median is a sink.
        top_tokens: How many of the tokens that move most are listed per condition.
        block_mb: States read at a time, in megabytes.
    """

    readers: list[str] | None
    pairs: list[list[str]] | None
    cut: bool
    margin: float
    sink_factor: float
    top_tokens: int
    block_mb: float

    reads: ClassVar[Reads] = READS
    result_type: ClassVar[type] = Findings

    def check(self) -> None:
        """Raises UserError for settings below their least."""
        at_least(1, sink_factor=self.sink_factor, top_tokens=self.top_tokens)
        at_least(1e-3, block_mb=self.block_mb)
        between(0, 1, margin=self.margin)

    def check_data(self, data: Opened) -> None:
        """Raises UserError for a reader that read other texts, and for a pair of conditions that are not there."""
        self._pairs(list(side_names(data.store, find_readers(data.run, data.store, self.readers))))

    def also_reads(self, data: Opened) -> dict[str, Any]:
        """The other readers' runs."""
        readers = find_readers(data.run, data.store, self.readers)
        return {"readers": [[str(path), store.fingerprint, len(store)] for path, store in readers]}

    def result(self, data: Opened) -> Findings:
        """Compares all pairs of conditions, and all readers."""
        readers = find_readers(data.run, data.store, self.readers)
        run, *others = (self._read(path, store) for path, store in ((data.run, data.store), *readers))
        texts = run.texts
        contrasts = self._contrasts(side_names(data.store, readers), {None: run, **{r.path: r for r in others}})
        main = [c for c in contrasts if c.variant == self._main]
        layers = [str(name) for name in data.store.schema.coords["layer"]]
        related = text_correlations(texts, main, self._resampling)
        names = data.store.select(slice(0, 1)).table(["reader", "generator"]).to_pylist()[0]
        return Findings(
            interval_level=LEVEL,
            reader=names["reader"],
            generator=names["generator"],
            max_new_tokens=data.setting("max_new_tokens"),
            paragraph_counts=Counts(**data.setting("paragraph_counts")),
            layers=layers,
            cut=self.cut,
            sink_factor=self.sink_factor,
            endings=_endings(data.store),
            conditions={name: condition_levels(list(rows.values()), self._resampling) for name, rows in texts.items()},
            contrasts=contrasts,
            correlations=related,
            tokens=token_correlations(texts, self._resampling),
            moving_tokens=moving_tokens(texts, layers, self.top_tokens),
            interpretation=interpretation(
                main, related["smoothness"], layers, names["reader"], names["generator"], self.margin
            ),
            readers=compare_readers([run, *others], self._main, self._resampling) if others else [],
            example=_example(headline(main), texts, layers),
            rows=[_row(text) for text in run.rows],
        )

    def page(self, result: Findings, data: Opened) -> Page:
        """What came out, over pairs of conditions and layers."""
        return dynamics_page(result, self.margin, is_demonstration(data.store))

    def write(self, result: Findings, data: Opened) -> None:
        """Writes the three files of the study's layout."""
        for name, content in result_files(result).items():
            write_json(data.out / f"{name}.json", content)

    @property
    def _resampling(self) -> Resampling:
        return Resampling(self.bootstraps, self.seed)

    @property
    def _main(self) -> Variant:
        return Variant(self.cut, sinks=True)

    def _read(self, path: Path, store: Store) -> ReadRun:
        return ReadRun(path, store, trajectories(store, self.sink_factor, int(self.block_mb * 1e6)))

    def _pairs(self, sides: list[str]) -> list[tuple[str, str]]:
        return usual_pairs(sides) if self.pairs is None else chosen_pairs(self.pairs, sides)

    def _contrasts(self, sides: Sides, runs: Mapping[Path | None, ReadRun]) -> list[Contrast]:
        """Every pair in every variant. runs: by their folders, the main one under None."""
        texts = {name: runs[path].texts.get(condition, {}) for name, (path, condition) in sides.items()}
        fields = {name: runs[path].fields for name, (path, _) in sides.items()}
        return [
            contrast((a, b), texts[a], texts[b], variant, self._resampling, fields[a] == fields[b])
            for a, b in self._pairs(list(sides))
            for variant in VARIANTS
        ]


def _endings(store: Store) -> dict[str, Endings]:
    table = store.table(["condition", "stop_reason"]).to_pydict()
    reasons: dict[str, Counter[str]] = {}
    for condition, reason in zip(table["condition"], table["stop_reason"], strict=True):
        if reason is not None:
            reasons.setdefault(condition, Counter())[reason] += 1
    return {name: Endings(count.total(), count["end_of_text"]) for name, count in reasons.items()}


def _example(pair: Contrast | None, texts: Mapping[str, ByParagraph], layers: list[str]) -> Example | None:
    """The paragraph whose difference in smoothness is closest to the median one."""
    if pair is None or not pair.paragraphs:
        return None
    gaps = pair.gaps("smoothness")
    paragraph = pair.paragraphs[int(np.argmin(np.abs(gaps - np.median(gaps))))]
    last = len(layers) - 1
    shown = list(dict.fromkeys([0, last // 2, last]))
    paths = [
        NormPath(t.condition, t.tokens, t.steps.norms[shown].tolist(), t.sinks[shown].tolist())
        for t in (by_paragraph[paragraph] for by_paragraph in texts.values() if paragraph in by_paragraph)
    ]
    return Example(paragraph, [layers[layer] for layer in shown], paths)


def _row(text: Trajectory) -> Row:
    return Row(
        sample_id=text.row,
        condition=text.condition,
        tokens=text.steps.tokens,
        ce_continuation=text.ce_mean(None),
        ce_text=text.ce_text,
        sink_tokens=text.sinks.sum(1).tolist(),
        **{f"distinct_{n}": distinct(text.ids, n) for n in ORDERS},
        loops=loops(text.ids),
        layers={name: values.tolist() for name, values in metrics(text.steps, None, None).items()},
    )
