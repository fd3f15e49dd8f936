"""Collects what becomes of a greedy solution when, here and there, its second most likely token is taken instead.

One row per problem. Every `bifurcation_step_interval` tokens the second most likely token is forced (special ones are
passed over, unless asked for) and decoding goes on greedily; all branches of a solution share its cache. D(t) is the
distance between the means of the residual stream over two windows of tokens, the branch's and the solution's own, both
from token t on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from lit_experiments.collecting.plan import Sample
from lit_experiments.errors import UserError
from lit_experiments.experiments.geometry.collector import PROBLEM_COLUMNS, ProblemCollector, problem_values
from lit_experiments.experiments.geometry.path_branches import Baseline, Branch, baselines, branches, wordless_tokens
from lit_experiments.experiments.geometry.path_windows import Parting, parting, window_lengths, window_strides
from lit_experiments.experiments.geometry.problem_set import layer_sites
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.errors import NonFiniteStateError
from lit_experiments.lm.pool import Window
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.ranges import at_least
from stores import Column, Field, Records, Schema


class PathSensitivityCollector(ProblemCollector):
    """For each problem: the greedy solution, its branches, and how far each leads away."""

    version: ClassVar[int] = 2

    def __init__(
        self,
        spec: ModelSpec,
        max_new_tokens: int,
        bifurcation_step_interval: int,
        lookahead_tokens: int,
        latent_sampling_stride: int | list[int],
        shortest_window: int,
        allow_special: bool,
        path_layers: list[int] | None,
        decode_to_end: bool,
        merge_tokens: int,
        branches_at_once: int,
        seed: int,
        **kwargs: Any,
    ) -> None:
        """Checks the settings; reads nothing but the problems and the model's configuration and tokenizer.

        Args:
            max_new_tokens: Longest solution, and longest solution with a branch in it.
            bifurcation_step_interval: Every how many generated tokens a branch leaves the solution.
            lookahead_tokens: Tokens of the two windows that are compared, the branching token included.
            latent_sampling_stride: Every how many tokens of a window a state is counted; a list has one for each window
                (lookahead_tokens, half of it, a quarter, ... down to shortest_window).
            shortest_window: Windows that end early are compared over half, a quarter, ... of the tokens, but not fewer
                than this; points whose texts are shorter have no distance, and are counted.
            allow_special: Let special tokens (end of text, padding, chat marks) be the second most likely one; else the
                most likely other token that writes text is taken. Probabilities are the model's own either way.
            path_layers: Blocks whose output is compared (-1 is the last); null takes all.
            decode_to_end: Decode branches to their end, to see whether the final answer changes; otherwise only as far
                as the windows reach.
            merge_tokens: Length of a run of the solution's own tokens, at a branch's end, that counts as merging.
            branches_at_once: Branches of one solution in a batch; does not change the result.
            seed: Seed of the choice of problems.
            kwargs: Which problems, and how they are asked.

        Raises:
            UserError: settings that contradict each other.
        """
        self.interval, self.lookahead = bifurcation_step_interval, lookahead_tokens
        self.shortest = shortest_window
        self.to_end, self.merge_tokens, self.at_once = decode_to_end, merge_tokens, branches_at_once
        self._check(max_new_tokens)
        lengths = window_lengths(lookahead_tokens, shortest_window)
        self._strides = dict(zip(lengths, window_strides(latent_sampling_stride, lengths), strict=True))
        self.windows = self._ladder(0)
        self._check_reach(max_new_tokens)
        super().__init__(spec, max_new_tokens, seed=seed, **kwargs)
        self.sites = layer_sites(path_layers, self.info, "--path_layers")
        self.banned = [] if allow_special else wordless_tokens(self.info)
        self._path_settings: dict[str, Any] = {
            "bifurcation_step_interval": self.interval,
            "lookahead_tokens": self.lookahead,
        }
        self._path_settings |= {"latent_sampling_stride": list(self._strides.values()), "allow_special": allow_special}
        self._path_settings |= {
            "shortest_window": self.shortest,
            "decode_to_end": self.to_end,
            "merge_tokens": merge_tokens,
        }

    def samples(self) -> Sequence[Sample]:
        most = self.new_tokens // self.interval
        return [
            Sample(
                problem.problem.problem_id,
                number,
                (len(problem.ids) + self.new_tokens) * (1 + most),
                problem,
                {"point": most},
            )
            for number, problem in enumerate(self.prompted)
        ]

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), **self._path_settings, "sites": self.sites}

    def schema(self) -> Schema:
        shape, dims = (len(self.sites), None), ("layer", "point")
        fields = (
            Field("distance", dims, shape, "float32", "", _DISTANCE, "record"),
            Field("relative_distance", dims, shape, "float32", "", _RELATIVE, "record"),
        )
        return Schema(fields, (*PROBLEM_COLUMNS, *_COLUMNS), {"layer": list(self.sites)})

    def collect(self, batch: Sequence[Sample]) -> Records:
        decoder = Decoder(self.lm, (), self.stop_check)
        most = self.new_tokens // self.interval
        windows = [window for n in range(1, most + 1) for window in self._ladder(n * self.interval - 1)]
        texts = [sample.payload.ids for sample in batch]
        bases = baselines(decoder, texts, self.new_tokens, self.info.eos_ids, self.sites, windows)
        rows, parts, lengths = [], [], []
        for number, (sample, base) in enumerate(zip(batch, bases, strict=True)):
            try:
                branched = self._branches(decoder, base)
            except NonFiniteStateError as error:  # it names a branch, the caller knows samples
                raise NonFiniteStateError(str(error), number, error.site, error.position) from error
            compared = [self._distances(base, branch) for branch in branched]
            rows.append(self._row(sample, base, branched, [window for window, _, _ in compared]))
            parts += [(distance, relative) for _, distance, relative in compared]
            lengths.append(len(branched))
        none = np.empty((0, len(self.sites)), np.float32)
        arrays = {
            name: (np.stack([part[k] for part in parts]) if parts else none).T.astype(np.float32)
            for k, name in enumerate(("distance", "relative_distance"))
        }
        return Records(rows, arrays, {"point": np.array(lengths)})

    def _branches(self, decoder: Decoder, base: Baseline) -> list[Branch]:
        positions = list(range(self.interval, base.fed + 1, self.interval))
        longest = self.new_tokens if self.to_end else self.lookahead
        limits = [min(longest, self.new_tokens - position + 1) for position in positions]
        parted: list[Branch] = []
        for first in range(0, len(positions), self.at_once):
            batch = slice(first, first + self.at_once)
            parted += branches(
                decoder, base, positions[batch], limits[batch], self.info.eos_ids, self.banned, self.sites, self.windows
            )
        return parted

    def _distances(self, base: Baseline, branch: Branch) -> tuple[int | None, np.ndarray, np.ndarray]:
        """(which window of the ladder, |a - b| by layer, that over the mean of |a| and |b|); NaN where no window is
        filled by both."""
        first = (branch.position // self.interval - 1) * len(self.windows)
        nothing = np.full(len(self.sites), np.nan)
        filled = (base.full[first : first + len(self.windows)] & branch.full).nonzero()[:, 0].tolist()
        if not filled:
            return None, nothing, nothing
        ours, theirs = base.means[first + filled[0]].double(), branch.means[filled[0]].double()
        distance = (ours - theirs).norm(dim=-1)
        size = (ours.norm(dim=-1) + theirs.norm(dim=-1)) / 2
        return filled[0], distance.numpy(), torch.where(size > 0, distance / size, 0.0).numpy()

    def _row(self, sample: Sample, base: Baseline, branched: list[Branch], used: list[int | None]) -> dict[str, Any]:
        decode = self.info.tokens.decode
        written = [_written(branch.tokens, branch.stopped) for branch in branched]
        partings = [self._parting(base, branch) for branch in branched]
        windows = [None if k is None else self.windows[k] for k in used]
        return {
            "sample_id": sample.sample_id,
            "sample_index": sample.index,
            **problem_values(sample.payload),
            "baseline_text": decode(_written(base.tokens, base.stopped)),
            "baseline_ids": base.tokens,
            "stop_reason": "eos" if base.stopped else "length",
            "position": [branch.position for branch in branched],
            "first_token": [branch.first for branch in branched],
            "second_token": [branch.second for branch in branched],
            "first_text": self.info.tokens.pieces([branch.first for branch in branched]),
            "second_text": self.info.tokens.pieces([branch.second for branch in branched]),
            "first_probability": [math.exp(branch.first_log_prob) for branch in branched],
            "second_probability": [math.exp(branch.second_log_prob) for branch in branched],
            "second_rank": [branch.second_rank for branch in branched],
            "logit_difference": [branch.first_log_prob - branch.second_log_prob for branch in branched],
            "window": [0 if window is None else window.length for window in windows],
            "window_stride": [0 if window is None else window.stride for window in windows],
            "branch_text": [decode(base.tokens[: b.position - 1] + w) for b, w in zip(branched, written, strict=True)],
            "branch_ids": [branch.tokens for branch in branched],
            "branch_stop": [_stop(branch.stopped, self.to_end) for branch in branched],
            "differs_at": [_later(branch.position, p.differs_at) for branch, p in zip(branched, partings, strict=True)],
            "merged_at": [_later(branch.position, p.merged_at) for branch, p in zip(branched, partings, strict=True)],
            "merge_shift": [p.shift for p in partings],
        }

    def _parting(self, base: Baseline, branch: Branch) -> Parting:
        window = branch.tokens[: self.lookahead]
        return parting(window, base.tokens[branch.position - 1 :], self.merge_tokens, self.info.tokens.decode)

    def _ladder(self, start: int) -> list[Window]:
        """The windows that are compared, behind generated token `start`, longest first."""
        return [Window(stride, length, start) for length, stride in self._strides.items()]

    def _check(self, new_tokens: int) -> None:
        at_least(1, bifurcation_step_interval=self.interval, shortest_window=self.shortest)
        at_least(1, merge_tokens=self.merge_tokens, branches_at_once=self.at_once)
        if self.interval > new_tokens:
            raise UserError(
                f"bifurcation_step_interval {self.interval} is more than max_new_tokens {new_tokens}: there would be "
                f"no branch.\nNext: lower --bifurcation_step_interval, or raise --max_new_tokens."
            )
        if not self.shortest <= self.lookahead:
            raise UserError(
                f"lookahead_tokens {self.lookahead} is less than shortest_window {self.shortest}.\n"
                f"Next: raise --lookahead_tokens, or lower --shortest_window."
            )

    def _check_reach(self, new_tokens: int) -> None:
        """Raises UserError where even the first branch would leave the shortest window unfilled."""
        behind = new_tokens - self.interval + 1
        needed = min(window.points * window.stride for window in self.windows)
        if needed > behind:
            raise UserError(
                f"No branch could be compared: the first one leaves at token {self.interval} of max_new_tokens "
                f"{new_tokens}, so {behind} tokens are behind it, and shortest_window {self.shortest} needs {needed}.\n"
                f"Next: raise --max_new_tokens, or lower --shortest_window or --bifurcation_step_interval."
            )


def _written(tokens: list[int], stopped: bool) -> list[int]:
    return tokens[:-1] if stopped else tokens


def _stop(stopped: bool, to_end: bool) -> str:
    return "eos" if stopped else "length" if to_end else "lookahead"


def _later(position: int, token: int | None) -> int | None:
    """The number in the whole solution of a branch's token."""
    return None if token is None else position + token - 1


