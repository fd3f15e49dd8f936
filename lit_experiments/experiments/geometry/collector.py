"""What the collections of study 4 share: their problems, the columns that describe them, and pooled completions.

Does not know: which experiment it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lit_experiments.collecting.collector import Collector
from lit_experiments.experiments.geometry.problem_set import Asked, ProblemSettings, read_problem_set
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


class ProblemCollector(Collector):
    """Asks problems. `asked`: those that fit the window with `new_tokens` to come."""

    def __init__(self, spec: ModelSpec, settings: ProblemSettings, new_tokens: int) -> None:
        super().__init__(spec)
        self.seed, self.new_tokens = settings.seed, new_tokens
        found = read_problem_set(settings, self.info, new_tokens)
        self.asked: Sequence[Asked] = found.asked
        self._notes, self._problem_settings = found.notes, found.settings

    def notes(self) -> list[str]:
        return self._notes

    def settings(self) -> dict[str, Any]:
        """What all experiments of the study have in common; each adds its own."""
        return {**self._problem_settings, "max_new_tokens": self.new_tokens}

    def complete(
        self,
        sample_ids: Sequence[str],
        asked: Sequence[Asked],
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
        state = decoder.prefill([each.ids for each in asked]).fork(draws)
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


def problem_values(asked: Asked) -> dict[str, Any]:
    """A row's PROBLEM_COLUMNS."""
    problem = asked.problem
    return {
        "problem_id": problem.problem_id,
        "question": problem.question,
        "answer": problem.answer,
        "solution": problem.solution,
        "prompt_text": asked.prompt,
        "input_ids": asked.ids,
    }


def completion_values(collector: Collector, drawn: Continuations, first: int, count: int) -> dict[str, Any]:
    """A row's COMPLETION_COLUMNS, from the completions first, ..., first + count - 1."""
    rows = range(first, first + count)
    lengths = drawn.lengths[first : first + count].tolist()
    ids = [drawn.token_ids[row, :length].tolist() for row, length in zip(rows, lengths, strict=True)]
    stopped = drawn.stopped[first : first + count].tolist()
    texts = [each[:-1] if end else each for each, end in zip(ids, stopped, strict=True)]
    return {
        "completion_text": [collector.info.tokens.decode(each) for each in texts],
        "completion_ids": ids,
        "completion_length": lengths,
        "stop_reason": ["eos" if end else "length" for end in stopped],
    }
