"""Option letters as tokens: which ones count as a letter after a given prompt, with and without a space in front."""

from collections.abc import Sequence

from lit_experiments.lm.errors import model_error
from lit_experiments.lm.tokens import Tokens


def resolve_letters(tokens: Tokens, prompt: str, ids: Sequence[int], letters: str) -> list[list[int]]:
    """For each letter, the tokens that can follow `prompt` and are that letter, with or without a space in front.

    The letter is tokenised together with the prompt, since a tokenizer may join across the seam or split a letter off
    its space. Raises ModelError when a letter has no token of its own here, or two letters share one.
    """
    spellings = [_spellings(tokens, prompt, list(ids), letter) for letter in letters]
    lost = [letter for letter, spelled in zip(letters, spellings, strict=True) if not spelled]
    shared = len({token for spelled in spellings for token in spelled}) < sum(map(len, spellings))
    if lost or shared:
        what = f"no token of its own for {', '.join(lost)}" if lost else "one token for several letters"
        raise model_error(
            f"This tokenizer has {what} after the prompt {prompt[-40:]!r}.",
            next_step="end the template differently (for example with or without a space after the colon)",
        )
    return spellings


def _spellings(tokens: Tokens, prompt: str, ids: list[int], letter: str) -> list[int]:
    spellings: list[int] = []
    for text in (f"{prompt} {letter}", f"{prompt}{letter}"):
        longer = tokens.encode(text)
        added = longer[len(ids) :]
        if longer[: len(ids)] == ids and len(added) == 1 and added[0] not in spellings:
            spellings.append(added[0])
    return spellings
