"""Collections over a table of the user's: its texts, its ids, and what of its columns is a label, a group, a split."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from lit_experiments.collecting.collector import Collector
from lit_experiments.collecting.declarations import Declarations
from lit_experiments.errors import UserError
from lit_experiments.experiments.activations.declared import declared
from lit_experiments.experiments.activations.reading import ReadingOptions, Texts
from lit_experiments.experiments.activations.schema import RowLayout, row_layout
from lit_experiments.experiments.activations.text_encoder import TextEncoder, TooLong
from lit_experiments.lm.chat import Chat
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.sources.given_responses import GivenResponses
from lit_experiments.sources.texts import DECLARED, TextOptions, open_texts, text_form


class TableCollector(Collector, ABC):
    """Knows where the table lies, and which of its columns are declared to be what."""

    def __init__(
        self,
        spec: ModelSpec,
        texts: str,
        id_column: str | None,
        malformed: Literal["stop", "skip"],
        quoting: Literal["auto", "standard", "none"],
        *,
        label_columns: str | list[str] | None = None,
        group_column: str | None = None,
        split_column: str | None = None,
    ) -> None:
        """Opens the table.

        Args:
            texts: JSONL, JSON, CSV, TSV, Parquet, Arrow or text file (.gz and .zst too), folder of them, dataset
                folder, Hub id (NAME[@CONFIG][:SPLIT]), "embedded" (questions), or "embedded:openings" (of sentences).
            id_column: Column whose values name the samples, when no two records have the same; null numbers them.
            malformed: At a malformed record: stop, or skip (and count).
            quoting: Of CSV and TSV files: standard (quotes enclose fields), none (quotes belong to the text), or auto.
            label_columns: What probes are to find in the states. These three are declarations: they can be changed
                later without collecting again.
            group_column: Rows with the same value are kept together in splits and resamples.
            split_column: Which part of the data a row is of.
        """
        super().__init__(spec)
        self.texts_from, self.id_column, self.malformed, self.quoting = texts, id_column, malformed, quoting
        labels = [label_columns] if isinstance(label_columns, str) else label_columns
        usual_labels, usual_group = DECLARED.get(texts, ((), None))
        chosen = usual_labels if labels is None else labels
        self._declared = Declarations(tuple(chosen), group_column or usual_group, split_column)
        self.stream = open_texts(texts, malformed, quoting)
        if id_column is not None:
            self.stream.require_column(id_column, "--id_column")


class TextsCollector(TableCollector, ABC):
    """Knows how a record becomes what the model reads."""

    def __init__(
        self,
        spec: ModelSpec,
        text_column: str | None,
        template: str | None,
        messages_column: str | None,
        chat_options: dict[str, Any],
        system_prompt: str | None,
        span_column: str | None,
        too_long: Literal["error", "skip", "truncate_left", "truncate_right"],
        *,
        pair_columns: list[str] | list[bool] | None = None,
        **table: Any,
    ) -> None:
        r"""Checks what the text is to be made of.

        Args:
            text_column: The column that holds the text; null finds text, sentence, content, document, prompt, question.
            template: The text, with {column} for the value of any column; \n is a newline.
            messages_column: A conversation ([{role, content}, ...], or a text that is one user's turn), read in the
                model's chat template up to where the model's own turn begins.
            chat_options: Options of the chat template, e.g. {enable_thinking: false}.
            system_prompt: Text of a system turn in front of every conversation; null for none.
            span_column: Spans of characters with labels ([{start, end, label}, ...] or [[start, end, label], ...]),
                counted in the text column from 0; a token belongs to a span if they share a character.
            too_long: What to do with texts that do not fit the model's window: error, skip (and count), truncate_left
                (its end is read), or truncate_right (its beginning is).
            pair_columns: Two columns with the two texts of a contrast pair: two rows of one group, labelled by column.
        """
        super().__init__(spec, **table)
        pairs: tuple[str | bool, ...] | None = None if pair_columns is None else tuple(pair_columns)
        self.options = TextOptions(text_column, template, messages_column, pairs)
        self.chat = Chat(dict(chat_options), system_prompt)
        self.span_column = span_column
        self.too_long: TooLong = too_long
        self._check_options(chat_options, system_prompt)
        self.form = text_form(self.options, self.stream.columns, self.stream.name)

    def read_texts(self, to_write: int, reserved: Sequence[str] = (), responses: GivenResponses | None = None) -> None:
        """Reads the table, once. to_write: most tokens that the model writes after a text. reserved: names that the
        user's columns cannot have in the store. responses: that come with the texts.

        Raises:
            SourceError, UserError: a record that cannot be used, a text that is too long, a declared column that there
                is not.
        """
        room = None if self.info.window is None else self.info.window - to_write
        with_offsets = self.span_column is not None
        answers = to_write > 0 or responses is not None
        if responses is not None and self.too_long.startswith("truncate"):
            raise UserError(
                f"--too_long {self.too_long} cuts texts, which would part them from their --completions.\n"
                "Next: --too_long skip leaves those out that are too long, counted."
            )
        encoder = TextEncoder(self.info.tokens, self.chat, room, self.too_long, answers, with_offsets)
        if self.options.messages_column is not None:
            encoder.check_template()
        pairs, fixed = self.options.pair_columns is not None, self.stream.columns
        if fixed is not None:  # before a long table is read
            declared(self._declared, dict.fromkeys(fixed, "string"), {name: name for name in fixed}, pairs)
        options = ReadingOptions(self.id_column, self.span_column, responses)
        self.texts = Texts(self.stream, self.form, encoder, self.info, options)
        self.layout: RowLayout
        self.layout, notes = row_layout(self.texts, pairs, self.span_column, answers, reserved)
        self.declarations = declared(self._declared, self.layout.types, self.layout.stored.names, pairs)
        self._notes = [*self.texts.notes, *notes]

    def write_beside(self, run: Path) -> None:
        self.declarations.write(run)

    def notes(self) -> list[str]:
        return self._notes

    def given_columns(self) -> frozenset[str]:
        return self.layout.given

    def settings(self) -> dict[str, Any]:
        form = {"template": self.options.template, "columns": list(self.form.consumed)}
        conversation = {"chat_options": dict(self.chat.options), "system_prompt": self.chat.system}
        return {
            "texts": self.texts.digest,
            "text": {"form": type(self.form).__name__, **form},
            "conversation": conversation if self.options.messages_column is not None else None,
            "span_column": self.span_column,
            "ids": self.id_column if self.texts.identified else None,
        }

    def _check_options(self, chat_options: dict[str, Any], system_prompt: str | None) -> None:
        filled = [n for n, value in (("--chat_options", chat_options), ("--system_prompt", system_prompt)) if value]
        if filled and self.options.messages_column is None:
            raise UserError(
                f"{' and '.join(filled)} fill the chat template, which is used for --messages_column alone.\n"
                f"Next: --messages_column NAME (a column of texts will do: each is one user's turn), or leave them out."
            )
        if self.span_column is None:
            return
        self.stream.require_column(self.span_column, "--span_column")
        if self.options.messages_column is not None or self.options.pair_columns is not None:
            raise UserError("--span_column counts characters of --text_column; conversations and pairs have none.")
        if self.options.template is not None and self.options.text_column is None:
            raise UserError(
                "--span_column with --template: which of the template's columns do the spans count characters of?\n"
                "Next: --text_column NAME, a column that the template holds."
            )
