"""YAML as people mean it: a key given twice is refused, 1e-3 is a number, and a mistake has a line.

Knows no files and no options.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from lit_experiments.errors import UserError

_FLOAT_PATTERN = re.compile(
    r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|[-+]?\.[0-9_]+(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_TAGS = ("tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")


class RepeatedKey(yaml.MarkedYAMLError):
    """A key that a mapping already has."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2's floats and without dates, which none of our options is."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        assert node is not None
        first: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            identity = (key.tag, str(key.value))
            if isinstance(key, yaml.ScalarNode) and identity in first:
                problem = f'the key "{key.value}" is given twice (first in line {first[identity]})'
                raise RepeatedKey(problem=problem, problem_mark=key.start_mark)
            first[identity] = key.start_mark.line + 1
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _TAGS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_TAGS[0], _FLOAT_PATTERN, list("-+0123456789."))


def load(text: str, where: str) -> Any:
    """The value of a YAML text.

    Raises:
        UserError: no YAML, or a key given twice; the message begins with `where` and the line.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f", line {mark.line + 1}"
        raise UserError(f"{where}{line}, is not valid YAML: {error.problem or error.context}.") from error
    except RecursionError as error:
        raise UserError(f"{where} is nested too deeply.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{where} is not valid YAML: {' '.join(str(error).split())}.") from error


def refuse_repeated_keys(text: str, where: str) -> None:
    """Raises UserError for a mapping with a key given twice; whatever else is wrong is left to the type check."""
    try:
        yaml.compose(text, Loader=_Loader)
    except RepeatedKey as error:
        raise UserError(f"{where}: {error.problem}.") from error
    except (yaml.YAMLError, RecursionError):
        return
