"""Reads a class's options from its source, without importing it, so that `--help` need not load torch.

Every argument of `__init__` becomes an option; its help is the entry of the same name in the docstring's Args section.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path

from lit_experiments.errors import UserError


@dataclass(frozen=True)
class Argument:
    """One argument of a class: its name, its annotation as written, and its documentation."""

    name: str
    type: str
    help: str


def arguments(class_path: str, hidden: tuple[str, ...] = ("self", "spec")) -> list[Argument]:
    """The options of a class, in order, without those that the command line fills in itself.

    Raises:
        UserError: no such module or class.
    """
    node = _class_node(class_path)
    init = next((n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)
    if init is None:
        return []
    text = _documented(ast.get_docstring(init) or "") | _documented(ast.get_docstring(node) or "")
    args = [*init.args.args, *init.args.kwonlyargs]
    return [
        Argument(a.arg, ast.unparse(a.annotation) if a.annotation else "", text.get(a.arg, ""))
        for a in args
        if a.arg not in hidden
    ]


def _class_node(class_path: str) -> ast.ClassDef:
    module_name, _, class_name = class_path.rpartition(".")
    try:
        spec = importlib.util.find_spec(module_name)
    except (ModuleNotFoundError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        raise UserError(
            f"class_path {class_path}: there is no module {module_name!r} (is its folder on the Python path?)"
        )
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            return node
    classes = ", ".join(n.name for n in tree.body if isinstance(n, ast.ClassDef)) or "none"
    raise UserError(f"class_path {class_path}: {spec.origin} defines no class {class_name!r}; it has: {classes}.")


def _documented(docstring: str) -> dict[str, str]:
    """name -> text of a Google-style Args section."""
    match = re.search(r"^Args:\n(.*?)(?:\n\S|\Z)", docstring, re.MULTILINE | re.DOTALL)
    if not match:
        return {}
    entries = re.findall(r"^    (\w+)(?: \([^)]*\))?: (.*(?:\n(?:     .*|\s*$))*)", match.group(1), re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}
