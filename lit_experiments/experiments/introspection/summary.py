"""What `inspect` says of a store of study 3, and of two of them side by side.

Owns: the numbers shown and their wording. Does not know: how rows were made.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lit_experiments.experiments.introspection.answer_scores import agreement, in_both, measures
from lit_experiments.experiments.introspection.passes import answer_states, layer_names, passes
from lit_experiments.experiments.introspection.prompts import CONFIDENCE_LETTERS
from lit_experiments.reports.cells import interval, number
from lit_experiments.reports.tables import text_table
from lit_experiments.statistics import LEVEL, GroupBootstrap
from lit_experiments.statistics.similarity import linear_cka, row_cosines
from stores import Store

Floats = NDArray[np.float64]
RESAMPLES, SEED = 1000, 0


def describe(store: Store, examples: int) -> str:
    """Counts, accuracy, confidence and calibration with 95 % intervals over questions; example questions."""
    by_pass = passes(store)
    parts = ["Study 3, introspection (intervals: 95 %, over questions)", _by_pass(by_pass)]
    if "mcq" in by_pass:
        parts.append(_scores(by_pass))
    parts += [_histogram(kind, rows) for kind, rows in by_pass.items() if kind != "mcq"]
    for question in next(iter(by_pass.values())).index[:examples] if by_pass else ():
        parts.append(_example(question, by_pass))
    return "\n\n".join(parts)


def compare(store: Store, other: Store) -> str:
    """Two stores over the questions both hold: scores with paired differences, agreement, likeness of states."""
    a, b = passes(store), passes(other)
    a, b = in_both(a, b)
    if not a:
        return "The two stores have no question in common in any pass: nothing to compare."
    lines = [f"Side by side: {len(next(iter(a.values())))} questions in both (intervals: 95 %, paired over questions)"]
    return "\n\n".join([*lines, _paired_scores(a, b), _likeness(store, other, a, b)])


def _by_pass(by_pass: dict[str, pd.DataFrame]) -> str:
    headers = ["pass", "questions", "entropy, nats", "outside the letters", "answers named in the text"]
    rows = [
        [
            kind,
            str(len(rows)),
            number(rows.entropy.mean()),
            number(rows.outside_mass.mean()),
            f"{(rows.answer_source == 'text').mean():.0%}",
        ]
        for kind, rows in by_pass.items()
    ]
    return text_table(headers, rows)


def _boot(index: pd.Index) -> GroupBootstrap:
    return GroupBootstrap(index.to_numpy().astype(str), resamples=RESAMPLES, level=LEVEL, seed=SEED)


def _scores(by_pass: dict[str, pd.DataFrame]) -> str:
    rows, boot = [], _boot(by_pass["mcq"].index)
    for name, measure in measures(by_pass).items():
        estimate = measure.estimate(boot)
        rows.append([name, interval(estimate), str(estimate.n)])
    return text_table(["of the mcq pass", "value", "questions"], rows)


def _paired_scores(a: dict[str, pd.DataFrame], b: dict[str, pd.DataFrame]) -> str:
    if "mcq" not in a:
        return "No mcq pass in both: no scores."
    rows = []
    index, first, second = a["mcq"].index, measures(a), measures(b)
    boot = _boot(index)
    for name in (name for name in first if name in second):
        everyone, scores = np.ones(len(index)), (first[name], second[name])
        rows.append([name, *(number(score(everyone)) for score in scores), interval(scores[0].gap_to(scores[1], boot))])
    agreed = agreement(a["mcq"], b["mcq"]).estimate(boot)
    table = text_table(["", "this", "other", "other - this"], rows)
    return f"{table}\n\nSame answer: {interval(agreed)}"


def _likeness(store: Store, other: Store, a: dict[str, pd.DataFrame], b: dict[str, pd.DataFrame]) -> str:
    """Cosine and CKA of the states at the answer position, layer by layer, for layers that both hold."""
    names = [name for name in layer_names(store) if name in layer_names(other)]
    if not names or store["resid_post"].shape[-1] != other["resid_post"].shape[-1]:
        return "The two stores share no layer of one width: states are not compared."
    rows = []
    for name in names:
        cells = [name]
        for kind in a:
            x = answer_states(store, a[kind], layer_names(store).index(name))
            y = answer_states(other, b[kind], layer_names(other).index(name))
            cells += [number(float(np.nanmean(row_cosines(x, y))), 4), number(linear_cka(x, y), 4)]
            cells += [number(float(np.abs(x - y).max()), 4)]
        rows.append(cells)
    headers = ["answer position"]
    for kind in a:
        headers += [f"{kind}: cosine", "CKA", "largest |difference|"]
    return text_table(headers, rows)


def _histogram(kind: str, rows: pd.DataFrame) -> str:
    """Mean probability of each confidence letter, as bars."""
    mean = np.mean(np.stack([np.asarray(p) for p in rows.probs]), 0)
    labels = ("<5", "5-10", "10-20", "20-40", "40-60", "60-80", "80-90", ">90")
    lines = [f"{kind}: mean probability of each confidence, expected {rows[kind].mean():.1f} %"]
    for letter, label, value in zip(CONFIDENCE_LETTERS, labels, mean, strict=True):
        lines.append(f"  {letter} {label:>6} %  {value:.2f} {'#' * round(40 * value)}".rstrip())
    return "\n".join(lines)


def _example(question: str, by_pass: dict[str, pd.DataFrame]) -> str:
    first = next(iter(by_pass.values())).loc[question]
    lines = [f"{question}: {first.question_text}"]
    for letter, option in zip("ABCD", first.options, strict=True):
        lines.append(f"  {letter}) {option}{'   <- key' if letter == first.correct_answer_letter else ''}")
    for kind, rows in by_pass.items():
        if question in rows.index:
            row = rows.loc[question]
            probs = " ".join(f"{letter} {p:.2f}" for letter, p in zip(row.letters, row.probs, strict=True))
            expected = "" if kind == "mcq" else f", expected {row[kind]:.0f} %"
            lines.append(f"  {kind:<17} wrote {row.output_text!r}: {row.parsed_answer}{expected}; {probs}")
    return "\n".join(lines)
