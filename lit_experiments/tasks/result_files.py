"""Results as files: frozen dataclasses to JSON and back, and the JSON Schema of their types.

NaN is null in JSON, which has no NaN; reading gives NaN back where the type is float.
"""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from lit_experiments.plain import write_json
from lit_experiments.statistics import Estimate

R = TypeVar("R")
RESULT = "result.json"
_PLAIN = {str: "string", int: "integer", bool: "boolean"}


def write_result(folder: Path, result: Any) -> None:
    """Writes `result`, a dataclass, to result.json in `folder`, whole or not at all."""
    write_json(folder / RESULT, result)


def read_result(folder: Path, kind: type[R]) -> R:
    """The result that a folder holds, of the type that its task declares.

    Raises:
        OSError: there is none. ValueError: it is no result of this type.
    """
    path = folder / RESULT
    content = json.loads(path.read_text(encoding="utf-8"))
    try:
        return structured(content, kind)
    except ValueError as error:
        raise ValueError(f"{path} holds no {kind.__name__}: {error}") from error


def structured(content: Any, kind: type[R]) -> R:
    """A result from its JSON. Raises ValueError where it is no result of this type."""
    from cattrs import Converter
    from cattrs.errors import BaseValidationError

    converter = Converter(prefer_attrib_converters=False)
    converter.register_structure_hook(float, lambda value, _: math.nan if value is None else float(value))
    converter.register_structure_hook(Estimate, lambda value, _: Estimate.from_dict(value))
    try:
        return converter.structure(content, kind)
    except (BaseValidationError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error


def schema(kind: type) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a result type."""
    definitions: dict[str, Any] = {}
    top = _schema(kind, definitions)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": kind.__name__}
    return {**head, **top, "$defs": dict(sorted(definitions.items()))}


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is float:
        return {"type": ["number", "null"]}
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if kind is NoneType:
        return {"type": "null"}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, UnionType):
        return {"anyOf": [_schema(part, definitions) for part in arguments]}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema(arguments[1], definitions)}
    if origin is tuple and arguments[-1] is not Ellipsis:
        return {"type": "array", "prefixItems": [_schema(part, definitions) for part in arguments], "items": False}
    if origin in (list, tuple):
        return {"type": "array", "items": _schema(arguments[0], definitions)}
    if is_dataclass(kind) and isinstance(kind, type):
        return _reference(kind, definitions)
    raise TypeError(f"{kind} has no place in a result: results hold dataclasses, lists, dicts, numbers and text")


def _reference(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}  # holds the place of a type that contains itself
        hints = get_type_hints(kind)
        written = [f.name for f in fields(kind) if f.metadata.get("json", True)]
        definitions[kind.__name__] = {
            "type": "object",
            "description": " ".join((kind.__doc__ or "").split()),
            "properties": {name: _schema(hints[name], definitions) for name in written},
            "required": written,
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{kind.__name__}"}
