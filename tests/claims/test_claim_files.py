"""Claims written by people: what is left out, what is refused, and what a hash depends on."""

import pytest

from lit_experiments.claims.claim import ANY, BEYOND, claims_from, claims_hash
from lit_experiments.errors import UserError

ENTRY = {"task": "linear_probes", "target": "kind"}


def test_what_is_left_out_is_any() -> None:
    (claim,) = claims_from([ENTRY], "claims.yaml")
    assert (claim.layer, claim.states, claim.beyond) == (ANY, ANY, list(BEYOND))
    (named,) = claims_from([ENTRY | {"states": "hidden", "layer": "chosen", "id": "a"}], "claims.yaml")
    assert claim.matches(named)
    assert not named.matches(claim)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (None, ["claims.yaml", "a list of claims", "nothing"]),
        ({"task": "a"}, ["a list of claims", "dict"]),
        ([ENTRY | {"layr": "chosen"}], ["claim 1", '"layr"', "layer"]),
        ([ENTRY, {"task": "linear_probes"}], ["claim 2", "target"]),
        ([ENTRY | {"layer": 3}], ["claim 1", "layer", "3"]),
        ([ENTRY | {"beyond": ["surfaces"]}], ["surfaces", "the nearest is surface"]),
        ([ENTRY | {"beyond": "surface"}], ["beyond must be a list"]),
        ([ENTRY, ENTRY], ["1 ids are used twice", "linear_probes/any/kind"]),
        (["kind"], ["claim 1", "mapping"]),
    ],
)
def test_a_mistake_is_named(content: object, parts: list[str]) -> None:
    with pytest.raises(UserError) as error:
        claims_from(content, "claims.yaml")
    for part in parts:
        assert part in str(error.value)


def test_the_hash_is_of_what_is_claimed() -> None:
    first, second = ENTRY | {"id": "a"}, {"target": "other", "id": "b", "task": "linear_probes"}
    assert claims_hash(claims_from([first, second], "x")) == claims_hash(claims_from([second, first], "y"))
    assert claims_hash(claims_from([first], "x")) != claims_hash(claims_from([first | {"layer": "a"}], "x"))
