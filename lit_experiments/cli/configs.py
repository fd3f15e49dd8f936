"""Finds the YAML files under configs/ and merges defaults, file, preset and saved configuration into one mapping.

Knows nothing of the classes that the files name.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from lit_experiments.errors import UserError

VERBS = ("collect", "train", "analyze")
FILE_KEYS = ("description", "class_path", "init_args", "presets")


def config_folders() -> list[Path]:
    """Folders that may hold `<verb>/<name>.yaml`: the user's ./configs first, then the shipped ones."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "configs" if (package / "configs").is_dir() else package.parent / "configs"
    own = Path("configs").resolve()
    return [shipped] if own == shipped else [own, shipped]


def available(kind: str) -> dict[str, Path]:
    """Name -> file of every configuration of a kind ("collect", "train", "analyze", "pipelines")."""
    found: dict[str, Path] = {}
    for folder in config_folders():
        for path in sorted((folder / kind).glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


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
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"Cannot read the configuration {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a mapping (key: value lines), found {type(content).__name__}.")
    return content


def shared_defaults(verb: str) -> dict[str, Any]:
    """The run options' defaults for one verb, from configs/defaults.yaml."""
    return dict(read_yaml(config_folders()[-1] / "defaults.yaml")[verb])


def overlay(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `top` over it; `init_args` and `trainer` are merged key by key."""
    merged = {**base, **top}
    for key in ("init_args", "trainer"):
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
    content = read_yaml(path)
    presets = content.pop("presets", None) or {}
    content.pop("description", None)
    merged = overlay({"init_args": {}, **shared_defaults(verb)}, content)
    if preset is not None:
        if preset not in presets:
            known = ", ".join(presets) or "none"
            raise UserError(
                f'Unknown --preset "{preset}" in {path}.{nearest(preset, list(presets))} Presets there: {known}.'
            )
        merged = overlay(merged, presets[preset])
    if "class_path" not in merged:
        raise UserError(f"{path} has no class_path: the dotted name of the class that does the work.")
    return merged, path


def description(path: Path) -> str:
    """The YAML's one-line description."""
    return " ".join(str(read_yaml(path).get("description", "")).split())
