"""Study 2 as five JSON files, in the layout of scripts that compare human text with the model's greedy text.

Everything is at full length and of this run's own reader. Owns the files' keys; computes nothing that `analyze` does
not compute. A missing value is null; an interval is null where there are too few paragraphs.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lit_experiments.errors import UserError
from lit_experiments.experiments.prefill_dynamics.conditions import HUMAN, MODEL
from lit_experiments.experiments.prefill_dynamics.contrasts import (
    LEAST_TOKENS,
    ByParagraph,
    Contrast,
    Resampling,
    Variant,
    by_condition,
    contrast,
)
from lit_experiments.experiments.prefill_dynamics.formulas import METRICS, metrics
from lit_experiments.experiments.prefill_dynamics.levels import perplexity
from lit_experiments.experiments.prefill_dynamics.surprise import text_correlations
from lit_experiments.experiments.prefill_dynamics.trajectories import trajectories
from lit_experiments.plain import write_json
from lit_experiments.statistics import Correlation, Paired
from stores import Store

_HOW = Resampling(resamples=1000, seed=0)
_SINK_FACTOR, _BLOCK_BYTES = 10.0, 256 * 10**6
Sides = Mapping[str, ByParagraph]


def export_json(store: Store, out: Path) -> None:
    """Writes the folder `out`, whole or not at all.

    paragraphs.json: `paragraphs[]` with id, place, prompt, continuation. continuations.json: `continuations[]` with id,
    prompt, human_continuation, model_continuation, and all conditions' texts. perplexity.json: `results[]` with id,
    human_ce, model_ce, ce_diff (human - model) of the continuations in nats per token, the same of the whole texts
    (`_text`), and perplexities. activation_metrics.json: `samples[]` with id and, for human and model, each metric by
    layer; `summary.overall` (means over layers) and `summary.by_layer`, each with both means, difference, d, t, p.
    correlation.json: of a text's ce with its smoothness: `pooled`, `human_only`, `model_only`, `differences`.

    Raises:
        UserError: `out` exists, or no paragraph has both human and model text.
    """
    if out.exists():
        raise UserError(f"{out} exists; give another --out or remove it.")
    rows = trajectories(store, _SINK_FACTOR, _BLOCK_BYTES)
    sides = by_condition([row for row in rows if row.steps.tokens >= LEAST_TOKENS])
    pair = contrast((HUMAN, MODEL), sides.get(HUMAN, {}), sides.get(MODEL, {}), Variant(cut=False, sinks=True), _HOW)
    if not pair.paragraphs:
        raise UserError(f"{store.path}: no paragraph has both human and model text of {LEAST_TOKENS} tokens or more.")
    draft = out.with_name(f"{out.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name, content in _files(store, sides, pair).items():
        write_json(draft / f"{name}.json", content)
    draft.rename(out)


def _files(store: Store, sides: Sides, pair: Contrast) -> dict[str, dict[str, Any]]:
    columns = ["paragraph_id", "paragraph_place", "condition", "prompt", "continuation"]
    texts: dict[str, dict[str, dict[str, Any]]] = {}
    for row in store.table(columns).to_pylist():
        texts.setdefault(row["paragraph_id"], {})[row["condition"]] = row
    layers = [str(name) for name in store.schema.coords["layer"]]
    human = [by_condition[HUMAN] for by_condition in texts.values() if HUMAN in by_condition]
    keys = {"id": "paragraph_id", "place": "paragraph_place", "prompt": "prompt", "continuation": "continuation"}
    return {
        "paragraphs": {"paragraphs": [{key: row[column] for key, column in keys.items()} for row in human]},
        "continuations": {"continuations": [_continuations(name, by) for name, by in texts.items()]},
        "perplexity": {"results": [_surprise(p, sides) for p in pair.paragraphs], "summary": _compared(pair.ce)},
        "activation_metrics": {
            "layers": layers,
            "metrics": METRICS,
            "samples": [_sample(p, sides) for p in pair.paragraphs],
            "summary": _summary(pair, layers),
        },
        "correlation": _correlations(sides, pair),
    }


def _continuations(name: str, by_condition: dict[str, dict[str, Any]]) -> dict[str, Any]:
    texts = {condition: row["continuation"] for condition, row in by_condition.items()}
    prompt = next(iter(by_condition.values()))["prompt"]
    known = {"id": name, "prompt": prompt}
    return known | {f"{side}_continuation": texts.get(side) for side in (HUMAN, MODEL)} | {"conditions": texts}


def _surprise(paragraph: str, sides: Sides) -> dict[str, Any]:
    texts = [sides[name][paragraph] for name in (HUMAN, MODEL)]
    row: dict[str, Any] = {"id": paragraph}
    for part, values in (("", [text.ce_mean(None) for text in texts]), ("_text", [text.ce_text for text in texts])):
        human, model = values
        row |= {f"human_ce{part}": human, f"model_ce{part}": model, f"ce_diff{part}": human - model}
    return row | {f"{name}_ppl": perplexity(row[f"{name}_ce"]) for name in (HUMAN, MODEL)}


def _sample(paragraph: str, sides: Sides) -> dict[str, Any]:
    return {"id": paragraph} | {
        name: {_key(metric): values for metric, values in metrics(sides[name][paragraph].steps, None, None).items()}
        for name in (HUMAN, MODEL)
    }


def _summary(pair: Contrast, layers: list[str]) -> dict[str, Any]:
    by_layer = [
        {"layer": name} | {_key(metric): _compared(pair.layers[metric][layer]) for metric in METRICS}
        for layer, name in enumerate(layers)
    ]
    overall = {_key(metric): _compared(test) for metric, test in pair.over_layers.items()}
    return {"overall": overall, "by_layer": by_layer}


def _compared(test: Paired) -> dict[str, Any]:
    """Human minus model."""
    return {
        "n": test.n,
        "human_mean": test.mean_a,
        "model_mean": test.mean_b,
        "mean_diff": test.difference.value,
        "ci": [test.difference.low, test.difference.high],
        "no_interval": test.difference.no_interval,
        "cohens_d": test.d.value,
        "t": test.t,
        "p": test.p,
        "wilcoxon_p": test.p_w,
    }


def _correlations(sides: Sides, pair: Contrast) -> dict[str, Any]:
    related = text_correlations({name: sides[name] for name in (HUMAN, MODEL)}, [pair], _HOW)["smoothness"]
    named = {
        "pooled": related["pooled"][f"{HUMAN} + {MODEL}"],
        "human_only": related["within"][HUMAN],
        "model_only": related["within"][MODEL],
        "differences": related["differences"][pair.name],
    }
    return {name: _correlation(related) for name, related in named.items()}


def _correlation(related: Correlation) -> dict[str, Any]:
    return {
        "n": related.rows,
        "pearson_r": related.pearson.value,
        "pearson_p": related.p_pearson,
        "pearson_ci": [related.pearson.low, related.pearson.high],
        "spearman_r": related.spearman.value,
        "spearman_p": related.p_spearman,
        "spearman_ci": [related.spearman.low, related.spearman.high],
        "no_interval": related.pearson.no_interval,
    }


def _key(metric: str) -> str:
    return metric.replace(" ", "_")
