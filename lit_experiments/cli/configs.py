"""Finds the YAML files under configs/ and merges defaults, file, preset and saved configuration into one mapping.

Knows nothing of the classes that the files name.
"""

from __future__ import annotations

from copy import deepcopy
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from lit_experiments.cli import strict_yaml
from lit_experiments.errors import UserError

VERBS = ("collect", "train", "analyze")
_SECTIONS = ("init_args", "trainer")
FILE_KEYS = ("description", "class_path", "init_args", "presets")


def config_folders() -> list[Path]:
    """Folders that may hold `<verb>/<name>.yaml`: the user's ./configs first, then the shipped ones."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "configs" if (package / "configs").is_dir() else package.parent / "configs"
    local = Path("configs").resolve()
    return [shipped] if local == shipped else [local, shipped]


def available(kind: str) -> dict[str, Path]:
    """Name -> file of every configuration of a kind ("collect", "train", "analyze", "pipelines")."""
    files: dict[str, Path] = {}
    for folder in config_folders():
        for path in sorted((folder / kind).glob("*.yaml")):
            files.setdefault(path.stem, path)
    return files


def nearest(word: str, known: list[str]) -> str:
    """' Did you mean "x"?' when something is close, else ''."""
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f' Did you mean "{close[0]}"?' if close else ""


def find(kind: str, name: str) -> Path:
    """The file of one configuration.

    Raises:
        UserError: no such name; the message lists the names there are.
    """
    known = available(kind)
    if name in known:
        return known[name]
    names = ", ".join(known) or "none"
    option = "pipeline" if kind == "pipelines" else f"--exp for {kind}"
    raise UserError(
        f'Unknown {option}: "{name}".{nearest(name, list(known))}\n'
        f"Known: {names}.\nLooked in: {', '.join(str(f / kind) for f in config_folders())}.\n"
        f"Next: lit-experiments list"
    )


def read_yaml(path: Path) -> dict[str, Any]:
    """One YAML mapping.

    Raises:
        UserError: missing, unreadable, not YAML, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"Cannot read the configuration {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not valid YAML: byte {error.start} is not UTF-8 text.") from error
    content = _parsed(text, str(path))
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a mapping (key: value lines), found {type(content).__name__}.")
    return deepcopy(content)


@cache
def _parsed(text: str, name: str) -> Any:
    """A command reads some files several times, and parsing is what its help takes longest for."""
    return strict_yaml.load(text, name)


def checked(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """The same mapping, if what decides the rest has the right shape; empty sections are left out.

    Raises:
        UserError: a class_path, exp or preset that is no text, or a section that is no mapping.
    """
    for key in ("class_path", "exp", "preset", "description"):
        value = content.get(key)
        if not isinstance(value, str | None) or (value is None and key == "class_path" and key in content):
            raise UserError(f'"{key}" in {path} must be text, found {value!r}.')
    presets = content.get("presets") or {}
    sections = {key: content.get(key) for key in _SECTIONS} | {"presets": presets}
    if isinstance(presets, dict):
        sections |= {f"presets: {name}": preset for name, preset in presets.items()}
    for key, section in sections.items():
        if not isinstance(section, dict | None):
            raise UserError(f'"{key}" in {path} must hold a mapping (key: value lines), found {section!r}.')
    return {key: value for key, value in content.items() if not (key in _SECTIONS and value is None)}


def shared_defaults(verb: str) -> dict[str, Any]:
    """The run options' defaults for one verb, from configs/defaults.yaml."""
    return dict(read_yaml(config_folders()[-1] / "defaults.yaml")[verb])


def overlay(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `top` over it; `init_args` and `trainer` are merged key by key."""
    merged = {**base, **top}
    for key in _SECTIONS:
        if key in base and key in top:
            merged[key] = {**base[key], **top[key]}
    return merged


def load(verb: str, name: str, preset: str | None) -> tuple[dict[str, Any], Path]:
    """The merged configuration of an experiment: shared defaults, its YAML, one of the YAML's presets.

    Returns:
        The mapping (class_path, init_args and run options) and the file it came from.

    Raises:
        UserError: unknown name, preset or malformed file.
    """
    path = find(verb, name)
    content = checked(read_yaml(path), path)
    presets = content.pop("presets", None) or {}
    content.pop("description", None)
    merged = overlay({"init_args": {}, **shared_defaults(verb)}, content)
    if preset is not None:
        if preset not in presets:
            known = ", ".join(presets) or "none"
            raise UserError(
                f'Unknown --preset "{preset}" in {path}.{nearest(preset, list(presets))} Presets there: {known}.'
            )
        merged = overlay(merged, checked(presets[preset] or {}, path))
    if "class_path" not in merged:
        raise UserError(f"{path} has no class_path: the dotted name of the class that does the work.")
    return merged, path


def description(path: Path) -> str:
    """The YAML's one-line description."""
    return " ".join(str(read_yaml(path).get("description", "")).split())
