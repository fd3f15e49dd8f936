"""Turns a command line and its YAML files into one checked configuration.

jsonargparse does the typing; this file says which options there are and words the errors.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lit_experiments.cli import configs, trainer_flags
from lit_experiments.cli.class_values import import_class, worded
from lit_experiments.cli.options import PRECISIONS, RUN_OPTIONS, Option
from lit_experiments.cli.places import local_path
from lit_experiments.cli.words import read_words
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
        kept = {k: v for k, v in self.options.items() if k not in ("restart", "dry_run", "ckpt_path", "claims")}
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
    file = None if selection.config is None else local_path("--config", selection.config)
    saved = {} if file is None else configs.checked(configs.read_yaml(file), file)
    name = selection.exp or saved.get("exp")
    if name is None:
        known = ", ".join(configs.available(verb)) or "none"
        raise UserError(
            f"Which experiment? Give --exp NAME. Known for {verb}: {known}.\nNext: lit-experiments {verb} --help"
        )
    preset = selection.preset or saved.get("preset")
    merged, path = configs.load(verb, name, preset)
    if file is not None:
        merged, path = configs.overlay(merged, saved), file
    return {**merged, "exp": name, "preset": preset}, path


def resolve(verb: str, selection: Selection) -> Resolved:
    """The checked configuration of one command.

    Raises:
        UserError: unknown key, wrong type, missing value, unknown experiment or preset, a class of another kind.
    """
    from lit_experiments.cli.signatures import arguments

    base, path = base_configuration(verb, selection)
    taken = arguments(base["class_path"])
    class_options = [a.name for a in taken]
    shared = RUN_OPTIONS[verb]
    _check_keys(base, class_options, shared, path)
    _check_switches(base, shared, path)
    words = read_words(selection.rest, class_options, shared, verb, [a.name for a in taken if a.is_text_list])
    trainer = {**base.get("trainer", {}), **words.trainer}
    cls = import_class(base["class_path"])
    _check_kind(verb, cls, base["class_path"])
    trainer = trainer_flags.checked(verb, trainer, getattr(cls, "trainer_flags", ())) if trainer else {}
    parsed = _values(cls, base, path, words.plain, shared)
    missing = [name for name in class_options if name not in parsed]
    if missing:
        raise UserError(f"{path} gives no value for: {', '.join(missing)}.")
    options = {o.name: trainer if o.name == "trainer" else parsed[o.name] for o in shared}
    _check_precision(options)
    init_args = {name: parsed[name] for name in class_options}
    return Resolved(verb, base["exp"], base["preset"], base["class_path"], init_args, options)


def _values(cls: Any, base: dict[str, Any], path: Path, words: list[str], shared: list[Option]) -> dict[str, Any]:
    """The YAML's values with those of the command line over them, typed."""
    parser = _parser(cls, shared)
    skipped = ("init_args", "class_path", "exp", "preset", "trainer")
    flat = {k: v for k, v in base.items() if k not in skipped} | base["init_args"]
    parser.set_defaults(_parse(parser, flat, path))
    return _parse(parser, words, "the command line")


def _check_kind(verb: str, cls: Any, class_path: str) -> None:
    """Collections are Collectors; trainings and analyses have `reads`, `identity` and `run`."""
    if verb == "collect":
        from lit_experiments.collecting.collector import Collector

        missing = [] if isinstance(cls, type) and issubclass(cls, Collector) else ["be a Collector"]
    else:
        missing = [f"have `{name}`" for name in ("reads", "identity", "run") if not hasattr(cls, name)]
    if not missing and inspect.isabstract(cls):
        missing = [f"define {', '.join(sorted(cls.__abstractmethods__))}"]
    if missing:
        raise UserError(f"class_path {class_path} cannot be used by {verb}: it must {' and '.join(missing)}.")


def _parser(cls: Any, shared: list[Option]) -> Any:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False, add_help=False)
    parser.add_class_arguments(cls, skip={"spec"})
    for option in (o for o in shared if o.name != "trainer"):
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
        raise UserError(worded(str(error), where)) from error
    return dict(parsed.as_dict())


def _check_keys(base: dict[str, Any], class_options: list[str], shared: list[Option], path: Path) -> None:
    top = [*configs.FILE_KEYS, "exp", "preset", *(o.name for o in shared)]
    for key in base:
        if key not in top:
            near = configs.nearest(str(key), top + class_options)
            raise UserError(f'Unknown key "{key}" in {path}.{near} Allowed: {", ".join(top)}.')
    for key in base["init_args"]:
        if key not in class_options:
            raise UserError(
                f'Unknown key "{key}" under init_args in {path}.{configs.nearest(str(key), class_options)}\n'
                f"{base['class_path']} takes: {', '.join(class_options)}."
            )


def _check_switches(base: dict[str, Any], shared: list[Option], path: Path) -> None:
    """jsonargparse takes any value for a switch, and what is not empty as on."""
    for option in shared:
        if option.is_flag and not isinstance(base.get(option.name, False), bool):
            raise UserError(f'"{option.name}" in {path} must be true or false, found {base[option.name]!r}.')


def _check_precision(options: dict[str, Any]) -> None:
    precision = options.get("precision", "32-true")
    if precision not in PRECISIONS:
        near = configs.nearest(precision, list(PRECISIONS))
        raise UserError(f'Unknown --precision "{precision}".{near} Allowed: {", ".join(PRECISIONS)}.')
