"""The natural spread of states along a direction, measured where no probe notes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lit_experiments.errors import UserError
from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.model import LanguageModel

MOST_PROMPTS = 256


@torch.inference_mode()
def measured_spreads(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], units: Mapping[str, NDArray[np.float64]]
) -> dict[str, float]:
    """The standard deviation (ddof 1) of the projections on each site's unit vector, over the tokens of the first
    MOST_PROMPTS prompts, without what the model reads in front of every text.

    Prompts are read one by one, so that the numbers do not depend on batches.

    Raises:
        UserError: the prompts have too few tokens, or do not differ along the direction.
    """
    front = len(lm.info.tokens.prefix or ())
    along: dict[str, list[float]] = {site: [] for site in units}
    for ids in prompts[:MOST_PROMPTS]:
        states = exact_states(lm, [ids], list(units), [list(range(min(front, len(ids) - 1), len(ids)))])
        for site, unit in units.items():
            along[site] += (states[site].double().cpu().numpy() @ unit).tolist()
    spreads = {site: float(np.std(values, ddof=1)) if len(values) > 1 else 0.0 for site, values in along.items()}
    flat = [site for site, value in spreads.items() if not value > 0]
    if flat:
        raise UserError(
            f"The prompts' states do not differ along the probe's direction at {flat[0]}, so strengths have no unit.\n"
            "Next: give more or other --prompts, or a probe whose notes hold its spread."
        )
    return spreads
