"""Paragraphs split in two: the first sentence is the prompt, the rest is how a human went on.

Owns: where the first sentence ends, the one tokenisation of prompt and continuation with its boundary, which paragraphs
are used, and the counts of the others. Does not know: conditions, weights, stores.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from lit_experiments.errors import UserError
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.tokens import Tokens
from lit_experiments.sources.paragraphs import Paragraph, Paragraphs
from lit_experiments.sources.selection import choose

SENTENCE_END = ". "
LEAST_PROMPT = 10  # characters that come before the sentence end that counts
UNKNOWN = "<unk>"  # how WikiText writes words outside its vocabulary


@dataclass(frozen=True)
class SplitParagraph:
    """A paragraph split in two.

    Attributes:
        paragraph_id, place: of the paragraph, as in its source.
        prompt: the first sentence with its full stop.
        continuation: the rest, beginning with a space.
        ids: prompt and continuation, tokenised as one text, as the model reads it.
        boundary: index of the first token of the continuation.
        straddles: whether that token begins inside the prompt.
        prompt_ids: the prompt tokenised alone: what the model writes on from.
    """

    paragraph_id: str
    place: int
    prompt: str
    continuation: str
    ids: list[int]
    boundary: int
    straddles: bool
    prompt_ids: list[int]


@dataclass(frozen=True)
class Counts:
    """What became of the paragraphs. `usable` fit in every way; `chosen` of them were drawn; `with_unknown` of these
    hold WikiText's mark for unknown words, which is read like any other text."""

    paragraphs: int = 0
    duplicates: int = 0
    no_sentence_end: int = 0
    too_short: int = 0
    too_long: int = 0
    outgrow_window: int = 0
    usable: int = 0
    chosen: int = 0
    with_unknown: int = 0


@dataclass(frozen=True)
class Limits:
    """Tokens that a paragraph must have, and that are generated after its prompt."""

    min_tokens: int
    max_tokens: int
    max_new_tokens: int


def cut(text: str) -> tuple[str, str] | None:
    """(first sentence with its full stop, the rest from the space on); None without a sentence end.

    The end is the first ". " behind the first ten characters, so that "Mr. " or "1. " at the start is none.
    """
    stop = text.find(SENTENCE_END, LEAST_PROMPT)
    return None if stop < 0 else (text[: stop + 1], text[stop + 1 :])


def tokenised(prompt: str, continuation: str, tokens: Tokens) -> tuple[list[int], int, bool]:
    """(ids of the two as one text, index of the continuation's first token, whether that token straddles the boundary).

    A token that holds characters of both belongs to the continuation.
    """
    ids, spans = tokens.encode_with_spans(prompt + continuation)
    behind = [i for i, (_, end) in enumerate(spans) if end > len(prompt)]
    boundary = behind[0] if behind else len(ids)
    return ids, boundary, bool(behind) and spans[boundary][0] < len(prompt)


def split_paragraphs(
    source: Paragraphs, info: ModelInfo, limits: Limits, number: int | None, seed: int | None
) -> tuple[list[SplitParagraph], Counts]:
    """`number` usable paragraphs (all for None) in the source's order: drawn without replacement, or without a seed the
    first ones.

    Raises:
        UserError: fewer are usable than asked for.
    """
    passed: Counter[str] = Counter()
    usable: list[SplitParagraph] = []
    seen: set[str] = set()
    for paragraph in source.records:
        outcome = "duplicates" if paragraph.text in seen else _split(paragraph, info, limits)
        seen.add(paragraph.text)
        if isinstance(outcome, str):
            passed[outcome] += 1
        else:
            usable.append(outcome)
    counts = Counts(len(source.records), usable=len(usable), **passed)
    if not usable or (number is not None and len(usable) < number):
        raise UserError(_too_few(source.name, counts, limits, number))
    chosen = choose(usable, number, None if seed is None else f"paragraphs/{seed}")
    unknown = sum(UNKNOWN in text.prompt + text.continuation for text in chosen)
    return chosen, replace(counts, chosen=len(chosen), with_unknown=unknown)


def _split(paragraph: Paragraph, info: ModelInfo, limits: Limits) -> SplitParagraph | str:
    """The paragraph in two, or which of `Counts` it belongs to."""
    parts = cut(paragraph.text)
    if parts is None:
        return "no_sentence_end"
    ids, boundary, straddles = tokenised(*parts, info.tokens)
    length = len(ids) - len(info.tokens.prefix or ())
    if length < limits.min_tokens:
        return "too_short"
    if length > limits.max_tokens:
        return "too_long"
    prompt_ids = info.tokens.encode(parts[0])
    if info.window is not None and max(len(ids), len(prompt_ids) + limits.max_new_tokens) > info.window:
        return "outgrow_window"
    return SplitParagraph(paragraph.paragraph_id, paragraph.place, *parts, ids, boundary, straddles, prompt_ids)


def _too_few(name: str, counts: Counts, limits: Limits, number: int | None) -> str:
    requested = "any" if number is None else str(number)
    widen = {
        f"lower --min_tokens (now {limits.min_tokens}): {counts.too_short} are shorter": counts.too_short,
        f"raise --max_tokens (now {limits.max_tokens}): {counts.too_long} are longer": counts.too_long,
        f"lower --max_new_tokens (now {limits.max_new_tokens}): {counts.outgrow_window} would outgrow the model's "
        "window": counts.outgrow_window,
    }
    best = [text for text, count in sorted(widen.items(), key=lambda item: -item[1]) if count]
    if number is not None and counts.usable:
        best.append(f"or take them all with --n_samples {counts.usable}")
    advice = "; ".join(best) or "name another source with --paragraphs"
    return (
        f"{name}: {counts.usable} paragraphs are usable, {requested} were asked for.\n{described(counts)}\n"
        f"Next: {advice}."
    )


def described(counts: Counts) -> str:
    """One line: what was passed over, and why."""
    reasons = {
        "shorter than min_tokens": counts.too_short,
        "longer than max_tokens": counts.too_long,
        f'without a sentence end ("{SENTENCE_END}" behind the first {LEAST_PROMPT} characters)': counts.no_sentence_end,
        "would outgrow the model's window": counts.outgrow_window,
        "repeat an earlier one": counts.duplicates,
    }
    passed = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count) or "none"
    unknown = f"; {counts.with_unknown} of those read hold {UNKNOWN}" if counts.with_unknown else ""
    return f"Of {counts.paragraphs} paragraphs {counts.usable} are usable; passed over: {passed}{unknown}"
