"""What a text says on its surface is a feature: written numbers, places and orders of words, shapes."""

import numpy as np
import pytest

from lit_experiments.controls.text_features import (
    distribution_numbers,
    marked_words,
    overlap_numbers,
    shape_numbers,
)
from lit_experiments.controls.word_places import place_columns
from lit_experiments.controls.written_numbers import number_columns, written_numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("What is 17 plus 25?", [17, 25]),
        ("1,250 cats, 3.5 dogs", [1250, 3.5]),
        ("There were forty-five people and forty two cats", [45, 42]),
        ("three hundred and five, four seven", [305, 4, 7]),
        ("two thousand and twelve", [2012]),
        ("one hundred twenty-three thousand four", [123_004]),
        ("twenty twenty", [20, 20]),
        ("On 14 May 1987", [14, 1987]),
        ("someone often tends to be alone", []),
    ],
)
def test_numbers_are_read_in_digits_and_words(text: str, numbers: list[float]) -> None:
    assert written_numbers(text) == numbers


def test_sizes_sums_and_remainders_of_numbers_are_columns() -> None:
    sizes, remainders = number_columns(["3 and 4", "ten and seven", "12 and 5 in March", "none"])
    np.testing.assert_array_equal(sizes["numbers"], [2, 2, 2, 0])
    np.testing.assert_array_equal(sizes["number 1"][:3], [3, 10, 12])
    np.testing.assert_array_equal(sizes["number 1 and 2"], [7, 17, 17, 41 / 3])  # the last has the others' mean
    np.testing.assert_array_equal(sizes["number 1 less 2"][:3], [-1, 3, 7])
    np.testing.assert_array_equal(sizes["number 1 by 2"][:3], [12, 70, 60])
    np.testing.assert_array_equal(sizes["month"], [3, 3, 3, 3])
    np.testing.assert_array_equal(remainders["number 1 and 2 modulo 2"][:3], [1, 1, 1])
    np.testing.assert_array_equal(remainders["number 1 modulo 10"][:3], [3, 0, 2])
    assert set(number_columns(["no", "none"])[0]) == {"numbers"}


def test_places_and_orders_of_common_words_are_columns() -> None:
    columns = place_columns(["a b c d", "b a", "c a", "c c"])
    np.testing.assert_array_equal(columns["place of a"], [0, 1, 1, 2 / 3])
    np.testing.assert_array_equal(columns["relative place of b"], [0.25, 0, 0.125, 0.125])
    first = columns.get("a before b", -columns["b before a"] if "b before a" in columns else None)
    np.testing.assert_array_equal(first, [1, -1, 0, 0])
    assert place_columns(["", "..."]) == {}


def test_shapes_and_shared_words() -> None:
    shapes = shape_numbers(["one two one", "longest"])
    np.testing.assert_allclose(shapes["share of different words"], [2 / 3, 1])
    np.testing.assert_array_equal(shapes["longest word"], [3, 7])
    shared = overlap_numbers(["red green", "blue"], [["red", "a green"], ["red", "x"]], ["B", "A"])
    np.testing.assert_array_equal(shared["words of options in the text"], [2, 0])
    np.testing.assert_array_equal(shared["words of the right option in the text"], [1, 0])


def test_orders_of_letters_are_columns() -> None:
    shares = np.array([[0.5, 0.2, 0.3], [0.1, 0.2, 0.7]])
    columns = distribution_numbers("probs", shares)
    np.testing.assert_array_equal(columns["probs second is [1]"], [0, 1])
    np.testing.assert_array_equal(columns["probs order of [0]"], [0, 2])
    np.testing.assert_allclose(columns["probs spread of place"][0], np.sqrt(0.2 + 4 * 0.3 - 0.8**2))


def test_the_first_and_the_last_letter_are_words_of_their_own() -> None:
    """A label that the first letter gives was told by none of many first words, each in few texts."""
    first, second, none = marked_words(["Apples are red.", "are apples good?", "..."], None, None)
    assert {"letter^a", "letter$d"} <= set(first.split())
    assert {"letter^a", "letter$d"} <= set(second.split())
    assert "letter" not in none