_DISTANCE = "Euclidean distance between the windows' means of the branch and of the baseline; NaN without a window"
_RELATIVE = "the same, over the mean of the two means' lengths"
_COLUMNS = (
    Column("baseline_text", "string", "the greedy solution, the end-of-text token left out"),
    Column("baseline_ids", "list<int64>", "its tokens, the end-of-text token included"),
    Column("stop_reason", "string", '"eos" or "length"'),
    Column("position", "list<int64>", "of each branch: the number of its first token among the generated ones, from 1"),
    Column("first_token", "list<int64>", "the baseline's token there"),
    Column("second_token", "list<int64>", "the most likely other one that may be taken, which the branch takes"),
    Column("first_text", "list<string>", "the same as text, with its leading space"),
    Column("second_text", "list<string>", "the same as text, with its leading space"),
    Column("first_probability", "list<float64>", "of the baseline's token there, under the model at temperature 1"),
    Column("second_probability", "list<float64>", "of the branch's"),
    Column(
        "second_rank", "list<int64>", "of the branch's among all tokens: 2, or more where special ones are left out"
    ),
    Column("logit_difference", "list<float64>", "first minus second; the difference of their log-probabilities, nats"),
    Column("window", "list<int64>", "tokens of the windows that are compared; 0: none that both texts fill"),
    Column("window_stride", "list<int64>", "every how many of them a state is counted"),
    Column("branch_text", "list<string>", "the whole solution that takes the branch"),
    Column("branch_ids", "json", "the branch's tokens alone, the end-of-text token included"),
    Column("branch_stop", "list<string>", '"eos", "length", or "lookahead" where branches are not decoded to the end'),
    Column("differs_at", "json", "number of the token with which the text becomes another one; null: it does not"),
    Column("merged_at", "json", "number of the branch's token from which it repeats the baseline; null: it does not"),
    Column("merge_shift", "json", "how many tokens further on in the baseline that stands"),
)
