"""Equal content has one hash; different content is told key by key."""

import pytest

from stores import FingerprintError, fingerprint_difference, fingerprint_hash


def test_order_and_tuples_do_not_matter():
    assert fingerprint_hash({"a": 1, "b": [1, 2]}) == fingerprint_hash({"b": (1, 2), "a": 1})
    assert fingerprint_difference({"a": 1, "b": [1, 2]}, {"b": (1, 2), "a": 1}) == []


def test_every_difference_is_listed_with_both_values():
    a = {"model": {"name": "x", "layers": 2}, "seed": 1, "same": {}, "old": None}
    b = {"model": {"name": "y", "layers": 2}, "seed": True, "same": {}, "new": [1]}
    assert fingerprint_difference(a, b) == [
        ("model.name", "x", "y"),
        ("new", "(absent)", [1]),
        ("old", None, "(absent)"),
        ("seed", 1, True),
    ]
    assert fingerprint_hash(a) != fingerprint_hash(b)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, {1: "a"}, b"x"])
def test_what_is_not_json_is_refused_by_name(value):
    with pytest.raises(FingerprintError, match=r"a\.b"):
        fingerprint_hash({"a": {"b": value}})
