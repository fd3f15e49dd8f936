"""Counts what the top floor is made of: lines, report functions, untyped dictionaries, arguments, names, import cycles.

    python benchmarks/code_counts.py [FOLDER]

FOLDER is a checkout of this project (default: this one), so that two states of it can be compared.
"""

from __future__ import annotations

import argparse
import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

VAGUE = frozenset(
    {"found", "told", "each", "about", "at", "own", "asked", "drawn", "said", "some", "this", "what", "one", "mine"}
    | {"given", "kept", "there", "made", "said", "both", "same", "every", "where", "how", "which", "thing", "things"}
)
"""Words that name no thing: what a variable is called when its author thought of the sentence and not of the data."""


@dataclass(frozen=True)
class Counts:
    """Of the files below one folder. arguments: most of any function; vague, names: bound names."""

    files: int
    lines: int
    reports: int
    dictionaries: int
    arguments: tuple[int, str]
    vague: int
    names: int


def count(folder: Path) -> Counts:
    """Counts the Python files below a folder."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))]
    trees = [ast.parse(text) for text in texts]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    names = Counter(name for tree in trees for name in bound_names(tree))
    return Counts(
        files=len(texts),
        lines=sum(text.count("\n") for text in texts),
        reports=sum(function.name == "write_report" for function in functions),
        dictionaries=sum(text.count("dict[str, Any]") for text in texts),
        arguments=max(((_arguments(function), function.name) for function in functions), default=(0, "-")),
        vague=sum(number for name, number in names.items() if name in VAGUE),
        names=names.total(),
    )


def bound_names(tree: ast.AST) -> Iterator[str]:
    """Every name that is bound: variables and arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def _arguments(function: ast.FunctionDef) -> int:
    arguments = function.args
    listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return sum(argument.arg not in ("self", "cls") for argument in listed)


def imports(root: Path) -> dict[str, set[str]]:
    """Module -> modules of this project that it imports, at its top or inside of functions; not for type checks."""
    modules = {_name(root, path): path for top in ("stores", "lit_experiments") for path in (root / top).rglob("*.py")}
    return {name: _imported(name, path, modules) - {name} for name, path in modules.items()}


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, by Tarjan's algorithm (1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in graph.get(module, ()):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            group = [stack.pop()]
            while group[-1] != module:
                group.append(stack.pop())
            if len(group) > 1:
                groups.append(sorted(group))

    for module in graph:
        if module not in index:
            visit(module)
    return groups


def _name(root: Path, path: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(name: str, path: Path, modules: dict[str, Path]) -> set[str]:
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    targets: set[str] = set()
    for node in _runtime_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names if alias.name in modules}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            origin = ".".join(filter(None, (base, node.module)))
            for alias in node.names:
                deeper = f"{origin}.{alias.name}"
                targets |= {deeper if deeper in modules else origin} & set(modules)
    return targets


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those below `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _runtime_nodes(node)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parents[1])
    root = parser.parse_args().folder
    studies = root / "lit_experiments" / "experiments"
    rows = [("all studies", count(studies))]
    rows += [(path.name, count(path)) for path in sorted(studies.iterdir()) if (path / "__init__.py").is_file()]
    heads = ("", "files", "lines", "write_report", "dict[str, Any]", "vague names", "most arguments")
    print("{:<18} {:>5} {:>6} {:>12} {:>14} {:>11}  {}".format(*heads))
    for name, c in rows:
        share = f"{c.vague / max(1, c.names):.1%}"
        most = f"{c.arguments[0]} ({c.arguments[1]})"
        print(f"{name:<18} {c.files:>5} {c.lines:>6} {c.reports:>12} {c.dictionaries:>14} {share:>11}  {most}")
    groups = cycles(imports(root))
    print(f"import cycles: {len(groups)}" + "".join(f"\n  {' <-> '.join(group)}" for group in groups))


if __name__ == "__main__":
    main()
