"""Windows behind a branch, and what two texts that part there have in common. Pure functions on token lists.

A window may end early, with its text. So latents are pooled over a ladder of windows, lookahead, lookahead / 2,
lookahead / 4, ... tokens long, all while decoding; two texts are compared over the longest that both fill. Each window
has the stride that was asked for; a text too short for all of them is not compared. Does not know: models, stores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lit_experiments.errors import UserError

Decode = Callable[[list[int]], str]


def window_lengths(lookahead: int, shortest: int) -> list[int]:
    """Lengths in tokens of the ladder's windows: lookahead, halved until it would fall below `shortest`."""
    lengths = [lookahead]
    while lengths[-1] // 2 >= shortest:
        lengths.append(lengths[-1] // 2)
    return lengths


def window_strides(stride: int | Sequence[int], lengths: Sequence[int]) -> list[int]:
    """The stride of each window: one for all, or one for each of them, never another one than was asked for.

    Raises:
        UserError: more or fewer strides than windows, or a window too short to hold a token that counts.
    """
    strides = [stride] * len(lengths) if isinstance(stride, int) else list(stride)
    shown = ", ".join(map(str, lengths))
    if len(strides) != len(lengths):
        raise UserError(
            f"latent_sampling_stride has {len(strides)} strides for {len(lengths)} windows, of {shown} tokens "
            f"(lookahead_tokens, halved down to shortest_window).\nNext: one --latent_sampling_stride for all of them, "
            f"or a list of {len(lengths)}, the longest window's first."
        )
    for value, length in zip(strides, lengths, strict=True):
        if value < 1:
            raise UserError(f"latent_sampling_stride must be at least 1, found {value}.")
        if value > length:
            option = "lookahead_tokens" if length == lengths[0] else "shortest_window"
            raise UserError(
                f"latent_sampling_stride {value} is more than the {length} tokens of a window (they are {shown} long: "
                f"lookahead_tokens {lengths[0]}, halved down to shortest_window): none of its tokens would count.\n"
                f"Next: lower --latent_sampling_stride to {length} or less, or raise --{option} to {value} or more."
            )
    return strides


@dataclass(frozen=True)
class Parting:
    """How a branch's text compares with the baseline's from the branching token on, tokens counted from 1.

    differs_at: the first token of the branch with which its text is another one; None while it is the same text (by
    other tokens). merged_at: the branch's token from which on it repeats, to its end, a run of the baseline; None if
    there is no run of `merge_tokens`. shift: how many tokens further on in the baseline that run stands.
    """

    differs_at: int | None
    merged_at: int | None
    shift: int | None


def parting(branch: Sequence[int], baseline: Sequence[int], merge_tokens: int, decode: Decode) -> Parting:
    """Compares the tokens of a branch's window with the baseline's from the same place on (as far as it goes)."""
    merged = _common_end(list(branch), list(baseline), merge_tokens)
    return Parting(_differs_at(list(branch), list(baseline), decode), *(merged or (None, None)))


def _differs_at(branch: list[int], baseline: list[int], decode: Decode) -> int | None:
    text = decode(baseline)
    for count in range(1, len(branch) + 1):
        if not text.startswith(decode(branch[:count])):
            return count
    return None


def _common_end(branch: list[int], baseline: list[int], least: int) -> tuple[int, int] | None:
    """(first token, shift) of the longest run that ends the branch and stands in the baseline, the least shift first.

    The branching token itself is another one, so runs begin behind it.
    """
    best: tuple[int, int, int] | None = None
    for end in range(least, len(baseline) + 1):
        length = 0
        while length < min(end, len(branch) - 1) and branch[-1 - length] == baseline[end - 1 - length]:
            length += 1
        shift = end - len(branch)
        if length >= least and (best is None or (-length, abs(shift)) < (-best[0], abs(best[1]))):
            best = (length, shift, len(branch) - length + 1)
    return None if best is None else (best[2], best[1])
