"""From logits to the next token: temperature, top-k, top-p, and the race that decides. Nothing is implied.

Owns the rule and knows when it is close. In this order:
  1. temperature 0 is greedy: the largest logit, the lower id on a tie. Otherwise logits are divided by it.
  2. top_k > 0 keeps the k most likely tokens (0: all).
  3. top_p < 1 keeps, of those and of their renormalised probabilities, the smallest set of most likely tokens whose
     sum reaches top_p, the token that crosses it included (1: all). Equally likely tokens rank by id.
  4. the exponential race: argmin E / p = argmax(log p + noise) over the kept tokens (`noise.py`).

Logits of one row differ by rounding between batch shapes. A choice that such a difference could turn is reported as
close, so that the decoder can settle it in one canonical way. Knows no model.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lit_experiments.lm.errors import model_error

_FEW = 128  # tokens that hold most nuclei: the race is then run among these alone
_LEADING = 1024  # nearly all nuclei are smaller; where one is not, the whole vocabulary is sorted


@dataclass(frozen=True)
class Sampling:
    """temperature >= 0 (0: greedy), 0 < top_p <= 1 (1: off), top_k >= 0 (0: off)."""

    temperature: float
    top_p: float
    top_k: int

    def __post_init__(self) -> None:
        checks = (
            ("temperature", self.temperature, 0 <= self.temperature < float("inf"), "0 (greedy) or more"),
            ("top_p", self.top_p, 0 < self.top_p <= 1, "above 0, at most 1 (off)"),
            ("top_k", self.top_k, self.top_k >= 0 and int(self.top_k) == self.top_k, "0 (off) or a positive integer"),
        )
        for name, value, fine, allowed in checks:
            if not fine:
                raise model_error(f"{name} cannot be {value}.", allowed=allowed)

    @property
    def greedy(self) -> bool:
        return self.temperature == 0


def choose(logits: Tensor, noise: Tensor | None, sampling: Sampling, margin: float) -> tuple[Tensor, Tensor]:
    """The next token of each row and whether it was close: int64 [N], bool [N].

    logits: float32 [N, V]. noise: float32 [N, V], None when greedy. margin: how much two logits of a row may move
    against each other before it shows; a choice that such a move could turn is close.
    """
    if sampling.greedy:
        return _race(logits, logits, logits.new_ones(1, 1, dtype=torch.bool), margin)
    assert noise is not None, "sampling at a temperature needs noise"
    scaled = logits / sampling.temperature
    margin = margin / sampling.temperature
    if sampling.top_k == 0 and sampling.top_p == 1:
        keys = scaled + noise
        return _race(keys, keys, logits.new_ones(1, 1, dtype=torch.bool), margin)
    if sampling.top_k == 0 and scaled.shape[1] > 2 * _FEW:
        return _among_few(scaled, noise, sampling, margin)
    return _among_all(scaled, noise, sampling, margin)


def _among_few(scaled: Tensor, noise: Tensor, sampling: Sampling, margin: float) -> tuple[Tensor, Tensor]:
    """`_among_all` of top-p for most rows at a fraction of the work: whatever could be kept lies among the leading few
    tokens. Rows of which that is not so, or where equally likely tokens straddle the edge, go there."""
    leading, ids = scaled.topk(_FEW, dim=-1)
    count, fewest, most = _counts(_mass(scaled, leading, scaled.shape[1]), sampling.top_p, margin)
    threshold, lowest = _at(leading, (count - 1).clamp(max=_FEW - 1)), _at(leading, (most - 1).clamp(max=_FEW - 1))
    kept, possible = leading >= threshold, leading >= lowest - margin
    certain = leading > _at(leading, fewest.clamp(max=_FEW - 1)) + margin
    settled = (most < _FEW) & ~possible[:, -1] & (kept.sum(-1) == count)
    token, close = _race_of_kept(leading + noise.gather(1, ids), kept, possible, certain, margin, ids)
    rest = (~settled).nonzero()[:, 0]
    if len(rest):
        token[rest], close[rest] = _among_all(scaled[rest], noise[rest], sampling, margin)
    return token, close


def _among_all(scaled: Tensor, noise: Tensor, sampling: Sampling, margin: float) -> tuple[Tensor, Tensor]:
    kept, possible, certain = _kept(scaled, sampling, margin)
    return _race_of_kept(scaled + noise, kept, possible, certain, margin)


def _race_of_kept(
    keys: Tensor, kept: Tensor, possible: Tensor, certain: Tensor, margin: float, ids: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    outside = torch.finfo(keys.dtype).min
    return _race(keys.masked_fill(~kept, outside), keys.masked_fill(~possible, outside), certain, margin, ids)


def _race(
    keys: Tensor, possible_keys: Tensor, certain: Tensor, margin: float, ids: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The winner by `keys`, close if in the race of all that could take part it is not certain or not clearly first.

    ids: [N, runner] tokens, where runners are some of these in another order; of equal ones the lower id wins.
    """
    token = keys.argmax(-1)
    if ids is not None:
        first = keys == keys.gather(1, token[:, None])
        token = ids.masked_fill(~first, torch.iinfo(ids.dtype).max).argmin(-1)
    best = possible_keys.gather(1, token[:, None])
    rivals = possible_keys.scatter(1, token[:, None], torch.finfo(keys.dtype).min).amax(-1)
    secure = certain.expand_as(keys).gather(1, token[:, None])[:, 0]
    winner = token if ids is None else ids.gather(1, token[:, None])[:, 0]
    return winner, ~secure | (best[:, 0] - rivals < margin)


