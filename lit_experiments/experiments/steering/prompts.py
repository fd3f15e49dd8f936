"""The prompts that are continued: which texts, how the model reads them, and how their continuations are sampled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lit_experiments.errors import UserError
from lit_experiments.experiments.steering.prompt_source import PromptSourceCollector
from lit_experiments.lm.chat import Chat, chat_settings
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.ranges import at_least, seeds
from lit_experiments.sources.contexts import EMBEDDED
from lit_experiments.sources.texts import RecordText

FEW = 12  # of the embedded prompts, if it is not said how many


@dataclass(frozen=True)
class Prompt:
    """One prompt. prompt_id: names its random streams; text: as its source has it; shown: what the model reads; ids:
    its tokens."""

    prompt_id: str
    text: str
    shown: str
    ids: list[int]


class PromptCollector(PromptSourceCollector):
    """Reads prompts. `prompts`: those that leave room for `new_tokens` in the model's window."""

    def __init__(
        self,
        spec: ModelSpec,
        new_tokens: int,
        num_prompts: int | None,
        chat_template: bool,
        chat_options: dict[str, Any],
        system_prompt: str | None,
        too_long: Literal["error", "skip"],
        **source: Any,
    ) -> None:
        """Reads the prompts.

        Args:
            new_tokens: Tokens that are to come behind a prompt.
            num_prompts: Only the first so many; null takes all (of the embedded ones, which are hundreds, a few).
            chat_template: Put the prompt into the tokenizer's chat template.
            chat_options: Options of the chat template, e.g. {enable_thinking: false}.
            system_prompt: Text of a system turn in front of the prompt; null for none.
            too_long: What to do with prompts that leave no room in the model's window: error, or skip (and count).

        Raises:
            UserError, SourceError, ModelError: options that contradict each other; texts that cannot be read.
        """
        in_turns = chat_template or source["messages_column"] is not None
        chat = chat_settings(in_turns, chat_options, system_prompt)
        at_least(1, num_prompts=num_prompts)
        super().__init__(spec, **source)
        texts = self.source
        first = num_prompts or (FEW if source["prompts"] == EMBEDDED else None)
        everything = [
            self._prompt(f"prompt-{place:06d}", text, chat)
            for text, place in zip(texts.texts[:first], texts.places[:first], strict=True)
        ]
        self._notes = [f"{texts.name}: {len(everything)} of {len(texts.texts)} prompts", *texts.notes]
        self.prompts: Sequence[Prompt] = self._fitting(everything, new_tokens, too_long)
        self._prompt_settings = {
            "prompts": texts.digest,
            "num_prompts": first,
            "chat_template": in_turns,
            "chat_options": dict(chat_options),
            "system_prompt": system_prompt,
            "too_long": too_long,
        }

    def _prompt(self, name: str, text: RecordText, chat: Chat | None) -> Prompt:
        if not text.turns:
            return Prompt(name, text.text, *self.info.tokens.prompt(text.text, chat))
        shown = self.info.tokens.conversation(text.turns, chat or Chat())
        return Prompt(name, json.dumps(text.turns, ensure_ascii=False), shown, self.info.tokens.encode(shown))

    def notes(self) -> list[str]:
        return self._notes

    def settings(self) -> dict[str, Any]:
        """What of the prompts shapes the numbers."""
        return dict(self._prompt_settings)

    def _fitting(self, prompts: list[Prompt], new_tokens: int, too_long: str) -> list[Prompt]:
        window = self.info.window
        room = None if window is None else window - new_tokens
        long = [p for p in prompts if room is not None and len(p.ids) > room]
        if not long:
            return prompts
        shown = ", ".join(f"{p.prompt_id} ({len(p.ids)} tokens)" for p in long[:5]) + (" ..." if len(long) > 5 else "")
        reason = f"no room for {new_tokens} more tokens in the model's window ({window}): {len(long)} prompts: {shown}"
        if too_long == "error" or len(long) == len(prompts):
            raise UserError(
                f"{reason}.\nNothing ran. Next: --too_long skip leaves them out, or lower --max_new_tokens."
            )
        self._notes.append(f"{reason}; left out")
        return [p for p in prompts if len(p.ids) <= (room or 0)]


class SampledPrompts(PromptCollector):
    """Continues every prompt several times. `sampling`: by which rule; `completions`: how many times."""

    def __init__(
        self,
        spec: ModelSpec,
        completions: int,
        max_new_tokens: int,
        temperature: float,
        top_p: float,
        top_k: int,
        seed: int,
        **kwargs: Any,
    ) -> None:
        """Checks the settings and reads the prompts.

        Args:
            completions: Texts that are sampled of each prompt under each condition.
            max_new_tokens: Longest completion; an end-of-text token ends it earlier.
            temperature: Of the sampling; 0 is greedy, and then all completions of a prompt are one.
            top_p: Nucleus of the sampling; 1 keeps everything.
            top_k: Most likely tokens kept; 0 keeps all.
            seed: Seed of all sampling and of the random directions. Random numbers depend on prompt and completion, not
                on the condition, so that differences between conditions are not those of luck.
            kwargs: Which prompts, and how the model reads them.

        Raises:
            UserError: settings that contradict each other.
        """
        at_least(1, completions=completions, max_new_tokens=max_new_tokens)
        seeds(seed=seed)
        self.sampling = Sampling(temperature, top_p, top_k)
        if self.sampling.greedy and completions > 1:
            raise UserError(
                f"At temperature 0 all completions of a prompt are the same, and completions is {completions}.\n"
                "Next: --completions 1, or a higher --temperature."
            )
        super().__init__(spec, max_new_tokens, **kwargs)
        self.completions, self.new_tokens, self.seed = completions, max_new_tokens, seed

    def settings(self) -> dict[str, Any]:
        """With those of the sampling."""
        rule = {"temperature": self.sampling.temperature, "top_p": self.sampling.top_p, "top_k": self.sampling.top_k}
        counts = {"completions": self.completions, "max_new_tokens": self.new_tokens, "seed": self.seed}
        return {**super().settings(), **rule, **counts}
