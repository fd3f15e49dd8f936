"""Groups by content: copies, near copies and templates are together, different texts are not."""

import numpy as np

from lit_experiments.sources.content_groups import Likeness, content_groups, united

_LIKENESS = Likeness(near=0.6, template=0.7)
_WORDS = np.array([f"{a}{b}" for a in ("ba", "ke", "li", "mo", "nu", "ro") for b in ("ta", "ven", "sil", "dor")])


def _text(rng: np.random.Generator, size: int) -> list[str]:
    return [*rng.choice(_WORDS, size)]


def test_exact_copies_are_one_group_whatever_their_spaces_and_case() -> None:
    groups = content_groups(["The same text.", "another one entirely", "the  SAME text."], _LIKENESS)
    assert groups.group.tolist() == [0, 1, 0]
    assert (groups.copies, groups.near, groups.templates) == (1, 0, 0)


def test_near_copies_are_together_and_random_texts_apart() -> None:
    rng = np.random.default_rng(0)
    originals = [_text(rng, 40) for _ in range(60)]
    changed = [[*words[:20], "zzz", *words[21:]] for words in originals]
    texts = [" ".join(words) for words in [*originals, *changed]]
    groups = content_groups(texts, Likeness(near=0.6, template=None)).group
    assert groups.tolist() == [*range(60), *range(60)]


def test_texts_of_one_template_are_together_and_different_templates_apart() -> None:
    rng = np.random.default_rng(1)
    frames = ["the capital of {} is a city in the country of that name", "when {} met them they went home by train"]
    texts = [frame.format(" ".join(_text(rng, 2))) for frame in frames for _ in range(30)]
    groups = content_groups(texts, _LIKENESS)
    assert groups.group.tolist() == [0] * 30 + [1] * 30
    apart = content_groups(texts, Likeness(near=0.6, template=None)).group
    assert len(set(apart.tolist())) > 2


def test_likeness_does_not_creep_through_a_chain_of_texts() -> None:
    words = [f"w{i}" for i in range(60)]
    texts = [" ".join(words[start : start + 12]) for start in range(0, 48, 3)]
    groups = content_groups(texts, Likeness(near=0.9, template=0.7)).group
    assert len(set(groups.tolist())) >= 5


def test_short_and_empty_texts_are_grouped_by_equality_alone() -> None:
    assert content_groups(["yes", "no", "yes", "", ""], _LIKENESS).group.tolist() == [0, 1, 0, 2, 2]


def test_united_groups_join_whatever_any_grouping_joins() -> None:
    assert united(["a", "b", "c", "d"], [1, 1, 2, 3], ["x", "y", "y", "z"]).tolist() == [0, 0, 0, 1]