def _kept(scaled: Tensor, sampling: Sampling, margin: float) -> tuple[Tensor, Tensor, Tensor]:
    """Masks [N, V]: the tokens kept; those that would be if rounding fell their way; those kept however it falls."""
    vocabulary = scaled.shape[1]
    limit = min(sampling.top_k or vocabulary, vocabulary)
    leading = _leading(scaled, limit, sampling.top_p + margin)
    if sampling.top_p < 1:
        counts = _counts(_mass(scaled, leading, limit), sampling.top_p, margin)
        count, fewest, most = (number.clamp(max=limit) for number in counts)
    else:
        count = fewest = most = torch.full((len(scaled),), limit, device=scaled.device)
    possible = scaled >= _at(leading, most - 1) - margin
    first_out = torch.where(fewest < vocabulary, _at(leading, fewest.clamp(max=leading.shape[1] - 1))[:, 0], -torch.inf)
    return _most_likely(scaled, leading, count), possible, scaled > first_out[:, None] + margin


def _counts(mass: Tensor, top_p: float, margin: float) -> tuple[Tensor, Tensor, Tensor]:
    """How many leading tokens are kept, and the fewest and the most that would be if rounding fell their way: a set's
    mass moves by no more than the margin, since each log-probability does."""
    count, fewest, most = ((mass < p).sum(-1) + 1 for p in (top_p, top_p - margin, top_p + margin))
    return count, fewest, most


def _leading(scaled: Tensor, limit: int, top_p: float) -> Tensor:
    """The largest values of each row in order: enough to hold the kept tokens and the first one left out."""
    vocabulary = scaled.shape[1]
    if limit < vocabulary:
        return scaled.topk(limit + 1, dim=-1).values
    few = scaled.topk(min(_LEADING, vocabulary), dim=-1).values
    covered = (few.logsumexp(-1) - scaled.logsumexp(-1)).exp().min()
    return few if bool(covered > top_p) else scaled.sort(dim=-1, descending=True).values


def _mass(scaled: Tensor, leading: Tensor, limit: int) -> Tensor:
    """Cumulative probability of the leading tokens, renormalised over the `limit` most likely."""
    total = (leading[:, :limit] if limit < scaled.shape[1] else scaled).logsumexp(-1, keepdim=True)
    return (leading[:, :limit] - total).double().exp().cumsum(-1)


def _most_likely(scaled: Tensor, leading: Tensor, count: Tensor) -> Tensor:
    """Mask of each row's `count` [N] largest values, equal ones by index."""
    threshold = _at(leading, count - 1)
    above, level = scaled > threshold, scaled == threshold
    room = count[:, None] - above.sum(-1, keepdim=True)
    return above | (level & (level.cumsum(-1) <= room))


def _at(leading: Tensor, index: Tensor) -> Tensor:
    return leading.gather(1, index[:, None])
