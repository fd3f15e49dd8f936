"""Which rows of a batch still go on while it is being continued, and what happens to those that do not.

Owns `AliveRows`. Knows no model and no sampling.
"""

from collections.abc import Sequence

from lit_experiments.lm.noise import StreamKey
from lit_experiments.lm.state import State


class AliveRows:
    """The rows of `state` that go on. numbers: their index in the first state; keys: their random streams.

    ended: receives the state of each row that is left behind, by its number.
    """

    def __init__(self, state: State, keys: Sequence[StreamKey], ended: dict[int, State] | None) -> None:
        self.state, self.keys, self.ended = state, list(keys), ended
        self.numbers = list(range(len(state)))

    def keep(self, going: Sequence[int], fed: bool) -> None:
        """Leaves all rows but these behind. fed: whether the last token of a row that is left has been fed; if not, its
        state is kept without that token."""
        left = sorted(set(range(len(self.numbers))) - set(going))
        if not left:
            return
        if self.ended is not None:
            for row in left:
                self.ended[self.numbers[row]] = one = self.state.select([row])
                if not fed:
                    one.ids[0].pop()
        _become(self.state, self.state.select(going))
        self.numbers = [self.numbers[row] for row in going]
        self.keys = [self.keys[row] for row in going]


def _become(state: State, other: State) -> None:
    """`state`, which the caller holds, takes over `other`'s content."""
    for name, value in vars(other).items():
        setattr(state, name, value)
