"""The three JSON files of an analysis, next to result.json: the same numbers by subject. Owns their layout."""

from __future__ import annotations

from typing import Any

from lit_experiments.experiments.prefill_dynamics.contrasts import Contrast
from lit_experiments.experiments.prefill_dynamics.findings import Findings, Row
from lit_experiments.experiments.prefill_dynamics.formulas import METRICS
from lit_experiments.experiments.prefill_dynamics.levels import Levels, of_mean, perplexity
from lit_experiments.experiments.prefill_dynamics.readers import Reader
from lit_experiments.plain import shallow

Json = dict[str, Any]


def result_files(findings: Findings) -> dict[str, Json]:
    """The contents of perplexity.json, activation_metrics.json and correlation.json, by their names."""
    levels, contrasts, rows = findings.conditions, findings.contrasts, findings.rows
    interpreted = findings.interpretation
    sentences = [*interpreted.sentences.values(), *interpreted.pairs]
    files: dict[str, Json] = {
        "perplexity": {
            "conditions": {name: _surprise(level) for name, level in levels.items()},
            "contrasts": [
                {"a": c.a, "b": c.b, "variant": c.variant.name, "ce": c.ce, "ce_text": c.ce_text} for c in contrasts
            ],
            "rows": [_surprise_of_row(row) for row in rows],
        },
        "activation_metrics": {
            "layers": findings.layers,
            "metrics": METRICS,
            "interpretation": {"verdict": interpreted.verdict, "sentences": sentences},
            "excluded": findings.excluded,
            "paragraph_counts": findings.paragraph_counts,
            "conditions": {name: _movement(level) for name, level in levels.items()},
            "contrasts": [_without_values(c) for c in contrasts],
            "readers": [_reader(reader) for reader in findings.readers],
            "repetition": {name: level.repetition for name, level in levels.items()},
            "moving_tokens": findings.moving_tokens,
            "rows": [_without(row, "condition", "ce_continuation", "ce_text") for row in rows],
        },
        "correlation": {"texts": findings.correlations, "tokens": findings.tokens},
    }
    head = {"interval_level": findings.interval_level, "main_variant": findings.main_variant.name}
    return {name: head | content for name, content in files.items()}


def _without(item: Row | Contrast, *names: str) -> Json:
    return {name: value for name, value in shallow(item).items() if name not in names}


def _without_values(contrast: Contrast) -> Json:
    return _without(contrast, "values")


def _surprise(level: Levels) -> Json:
    ce = {"ce_continuation": level.ce, "ce_text": level.ce_text}
    perplexities = {"perplexity_continuation": of_mean(level.ce), "perplexity_text": of_mean(level.ce_text)}
    return {"texts": level.texts, "tokens": level.tokens, **ce, **perplexities}


def _surprise_of_row(row: Row) -> Json:
    ce = {"ce_continuation": row.ce_continuation, "ce_text": row.ce_text}
    perplexities = {name.replace("ce_", "perplexity_"): perplexity(value) for name, value in ce.items()}
    return {"sample_id": row.sample_id, "tokens": row.tokens, **ce, **perplexities}


def _movement(level: Levels) -> Json:
    by_layer = {"over_layers": level.over_layers, "without_sinks": level.without_sinks, "layers": level.layers}
    return {"texts": level.texts, "tokens": level.tokens, "sink_tokens": level.sinks, **by_layer}


def _reader(reader: Reader) -> Json:
    return {
        "reader": reader.name,
        "run": reader.run,
        "same_layers_as_first": reader.same_layers,
        "conditions": {name: {**_surprise(level), **_movement(level)} for name, level in reader.levels.items()},
        "human_minus_model": None if reader.effect is None else _without_values(reader.effect),
        "first_minus_this": {name: _without_values(pair) for name, pair in reader.against_first.items()},
    }
