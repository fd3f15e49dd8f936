"""Values checked against annotations, classes found and made from `class_path` and `init_args`.

jsonargparse does the checking; this file words its errors and those of importing.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from lit_experiments.errors import UserError

_SUBTYPES = re.compile(r"Subtypes: \[(.*?)\]\s*Errors:", re.DOTALL)


def import_class(class_path: str, where: str = "class_path") -> Any:
    """What a dotted name stands for.

    Raises:
        UserError: no such module or name, or importing the module fails for want of another.
    """
    module_name, _, name = class_path.rpartition(".")
    try:
        module = import_module(module_name) if module_name else None
    except ImportError as error:
        raise UserError(f"{where} {class_path}: importing {module_name} failed: {error}.") from error
    if module is None or not hasattr(module, name):
        raise UserError(f"{where} {class_path}: there is no such class.")
    return getattr(module, name)


def typed(name: str, value: Any, annotation: Any) -> Any:
    """`value` as the annotation has it.

    Raises:
        UserError: it is of another type.
    """
    return _parsed(name, value, annotation)[name.replace(".", "_")]


def build(name: str, base: type, class_path: str, init_args: dict[str, Any], keep: bool) -> Any:
    """An object of a class that is a kind of `base`; with `keep` False only the arguments are checked.

    Raises:
        UserError: an argument that the class does not take, of a wrong type, or missing; or it cannot be made.
    """
    parsed = _parsed(name, {"class_path": class_path, "init_args": init_args}, base)
    if not keep:
        return None
    try:
        return _parser(name, base).instantiate(parsed)[name.replace(".", "_")]
    except Exception as error:
        raise UserError(f"--{name}: {class_path} cannot be made: {' '.join(str(error).split())}") from error


def _parser(name: str, annotation: Any) -> Any:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False, add_help=False)
    parser.add_argument(f"--{name.replace('.', '_')}", type=annotation)
    return parser


def _parsed(name: str, value: Any, annotation: Any) -> Any:
    from jsonargparse import ArgumentError

    try:
        return _parser(name, annotation).parse_object({name.replace(".", "_"): value})
    except ArgumentError as error:
        raise UserError(worded(str(error), "the Trainer's flags", name)) from error


def worded(message: str, where: object, name: str | None = None) -> str:
    """jsonargparse's message as one of ours. name: what to call the option instead of the parser's key."""
    match = re.search(r'Parser key "([^"]+)":\s*(.*)', message, re.DOTALL)
    if match is None:
        return f"In {where}: {message}."
    key, detail = name or match.group(1), match.group(2)
    union = _SUBTYPES.search(detail)
    value = re.search(r"Given value: (.*)", detail, re.DOTALL)
    if union is not None and value is not None and "class_path" not in detail:
        expected = " or ".join(_type_name(t) for t in _split(union.group(1)))
        return f'Wrong type for "{key}" in {where}: found {_short(value.group(1))}, expected {expected}.'
    detail = " ".join(detail.split())
    wrong = re.search(r"Expected an? (.+?)\. Got value: (.*)", detail)
    if wrong is not None:
        expected = _type_name(wrong.group(1))
        return f'Wrong type for "{key}" in {where}: found {_short(wrong.group(2))}, expected {expected}.'
    return f'Wrong value for "{key}" in {where}: {detail}.'


def _split(types: str) -> list[str]:
    """Types separated by commas outside brackets."""
    return re.split(r", (?![^\[]*\])", types)


def _type_name(text: str) -> str:
    name = re.sub(r"<class '([^']+)'>", r"\1", text.strip()).replace("typing.", "")
    return {"NoneType": "null"}.get(name, name)


def _short(value: str) -> str:
    value = " ".join(value.split())
    return repr(value if len(value) <= 120 else value[:117] + "...")
