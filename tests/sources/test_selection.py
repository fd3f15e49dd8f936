"""Choosing records: the draw, the order, what fits, what is said of the rest."""

import random

import pytest

from lit_experiments.sources.errors import SourceError
from lit_experiments.sources.selection import choose, fit, shuffled

WORDS = [f"w{number}" for number in range(20)]


def test_the_draw_is_without_replacement_in_the_order_of_the_source_and_fixed_by_its_stream() -> None:
    chosen = choose(WORDS, 7, "words/0")
    assert len(set(chosen)) == 7
    assert chosen == [word for word in WORDS if word in chosen]
    assert chosen == choose(WORDS, 7, "words/0") != choose(WORDS, 7, "words/1")
    places = random.Random("words/0").sample(range(20), 7)
    assert sorted(WORDS.index(word) for word in chosen) == sorted(places)


def test_every_record_is_drawn_about_equally_often() -> None:
    counts = [sum(word in choose(WORDS, 5, f"words/{seed}") for seed in range(2000)) for word in WORDS]
    assert min(counts) > 500 - 100
    assert max(counts) < 500 + 100  # binomial: standard deviation 19


@pytest.mark.parametrize(("number", "stream"), [(None, "words/0"), (20, "words/0"), (99, "words/0"), (None, None)])
def test_all_are_taken_as_they_stand_where_there_are_no_more(number: int | None, stream: str | None) -> None:
    assert choose(WORDS, number, stream) == WORDS


def test_without_a_stream_the_first_are_taken() -> None:
    assert choose(WORDS, 3, None) == WORDS[:3]


def test_an_order_of_places_holds_each_once_and_begins_alike_whatever_is_taken_of_it() -> None:
    order = shuffled(50, "questions/3")
    assert sorted(order) == list(range(50)) != order
    assert order == shuffled(50, "questions/3") != shuffled(50, "questions/4")


def test_what_fits_comes_in_order_and_the_rest_is_named_with_its_length() -> None:
    fitting = fit(["a", "bbbb", "cc", "dddddd"], 2, len, str.upper)
    assert (fitting.records, fitting.long) == (["a", "cc"], [("BBBB", 4), ("DDDDDD", 6)])
    assert fit(WORDS, None, len, str).records == WORDS


def test_what_comes_behind_the_last_one_wanted_is_not_looked_at() -> None:
    fitting = fit(iter(["a", "bbbb", "cc", "dddddd"]), 2, len, str, most=2)
    assert (fitting.records, fitting.long) == (["a", "cc"], [("bbbb", 4)])


@pytest.mark.parametrize(("long", "others"), [(5, ""), (6, " and 1 more")])
def test_five_are_named_and_the_others_counted(long: int, others: str) -> None:
    fitting = fit(["x" * 9] * long + ["y"], 3, len, str)
    named = ", ".join(["xxxxxxxxx (9 tokens)"] * 5) + others
    assert fitting.examples() == named
    (note,) = fitting.notes("texts", "skip", total=long + 1, window="toy holds 3 tokens", remedy="none")
    assert note == f"too long for the window, left out: {long} of {long + 1} texts: {named}"


def test_an_error_names_the_window_and_the_remedy_and_nothing_is_said_where_all_fit() -> None:
    with pytest.raises(SourceError, match=r"1 of 2 texts: bbb \(3 tokens\)\.\ntoy holds 2 tokens\..*\nNext: shorten\."):
        fit(["a", "bbb"], 2, len, str).notes("texts", "error", total=2, window="toy holds 2 tokens", remedy="shorten")
    assert fit(["a"], 2, len, str).notes("texts", "error", total=1, window="", remedy="") == []
