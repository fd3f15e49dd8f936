"""Options that are lists of text: one word, several words, or the option several times."""

from collections.abc import Sequence

import pytest

from lit_experiments.cli.words import read_words
from lit_experiments.errors import UserError


def _plain(argv: Sequence[str]) -> list[str]:
    return read_words([*argv], ["target", "seed"], [], "train", ["target"]).plain


@pytest.mark.parametrize(
    ("argv", "plain"),
    [
        (["--target", "a"], ['--target=["a"]']),
        (["--target", "a", "b", "--seed", "1"], ['--target=["a", "b"]', "--seed=1"]),
        (["--target", "a", "--seed", "1", "--target", "b"], ["--seed=1", '--target=["a", "b"]']),
        (["--target=a, b"], ['--target=["a, b"]']),
        (["--target", "[a, b]"], ["--target=[a, b]"]),
        (["--target", "null"], ["--target=null"]),
        (["--target", "null", "--target", "b"], ['--target=["b"]']),
    ],
)
def test_words_become_a_list(argv: list[str], plain: list[str]) -> None:
    assert _plain(argv) == plain


def test_other_options_take_one_word() -> None:
    with pytest.raises(UserError, match='"2" belongs to no option'):
        _plain(["--seed", "1", "2"])
