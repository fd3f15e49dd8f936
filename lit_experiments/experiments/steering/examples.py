"""Which completions are shown: the first of the first prompts, at every strength of the probe's direction."""

from __future__ import annotations

import numpy as np

from lit_experiments.experiments.steering.conditions import NONE, PROBE
from lit_experiments.experiments.steering.measures import Conditions, Key
from lit_experiments.experiments.steering.result import SampleText
from stores import Store


def sample_texts(store: Store, arms: Conditions, sets: list[str], count: int) -> list[SampleText]:
    """By set of layers, prompt and strength, the ablation last. reading: at the last site."""
    shown: list[SampleText] = []
    reading, perplexity = store["reading"].read(), store["perplexity"].read()
    for layers in sets:
        keys = sorted((key for key in arms.by if key[1] == NONE or key[:2] == (layers, PROBE)), key=_order)
        for prompt in range(min(count, len(arms.text))):
            for key in keys:
                row = arms.rows[key][prompt]
                text = store.select(slice(row, row + 1)).table(["completions"]).column(0).to_pylist()[0][0]
                values = float(reading[row, 0, -1]), float(perplexity[row, 0])
                shown.append(SampleText(layers, arms.text[prompt], key[2], text, *values))
    return shown


def _order(key: Key) -> float:
    return np.inf if key[2] is None else key[2]
