"""Names in place of the class numbers that `datasets` stores: tags, answer letters, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ClassNames:
    """The names of the classes, by column.

    Attributes:
        single: columns that hold one class number.
        lists: columns that hold lists of them.
    """

    single: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def named(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record with names in place of class numbers; -1, which stands for no class, becomes None."""
        if not self.single and not self.lists:
            return record
        single = {column: _name(names, record[column]) for column, names in self.single.items()}
        lists = {
            column: [_name(names, number) for number in record[column]]
            for column, names in self.lists.items()
            if record[column] is not None
        }
        return record | single | lists


NO_CLASSES = ClassNames()


def class_names(features: Any) -> ClassNames:
    """The class names of a dataset's features."""
    from datasets import ClassLabel

    inner = {column: getattr(kind, "feature", None) for column, kind in features.items()}
    inner |= {column: kind[0] for column, kind in features.items() if isinstance(kind, list) and kind}
    return ClassNames(
        {column: kind.names for column, kind in features.items() if isinstance(kind, ClassLabel)},
        {column: kind.names for column, kind in inner.items() if isinstance(kind, ClassLabel)},
    )


def _name(names: Sequence[str], number: int | None) -> str | None:
    return None if number is None or number < 0 else names[number]
