"""What the collections of study 4 share: their problems, the columns that describe them, and pooled completions.

Does not know: which experiment it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from lit_experiments.collecting.collector import Collector
from lit_experiments.experiments.geometry.problem_set import (
    ProblemSource,
    PromptedProblem,
    PromptSettings,
    layer_sites,
    pooling_window,
    read_problem_set,
)
from lit_experiments.lm.continuations import Continuations
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import NonFiniteStateError
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.pool import LatentPool, Pooled
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.spec import ModelSpec
from stores import Column

PROBLEM_COLUMNS = (
    Column("problem_id", "string", "the problem's id in its source"),
    Column("question", "string", "the problem as its source has it"),
    Column("answer", "string", "the right final answer"),
    Column("solution", "string", "the source's worked solution, if it has one"),
    Column("prompt_text", "string", "what the model read"),
    Column("input_ids", "list<int64>", "its tokens"),
)
COMPLETION_COLUMNS = (
    Column("completion_text", "list<string>", "each completion, the end-of-text token left out"),
    Column("completion_ids", "json", "its tokens, the end-of-text token included"),
    Column("completion_length", "list<int64>", "tokens, the end-of-text token included"),
    Column("stop_reason", "list<string>", '"eos" or "length"'),
)


class SourceCollector(Collector):
    """Reads problems. `source`: which ones, from where."""

    def __init__(
        self,
        spec: ModelSpec,
        problems: str,
        num_problems: int | None,
        question_column: str | None,
        answer_column: str | None,
        solution_column: str | None,
        id_column: str | None,
        seed: int,
        malformed: Literal["stop", "skip"],
        quoting: Literal["auto", "standard", "none"],
    ) -> None:
        """Checks the settings; reads nothing but the model's configuration and tokenizer.

        Args:
            problems: JSONL, CSV or other data file, dataset folder, Hub id (NAME[@CONFIG][:SPLIT]), or "embedded".
            num_problems: How many, drawn at random (generated, for "embedded"); null takes all.
            question_column: Key or column of the question; null finds question or problem.
            answer_column: Key or column of the final answer; null finds answer.
            solution_column: Key or column of the worked solution; null finds solution.
            id_column: Key or column of the id; null finds the usual ones.
            seed: Seed of the choice of problems and of all sampling.
            malformed: At a malformed record: stop, or skip (and count).
            quoting: Of CSV and TSV files: standard (quotes enclose fields), none (quotes belong to the text), or auto.

        Raises:
            UserError: settings that contradict each other.
        """
        columns = (question_column, answer_column, solution_column, id_column)
        self.source = ProblemSource(problems, num_problems, columns, seed, malformed, quoting)
        super().__init__(spec)
        self.seed = seed


class ProblemCollector(SourceCollector):
    """Asks problems. `prompted`: those that fit the window with `new_tokens` to come."""

    def __init__(
        self,
        spec: ModelSpec,
        new_tokens: int,
        prompt: str,
        chat_template: bool,
        chat_options: dict[str, Any],
        system_prompt: str | None,
        too_long: Literal["error", "skip"],
        **kwargs: Any,
    ) -> None:
        """Reads the problems and writes their prompts.

        Args:
            new_tokens: Most tokens that will be generated behind a prompt.
            prompt: Template with {question}.
            chat_template: Put the prompt into the tokenizer's chat template.
            chat_options: Options of the chat template, e.g. {enable_thinking: false}.
            system_prompt: Text of a system turn in front of the prompt; null for none.
            too_long: What to do with problems that do not fit the model's window: error, or skip (and count).

        Raises:
            UserError: settings that contradict each other, see also `read_problem_set`.
        """
        prompts = PromptSettings(prompt, chat_template, too_long, chat_options, system_prompt)
        super().__init__(spec, **kwargs)
        self.new_tokens = new_tokens
        problems = read_problem_set(self.source, prompts, self.info, new_tokens)
        self.prompted: Sequence[PromptedProblem] = problems.prompted
        self._notes, self._problem_settings = problems.notes, problems.settings

    def notes(self) -> list[str]:
        return self._notes

    def settings(self) -> dict[str, Any]:
        """What all experiments of the study have in common; each adds its own."""
        return {**self._problem_settings, "max_new_tokens": self.new_tokens}

    def complete(
        self,
        sample_ids: Sequence[str],
        prompted: Sequence[PromptedProblem],
        draws: int,
        sampling: Sampling,
        pool: LatentPool,
        forced: Sequence[Sequence[int]] | None = None,
    ) -> tuple[Continuations, Pooled]:
        """`draws` completions of each problem, one problem's after the other's, up to `new_tokens` or end-of-text;
        with their latents by `pool`. The random stream of a completion is named by its sample's id and its number.
        forced: per problem, tokens that each of its completions begins with; they count among the `new_tokens`.

        Raises:
            NonFiniteStateError: the model computed no numbers; its index is that of the problem.
        """
        decoder = Decoder(self.lm, (), self.stop_check)
        state = decoder.prefill([problem.ids for problem in prompted]).fork(draws)
        keys = [StreamKey(self.seed, name, draw) for name in sample_ids for draw in range(draws)]
        try:
            drawn = decoder.sample(
                state,
                self.new_tokens,
                sampling,
                keys,
                stop_ids=self.info.eos_ids,
                feed_last=False,
                forced=None if forced is None else [tokens for tokens in forced for _ in range(draws)],
                pool=pool,
            )
            return drawn, pool.result()
        except NonFiniteStateError as error:  # it names a row of the fork, the caller knows samples
            raise NonFiniteStateError(str(error), error.index // draws, error.site, error.position) from error


class SampledCollector(ProblemCollector):
    """Samples several completions of each problem, whole ones, at one temperature, and pools their states at `sites`
    over every `stride`th token."""

    growing: ClassVar[frozenset[str]] = frozenset({"sites"})

    def __init__(
        self,
        spec: ModelSpec,
        new_tokens: int,
        temperature: float,
        completions: int,
        stride: int,
        top_p: float,
        top_k: int,
        layers: list[int] | None,
        **kwargs: Any,
    ) -> None:
        """Checks the settings; reads nothing but the problems and the model's configuration and tokenizer.

        Args:
            new_tokens: Longest completion.
            temperature: At which to sample; 0 is greedy.
            completions: How many of each row.
            stride: Every how many tokens a state is counted.
            top_p: Nucleus of the sampling; 1 keeps everything.
            top_k: Most likely tokens kept; 0 keeps all.
            layers: Blocks whose output is pooled (-1 is the last); null takes all.

        Raises:
            UserError: settings that contradict each other.
        """
        self.window, self.stride = pooling_window(stride, new_tokens, "max_new_tokens"), stride
        super().__init__(spec, new_tokens, **kwargs)
        self.sampling, self.completions = Sampling(temperature, top_p, top_k), completions
        self.sites = layer_sites(layers, self.info, "--layers")

    def settings(self) -> dict[str, Any]:
        """With those of the sampling."""
        sampling = {"temperature": self.sampling.temperature, "top_p": self.sampling.top_p}
        sampling |= {"top_k": self.sampling.top_k, "completions": self.completions}
        return {**super().settings(), **sampling, "latent_sampling_stride": self.stride, "sites": self.sites}


def problem_values(prompted: PromptedProblem) -> dict[str, Any]:
    """A row's PROBLEM_COLUMNS."""
    problem = prompted.problem
    return {
        "problem_id": problem.problem_id,
        "question": problem.question,
        "answer": problem.answer,
        "solution": problem.solution,
        "prompt_text": prompted.prompt,
        "input_ids": prompted.ids,
    }


def completion_values(collector: Collector, continuations: Continuations, first: int, count: int) -> dict[str, Any]:
    """A row's COMPLETION_COLUMNS, from the completions first, ..., first + count - 1."""
    rows = range(first, first + count)
    lengths = continuations.lengths[first : first + count].tolist()
    ids = [continuations.token_ids[row, :length].tolist() for row, length in zip(rows, lengths, strict=True)]
    stopped = continuations.stopped[first : first + count].tolist()
    texts = [tokens[:-1] if end else tokens for tokens, end in zip(ids, stopped, strict=True)]
    return {
        "completion_text": [collector.info.tokens.decode(tokens) for tokens in texts],
        "completion_ids": ids,
        "completion_length": lengths,
        "stop_reason": ["eos" if end else "length" for end in stopped],
    }
