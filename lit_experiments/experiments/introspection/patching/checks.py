"""What must hold before a number of the interventions counts. Every analysis runs these; one that fails ends it.

identity      an answer position's own state, put back, changes no bit of the logits
replacement   a donor's states at every position of a prompt of equal length give the donor's logits; so does the
              donor's last state at the answer position alone, at the last block
collected     the letters' logits are those in the store
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from lit_experiments.errors import RunFailed
from lit_experiments.experiments.introspection.patching.choice import Prompts
from lit_experiments.experiments.introspection.patching.passes import Bench
from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.intervene import Patch, intervened
from lit_experiments.lm.last_token import ROUNDING
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.score import next_token_logits


def check_collected(lm: LanguageModel, benches: Sequence[Bench]) -> float:
    """Largest relative difference of the letters' logits from the store's. Raises RunFailed if it is no rounding."""
    difference = max(bench.collected_difference for bench in benches)
    if not difference <= ROUNDING[lm.dtype]:
        raise RunFailed(
            f"{lm.info.name} does not give the letters' logits that were collected: they differ by {difference:.2g} of "
            f"their size, rounding explains {ROUNDING[lm.dtype]:.2g}. Nothing was intervened on."
        )
    return difference


def check_identity(bench: Bench, site: str) -> int:
    """Puts every answer state back where it is; returns how many logits were compared, each equal bit for bit.

    Raises:
        RunFailed: a logit moved.
    """
    compared = 0
    for batch in bench.passes:
        patches = [Patch(site, states, "last") for states in batch.states(site)]
        for before, (_, after) in zip(batch.clean(), batch.logits(patches), strict=True):
            if not torch.equal(before, after):
                gap = float((before - after).abs().max())
                raise RunFailed(f"Putting a state back at {site} moved a logit by {gap:.3g}; it must change nothing.")
            compared += before.numel()
    return compared


def check_last_replacement(lm: LanguageModel, recipients: Bench, donors: Bench) -> float:
    """Patches the last block's state at the answer position; largest difference from the donor's logits, relative.

    Raises:
        RunFailed: more than rounding.
    """
    site, worst = f"resid_post.{lm.info.n_layers - 1}", 0.0
    for recipient, donor in zip(recipients.passes, donors.passes, strict=True):
        states = donor.states(site)
        expected = next(iter(donor.clean()))
        ((_, logits),) = recipient.logits([Patch(site, states[0], "last")])
        worst = max(worst, float((logits - expected).abs().max() / expected.abs().max()))
    return _within(lm, worst, f"the donor's state at {site}, answer position,")


def equal_lengths(prompts: Prompts, most: int) -> tuple[list[int], list[int]]:
    """Up to `most` pairs (recipient, donor) of different questions whose prompts are equally long."""
    by_length: dict[int, list[int]] = {}
    for index, ids in enumerate(prompts.ids):
        by_length.setdefault(len(ids), []).append(index)
    pairs = [pair for alike in by_length.values() for pair in zip(alike[::2], alike[1::2], strict=False)]
    return [a for a, _ in pairs[:most]], [b for _, b in pairs[:most]]


def check_whole_replacement(
    lm: LanguageModel, prompts: Prompts, pairs: tuple[list[int], list[int]], site: str
) -> float | None:
    """Patches every position of whole prompts; largest relative difference from the donors' logits, or None.

    Raises:
        RunFailed: more than rounding.
    """
    recipients, donors = ([prompts.ids[i] for i in side] for side in pairs)
    if not recipients:
        return None
    (states,) = exact_states(lm, donors, [site], "all").values()
    expected = next_token_logits(lm, donors)
    with intervened(lm, [Patch(site, states, "all")], recipients):
        logits = next_token_logits(lm, recipients)
    worst = float((logits - expected).abs().max() / expected.abs().max())
    return _within(lm, worst, f"the donor's states at {site}, all positions,")


def _within(lm: LanguageModel, difference: float, patched: str) -> float:
    if not difference <= ROUNDING[lm.dtype] or np.isnan(difference):
        raise RunFailed(
            f"Patching {patched} must give the donor's logits; they differ by {difference:.2g} of their size, rounding "
            f"explains {ROUNDING[lm.dtype]:.2g}."
        )
    return difference
