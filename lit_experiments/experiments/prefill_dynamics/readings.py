"""The texts that a model reads: a split paragraph under one condition, before and after its continuation was generated.

Owns: how each condition's text comes about, where its continuation begins, what of it is stored next to the numbers.
Does not know: weights, stores.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lit_experiments.collecting.plan import Sample
from lit_experiments.experiments.prefill_dynamics.conditions import HUMAN, SHUFFLED
from lit_experiments.experiments.prefill_dynamics.paragraph_split import SplitParagraph
from lit_experiments.lm.tokens import Tokens

END_OF_TEXT, LENGTH = "end_of_text", "max_new_tokens"


@dataclass(frozen=True)
class Reading:
    """One text. `ids` ends with the prompt while the continuation is still to be generated (`to_generate`).

    Attributes:
        boundary: index of the continuation's first token; len(ids) if it is empty.
        temperature: of generated text, 0 for greedy; None for text that no model wrote.
        stop_reason: why generating ended: end_of_text, or max_new_tokens; None for other text.
        read_as: "ids" where the very tokens are read that were written or cut, "text" where another tokenizer read the
            text anew.
        retokenises: generated text: whether the tokenizer would give the same ids for it.
    """

    paragraph_id: str
    place: int
    condition: str
    prompt: str
    continuation: str
    ids: list[int]
    boundary: int
    straddles: bool
    temperature: float | None
    stop_reason: str | None = None
    read_as: str = "ids"
    retokenises: bool | None = None
    to_generate: bool = False

    @property
    def sample_id(self) -> str:
        return f"{self.paragraph_id}/{self.condition}"


def readings(split: SplitParagraph, conditions: Mapping[str, float | None], tokens: Tokens, seed: int) -> list[Reading]:
    """The paragraph under every condition, in their order."""
    human = Reading(
        split.paragraph_id,
        split.place,
        HUMAN,
        split.prompt,
        split.continuation,
        split.ids,
        split.boundary,
        split.straddles,
        temperature=None,
    )
    written = {HUMAN: human, SHUFFLED: _shuffled(human, tokens, seed)}
    blank = replace(
        human,
        continuation="",
        ids=split.prompt_ids,
        boundary=len(split.prompt_ids),
        straddles=False,
        to_generate=True,
    )
    return [
        written[name] if name in written else replace(blank, condition=name, temperature=temperature)
        for name, temperature in conditions.items()
    ]


def _shuffled(human: Reading, tokens: Tokens, seed: int) -> Reading:
    """The human continuation's tokens in an order of their own for each paragraph and seed."""
    behind = human.ids[human.boundary :]
    random.Random(f"shuffle/{seed}/{human.paragraph_id}").shuffle(behind)
    ids = human.ids[: human.boundary] + behind
    return replace(human, condition=SHUFFLED, ids=ids, continuation=tokens.decode_after(ids[: human.boundary], behind))


def generated(reading: Reading, new_ids: Sequence[int], ended: bool, tokens: Tokens) -> Reading:
    """The reading with its continuation: the very tokens that the model wrote, an end-of-text token left away."""
    ids = [*reading.ids, *new_ids]
    text = tokens.decode_after(reading.ids, list(new_ids))
    return replace(
        reading,
        ids=ids,
        continuation=text,
        stop_reason=END_OF_TEXT if ended else LENGTH,
        retokenises=tokens.encode(reading.prompt + text) == ids,
        to_generate=False,
    )


def sample(reading: Reading, index: int, max_new_tokens: int, states: str) -> Sample:
    """The reading as something to visit; sizes of text that is still to come are the most that it can have."""
    length = len(reading.ids) + (max_new_tokens if reading.to_generate else 0)
    stored = length if states == "all" else length - reading.boundary
    lengths = {"token": stored, "predicted": length - 1}
    return Sample(reading.sample_id, index, length, reading, lengths, stage=reading.condition)


def row(reading: Reading, tokens: Tokens, states: str) -> dict[str, Any]:
    """The metadata columns that follow from the text."""
    return {
        "paragraph_id": reading.paragraph_id,
        "paragraph_place": reading.place,
        "condition": reading.condition,
        "prompt": reading.prompt,
        "continuation": reading.continuation,
        "input_ids": reading.ids,
        "tokens": tokens.pieces(reading.ids),
        "boundary": reading.boundary,
        "straddles": reading.straddles,
        "continuation_length": len(reading.ids) - reading.boundary,
        "first_state": 0 if states == "all" else reading.boundary,
        "temperature": reading.temperature,
        "stop_reason": reading.stop_reason,
        "read_as": reading.read_as,
        "retokenises": reading.retokenises,
    }
