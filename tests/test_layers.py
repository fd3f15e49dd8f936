"""Imports point one way, and nothing heavy is loaded before it is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.code_counts import cycles, imports

ROOT = Path(__file__).resolve().parent.parent
# What each package may import besides itself; modules beside the packages are everybody's.
COMMON = {"errors", "units", "quiet", "plain", "launch", "signals", "ranges", "trainer", "remembered"}
FIRST = {"stores", "lm", "sources", "statistics"}
ALLOWED = {
    "stores": set(),
    "lm": set(),
    "sources": {"embedded"},
    "statistics": set(),
    "embedded": {"statistics", "remembered"},
    "probes": FIRST | COMMON,
    "reports": FIRST | COMMON,
    "collecting": FIRST | COMMON,
    "claims": FIRST | COMMON | {"reports"},
    "tasks": FIRST | COMMON | {"probes", "reports", "collecting", "claims"},
    "hub": FIRST | COMMON | {"probes", "reports", "collecting", "claims", "tasks"},
    "controls": FIRST | COMMON | {"probes", "claims", "tasks"},
    "experiments": FIRST | COMMON | {"probes", "reports", "collecting", "claims", "tasks", "controls"},
    "selftest": {"statistics", "probes"},
    "serving": FIRST | COMMON | {"probes", "reports", "controls"},
    "cli": FIRST | COMMON | {"probes", "reports", "collecting", "claims", "tasks", "selftest", "hub", "serving"},
}


def _imports(path: Path) -> set[str]:
    """First- or second-level package names of ours that a file imports."""
    packages = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            deep = [f"{node.module}.{a.name}" for a in node.names] if node.module == "lit_experiments" else []
            names = deep or [node.module]
        for name in names:
            parts = name.split(".")
            if parts[0] == "stores":
                packages.add("stores")
            elif parts[0] == "lit_experiments" and len(parts) > 1:
                packages.add(parts[1])
    return packages


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_one_way(package: str) -> None:
    folder = ROOT / package if package == "stores" else ROOT / "lit_experiments" / package
    files = list(folder.rglob("*.py"))
    assert files
    for path in files:
        extra = _imports(path) - ALLOWED[package] - {package}
        assert not extra, f"{path} imports {extra}"


def test_no_module_imports_itself_through_others() -> None:
    graph = imports(ROOT)
    assert len(graph) > 300
    assert graph["lit_experiments.tasks.task"] >= {"stores", "lit_experiments.tasks.reads"}
    assert cycles(graph) == []
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_experiments_never_import_each_other() -> None:
    folder = ROOT / "lit_experiments" / "experiments"
    names = {p.stem for p in folder.iterdir() if p.is_dir() or p.suffix == ".py"} - {"__init__", "__pycache__"}
    for path in folder.rglob("*.py"):
        name = path.relative_to(folder).parts[0].removesuffix(".py")
        for other in names - {name}:
            assert f"experiments.{other}" not in path.read_text(encoding="utf-8"), f"{path} imports {other}"


def test_nothing_below_names_an_experiment() -> None:
    for package in ALLOWED.keys() - {"stores", "experiments"}:
        for path in (ROOT / "lit_experiments" / package).rglob("*.py"):
            assert "lit_experiments.experiments" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import stores", ["torch", "lit_experiments", "lightning", "transformers"]),
        ("import lit_experiments.cli", ["torch", "lightning", "transformers", "numpy", "stores"]),
    ],
)
def test_importing_loads_nothing_heavy(statement: str, absent: list[str]) -> None:
    code = f"{statement}; import sys; print([m for m in {absent!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("words", ["run introspection", "collect --exp activations", "watch", "audit", "serve", "list"])
def test_help_loads_nothing_heavy(words: str) -> None:
    """`run` once loaded the store's code, and numpy with it, before it looked whether help was asked for."""
    heavy = ["torch", "lightning", "transformers", "numpy", "stores"]
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print([m for m in {heavy!r} if m in sys.modules]))\n"
        f"from lit_experiments.cli import main\nmain({[*words.split(), '--help']!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
