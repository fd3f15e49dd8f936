"""How likely the model finds a text: log-probabilities of its tokens, the cross-entropy, the next token's logits.

Owns the chunking that keeps memory bounded however large the vocabulary. Knows no sampling.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lit_experiments.lm.batching import Batch, pad_right
from lit_experiments.lm.errors import NonFiniteStateError
from lit_experiments.lm.model import LanguageModel

CHUNK_BYTES = 1 << 26  # of float32 logits held at a time


@torch.inference_mode()
def token_log_probs(lm: LanguageModel, sequences: Sequence[Sequence[int]]) -> list[Tensor]:
    """For each sequence, log p(token t | tokens before t) for t = 1..: float32 [length - 1] on the host.

    From raw logits. The first token has no predecessor and no entry. Raises ModelError for what the model cannot read.
    """
    batch, hidden = _last_hidden(lm, sequences)
    return log_probs_within(lm, batch, hidden, sequences)


@torch.no_grad()
def next_token_logits(lm: LanguageModel, sequences: Sequence[Sequence[int]]) -> Tensor:
    """Raw logits for the token after each sequence: float32 [sequence, vocabulary], on the model's device.

    Raises ModelError for what the model cannot read, NonFiniteStateError where it computed no numbers.
    """
    _, hidden = _last_hidden(lm, sequences)
    logits = logits_after(lm, hidden, sequences)
    broken = (~logits.logsumexp(-1).isfinite()).nonzero()[:, 0].tolist()
    if broken:
        row, position = broken[0], len(sequences[broken[0]]) - 1
        message = f"{lm.info.name!r} computed NaN or infinity in its logits at position {position} of sequence {row}."
        raise NonFiniteStateError(message, index=row, site="logits", position=position)
    return logits


def logits_after(lm: LanguageModel, hidden: Tensor, sequences: Sequence[Sequence[int]]) -> Tensor:
    """The same from the body's output [sequence, token, hidden] on right-padded sequences; may hold NaN."""
    last = torch.tensor([len(ids) - 1 for ids in sequences], device=hidden.device)
    return lm.head(hidden[torch.arange(len(last), device=hidden.device), last]).float()


def log_probs_within(
    lm: LanguageModel, batch: Batch, hidden: Tensor, sequences: Sequence[Sequence[int]]
) -> list[Tensor]:
    """The same as `token_log_probs` from the body's output [sequence, token, hidden] on the right-padded batch."""
    return [
        _row_log_probs(lm, hidden[row, : len(ids) - 1], batch.ids[row, 1 : len(ids)]).cpu()
        for row, ids in enumerate(sequences)
    ]


def cross_entropy(lm: LanguageModel, sequences: Sequence[Sequence[int]]) -> list[float]:
    """Mean of -log p over each sequence's predicted tokens, in nats; NaN for a sequence of one token."""
    return [float(-log_probs.double().mean()) for log_probs in token_log_probs(lm, sequences)]


def _last_hidden(lm: LanguageModel, sequences: Sequence[Sequence[int]]) -> tuple[Batch, Tensor]:
    """The right-padded batch and the body's output [batch, token, hidden]."""
    lm.check_sequences(sequences)
    batch = pad_right(sequences, lm.device)
    return batch, lm.read(batch)


def _row_log_probs(lm: LanguageModel, hidden: Tensor, targets: Tensor) -> Tensor:
    step = max(1, CHUNK_BYTES // (4 * lm.info.vocab_size))
    parts = [hidden.new_empty(0, dtype=torch.float32)]
    for start in range(0, len(targets), step):
        logits = lm.head(hidden[start : start + step]).float()
        chosen = logits.gather(1, targets[start : start + step, None])[:, 0]
        parts.append(chosen - logits.logsumexp(-1))
    return torch.cat(parts)
