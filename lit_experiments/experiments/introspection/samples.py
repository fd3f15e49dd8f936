"""From questions to samples: which are asked, their prompts, which tokens are stored, what does not fit the window.

Owns: selection, option order, the plan by pass. Does not know: the model's weights, stores.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lit_experiments.collecting.plan import Sample
from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.prompts import letters_of, render
from lit_experiments.experiments.introspection.surface import surface
from lit_experiments.lm.chat import Chat
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.letters import resolve_letters
from lit_experiments.sources.questions import QuestionRecord, Questions

_SEAM = 48  # characters at a prompt's end that decide how a letter behind it is tokenised


def select(
    records: Sequence[QuestionRecord], number: int | None, shuffle_options: bool, seed: int
) -> list[QuestionRecord]:
    """`number` questions drawn without replacement, in the source's order; each with its options shuffled if asked."""
    chosen = list(records)
    if number is not None and number < len(chosen):
        picked = random.Random(f"questions/{seed}").sample(range(len(chosen)), number)
        chosen = [chosen[i] for i in sorted(picked)]
    return [_shuffled(record, seed) for record in chosen] if shuffle_options else chosen


def _shuffled(record: QuestionRecord, seed: int) -> QuestionRecord:
    order = [0, 1, 2, 3]
    random.Random(f"options/{seed}/{record.question_id}").shuffle(order)
    a, b, c, d = (record.options[i] for i in order)
    return replace(record, options=(a, b, c, d), answer_index=order.index(record.answer_index))


def described(source: Questions, chosen: int) -> str:
    """One line: what was read and what of it is asked."""
    parts = [f"{source.name}: {len(source.records)} questions, {chosen} asked"]
    if source.skipped.count:
        parts.append(source.skipped.note())
    if source.duplicates:
        parts.append(f"{source.duplicates} repeat an earlier one")
    return ", ".join(parts)


def stored_positions(positions: str, length: int) -> list[int]:
    """Token indices whose states are stored: all, answer (the last), or the last K (last_K; fewer in a short prompt).

    Raises UserError for other words.
    """
    if positions == "all":
        return list(range(length))
    match = re.fullmatch(r"last_([1-9]\d*)", positions)
    if positions != "answer" and match is None:
        raise UserError(f'positions must be all, answer or last_K such as last_8, found "{positions}".')
    last = 1 if match is None else int(match.group(1))
    return list(range(max(0, length - last), length))


@dataclass
class Prompts:
    """Makes the samples of all passes for one model's tokenizer."""

    info: ModelInfo
    passes: Sequence[str]
    templates: Mapping[str, str]
    chat: Chat | None
    positions: str
    counts: Mapping[int, int] | None
    _spelled: dict[tuple[str, str], list[list[int]]] = field(default_factory=dict)

    def samples(
        self, questions: Sequence[QuestionRecord], new_tokens: int, too_long: str
    ) -> tuple[list[Sample], list[str]]:
        """(samples by pass, then question; notes). A question too long for the window in one pass is left out of all.

        Raises UserError if one is too long and that is to be an error.
        """
        rendered = {q.question_id: [self._prompt(kind, q) for kind in self.passes] for q in questions}
        window = self.info.window
        room = None if window is None else window - (new_tokens - 1)
        longest = {q: max(len(ids) for _, ids in texts) for q, texts in rendered.items()}
        kept = [q for q in questions if room is None or longest[q.question_id] <= room]
        notes = self._too_long(longest, room, too_long) if room is not None and len(kept) < len(questions) else []
        features = [self._surface(question) for question in kept]
        found: list[Sample] = []
        for number, kind in enumerate(self.passes):
            for question, seen in zip(kept, features, strict=True):
                text, ids = rendered[question.question_id][number]
                payload = self._payload(kind, question, text, ids) | {"surface": seen}
                lengths = {"token": len(payload["positions"]), "choice": len(letters_of(kind))}
                name, tokens = f"{question.question_id}/{kind}", len(ids) + new_tokens - 1
                found.append(Sample(name, len(found), tokens, payload, lengths, stage=kind))
        return found, notes

    def _prompt(self, kind: str, question: QuestionRecord) -> tuple[str, list[int]]:
        return self.info.tokens.prompt(render(self.templates[kind], question), self.chat)

    def _payload(self, kind: str, question: QuestionRecord, text: str, ids: list[int]) -> dict[str, Any]:
        positions = stored_positions(self.positions, len(ids))
        spelled = self._spellings(kind, text, ids)
        return {
            "kind": kind,
            "question": question,
            "prompt": text,
            "ids": ids,
            "positions": positions,
            "spellings": spelled,
        }

    def _spellings(self, kind: str, text: str, ids: list[int]) -> list[list[int]]:
        # Prompts of a pass end alike; tokenising each with each letter would take longer than the model.
        key = (kind, text[-_SEAM:])
        if key not in self._spelled:
            self._spelled[key] = resolve_letters(self.info.tokens, text, ids, letters_of(kind))
        return self._spelled[key]

    def _surface(self, question: QuestionRecord) -> dict[str, Any]:
        ids = self.info.tokens.tokenizer(question.text, add_special_tokens=False, verbose=False)["input_ids"]
        return surface(question.text, ids, self.info.vocab_size, self.counts)

    def _too_long(self, longest: Mapping[str, int], room: int, too_long: str) -> list[str]:
        long = {name: length for name, length in longest.items() if length > room}
        shown = ", ".join(f"{name} ({length} tokens)" for name, length in list(long.items())[:5])
        more = f" and {len(long) - 5} more" if len(long) > 5 else ""
        which = f"{len(long)} of {len(longest)} questions: {shown}{more}"
        if too_long == "error":
            raise UserError(
                f"Too long for the model's window: {which}.\n{self.info.name} holds {self.info.window} tokens. "
                f"Nothing ran.\nNext: --too_long skip leaves them out of every pass."
            )
        return [f"too long for the window, left out of every pass: {which}"]
