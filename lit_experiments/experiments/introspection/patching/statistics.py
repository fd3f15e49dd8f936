"""What the interventions' numbers come to: effects with intervals, next to random directions and control patches.

Pure functions on the arrays of `run`. N questions, R random directions, P pairs, M measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lit_experiments.experiments.introspection.passes import central_range
from lit_experiments.experiments.introspection.patching.passes import MEASURES
from lit_experiments.experiments.introspection.patching.result import Ablation, LayerEffects, Patching, Steering
from lit_experiments.experiments.introspection.patching.run import LayerRun
from lit_experiments.statistics import LEVEL, Estimate, GroupBootstrap
from lit_experiments.statistics.max_t import max_t
from lit_experiments.statistics.permutation import permutation_p, sign_flip_null, sign_flip_p

Floats = NDArray[np.float64]
PRIMARY = {"mcq": "entropy", "self_confidence": "confidence", "other_confidence": "confidence"}
"""The measure that a pass is about: the gap that patching is to close, and what the summary speaks of."""
_BY_KEY = ("accuracy", "key")  # judged by the recipient's key, so the donor's own value is no goal
S = TypeVar("S", Steering, Ablation, Patching)


@dataclass(frozen=True)
class Settings:
    """multiples: of the spread; flips, seed: random sign flips behind each p-value of patching; resampler: the
    bootstrap over groups [row]; sample [N], recipients [P]: names of the groups of alike questions, which are resampled
    and flipped together."""

    multiples: Floats
    flips: int
    seed: int
    resampler: Callable[[ArrayLike], GroupBootstrap]
    sample: NDArray[np.str_]
    recipients: NDArray[np.str_]


def pass_statistics(layers: Sequence[LayerRun | None], settings: Settings) -> list[LayerEffects | None]:
    """Per layer `layer_statistics`, with p-values corrected over the layers of the pass (max-T), per measure.

    The sign flips of patching are the same for all layers. The random directions of steering and ablation are drawn
    for each layer by itself: the largest of independent ones is at least as often as large as that of ones that go
    together as the layers do (Sidak 1967), which makes the correction cautious at most.
    """
    effects = [None if layer is None else layer_statistics(layer, settings) for layer in layers]
    runs = [layer for layer in layers if layer is not None]
    held = [layer for layer in effects if layer is not None]
    sample, recipients = settings.resampler(settings.sample), settings.resampler(settings.recipients)
    steer = _corrected([layer.steer for layer in held], [_slopes(run, settings) for run in runs], sample)
    ablate = _corrected([layer.ablate for layer in held], [_ablations(run) for run in runs], sample)
    patch = _corrected([layer.patch for layer in held], [_flips(run, settings) for run in runs], recipients)
    return [
        None if layer is None else replace(layer, steer=next(steer), ablate=next(ablate), patch=next(patch))
        for layer in effects
    ]


class Test(NamedTuple):
    """What is averaged [question], and what the mean becomes where nothing is there [draw]."""

    values: Floats
    null: Floats


def _slopes(layer: LayerRun, settings: Settings) -> list[Test]:
    """By measure the slope and those of random directions."""
    weights = slope_weights(settings)
    return [
        Test(np.tensordot(weights, layer.steer[..., m], 1), layer.random_steer[..., m] @ weights)
        for m in range(len(MEASURES))
    ]


def _ablations(layer: LayerRun) -> list[Test]:
    """By measure the change without the direction and those without random ones."""
    return [Test(layer.ablate[:, m], layer.random_ablate[:, m]) for m in range(len(MEASURES))]


def _flips(layer: LayerRun, settings: Settings) -> list[Test]:
    """By measure the difference of patch and control, and those with flipped signs."""
    return [
        Test(column, sign_flip_null(column, settings.flips, settings.seed, settings.recipients)[1])
        for column in (layer.patch - layer.control).T
    ]


def _corrected(
    layers: Sequence[dict[str, S]], tests: Sequence[list[Test]], boot: GroupBootstrap
) -> Iterator[dict[str, S]]:
    """Layer by layer the scores of an intervention, corrected over the layers that have the measure.

    tests: [layer][measure].
    """
    corrected: dict[str, Iterator[tuple[float, Estimate]]] = {}
    for m, measure in enumerate(MEASURES):
        known = [of_layer[m] for of_layer, scores in zip(tests, layers, strict=True) if measure in scores]
        if known:
            values = np.stack([test.values for test in known], 1)
            p = max_t(values.mean(0), np.stack([test.null for test in known], 1), two_sided=True)
            together = boot.jointly().mean(values)
            corrected[measure] = zip(p.tolist(), together.tolist(), strict=True)
    for scores in layers:
        changed = {}
        for name, score in scores.items():
            p_corrected, estimate = next(corrected[name])
            changed[name] = replace(score, p_corrected=p_corrected, together=estimate)
        yield changed


def layer_statistics(layer: LayerRun, settings: Settings) -> LayerEffects:
    """Everything at one pass and layer, by measure; p_corrected and together are those of a single layer."""
    boots = settings.resampler(settings.sample), settings.resampler(settings.recipients)
    out = LayerEffects(layer.spread, {}, {}, {}, {})
    for m, name in enumerate(MEASURES):
        if not np.isfinite(layer.clean[:, m]).all():
            continue
        out.clean[name] = boots[0].mean(layer.clean[:, m]).item()
        out.steer[name] = steering(layer.steer[..., m], layer.random_steer[..., m], settings, boots[0])
        out.ablate[name] = ablation(layer.ablate[:, m], layer.random_ablate[:, m], boots[0])
        gap = None if name in _BY_KEY else layer.high[:, m] - layer.low[:, m]
        out.patch[name] = patching(layer.patch[:, m], layer.control[:, m], gap, settings, boots[1])
    return out


def steering(changes: Floats, random: Floats, settings: Settings, boot: GroupBootstrap) -> Steering:
    """Of one measure: the mean change at each multiple; the slope per spread, next to random directions.

    changes: [multiple, N]; random: [R, multiple], means over the same questions. The slope is that of least squares
    through the clean answer, where the change is 0 by definition; p: two-sided, by its rank among random slopes.
    """
    weights = slope_weights(settings)
    slope = boot.mean(weights @ changes).item()
    slopes = random @ weights
    p = float(permutation_p(slope.value, slopes, two_sided=True))
    return Steering(
        changes=[boot.mean(row).item() for row in changes],
        random_changes=[central_range(column, LEVEL) for column in random.T],
        slope=slope,
        random=central_range(slopes, LEVEL),
        p=p,
        p_corrected=p,
        together=slope,
    )


def slope_weights(settings: Settings) -> Floats:
    """[multiple] what a least-squares slope through no change weighs each change by."""
    m = settings.multiples
    return np.asarray(m / (m @ m))


def ablation(changes: Floats, random: Floats, boot: GroupBootstrap) -> Ablation:
    """Of one measure: the mean change [N] without the direction, next to random ones [R]; p as in `steering`."""
    change = boot.mean(changes).item()
    p = float(permutation_p(change.value, random, two_sided=True))
    return Ablation(change, central_range(random, LEVEL), p, p, change)


def patching(patch: Floats, control: Floats, gaps: Floats | None, settings: Settings, boot: GroupBootstrap) -> Patching:
    """Of one measure: the mean change [P] by a high donor's state, by a low one's (control), and as share of the gap.

    gaps: [P] donor minus recipient, None where that means nothing. The share is sum of changes over sum of gaps; none
    where the gap's own interval holds 0. p: patch against control, paired by recipient, two-sided, by flipping the
    signs of groups of alike recipients.
    """
    none = Estimate.undefined(boot.n, boot.level)
    gap = none if gaps is None else boot.mean(gaps).item()
    share = none if gaps is None else boot.ratio(patch, gaps).item()
    difference = boot.mean(patch - control).item()
    p = sign_flip_p(patch - control, settings.flips, settings.seed, settings.recipients)
    return Patching(
        change=boot.mean(patch).item(),
        control=boot.mean(control).item(),
        difference=difference,
        gap=gap,
        share=share if gap.side_of(0) else none,
        p=p,
        p_corrected=p,
        together=difference,
    )
