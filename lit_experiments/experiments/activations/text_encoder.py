"""A record's text as the model reads it: through the chat template where it is a conversation, to token ids, cut to the
model's window where that is wanted. Owns what a text that cannot be read is refused for; knows no files and no weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from lit_experiments.collecting.positions import prefix_length
from lit_experiments.errors import UserError
from lit_experiments.lm.chat import Chat
from lit_experiments.lm.errors import ModelError, first_line
from lit_experiments.lm.tokens import Tokens
from lit_experiments.sources.texts import RecordText
from lit_experiments.sources.values import BadValueError

TooLong = Literal["error", "skip", "truncate_left", "truncate_right"]
Offsets = list[tuple[int, int]]


@dataclass(frozen=True)
class EncodedText:
    """What the model reads. text: without special tokens in front; offsets: each token's characters [start, end) in
    `text`, none for a tokenizer that does not know them; removed: characters that were cut off in front; response,
    response_ids: what is read behind it."""

    text: str
    ids: list[int]
    offsets: Offsets
    removed: int = 0
    response: str = ""
    response_ids: list[int] = field(default_factory=list)


@dataclass
class TextEncoder:
    """Encodes the texts of one collection.

    Attributes:
        chat: how conversations are filled in.
        room: tokens that a text may have; None for any number.
        too_long: what becomes of longer ones; here only `truncate_left` and `truncate_right` change a text.
        answers: whether the model writes after each text.
        with_offsets: whether the characters of every token are needed.
        truncated: how many texts were cut so far.
    """

    tokens: Tokens
    chat: Chat
    room: int | None
    too_long: TooLong
    answers: bool
    with_offsets: bool
    truncated: int = 0
    _ahead: dict[str, tuple[list[int], Offsets]] = field(default_factory=dict)

    def look_ahead(self, texts: Iterable[str]) -> None:
        """Tokenises texts that `encoded` will be asked for next, together; those of the last call are let go."""
        self._ahead = {}
        distinct = list(dict.fromkeys(texts))
        if distinct and self.tokens.tokenizer.is_fast:
            self._ahead = dict(zip(distinct, self.tokens.own_with_spans(distinct), strict=True))

    def encoded(self, text: RecordText, response: str | None = None) -> EncodedText:
        """response: a given one, which is tokenised together with the text; a token across the border is the
        response's. Raises BadValueError for what the model cannot read."""
        self._check_turns(text)
        try:
            shown = self.tokens.conversation(text.turns, self.chat) if text.turns else text.text
            ids, offsets = self._ids_of(shown) if response is None else self._whole(shown + response)
        except ModelError as error:
            raise BadValueError(_one_line(error)) from error
        answered: list[int] = []
        if response is not None:
            size = next((place for place, (_, end) in enumerate(offsets) if end > len(shown)), len(ids))
            ids, answered, offsets = ids[:size], ids[size:], offsets[:size]
        if len(ids) == prefix_length(ids, self.tokens.prefix or ()):
            raise BadValueError("the text has no token of its own")
        if self.room is not None and len(ids) > self.room and self.too_long.startswith("truncate"):
            return self._cut(EncodedText(shown, ids, offsets), self.room)
        return EncodedText(shown, ids, offsets, 0, response or "", answered)

    def check_template(self) -> None:
        """Checks once that conversations can be filled in at all.

        Raises:
            UserError: the tokenizer has no chat template, or conversations are to be cut.
            ModelError: the template does not read an option, or takes no system turn.
        """
        if self.tokens.tokenizer.chat_template is None:
            raise UserError(
                "--messages_column: this model's tokenizer has no chat template.\n"
                "Next: another --model, or --text_column or --template for texts as they are."
            )
        if self.too_long.startswith("truncate"):
            raise UserError(
                f"--too_long {self.too_long} would cut conversations within the chat template.\n"
                "Next: --too_long skip leaves those out that are too long, counted."
            )
        self.tokens.conversation([{"role": "user", "content": "Hello"}], self.chat)

    def _ids_of(self, shown: str) -> tuple[list[int], Offsets]:
        if self.tokens.tokenizer.is_fast or self.with_offsets:
            return self._whole(shown)
        return self.tokens.encode(shown), []

    def _whole(self, text: str) -> tuple[list[int], Offsets]:
        tokenised = self._ahead.get(text)
        if tokenised is None:
            return self.tokens.encode_with_spans(text)
        return self.tokens.begun_with_spans(text, *tokenised)

    def _cut(self, whole: EncodedText, room: int) -> EncodedText:
        """The special tokens in front, and as many of the text's first or last tokens as there is room for."""
        prefix = prefix_length(whole.ids, self.tokens.prefix or ())
        if room <= prefix:
            raise BadValueError(f"there is room for {max(0, room)} tokens, special ones in front included")
        self.truncated += 1
        spared = room - prefix
        first = prefix if self.too_long == "truncate_right" else len(whole.ids) - spared
        ids = [*whole.ids[:prefix], *whole.ids[first : first + spared]]
        if not whole.offsets:
            return EncodedText(self.tokens.decode(ids[prefix:]), ids, [])
        offsets = whole.offsets[first : first + spared]
        start = 0 if first == prefix else min(start for start, _ in offsets)
        end = max(end for _, end in offsets)
        shifted = [(a - start, b - start) for a, b in offsets]
        return EncodedText(whole.text[start:end], ids, [*whole.offsets[:prefix], *shifted], start)

    def _check_turns(self, text: RecordText) -> None:
        roles = [turn["role"] for turn in text.turns]
        if self.answers and roles[-1:] == ["assistant"]:
            raise BadValueError("the conversation ends in the assistant's own turn, and is to be answered")
        if self.chat.system is not None and "system" in roles:
            raise BadValueError("the conversation has a system turn of its own next to --system_prompt")


def _one_line(error: ModelError) -> str:
    lines = [" ".join(line.split()) for line in str(error).splitlines()]
    return " ".join([first_line(error), *(line for line in lines[1:] if line.startswith("found:"))])
