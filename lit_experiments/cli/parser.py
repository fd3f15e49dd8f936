"""Turns a command line and its YAML files into one checked configuration.

jsonargparse does the typing; this file says which options there are and words the errors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lit_experiments.cli import configs
from lit_experiments.cli.options import PRECISIONS, RUN_OPTIONS, Option
from lit_experiments.errors import UserError

_SELECTORS = ("exp", "preset", "config")


@dataclass(frozen=True)
class Selection:
    """The part of a command line that decides which configuration is meant, before any class is known."""

    exp: str | None = None
    preset: str | None = None
    config: str | None = None
    help: bool = False
    print_config: bool = False
    rest: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Resolved:
    """A checked configuration: what to build, with which arguments, and the run options."""

    verb: str
    exp: str
    preset: str | None
    class_path: str
    init_args: dict[str, Any]
    options: dict[str, Any]

    def to_yaml(self) -> str:
        """The YAML that `--config` reads to repeat this run."""
        head = {"exp": self.exp, "preset": self.preset, "class_path": self.class_path, "init_args": self.init_args}
        kept = {k: v for k, v in self.options.items() if k not in ("restart", "dry_run", "ckpt_path")}
        return yaml.safe_dump({**head, **kept}, sort_keys=False, allow_unicode=True)


def select(verb: str, argv: list[str]) -> Selection:
    """Splits --exp, --preset, --config, --print_config and --help from the other options."""
    chosen: dict[str, Any] = {}
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        key = name.removeprefix("--").replace("-", "_")
        if name in ("-h", "--help"):
            chosen["help"] = True
        elif name.startswith("--") and key == "print_config":
            chosen["print_config"] = True
        elif name.startswith("--") and key in _SELECTORS:
            value = value if equals else next(words, "")
            if not value or value.startswith("--"):
                raise UserError(f"--{key} needs a value. Next: lit-experiments {verb} --help")
            chosen[key] = value
        else:
            rest.append(word)
    return Selection(rest=rest, **chosen)


def base_configuration(verb: str, selection: Selection) -> tuple[dict[str, Any], Path]:
    """Defaults, YAML, preset and saved configuration, merged; and the file to name in errors."""
    saved = configs.read_yaml(Path(selection.config)) if selection.config else {}
    name = selection.exp or saved.get("exp")
    if name is None:
        known = ", ".join(configs.available(verb)) or "none"
        raise UserError(
            f"Which experiment? Give --exp NAME. Known for {verb}: {known}.\nNext: lit-experiments {verb} --help"
        )
    preset = selection.preset or saved.get("preset")
    merged, path = configs.load(verb, name, preset)
    if saved:
        merged, path = configs.overlay(merged, saved), Path(selection.config or "")
    return {**merged, "exp": name, "preset": preset}, path


def resolve(verb: str, selection: Selection) -> Resolved:
    """The checked configuration of one command.

    Raises:
        UserError: unknown key, wrong type, missing value, unknown experiment or preset.
    """
    from lit_experiments.cli.signatures import arguments

    base, path = base_configuration(verb, selection)
    own = [a.name for a in arguments(base["class_path"])]
    shared = RUN_OPTIONS[verb]
    _check_keys(base, own, shared, path)
    parser = _parser(base["class_path"], shared)
    flat = {k: v for k, v in base.items() if k not in ("init_args", "class_path", "exp", "preset")} | base["init_args"]
    values = _parse(parser, flat, path)
    parser.set_defaults(values)
    parsed = _parse(parser, _normalised(selection.rest, own, shared, verb), "the command line")
    missing = [name for name in own if name not in parsed or (parsed[name] is None and name not in flat)]
    if missing:
        raise UserError(f"{path} gives no value for: {', '.join(missing)}.")
    options = {o.name: parsed[o.name] for o in shared}
    _check_precision(options)
    init_args = {name: parsed[name] for name in own}
    return Resolved(verb, base["exp"], base["preset"], base["class_path"], init_args, options)


def import_class(class_path: str) -> Any:
    """The class that a dotted name stands for."""
    from importlib import import_module

    module, _, name = class_path.rpartition(".")
    return getattr(import_module(module), name)


def _parser(class_path: str, shared: list[Option]) -> Any:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False, add_help=False)
    parser.add_class_arguments(import_class(class_path), skip={"spec"})
    for option in shared:
        if option.is_flag:
            parser.add_argument(f"--{option.name}", action="store_true")
        else:
            parser.add_argument(f"--{option.name}", type=option.type, default=None)
    return parser


def _parse(parser: Any, source: dict[str, Any] | list[str], where: Path | str) -> dict[str, Any]:
    from jsonargparse import ArgumentError

    try:
        parsed = parser.parse_object(source) if isinstance(source, dict) else parser.parse_args(source)
    except ArgumentError as error:
        raise UserError(_worded(str(error), where)) from error
    return parsed.as_dict()


def _worded(message: str, where: Path | str) -> str:
    match = re.search(r'Parser key "([^"]+)":\s*(.*)', message, re.DOTALL)
    if match is None:
        return f"In {where}: {message}."
    key, detail = match.group(1), " ".join(match.group(2).split())
    wrong = re.search(r"Expected an? (.+?)\. Got value: (.*)", detail)
    if wrong is None:
        return f'Wrong value for "{key}" in {where}: {detail}.'
    expected = re.sub(r"<class '([^']+)'>", r"\1", wrong.group(1)).replace("typing.", "")
    return f'Wrong type for "{key}" in {where}: found {wrong.group(2)!r}, expected {expected}.'


def _check_keys(base: dict[str, Any], own: list[str], shared: list[Option], path: Path) -> None:
    top = [*configs.FILE_KEYS, "exp", "preset", *(o.name for o in shared)]
    for key in base:
        if key not in top:
            raise UserError(
                f'Unknown key "{key}" in {path}.{configs.nearest(key, top + own)} Allowed: {", ".join(top)}.'
            )
    for key in base["init_args"]:
        if key not in own:
            raise UserError(
                f'Unknown key "{key}" under init_args in {path}.{configs.nearest(key, own)}\n'
                f"{base['class_path']} takes: {', '.join(own)}."
            )


def _normalised(words: list[str], own: list[str], shared: list[Option], verb: str) -> list[str]:
    """The words with `--name` checked against what exists, and values of --trainer.KEY typed as YAML."""
    known = [*own, *(o.name for o in shared)]
    trainer: dict[str, Any] = {}
    out: list[str] = []
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if not word.startswith("--"):
            out.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        name = name.replace("-", "_")
        if name.startswith("trainer."):
            if not equals and position < len(words):
                value, position = words[position], position + 1
            trainer[name.removeprefix("trainer.")] = yaml.safe_load(value)
        elif name.split(".")[0] not in known:
            raise UserError(
                f'Unknown option "--{name}".{configs.nearest(name, known)}\n'
                f"Next: lit-experiments {verb} --exp NAME --help lists every option."
            )
        else:
            out.append(f"--{name}{equals}{value}")
            if _is_bare_switch(name, equals, words, position, own):
                out.append("true")
    if trainer:
        out += [
            f"--trainer.{key}={yaml.safe_dump(value, default_flow_style=True).strip()}"
            for key, value in trainer.items()
        ]
    return out


def _is_bare_switch(name: str, equals: str, words: list[str], position: int, own: list[str]) -> bool:
    """A study's own option without a value means `true`; jsonargparse refuses that for anything but a bool."""
    return name in own and not equals and (position == len(words) or words[position].startswith("--"))


def _check_precision(options: dict[str, Any]) -> None:
    precision = options.get("precision", "32-true")
    if precision not in PRECISIONS:
        near = configs.nearest(precision, list(PRECISIONS))
        raise UserError(f'Unknown --precision "{precision}".{near} Allowed: {", ".join(PRECISIONS)}.')
