"""Where prompts come from: a text per line or record, a template over several columns, or conversations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lit_experiments.collecting.collector import Collector
from lit_experiments.errors import UserError
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.sources.contexts import EMBEDDED, Contexts, read_contexts
from lit_experiments.sources.records import RecordStream, open_records
from lit_experiments.sources.texts import RecordText, TextForm, TextOptions, text_form
from lit_experiments.sources.values import BadValueError


@dataclass(frozen=True)
class PromptTexts:
    """texts: of the prompts, or their turns; places: where each stands in the source; notes: what is worth knowing."""

    texts: Sequence[RecordText]
    places: Sequence[int]
    name: str
    digest: str
    notes: tuple[str, ...]


class PromptSourceCollector(Collector):
    """Reads the prompts' texts: `source`."""

    def __init__(
        self,
        spec: ModelSpec,
        prompts: str,
        text_column: str | None,
        template: str | None,
        messages_column: str | None,
        malformed: Literal["stop", "skip"],
        quoting: Literal["auto", "standard", "none"],
    ) -> None:
        r"""Reads the source.

        Args:
            prompts: Text file with one prompt per line, .jsonl or other data file, dataset folder, Hub id
                (NAME[@CONFIG][:SPLIT]), or "embedded".
            text_column: Key or column that holds the prompt, for everything but text files.
            template: The prompt, with {column} for the value of any column; \n is a newline.
            messages_column: A conversation ([{role, content}, ...], or a text that is one user's turn), read in the
                model's chat template up to where the model's own turn begins.
            malformed: What to do with records that cannot be read: stop at the first, or skip (and count).
            quoting: Of CSV and TSV files: standard (quotes enclose fields), none (quotes belong to the text), or auto.

        Raises:
            UserError, SourceError: options that contradict each other; texts that cannot be read.
        """
        super().__init__(spec)
        self.conversations = messages_column is not None
        if template is None and messages_column is None:
            self.source = _plain(read_contexts(prompts, text_column, malformed, quoting, "--prompts"))
            return
        if prompts == EMBEDDED:
            raise UserError("--template and --messages_column read columns, and the embedded prompts have none.")
        stream = open_records(prompts, "--prompts", malformed, quoting=quoting)
        options = TextOptions(text_column, template, messages_column)
        self.source = _records(stream, text_form(options, stream.columns, stream.name))


def _plain(contexts: Contexts) -> PromptTexts:
    notes = [f"{contexts.blank} blank skipped", *contexts.notes]
    notes += [contexts.skipped.note()] if contexts.skipped.count else []
    texts = [RecordText(text, []) for text in contexts.texts]
    return PromptTexts(texts, contexts.places, contexts.name, contexts.digest, tuple(notes))


def _records(stream: RecordStream, form: TextForm) -> PromptTexts:
    texts, places = list[RecordText](), list[int]()
    for place, record in stream:
        try:
            texts += [_answerable(text) for text in form.texts(record)]
        except BadValueError as error:
            stream.reject(str(error), f"correct it, or name other columns with {form.option}")
            continue
        places.append(place)
    stream.require_some(len(texts), "prompt")
    digest = hashlib.sha256("\n".join(_identity(text) for text in texts).encode()).hexdigest()
    skipped = [stream.skipped.note()] if stream.skipped.count else []
    return PromptTexts(texts, places, stream.name, digest, (*stream.notes, *skipped))


def _answerable(text: RecordText) -> RecordText:
    if text.turns and text.turns[-1]["role"] == "assistant":
        raise BadValueError("the conversation ends in the assistant's own turn, and is to be answered")
    return text


def _identity(text: RecordText) -> str:
    whole: Any = text.turns or text.text
    return json.dumps(whole, sort_keys=True)
