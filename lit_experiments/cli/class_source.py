"""Finds a class in the source that defines it, through re-exports and on to its bases, without importing anything.

Only the top-level package is looked up by Python's own finders; what lies below it is found by its path, because
Python would import every package on the way.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from lit_experiments.errors import UserError


@dataclass(frozen=True)
class Module:
    """A module's dotted name and its file."""

    name: str
    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        """Raises UserError where the file is no Python."""
        try:
            return _parsed(self.path.read_bytes())
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
            raise UserError(f"{self.path}{line} is not valid Python: {error.args[0]}.") from error

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        return {n.name: n for n in _statements(self.tree.body) if isinstance(n, ast.ClassDef)}

    @cached_property
    def imported(self) -> dict[str, str]:
        """Local name -> the dotted name that an import statement bound it to; "*" names are left out."""
        names: dict[str, str] = {}
        for node in _statements(self.tree.body):
            if isinstance(node, ast.Import):
                bound = [(a.asname, a.name) if a.asname else (a.name.split(".")[0],) * 2 for a in node.names]
                names |= dict(bound)
            elif isinstance(node, ast.ImportFrom):
                origin = self.origin(node)
                names |= {a.asname or a.name: f"{origin}.{a.name}" for a in node.names if a.name != "*"}
        return names

    @cached_property
    def starred(self) -> list[str]:
        """The modules whose public names are all imported."""
        nodes = [n for n in _statements(self.tree.body) if isinstance(n, ast.ImportFrom)]
        return [self.origin(n) for n in nodes if any(a.name == "*" for a in n.names)]

    def origin(self, node: ast.ImportFrom) -> str:
        """The absolute name of the module that a `from ... import` names."""
        if not node.level:
            return node.module or ""
        parts = self.name.split(".") if self.path.stem == "__init__" else self.name.split(".")[:-1]
        package = parts[: len(parts) - node.level + 1]
        return ".".join([*package, *([node.module] if node.module else [])])


@dataclass(frozen=True)
class ClassSource:
    """A class where it is defined."""

    module: Module
    node: ast.ClassDef

    def bases(self) -> Iterator[ClassSource]:
        """Its bases in order, as far as they have Python source; builtins and compiled ones are passed over."""
        for base in self.node.bases:
            name = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
            source = _lookup(self.module, name)
            if source is not None:
                yield source


def find_class(class_path: str) -> ClassSource:
    """The class that a dotted name stands for.

    Raises:
        UserError: no dotted name, no such module, a module without Python source, or no such class in it.
    """
    module_name, _, class_name = class_path.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in class_path.split(".")):
        raise UserError(f"class_path {class_path!r} must be a dotted name: module.ClassName.")
    module = find_module(module_name)
    if module is None:
        raise UserError(
            f"class_path {class_path}: there is no module {module_name!r} with Python source (is its folder on the "
            f"Python path?)."
        )
    source = _lookup(module, class_name)
    if source is None:
        classes = ", ".join(module.classes) or "none"
        raise UserError(f"class_path {class_path}: {module.path} defines no class {class_name!r}; it has: {classes}.")
    return source


def find_module(name: str) -> Module | None:
    """A module's source file; None where there is none."""
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ModuleNotFoundError, ValueError):
        spec = None
    if spec is None:
        return None
    if not rest:
        return Module(name, Path(spec.origin)) if spec.origin and spec.origin.endswith(".py") else None
    for folder in spec.submodule_search_locations or ():
        stem = Path(folder, *rest)
        for path in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
            if path.is_file():
                return Module(name, path)
    return None


def _lookup(module: Module, name: str, seen: frozenset[tuple[str, str]] = frozenset()) -> ClassSource | None:
    """The class that `name` (maybe dotted) means inside a module."""
    if (module.name, name) in seen:
        return None
    seen |= {(module.name, name)}
    if name in module.classes:
        return ClassSource(module, module.classes[name])
    first, _, rest = name.partition(".")
    places = [module.imported[first] + (f".{rest}" if rest else "")] if first in module.imported else []
    for place in places or [f"{origin}.{name}" for origin in module.starred]:
        origin, _, last = place.rpartition(".")
        source = find_module(origin) if origin else None
        match = None if source is None else _lookup(source, last, seen)
        if match is not None:
            return match
    return None


@cache
def _parsed(source: bytes) -> ast.Module:
    """Many classes have the same base, and parsing is what their help takes longest for."""
    return ast.parse(source)


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Top-level statements, those inside `if` and `try` included."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            handlers = [n for h in getattr(node, "handlers", []) for n in h.body]
            yield from _statements([*node.body, *handlers, *node.orelse])
