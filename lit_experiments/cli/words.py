"""The words of a command line: which options they name, with which values, and the Trainer's flags among them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import Any

from lit_experiments.cli import configs, strict_yaml
from lit_experiments.cli.options import Option
from lit_experiments.errors import UserError

_NAME = re.compile(r"[\w.]*")  # of a class; everything else is YAML
_OBJECTS = ("logger", "callbacks", "profiler")


@dataclass
class Words:
    """plain: words for jsonargparse, as `--name=value` or `--name`; trainer: the values of --trainer.KEY."""

    plain: list[str] = field(default_factory=list)
    trainer: dict[str, Any] = field(default_factory=dict)


def read_words(
    argv: list[str], class_options: Collection[str], shared: list[Option], verb: str, lists: Collection[str] = ()
) -> Words:
    """Pairs every option with its value and checks that it exists.

    class_options: those of the experiment's class; shared: those of every experiment; lists: the class's options that
    are lists of text, which may be given as several words and several times.

    Raises:
        UserError: an unknown option, one without its value, a switch with one, a word that belongs to no option.
    """
    switches = {o.name for o in shared if o.is_flag}
    known = [*class_options, *(o.name for o in shared)]
    words, position = Words(), 0
    while position < len(argv):
        word = argv[position]
        position += 1
        if not word.startswith("--") or word == "--":
            raise UserError(
                f'"{word}" belongs to no option: options are given as --name VALUE.\n'
                f"Next: lit-experiments {verb} --help"
            )
        name, equals, value = word[2:].partition("=")
        name = name.replace("-", "_")
        name = f"{name}_" if iskeyword(name) else name  # --class is the argument class_
        if name.split(".")[0] not in known:
            raise UserError(
                f'Unknown option "{word.partition("=")[0]}".{configs.nearest(name, known)}\n'
                f"Next: lit-experiments {verb} --exp NAME --help lists every option."
            )
        if name in switches:
            if equals and value not in ("true", "false"):
                raise UserError(f"--{name} takes no value, found {value!r}.")
            words.plain += [] if value == "false" else [f"--{name}"]
            continue
        if not equals:
            bare = position == len(argv) or argv[position].startswith("--")
            value, position = (_bare(name, class_options), position) if bare else (argv[position], position + 1)
        if name in lists and not _is_yaml(value):
            position = _take_list(words, name, value, argv, position)
        else:
            _take(words, name, value)
    return words


def _is_yaml(value: str) -> bool:
    return value.startswith(("[", "{")) or value in ("null", "")


def _take_list(words: Words, name: str, first: str, argv: list[str], position: int) -> int:
    """`--name A B`, or `--name A --name B`, as a list; returns where the next option begins."""
    end = position
    while end < len(argv) and not argv[end].startswith("--"):
        end += 1
    items = [first, *argv[position:end]]
    prefix = f"--{name}="
    before = [word for word in words.plain if word.startswith(prefix)]
    for word in before:
        earlier = strict_yaml.load(word.removeprefix(prefix), f"--{name}")
        items = [*(earlier if isinstance(earlier, list) else []), *items]
        words.plain.remove(word)
    words.plain.append(prefix + json.dumps(items))
    return end


def _bare(name: str, class_options: Collection[str]) -> str:
    """`true`, for a study's own option or a Trainer flag; the type check refuses it for all but bools."""
    if name in class_options or name.startswith("trainer."):
        return "true"
    raise UserError(f"--{name} needs a value.")


def _take(words: Words, name: str, value: str) -> None:
    if name == "trainer":
        mapping = strict_yaml.load(value, "--trainer")
        if not isinstance(mapping, dict):
            raise UserError(f"--trainer must be a mapping of Trainer arguments, found {value!r}.")
        words.trainer |= mapping
    elif name.startswith("trainer."):
        _assign(words.trainer, name.split(".")[1:], value)
    else:
        if value[:1] in ("[", "{"):
            strict_yaml.refuse_repeated_keys(value, f"--{name}")
        words.plain.append(f"--{name}={value}")


def _assign(trainer: dict[str, Any], keys: list[str], text: str) -> None:
    """`--trainer.logger csv`, or `--trainer.logger.save_dir logs` once the logger has been named."""
    key, *deeper = keys
    option = "--trainer." + ".".join(keys)
    is_object = key in _OBJECTS and (text in ("true", "false", "null") or not _NAME.fullmatch(text))
    value = strict_yaml.load(text, option) if is_object or deeper else text
    if not deeper:
        trainer[key] = value
        return
    named = trainer.get(key)
    named = {"class_path": named} if isinstance(named, str) else named
    deeper = deeper[1:] if deeper[0] == "init_args" else deeper
    if key not in _OBJECTS or not isinstance(named, dict) or len(deeper) != 1:
        raise UserError(f"{option}: name one object first, as in --trainer.logger csv --trainer.logger.save_dir logs.")
    trainer[key] = {**named, "init_args": {**(named.get("init_args") or {}), deeper[0]: value}}
