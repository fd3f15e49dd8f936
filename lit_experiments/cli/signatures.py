"""Reads a class's options from its source, without importing it, so that `--help` need not load torch.

Every argument of `__init__` becomes an option; its help is the entry of the same name in the docstring's Args section.
As in jsonargparse, a class without an `__init__` has its parent's options, and one whose `__init__` hands `**kwargs`
on to its parent's has both.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from lit_experiments.cli.class_source import ClassSource, find_class


@dataclass(frozen=True)
class Argument:
    """One argument of a class: its name, its annotation as written, and its documentation."""

    name: str
    type: str
    help: str

    @property
    def is_text_list(self) -> bool:
        """Whether it takes several texts."""
        return "list[str]" in [part.strip() for part in self.type.split("|")]


def arguments(class_path: str, hidden: tuple[str, ...] = ("spec",)) -> list[Argument]:
    """The options of a class, in order, without those that the command line fills in itself.

    Raises:
        UserError: no such module or class.
    """
    return [a for a in _arguments(find_class(class_path)) if a.name not in hidden]


def _arguments(source: ClassSource) -> list[Argument]:
    init = _init(source)
    if init is None:
        inherited = next((of_base for base in source.bases() if (of_base := _arguments(base))), [])
        fields = _fields(source) if _is_dataclass(source.node) else []
        names = {a.name for a in fields}
        return [*(a for a in inherited if a.name not in names), *fields]
    text = _help(source, init)
    declared = [_argument(a, text) for a in [*init.args.posonlyargs, *init.args.args, *init.args.kwonlyargs][1:]]
    names = {a.name for a in declared}
    return [*declared, *(a for a in _handed_on(source, init) if a.name not in names)]


def _init(source: ClassSource) -> ast.FunctionDef | None:
    return next((n for n in source.node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"), None)


def _argument(arg: ast.arg, text: dict[str, str]) -> Argument:
    return Argument(arg.arg, ast.unparse(arg.annotation) if arg.annotation else "", text.get(arg.arg, ""))


def _handed_on(source: ClassSource, init: ast.FunctionDef) -> list[Argument]:
    """What of the parent's arguments `**kwargs` can carry: those that the call to its `__init__` leaves open."""
    if init.args.kwarg is None:
        return []
    for call in (n for n in ast.walk(init) if isinstance(n, ast.Call)):
        given = {k.arg for k in call.keywords}
        carried = any(k.arg is None and ast.unparse(k.value) == init.args.kwarg.arg for k in call.keywords)
        if not carried or not isinstance(call.func, ast.Attribute) or call.func.attr != "__init__":
            continue
        by_super = ast.unparse(call.func.value).startswith("super(")
        parent = next((of_base for base in source.bases() if (of_base := _arguments(base))), [])
        positional = len(call.args) - (0 if by_super else 1)
        return [a for a in parent[positional:] if a.name not in given]
    return []


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any(ast.unparse(d).split("(")[0].split(".")[-1] == "dataclass" for d in node.decorator_list)


def _fields(source: ClassSource) -> list[Argument]:
    """The fields of a dataclass; its class-level docstring documents them."""
    text = _documented(ast.get_docstring(source.node) or "")
    annotated = [n for n in source.node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
    fields = [(n.target.id, ast.unparse(n.annotation)) for n in annotated if isinstance(n.target, ast.Name)]
    return [Argument(name, kind, text.get(name, "")) for name, kind in fields if not kind.startswith("ClassVar")]


def _help(source: ClassSource, init: ast.FunctionDef) -> dict[str, str]:
    return _documented(ast.get_docstring(init) or "") | _documented(ast.get_docstring(source.node) or "")


def _documented(docstring: str) -> dict[str, str]:
    """name -> text of a Google-style Args (or Attributes) section."""
    match = re.search(r"^(?:Args|Attributes):\n(.*?)(?:\n\S|\Z)", docstring, re.MULTILINE | re.DOTALL)
    if not match:
        return {}
    entries = re.findall(r"^    (\w+)(?: \([^)]*\))?: (.*(?:\n(?:     .*|\s*$))*)", match.group(1), re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}
