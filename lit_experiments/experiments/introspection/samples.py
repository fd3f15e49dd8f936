"""From questions to samples: which are asked, their prompts, which tokens are stored, what does not fit the window.

Owns: selection, option order, the plan by pass. Does not know: the model's weights, stores.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lit_experiments.collecting.plan import Sample
from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.prompts import letters_of, render
from lit_experiments.experiments.introspection.surface_control.features import Features, surface
from lit_experiments.lm.chat import Chat
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.letters import resolve_letters
from lit_experiments.sources.questions import QuestionRecord, Questions
from lit_experiments.sources.selection import fit, shuffled

_SMALLEST, _LARGEST = 8, 256  # questions of a company, powers of two
_SEAM = 48  # characters at a prompt's end that decide how a letter behind it is tokenised


@dataclass(frozen=True)
class Chosen:
    """A question in the order of choice. place: in its source, from 0. company: see `company_of`."""

    question: QuestionRecord
    place: int
    company: int | None


@dataclass(frozen=True)
class PassPrompt:
    """The payload of a sample: one question as one pass asks it.

    text: the prompt; ids: its tokens; positions: indices of the tokens whose states are stored; spellings: each answer
    letter's tokens behind the prompt; surface: see `surface_control.features`.
    """

    kind: str
    question: QuestionRecord
    text: str
    ids: list[int]
    positions: list[int]
    spellings: list[list[int]]
    surface: Features


def company_of(turn: int) -> int:
    """The company (see `Sample.company`) of the question chosen in this turn: 0-7, 8-15, 16-31, ..., 128-255, and
    behind these 256 each.

    Rounding depends on a batch's shape, so a question must have the neighbours that it would have if more were asked:
    the last company is computed whole, and of it only what is asked is stored. As companies double, that costs a short
    run no more than itself, and a long one nearly nothing.
    """
    if turn < _LARGEST:
        return max(turn, _SMALLEST - 1).bit_length()
    return _LARGEST.bit_length() - 1 + turn // _LARGEST


def select(
    records: Sequence[QuestionRecord], number: int | None, shuffle_options: bool, seed: int
) -> tuple[list[Chosen], list[Chosen]]:
    """(the questions that are asked, those that complete the last one's company).

    With a number, the questions have an order that is shuffled by the seed, and the first `number` of it are asked: a
    larger number asks these and more. Without one all are asked, in the source's order and in no company.
    """
    order = list(range(len(records))) if number is None else shuffled(len(records), f"questions/{seed}")
    chosen = [
        Chosen(
            _options_shuffled(records[place], seed) if shuffle_options else records[place],
            place,
            None if number is None else company_of(turn),
        )
        for turn, place in enumerate(order)
    ]
    first = chosen[:number]
    last = first[-1].company if first else None
    return first, [question for question in chosen[len(first) :] if question.company == last]


def _options_shuffled(record: QuestionRecord, seed: int) -> QuestionRecord:
    order = shuffled(len(record.options), f"options/{seed}/{record.question_id}")
    a, b, c, d = (record.options[i] for i in order)
    return replace(record, options=(a, b, c, d), answer_index=order.index(record.answer_index))


def described(source: Questions, chosen: int) -> str:
    """One line: what was read and what of it is asked."""
    parts = [f"{source.name}: {len(source.records)} questions, {chosen} asked"]
    if source.skipped.count:
        parts.append(source.skipped.note())
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
        self, chosen: Sequence[Chosen], total: int, new_tokens: int, too_long: str
    ) -> tuple[list[Sample], list[str]]:
        """(samples by pass, then question; notes). A question too long for the window in one pass is left out of all.

        total: questions in the source; rows are in its order, pass by pass, whichever of them are asked.

        Raises SourceError if one is too long and that is to be an error.
        """
        prompts = {entry.question.question_id: self._prompts(entry.question) for entry in chosen}
        longest = {name: max(len(ids) for _, ids in of_passes) for name, of_passes in prompts.items()}
        window = self.info.window
        fitting = fit(
            chosen,
            None if window is None else window - (new_tokens - 1),
            lambda entry: longest[entry.question.question_id],
            lambda entry: entry.question.question_id,
        )
        notes = fitting.notes(
            "questions",
            too_long,
            total=len(chosen),
            window=f"{self.info.name} holds {window} tokens",
            remedy="--too_long skip leaves them out of every pass",
            done="left out of every pass",
        )
        features = [self._surface(entry.question) for entry in fitting.records]
        samples: list[Sample] = []
        for number, kind in enumerate(self.passes):
            for entry, seen in zip(fitting.records, features, strict=True):
                question, name = entry.question, entry.question.question_id
                text, ids = prompts[name][number]
                positions, spelled = stored_positions(self.positions, len(ids)), self._spellings(kind, text, ids)
                payload = PassPrompt(kind, question, text, ids, positions, spelled, seen)
                lengths = {"token": len(positions), "choice": len(letters_of(kind))}
                place, tokens = number * total + entry.place, len(ids) + new_tokens - 1
                samples.append(Sample(f"{name}/{kind}", place, tokens, payload, lengths, kind, name, entry.company))
        return samples, notes

    def _prompts(self, question: QuestionRecord) -> list[tuple[str, list[int]]]:
        """Text and tokens of a question in each pass."""
        return [self.info.tokens.prompt(render(self.templates[kind], question), self.chat) for kind in self.passes]

    def _spellings(self, kind: str, text: str, ids: list[int]) -> list[list[int]]:
        # Prompts of a pass end alike; tokenising each with each letter would take longer than the model.
        key = (kind, text[-_SEAM:])
        if key not in self._spelled:
            self._spelled[key] = resolve_letters(self.info.tokens, text, ids, letters_of(kind))
        return self._spelled[key]

    def _surface(self, question: QuestionRecord) -> Features:
        ids = self.info.tokens.tokenizer(question.text, add_special_tokens=False, verbose=False)["input_ids"]
        return surface(question.text, ids, self.info.vocab_size, self.counts)
