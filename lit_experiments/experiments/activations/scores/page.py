"""The page of the scores: how they are distributed, and the first and the extreme texts with their tokens coloured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lit_experiments.experiments.activations.scores.table import write_table
from lit_experiments.reports.blocks import Block, Column, Note, Page, Section, Table, TokenStrip
from lit_experiments.reports.document import DEMONSTRATION
from lit_experiments.reports.write import write_page
from lit_experiments.tasks.source import CONFIG, is_demonstration, source_of
from stores import Store, open_store

SHOWN = 5  # texts of each kind
LONGEST = 400  # tokens of a text that are shown
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def write_scores(run: Path, out: Path) -> Path:
    """Writes the table of a run's store to `out` and the page into the run's folder; returns the page's path."""
    store = open_store(run / "store")
    write_table(store, out)
    source = source_of(run, run, store, "collect")  # results and collection are one here, so all is said once
    source = replace(source, commands=source.commands[:1], settings=(run / CONFIG).read_text(encoding="utf-8"))
    return write_page(scores_page(store, out.name), run, source)


def scores_page(store: Store, table: str) -> Page:
    """The page. table: what the file with all scores is called."""
    columns = store.table(["score", "scored_class", "prediction"]).to_pydict()
    scores, order = np.array(columns["score"]), np.argsort(columns["score"], kind="stable")
    settings = store.fingerprint["settings"]
    of = settings["class"] or "each text's most probable class"
    kinds = {"The first texts": range(min(SHOWN, len(store)))}
    kinds["Lowest scores"], kinds["Highest scores"] = order[:SHOWN].tolist(), order[::-1][:SHOWN].tolist()
    return Page(
        title="Scores of a probe",
        question="What does the probe say of these texts, and at which of their tokens?",
        done=f"{len(store):,} texts were read and scored; a text's score is that of its state at: "
        f"{settings['position']}.",
        outcome=[f"Scores of {of}: from {scores.min():.4g} to {scores.max():.4g}, median {np.median(scores):.4g}."],
        certainty="A score is what the probe says; how often it is right is on the page of its training.",
        sections=[
            Section("Distribution", [_quantiles(scores), *_classes(columns["prediction"])]),
            *(Section(title, _strips(store, title, rows)) for title, rows in kinds.items()),
        ],
        methods=[_METHOD.format(table=table)],
        cautions=[DEMONSTRATION] if is_demonstration(store) else [],
    )


_METHOD = (
    "The states of the probe's layer were read in one forward pass per text and scored in float64: a target's "
    "prediction, or a class's probability. A token's score is what the probe says of the text up to and including that "
    "token; a probe that was trained on last or pooled states was not trained for the tokens in between. All scores: "
    "{table}."
)


def _quantiles(scores: np.ndarray) -> Table:
    values = np.quantile(scores, _QUANTILES).tolist()
    names = [Column(f"{level:.0%}", "number", None, f"{level:.0%} of the scores lie below") for level in _QUANTILES]
    return Table("quantiles", "", names, [values])


def _classes(predictions: list[str | None]) -> list[Block]:
    named = [name for name in predictions if name is not None]
    if not named:
        return []
    names, counts = np.unique(named, return_counts=True)
    rows = sorted(zip(names.tolist(), counts.tolist(), strict=True), key=lambda pair: -pair[1])
    columns = (Column("class"), Column("texts", "count"))
    return [Table("classes", "Most probable class", columns, [list(row) for row in rows])]


def _strips(store: Store, title: str, rows: range | list[int]) -> list[Block]:
    blocks: list[Block] = []
    for number in rows:
        part = store.select(slice(number, number + 1))
        row, values = part.table(["sample_id", "score", "scored_class", "tokens"]).to_pylist()[0], part["token_scores"]
        tokens, scores = row["tokens"][:LONGEST], values.read()[:LONGEST].tolist()
        name = f"{title.split()[-2].lower()}-{row['sample_id']}"
        head = f"{row['sample_id']}: {row['scored_class']} {row['score']:.4g}"
        blocks.append(TokenStrip(name, head, tokens, scores, "score"))
        if len(row["tokens"]) > LONGEST:
            blocks.append(Note(f"The first {LONGEST} of {len(row['tokens'])} tokens."))
    return blocks
