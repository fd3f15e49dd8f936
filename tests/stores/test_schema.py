"""What can't be stored is refused when it is declared, with both sides of the mismatch."""

import pytest

from stores import Column, Field, Schema, SchemaError, StoreError

from .samples import SCHEMA


def field(**changes):
    given = {
        "name": "x",
        "dims": ("layer", "token", "hidden"),
        "shape": (2, None, 4),
        "dtype": "float16",
        "units": "1",
        "description": "",
    }
    return Field(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a b"}, "letters, digits"),
        ({"name": "a.b"}, "letters, digits"),
        ({"dtype": "flaot32"}, "did you mean 'float32'"),
        ({"shape": (2, 3, 4)}, "None exactly once"),
        ({"shape": (None, None, 4)}, "None exactly once"),
        ({"shape": (2, None)}, r"\('layer', 'token', 'hidden'\) and shape \(2, None\) differ"),
        ({"shape": (0, None, 4)}, "size below 1"),
        ({"dims": ("layer", "layer", "hidden")}, "distinct"),
        ({"dims": ("sample", "token", "hidden")}, "can't have the dim 'sample'"),
        ({"dims": ("layer", "token"), "shape": (2, None)}, "declare float32"),
        ({"nonfinite": "ignore"}, "'raise', 'record'"),
    ],
)
def test_a_field_that_cannot_be_stored_is_refused(changes, message):
    with pytest.raises(SchemaError, match=message):
        field(**changes)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [("sample_id", "string", "always there"), ("a", "strnig", "did you mean 'string'"), ("_a", "string", "letters")],
)
def test_a_column_that_cannot_be_stored_is_refused(name, kind, message):
    with pytest.raises(SchemaError, match=message):
        Column(name, kind, "")


def test_one_dim_has_one_size():
    with pytest.raises(SchemaError, match="'hidden' has size 4 in 'x' and 5 in 'y'"):
        Schema((field(), field(name="y", shape=(2, None, 5))), ())


def test_a_stacking_dim_is_no_fixed_dim_elsewhere():
    with pytest.raises(SchemaError, match="'token' has size 3 in 'y' but stacks the rows of 'x'"):
        Schema((field(), field(name="y", dims=("sample", "token"), shape=(None, 3), dtype="float32")), ())


def test_coordinates_fit_their_dim():
    with pytest.raises(SchemaError, match="3 coordinates for dim 'layer', which has size 2"):
        Schema((field(),), (), {"layer": ["a", "b", "c"]})
    with pytest.raises(SchemaError, match="did you mean 'layer'"):
        Schema((field(),), (), {"layers": ["a", "b"]})


def test_names_are_unique():
    with pytest.raises(SchemaError, match="two fields named 'x'"):
        Schema((field(), field()), ())


def test_json_and_back():
    assert Schema.from_json(SCHEMA.to_json()) == SCHEMA


def test_errors_are_the_users_to_mend():
    with pytest.raises(StoreError) as caught:
        field(dtype="float8")
    assert caught.value.exit_code == 2
    assert isinstance(caught.value, ValueError)
