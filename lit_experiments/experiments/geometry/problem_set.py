"""The problems of study 4 and the prompts that ask them.

Owns: which problems are taken, the prompt template, which layers latents are read at, what does not fit the window.
Does not know: weights, sampling, stores.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lit_experiments.errors import UserError
from lit_experiments.lm.chat import Chat, chat_settings
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.pool import Window
from lit_experiments.lm.sites import resolve_sites
from lit_experiments.ranges import at_least, seeds
from lit_experiments.sources.problems import EMBEDDED, ProblemRecord, Problems, read_problems
from lit_experiments.sources.selection import choose, fit


@dataclass(frozen=True)
class ProblemSource:
    """Which problems, and where from.

    Attributes:
        problems: JSONL, CSV or other data file, dataset folder, Hub id (NAME[@CONFIG][:SPLIT]), or "embedded".
        num_problems: how many: drawn at random, or generated for "embedded"; None takes all.
        columns: names of the question, answer, solution and id column; None finds the usual ones.
        seed: of the choice (and of everything sampled).
        malformed: "stop" at a malformed record, or "skip" (and count).
        quoting: of CSV and TSV files: "standard" (quotes enclose fields), "none" (they belong to the text), or "auto".
    """

    problems: str
    num_problems: int | None
    columns: tuple[str | None, str | None, str | None, str | None]
    seed: int
    malformed: Literal["stop", "skip"]
    quoting: Literal["auto", "standard", "none"]

    def __post_init__(self) -> None:
        at_least(1, num_problems=self.num_problems)
        seeds(seed=self.seed)
        if self.num_problems is None and self.problems == EMBEDDED:
            raise UserError("num_problems must say how many embedded problems to generate.")

    def read(self) -> Problems:
        """All of its problems. Raises SourceError, see `read_problems`."""
        question, answer, solution, identity = self.columns
        return read_problems(
            self.problems,
            generated=self.num_problems or 0,
            seed=self.seed,
            question_column=question,
            answer_column=answer,
            solution_column=solution,
            id_column=identity,
            malformed=self.malformed,
            quoting=self.quoting,
        )


@dataclass(frozen=True)
class PromptSettings:
    """How problems are asked.

    Attributes:
        prompt: template with {question}.
        chat: put the prompt into the tokenizer's chat template.
        too_long: "error", or "skip" (and count) problems that do not fit the window.
        chat_options: options of the chat template.
        system_prompt: text of a system turn in the chat template, None for no such turn.
    """

    prompt: str
    chat: bool
    too_long: Literal["error", "skip"]
    chat_options: dict[str, Any] = field(default_factory=dict)
    system_prompt: str | None = None

    def __post_init__(self) -> None:
        try:
            names = {name for _, name, _, _ in string.Formatter().parse(self.prompt) if name is not None}
        except ValueError as error:
            raise UserError(f"prompt: {error}. Write a literal brace as {{{{ or }}}}.") from error
        if names != {"question"}:
            shown = ", ".join(sorted(names)) or "none"
            raise UserError(f"prompt must hold {{question}} and no other field, found: {shown}.")


@dataclass(frozen=True)
class PromptedProblem:
    """A problem, the prompt as the model reads it, and its token ids."""

    problem: ProblemRecord
    prompt: str
    ids: list[int]


@dataclass(frozen=True)
class ProblemSet:
    """Problems with their prompts. notes: what was read, skipped, counted. settings: what of it shapes the numbers."""

    prompted: tuple[PromptedProblem, ...]
    notes: list[str]
    settings: dict[str, Any]


def read_problem_set(source: ProblemSource, prompts: PromptSettings, info: ModelInfo, new_tokens: int) -> ProblemSet:
    """The problems whose prompts leave room for `new_tokens` in the model's window.

    Raises:
        SourceError: one is too long and that is to be an error, or nothing is left; see also `read_problems`.
        ModelError: see `Tokens.prompt`.
    """
    problems = source.read()
    chosen = choose(problems.records, source.num_problems, f"problems/{source.seed}")
    chat = chat_settings(prompts.chat, prompts.chat_options, prompts.system_prompt)
    everything = [_prompted(problem, prompts.prompt, chat, info) for problem in chosen]
    room = None if info.window is None else info.window - new_tokens
    fitting = fit(everything, room, lambda prompted: len(prompted.ids), lambda prompted: prompted.problem.problem_id)
    notes = fitting.notes(
        "problems",
        prompts.too_long if fitting.records else "error",
        total=len(everything),
        window=f"{info.name} holds {info.window} tokens; {new_tokens} to generate leave {room} for a prompt",
        remedy="lower --max_new_tokens, or --too_long skip leaves such problems out",
    )
    settings = {"problems": problems.digest, "num_problems": source.num_problems, "seed": source.seed}
    notes = [_described(problems, len(chosen)), *problems.notes, *notes]
    return ProblemSet(tuple(fitting.records), notes, settings | asdict(prompts))


def layer_sites(layers: Sequence[int] | None, info: ModelInfo, option: str) -> list[str]:
    """`resid_post.L` of the given blocks (negative ones count from the last), or of all.

    Raises:
        UserError: none, or a block given twice.
        ModelError: no such block.
    """
    chosen = list(range(info.n_layers)) if layers is None else list(layers)
    if not chosen:
        raise UserError(f"{option} names no layer; leave it out to have all {info.n_layers}.")
    return resolve_sites([f"resid_post.{layer}" for layer in chosen], info.layout, info.n_layers)


def pooling_window(stride: int, tokens: int, option: str) -> Window:
    """The tokens stride, 2 stride, ... of `tokens`, whose number `option` sets.

    Raises:
        UserError: it would hold none.
    """
    if stride < 1:
        raise UserError(f"latent_sampling_stride must be at least 1, found {stride}.")
    if stride > tokens:
        raise UserError(
            f"latent_sampling_stride {stride} is more than {option} {tokens}: none of the tokens would count.\n"
            f"Next: lower --latent_sampling_stride to {tokens} or less, or raise --{option} to {stride} or more."
        )
    return Window(stride, tokens)


def _prompted(problem: ProblemRecord, prompt: str, chat: Chat | None, info: ModelInfo) -> PromptedProblem:
    text, ids = info.tokens.prompt(prompt.format(question=problem.question), chat)
    return PromptedProblem(problem, text, ids)


def _described(source: Problems, chosen: int) -> str:
    parts = [f"{source.name}: {len(source.records)} problems, {chosen} asked"]
    if source.skipped.count:
        parts.append(source.skipped.note())
    return ", ".join(parts)
