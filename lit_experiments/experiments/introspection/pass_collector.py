"""Which questions study 3 asks, in which passes, and with which prompts. Does not know: hidden states, rows, stores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from lit_experiments.collecting.extending import followed
from lit_experiments.collecting.plan import Sample
from lit_experiments.collecting.questions import QuestionCollector
from lit_experiments.errors import UserError
from lit_experiments.experiments.introspection.prompts import PASSES, check_templates, pass_name
from lit_experiments.experiments.introspection.samples import Prompts, described, select
from lit_experiments.lm.chat import chat_settings
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.ranges import at_least, seeds


class PassCollector(QuestionCollector):
    """Asks each chosen question once per pass; `prepare` reads the questions and makes the samples."""

    growing: ClassVar[frozenset[str]] = frozenset({"passes"})

    def __init__(
        self,
        spec: ModelSpec,
        num_questions: int | None,
        shuffle_options: bool,
        seed: int,
        passes: list[str],
        templates: dict[str, str],
        chat_template: bool,
        chat_options: dict[str, Any],
        system_prompt: str | None,
        token_counts: str | None,
        too_long: Literal["error", "skip"],
        **kwargs: Any,
    ) -> None:
        """Checks the settings; reads nothing but the token counts and the model's configuration and tokenizer.

        Args:
            num_questions: How many, drawn at random; null takes all in their order. A larger number later asks the
                same ones and more, into the same store, which then holds bit for bit what it would hold if all had
                been asked at once.
            shuffle_options: Put each question's options into a random order.
            seed: Seed of selection, option order and sampling.
            passes: Which of mcq, self_confidence, other_confidence (also self_conf, other_conf) to run, in this order.
            templates: Each pass's prompt with {question}, {A}, {B}, {C}, {D}.
            chat_template: Put the prompt into the tokenizer's chat template.
            chat_options: Options of the chat template, e.g. {enable_thinking: false}.
            system_prompt: Text of a system turn in front of the prompt; null for none.
            token_counts: JSON file {token id: count in a corpus}, for surprisal features; null leaves them empty.
            too_long: What to do with questions that do not fit the model's window: error, or skip (and count).

        Raises:
            UserError: settings that contradict each other.
        """
        super().__init__(spec, **kwargs)
        self.num_questions, self.shuffle_options, self.seed = num_questions, shuffle_options, seed
        self.passes = [pass_name(kind) for kind in passes]
        self.templates = {pass_name(kind): template for kind, template in templates.items()}
        self.chat_template, self.chat_options, self.system_prompt = chat_template, chat_options, system_prompt
        self.too_long = too_long
        check_templates(self.templates)
        if not self.passes or len(set(self.passes)) < len(self.passes) or not set(self.passes) <= set(PASSES):
            raise UserError(f"passes must name each of {', '.join(PASSES)} at most once, found {self.passes}.")
        at_least(1, num_questions=num_questions)
        seeds(seed=seed)
        self._counts = _read_counts(token_counts)

    def prepare(self, positions: str, new_tokens: int) -> None:
        """Reads the questions and makes the samples of those that are asked.

        positions: whose states are stored, as in `stored_positions`; new_tokens: that the model writes, at most.

        Raises:
            UserError: a source that cannot be read, a tokenizer that cannot name the letters, a prompt that is too long
                where that is to be an error.
        """
        self._stored_positions = positions
        self._source = self.read_source()
        chosen, self._beside = select(self._source.records, self.num_questions, self.shuffle_options, self.seed)
        chat = chat_settings(self.chat_template, self.chat_options, self.system_prompt)
        self._prompts = Prompts(self.info, self.passes, self.templates, chat, positions, self._counts)
        self._new_tokens = new_tokens
        total = len(self._source.records)
        self._samples, notes = self._prompts.samples(chosen, total, new_tokens, self.too_long)
        self._notes = [described(self._source, len(chosen)), *self._source.notes, *notes]

    def widen(self, stored: Mapping[str, Any]) -> None:
        """Passes that an existing run has been asked for stay, the new ones come behind them."""
        super().widen({name: values for name, values in stored.items() if name != "passes"})
        if "passes" in stored:
            self.passes = followed(stored["passes"], self.passes)
            self.prepare(self._stored_positions, self._new_tokens)

    def samples(self) -> Sequence[Sample]:
        return self._samples

    def companions(self) -> Sequence[Sample]:
        return self._prompts.samples(self._beside, len(self._source.records), self._new_tokens, "skip")[0]

    def notes(self) -> list[str]:
        return self._notes

    def settings(self) -> dict[str, Any]:
        """Those of questions and prompts; what reads them adds its own."""
        names = ("shuffle_options", "seed", "passes", "templates", "chat_template", "chat_options", "system_prompt")
        counts = None if self._counts is None else sorted(self._counts.items())
        chosen = {name: getattr(self, name) for name in (*names, "too_long")}
        return {"questions": self._source.digest, "token_counts": counts} | chosen


def _read_counts(path: str | None) -> dict[int, int] | None:
    """{token id: count}. Raises UserError for anything else in the file."""
    if path is None:
        return None
    try:
        return {int(token): int(count) for token, count in json.loads(Path(path).read_text(encoding="utf-8")).items()}
    except OSError as error:
        raise UserError(f"Cannot read --token_counts {path}: {error.strerror}.") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise UserError(f"--token_counts {path}: expected a JSON object {{token id: count}}; {error}.") from error
