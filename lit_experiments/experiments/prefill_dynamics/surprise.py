"""Surprise and movement: does cross-entropy go with smoothness, between texts, within them, and from token to token?

Three levels, which need not agree: over all texts pooled (differences between conditions and between texts mixed),
within one condition, and of the paired differences between two conditions. And over single tokens, as they are and
about their text's mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lit_experiments.experiments.prefill_dynamics.conditions import HUMAN, MODEL
from lit_experiments.experiments.prefill_dynamics.contrasts import LEAST_TOKENS, Contrast, Resampling
from lit_experiments.experiments.prefill_dynamics.formulas import Floats, metrics
from lit_experiments.experiments.prefill_dynamics.trajectories import Trajectory
from lit_experiments.statistics import LEVEL, Correlation, Estimate, correlation
from lit_experiments.statistics.correlations import correlation_terms, pearson_from_sums
from lit_experiments.statistics.intervals import CORRELATION

RELATED = ("smoothness", "relative smoothness")  # what cross-entropy is correlated with
ByCondition = Mapping[str, Mapping[str, Trajectory]]
Correlations = dict[str, dict[str, dict[str, Correlation]]]


def text_correlations(rows: ByCondition, contrasts: Iterable[Contrast], resampling: Resampling) -> Correlations:
    """{metric: {"pooled": {conditions: Correlation}, "within": {condition: ...}, "differences": {"a - b": ...}}}.

    Pooled and within: full length. Differences: as the contrasts have them.
    """
    texts = {name: _texts(by_paragraph.values()) for name, by_paragraph in rows.items()}
    main = [name for name in (HUMAN, MODEL) if name in texts]
    pools = {" + ".join(main): main} | ({"all conditions": list(texts)} if len(texts) > len(main) else {})
    return {
        metric: {
            "pooled": {
                name: _over([texts[part] for part in parts], metric, resampling)
                for name, parts in pools.items()
                if parts
            },
            "within": {name: _over([part], metric, resampling) for name, part in texts.items()},
            "differences": {c.name: _of_differences(c, metric, resampling) for c in contrasts},
        }
        for metric in RELATED
    }


@dataclass(frozen=True)
class _Texts:
    """Per text: its paragraph, cross-entropy, and metrics averaged over layers."""

    paragraphs: list[str]
    ce: list[float]
    values: dict[str, list[float]]


def _texts(rows: Iterable[Trajectory]) -> _Texts:
    long_enough = [row for row in rows if row.steps.tokens >= LEAST_TOKENS]
    measured = [metrics(row.steps, None, None) for row in long_enough]
    values = {name: [float(of_text[name].mean()) for of_text in measured] for name in RELATED}
    return _Texts([row.paragraph_id for row in long_enough], [row.ce_mean(None) for row in long_enough], values)


def _over(parts: Sequence[_Texts], metric: str, resampling: Resampling) -> Correlation:
    ce = [value for part in parts for value in part.ce]
    moved = [value for part in parts for value in part.values[metric]]
    groups = [paragraph for part in parts for paragraph in part.paragraphs]
    return _correlation(np.array(ce), np.array(moved), np.array(groups, str), resampling)


def _of_differences(pair: Contrast, metric: str, resampling: Resampling) -> Correlation:
    return _correlation(pair.gaps("ce"), pair.gaps(metric), np.array(pair.paragraphs, str), resampling)


def _correlation(x: Floats, y: Floats, groups: NDArray[Any], resampling: Resampling) -> Correlation:
    return correlation(x, y, groups, resamples=resampling.resamples, level=LEVEL, seed=resampling.seed)


@dataclass(frozen=True)
class TokenLevel:
    """Size of a token's step (mean over layers) against that token's cross-entropy, over all tokens of a condition.

    pooled: tokens as they are. centred: both about their mean over the text, which takes away what distinguishes texts.
    layers: Pearson of the centred values with the step at each layer. Intervals: over paragraphs.
    """

    pooled: Correlation
    centred: Correlation
    layers: list[Estimate]


def token_correlations(rows: ByCondition, resampling: Resampling) -> dict[str, TokenLevel]:
    """By condition; a condition without any step of a known surprise is left out."""
    tokens = {name: _tokens(by_paragraph.values()) for name, by_paragraph in rows.items()}
    return {name: _token_level(*arrays, resampling) for name, arrays in tokens.items() if arrays is not None}


def _tokens(rows: Iterable[Trajectory]) -> tuple[Floats, Floats, NDArray[Any], NDArray[Any]] | None:
    """(cross-entropy [token], steps [layer, token], paragraph [token], text [token]), without first tokens."""
    long_enough = [row for row in rows if row.steps.tokens >= LEAST_TOKENS]
    if not long_enough:
        return None
    known = [np.isfinite(row.ce[1:]) for row in long_enough]
    ce = np.concatenate([row.ce[1:][fine] for row, fine in zip(long_enough, known, strict=True)])
    moved = np.concatenate([row.steps.deltas[:, fine] for row, fine in zip(long_enough, known, strict=True)], 1)
    counts = [int(fine.sum()) for fine in known]
    paragraph = np.repeat(np.array([row.paragraph_id for row in long_enough], str), counts)
    return ce, moved, paragraph, np.repeat(np.arange(len(long_enough)), counts)


def _token_level(
    ce: Floats, moved: Floats, paragraph: NDArray[Any], text: NDArray[Any], resampling: Resampling
) -> TokenLevel:
    mean_step = moved.mean(0)
    centred, steps_centred = _centred(ce[None], text)[0], _centred(moved, text)
    boot = resampling.over(paragraph.tolist())
    terms = np.stack([correlation_terms(centred, layer) for layer in steps_centred], 1)
    layers = boot.from_sums(boot.sums(terms), pearson_from_sums, CORRELATION).tolist()
    together = _correlation(centred, steps_centred.mean(0), paragraph, resampling)
    return TokenLevel(_correlation(ce, mean_step, paragraph, resampling), together, layers)


def _centred(values: Floats, text: NDArray[Any]) -> Floats:
    """[..., token] minus the mean over the token's text."""
    number = np.bincount(text)
    means = np.stack([np.bincount(text, row, len(number)) for row in values]) / number
    return np.asarray(values - means[:, text])


