"""Checks which columns are declared to be labels, groups and splits, and finds their names in the store."""

from __future__ import annotations

from collections.abc import Mapping

from lit_experiments.collecting.declarations import Declarations
from lit_experiments.errors import UserError
from lit_experiments.experiments.activations.schema import PAIR, PAIR_LABEL
from lit_experiments.sources.records import missing


def declared(
    declarations: Declarations, types: Mapping[str, str], stored: Mapping[str, str], pairs: bool
) -> Declarations:
    """The same by the store's names; contrast pairs are a group, and their column a label.

    Args:
        declarations: by the user's names.
        types: the user's columns.
        stored: the user's name -> the store's.

    Raises:
        UserError: no such column, or one of lists or objects.
    """
    labels = [_column(name, "--label_columns", types, stored) for name in declarations.label_columns]
    group, split = declarations.group_column, declarations.split_column
    return Declarations(
        tuple(dict.fromkeys([*([PAIR_LABEL] if pairs else []), *labels])),
        (PAIR if pairs else None) if group is None else _column(group, "--group_column", types, stored),
        None if split is None else _column(split, "--split_column", types, stored),
    )


def _column(name: str, option: str, types: Mapping[str, str], stored: Mapping[str, str]) -> str:
    if name not in types:
        raise UserError(f"{option}: the texts have {missing('column', name, types)}. Nothing ran.")
    if types[name] == "json":
        raise UserError(f'{option}: column "{name}" holds lists or objects, which are no label. Nothing ran.')
    return stored[name]
