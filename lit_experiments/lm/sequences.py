"""What a model can read: sequences of its own ids that fit its window. Knows no weights."""

from collections.abc import Sequence

from lit_experiments.lm.errors import SequenceError, model_error
from lit_experiments.lm.info import ModelInfo


def check_sequences(info: ModelInfo, sequences: Sequence[Sequence[int]], room: int | Sequence[int] = 0) -> None:
    """Refuses what the model cannot read: empty or too long sequences (with `room` tokens to come, for all
    or for each), foreign ids. Raises SequenceError."""
    window, vocabulary = info.window, info.vocab_size
    rooms = [room] * len(sequences) if isinstance(room, int) else room
    for index, (ids, to_come) in enumerate(zip(sequences, rooms, strict=True)):
        if len(ids) == 0:
            error = model_error(f"Sequence {index} is empty.", next_step="give at least one token")
        elif window is not None and len(ids) + to_come > window:
            extra = f" and {to_come} to come" if to_come else ""
            error = model_error(
                f"Sequence {index} does not fit the model's window.",
                actual=f"{len(ids)} tokens{extra}",
                allowed=f"{window} tokens in all for {info.name!r}",
                next_step="shorten the text, or ask for fewer tokens",
            )
        elif min(ids) < 0 or max(ids) >= vocabulary:
            error = model_error(
                f"Sequence {index} holds token ids that {info.name!r} does not have.",
                actual=f"{min(ids)} to {max(ids)}",
                allowed=f"0 to {vocabulary - 1}",
                next_step="encode the text with this model's own tokenizer",
            )
        else:
            continue
        raise SequenceError(str(error), ids)