@dataclass(frozen=True)
class Move:
    """A token with a large step onto it.

    token: its place in the continuation; text, before: it and the six tokens before; ce: nats. layer: where its step is
    largest; delta: the step there; ratio: that over the layer's median step; sink: whether it or the token before is.
    """

    sample_id: str
    token: int
    text: str
    before: str
    ce: float
    layer: str
    delta: float
    ratio: float
    sink: bool


def moving_tokens(rows: ByCondition, layers: Sequence[str], most: int) -> dict[str, dict[str, list[Move]]]:
    """{condition: {"by ratio": [...], "by size": [...]}}, the tokens with the largest steps, one entry per token.

    By ratio: step over the layer's median step over all texts, at the layer where that is largest, since norms grow
    with depth; by size: the largest step itself.
    """
    texts = [t for by_paragraph in rows.values() for t in by_paragraph.values() if t.steps.tokens >= LEAST_TOKENS]
    if not texts:
        return {name: {"by ratio": [], "by size": []} for name in rows}
    usual = np.median(np.concatenate([t.steps.deltas for t in texts], 1), 1)[:, None]
    scales = {"by ratio": np.where(usual > 0, usual, np.nan), "by size": np.ones_like(usual)}
    return {
        name: {kind: _largest(by_paragraph.values(), scale, usual, layers, most) for kind, scale in scales.items()}
        for name, by_paragraph in rows.items()
    }


def _largest(rows: Iterable[Trajectory], scale: Floats, usual: Floats, layers: Sequence[str], most: int) -> list[Move]:
    entries: list[tuple[float, Trajectory, int, int]] = []
    for row in rows:
        if row.steps.tokens < LEAST_TOKENS:
            continue
        scaled = np.nan_to_num(row.steps.deltas / scale, nan=-1.0)
        best = scaled.argmax(0)
        sizes = scaled[best, np.arange(len(best))]
        entries += [(float(sizes[step]), row, int(best[step]), int(step)) for step in np.argsort(-sizes)[:most]]
    entries.sort(key=lambda entry: -entry[0])
    return [_move(row, layer, step, usual, layers) for _, row, layer, step in entries[:most]]


def _move(row: Trajectory, layer: int, step: int, usual: Floats, layers: Sequence[str]) -> Move:
    """`step` counts differences; the token that moved is the one behind it."""
    token, delta, typical = step + 1, float(row.steps.deltas[layer, step]), float(usual[layer, 0])
    return Move(
        sample_id=row.row,
        token=token,
        text=row.tokens[token],
        before="".join(row.tokens[max(0, token - 6) : token]),
        ce=float(row.ce[token]),
        layer=layers[layer],
        delta=delta,
        ratio=delta / typical if typical else float("nan"),
        sink=bool(row.sinks[layer, token] or row.sinks[layer, token - 1]),
    )
