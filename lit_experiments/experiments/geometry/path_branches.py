"""One greedy text and the branches that part from it: decoding only, on one cache.

Owns: how a baseline's positions become batches of branches, and what is known of each branch. Does not know: stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lit_experiments.errors import UserError
from lit_experiments.lm.decode import Decoder
from lit_experiments.lm.info import ModelInfo
from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.pool import LatentPool, Window
from lit_experiments.lm.sampling import Sampling
from lit_experiments.lm.state import State

GREEDY = Sampling(temperature=0, top_p=1.0, top_k=0)


@dataclass(frozen=True)
class Baseline:
    """A greedy text. tokens: all generated ones; stopped: by end-of-text; state: of this text alone, behind the last
    token fed; means [window, site, hidden] and full [window]: over the windows that were asked for."""

    prompt: list[int]
    tokens: list[int]
    stopped: bool
    state: State
    means: Tensor
    full: Tensor

    @property
    def fed(self) -> int:
        """Tokens that have a state: all but end-of-text."""
        return len(self.tokens) - self.stopped


@dataclass(frozen=True)
class Branch:
    """What came of the second most likely token at generated token `position` (from 1).

    first, second: the baseline's token and the one taken instead, with the log-probability of each among all tokens.
    second_rank: 2, or more where likelier tokens may not be taken. tokens: the branch's from that one on. means, full:
    over the windows of the ladder.
    """

    position: int
    first: int
    second: int
    first_log_prob: float
    second_log_prob: float
    second_rank: int
    tokens: list[int]
    stopped: bool
    means: Tensor
    full: Tensor


def baselines(
    decoder: Decoder,
    prompts: Sequence[list[int]],
    steps: int,
    stop_ids: Sequence[int],
    sites: list[str],
    windows: Sequence[Window],
) -> list[Baseline]:
    """The greedy texts behind the prompts, ready to be branched anywhere.

    Raises:
        NonFiniteStateError: the model computed no numbers; its index is that of the prompt.
    """
    state = decoder.prefill(prompts, keep_past=True)
    ended: dict[int, State] = {}
    pool = LatentPool(sites, windows)
    out = decoder.sample(state, steps, GREEDY, _keys(len(prompts)), stop_ids=stop_ids, pool=pool, ended=ended)
    going = [row for row in range(len(prompts)) if row not in ended]
    ended |= {row: state.select([place]) for place, row in enumerate(going)}
    pooled = pool.result()
    return [
        Baseline(
            list(prompts[row]),
            out.token_ids[row, : out.lengths[row]].tolist(),
            bool(out.stopped[row]),
            ended[row],
            pooled.means[row],
            pooled.full[row],
        )
        for row in range(len(prompts))
    ]


def branches(
    decoder: Decoder,
    base: Baseline,
    positions: Sequence[int],
    limits: Sequence[int],
    stop_ids: Sequence[int],
    banned: Sequence[int],
    sites: list[str],
    windows: Sequence[Window],
) -> list[Branch]:
    """The branches of one baseline at `positions`, in one batch that shares its cache.

    limits: per position, how many tokens the branch may have. banned: tokens that no branch begins with. The second
    most likely token is the most likely one that the baseline did not take, so that a tie branches like any other
    choice.

    Raises:
        NonFiniteStateError: the model computed no numbers; its index is the branch's.
    """
    lengths = [len(base.prompt) + position - 1 for position in positions]
    state = decoder.branch(base.state, lengths, [0] * len(positions))
    first = torch.tensor([base.tokens[position - 1] for position in positions], device=state.logits.device)
    log_probs = state.logits.log_softmax(-1)
    others = log_probs.scatter(1, first[:, None], -torch.inf)
    passed_over = others[:, list(banned)]
    others[:, list(banned)] = -torch.inf
    second = others.argmax(-1)
    rank = 2 + (passed_over > others.gather(1, second[:, None])).sum(-1)
    taken = [log_probs.gather(1, token[:, None])[:, 0].tolist() for token in (first, second)]
    forced = [[token] for token in second.tolist()]
    pool = LatentPool(sites, windows)
    out = decoder.sample(
        state,
        max(limits),
        GREEDY,
        _keys(len(positions)),
        stop_ids=stop_ids,
        feed_last=False,
        forced=forced,
        pool=pool,
        limits=limits,
    )
    pooled = pool.result()
    return [
        Branch(
            position,
            int(first[i]),
            int(second[i]),
            taken[0][i],
            taken[1][i],
            int(rank[i]),
            out.token_ids[i, : out.lengths[i]].tolist(),
            bool(out.stopped[i]),
            pooled.means[i],
            pooled.full[i],
        )
        for i, position in enumerate(positions)
    ]


def wordless_tokens(info: ModelInfo) -> list[int]:
    """The tokens that write no text: special ones (end of text, padding, chat marks), and rows of the embedding that
    are no token at all.

    Raises:
        UserError: fewer than two others are left, so that there is no second choice.
    """
    added = info.tokenizer.added_tokens_decoder.items()
    special = {
        *info.tokenizer.all_special_ids,
        *info.eos_ids,
        *(token for token, added_token in added if added_token.special),
    }
    unused = range(len(info.tokenizer), info.vocab_size)
    wordless = sorted({token for token in special if token < info.vocab_size} | set(unused))
    if info.vocab_size - len(wordless) < 2:
        raise UserError(
            f"{info.name}: {len(wordless)} of {info.vocab_size} tokens are special, so there is no second choice of "
            f"others.\nNext: --allow_special true"
        )
    return wordless


def _keys(rows: int) -> list[StreamKey]:
    """Greedy decoding draws nothing; the decoder asks for a key per row all the same."""
    return [StreamKey(0, "greedy", row) for row in range(rows)]
