"""Texts that are all alike are split by their copies: a template that nearly all rows share can't be held out."""

import numpy as np
import pytest

from lit_experiments.controls.split import SplitOptions, content_of
from lit_experiments.controls.texts import Texts
from lit_experiments.sources.content_groups import Likeness

OPTIONS = SplitOptions("auto", None, None, Likeness(0.5, 0.7), 0.3, 5, 0)


def _groups(texts: list[str]) -> tuple[int, tuple[str, ...]]:
    content = content_of(Texts(texts, "text"), len(texts), OPTIONS)
    return len(np.unique(content.group)), content.notes


@pytest.mark.parametrize(
    "form", ["This is the text of sample {}.", "Item {} of the list that was read to all of us today."]
)
def test_texts_of_one_template_are_held_out_one_by_one(form: str) -> None:
    texts = [form.format(i // 2) for i in range(80)]
    groups, notes = _groups(texts)
    assert groups == 40  # copies stay together
    assert "too few or too unequal to hold some out" in notes[0]


def test_near_copies_of_many_texts_stay_together() -> None:
    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(400)]
    texts = [" ".join(rng.choice(words, 20)) for _ in range(30)]
    assert _groups([f"{text} {end}" for text in texts for end in ("one", "two", "three")]) == (30, ())


def test_copies_alone_are_never_parted() -> None:
    assert _groups(["the same text for every row"] * 20) == (1, ())
