"""The finished completions as the model reads them without steering: how likely it finds them, and its states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lit_experiments.lm.capture import exact_states
from lit_experiments.lm.errors import NonFiniteStateError
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.score import token_log_probs


@dataclass(frozen=True)
class Rereading:
    """log_probs: nats, of every token of each completion. states: float32 [completion, site, hidden], means over the
    tokens of each completion without an end-of-text token; NaN where there is no other."""

    log_probs: list[Tensor]
    states: Tensor


def read_again(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    ended: Sequence[bool],
    sites: Sequence[str],
) -> Rereading:
    """Reads every completion behind its prompt. ended: whether its last token is an end of text.

    Raises:
        ModelError: a text that the model cannot read. NonFiniteStateError: states or logits that are no numbers.
    """
    sequences = [[*prompt, *text] for prompt, text in zip(prompts, completions, strict=True)]
    scored = token_log_probs(lm, sequences)
    log_probs = [of_text[len(of_text) - len(text) :] for of_text, text in zip(scored, completions, strict=True)]
    counts = [len(text) - end for text, end in zip(completions, ended, strict=True)]
    rows = [row for row, count in enumerate(counts) if count]
    states = torch.full((len(sequences), len(sites), lm.info.d_model), torch.nan)
    if rows:
        starts = [len(prompts[row]) for row in rows]
        cut = [sequences[row][: start + counts[row]] for row, start in zip(rows, starts, strict=True)]
        places = [range(start, len(ids)) for start, ids in zip(starts, cut, strict=True)]
        of_sites = exact_states(lm, cut, sites, places).values()
        means = [[part.double().mean(0) for part in of_site.split([*map(len, places)])] for of_site in of_sites]
        read = torch.stack([torch.stack(part) for part in means], 1).cpu()
        _require_finite(lm, read, rows, sites)
        states[rows] = read.float()
    return Rereading(log_probs, states)


def _require_finite(lm: LanguageModel, read: Tensor, rows: Sequence[int], sites: Sequence[str]) -> None:
    """read: [row, site, hidden]."""
    broken = (~read.isfinite().all(-1)).nonzero().tolist()
    if broken:
        row, site = rows[broken[0][0]], sites[broken[0][1]]
        message = f"{lm.info.name!r} computed NaN or infinity at site {site} while it read completion {row} again."
        raise NonFiniteStateError(message, index=row, site=site, position=0)


def as_rows(values: Sequence[Tensor], width: int) -> NDArray[np.float64]:
    """[row, width] from rows of different lengths; NaN behind their ends."""
    out = np.full((len(values), width), np.nan)
    for row, numbers in enumerate(values):
        out[row, : len(numbers)] = numbers.double().numpy()
    return out
