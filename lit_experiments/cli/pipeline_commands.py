"""From a pipeline, its file's options and those given on the command line to the command of each step.

Does not know: how a command is run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lit_experiments.cli import configs
from lit_experiments.cli.pipeline_file import Pipeline, Step
from lit_experiments.errors import UserError

Words = dict[str, list[str]]
"""Option name -> the words that give it: `["--limit", "3"]` or `["--limit=3"]`."""


@dataclass(frozen=True)
class Planned:
    """A step with its folder and its command; no command where the step lacks what it needs. reads: folders of other
    steps that its options name."""

    step: Step
    folder: str
    command: list[str] | None
    reads: tuple[str, ...]

    @property
    def output(self) -> Path:
        """The file that exists once the step has run (or, for a collection, begun)."""
        folder = Path(self.folder)
        if self.step.verb != "collect":
            return folder / self.step.exp / "results.json"
        return folder / "config.yaml" if (folder / "store").is_file() else folder / "store" / "store.json"

    def inputs(self, others: Sequence[Planned]) -> list[Planned]:
        """The steps before this one that write what it reads: its own folder's collections and trainings, and what
        its options name."""
        before = list(others)[: list(others).index(self)]
        made = [other for other in before if any(other.writes(path) for path in self.reads)]
        if self.step.verb != "collect":
            made += [p for p in before if p.folder == self.folder and p.step.verb != "analyze" and p not in made]
        return made

    @property
    def left_out(self) -> str:
        """Why the step has no command."""
        options = " and ".join(f"--{name}" for name in self.step.needs)
        return f"Left out: its {options} belongs to the embedded model. Give yours to have this step too."

    def writes(self, path: str) -> bool:
        """Whether this step writes something at `path`: its folder, or its results in it."""
        return Path(path) in (Path(self.folder), Path(self.folder) / self.step.exp)


@dataclass(frozen=True)
class Given:
    """The options that a pipeline's steps get from outside: `shared` of its file, and over it those of the command
    line (`typed`)."""

    shared: Words
    typed: Words

    @property
    def all(self) -> Words:
        return {**self.shared, **self.typed}

    def value(self, key: str) -> str | None:
        """The value of an option; None where it is not given. Raises UserError for one without a value."""
        return value_of(self.all[key]) if key in self.all else None


def given_to(pipeline: Pipeline, typed: Words) -> Given:
    """The options for a pipeline's steps.

    Raises:
        UserError: an option that no step knows.
    """
    known = set().union(*(known_options(step) for step in pipeline.steps))
    for key in typed:
        if key not in known:
            near = configs.nearest(key, sorted({*known, "config", "steps"}))
            raise UserError(f'No step of this pipeline knows "--{key}".{near}\nNext: lit-experiments run --help')
    _check_file(pipeline, known)
    return Given({key: [_written(key, value)] for key, value in pipeline.shared.items()}, typed)


def plan(pipeline: Pipeline, given: Given) -> list[Planned]:
    """All steps of a pipeline with the command of each.

    Raises:
        UserError: an option without its value.
    """
    folder = pipeline_folder(pipeline, given)
    return [_planned(step, pipeline, given, folder) for step in pipeline.steps]


def pipeline_folder(pipeline: Pipeline, given: Given) -> str:
    """What "{run}" stands for: --run, or runs/NAME, or runs/NAME-<preset>."""
    preset = given.value("preset")
    return given.value("run") or f"runs/{pipeline.name}" + (f"-{preset}" if preset else "")


def grouped(words: Sequence[str]) -> Words:
    """The words of a command line by option; those of `--trainer.x` and `--trainer.y` together.

    Raises:
        UserError: a word before the first option.
    """
    groups: Words = {}
    current: list[str] | None = None
    for word in words:
        if word.startswith("--"):
            current = groups.setdefault(word[2:].partition("=")[0].split(".")[0].replace("-", "_"), [])
        if current is None:
            raise UserError(f'"{word}" is no option; options begin with --.\nNext: lit-experiments run --help')
        current.append(word)
    return groups


def values_of(words: Sequence[str]) -> list[str]:
    """The values of `--key value value` or `--key=value`; of the last one where an option is given twice.

    Raises:
        UserError: there is none.
    """
    last = max(place for place, word in enumerate(words) if word.startswith("--"))
    name, equals, value = words[last].partition("=")
    values = [value for value in [value] * bool(equals) + list(words[last + 1 :]) if value]
    if not values:
        raise UserError(f"{name} needs a value.\nNext: lit-experiments run --help")
    return values


def value_of(words: Sequence[str]) -> str:
    """The value of an option that has one.

    Raises:
        UserError: there is none, or another word behind it.
    """
    value, *more = values_of(words)
    if more:
        name = words[0].partition("=")[0]
        raise UserError(f'{name} takes one value, found "{value}" and "{more[0]}".\nNext: lit-experiments run --help')
    return value


def known_options(step: Step) -> set[str]:
    """The names of the options that a step's experiment has."""
    from lit_experiments.cli.options import RUN_OPTIONS
    from lit_experiments.cli.signatures import arguments

    base, _ = configs.load(step.verb, step.exp, None)
    names = {o.name for o in RUN_OPTIONS[step.verb]} | {a.name for a in arguments(base["class_path"])}
    presets = configs.read_yaml(configs.find(step.verb, step.exp)).get("presets")
    return names | ({"preset"} if presets else set())


def _planned(step: Step, pipeline: Pipeline, given: Given, folder: str) -> Planned:
    words = _options(step, pipeline, given, folder)
    naming = {**step.options, **pipeline.step_options(step)}
    reads = tuple(value_of(words[key]) for key, value in naming.items() if "{run}" in str(value) and key in words)
    command = [step.verb, "--exp", step.exp, *(word for group in words.values() for word in group)]
    return Planned(step, value_of(words["run"]), None if _lacks(step, given) else command, reads)


def _lacks(step: Step, given: Given) -> bool:
    """Whether another model or preset was given without the options that this step needs then."""
    elsewhere = "preset" in given.all or given.value("model") not in (None, "embedded")
    return elsewhere and any(key not in given.all for key in step.needs)


def _options(step: Step, pipeline: Pipeline, given: Given, folder: str) -> Words:
    """The words of each option that a step gets, the stronger ones over the weaker: its folder and what the pipeline
    sets for it, what the file shares, what the file says of this step, the command line."""
    fixed = {"run": step.run, **step.options}
    reserved = {key for other in pipeline.steps for key in other.options} - set(step.options)
    taken = known_options(step) - reserved - {"run"}
    written = {key: [_written(key, value, folder)] for key, value in fixed.items()}
    of_step = {
        key: [_written(key, value, folder)] for key, value in pipeline.step_options(step).items() if key in taken
    }
    shared, typed = ({k: v for k, v in words.items() if k in taken} for words in (given.shared, given.typed))
    return {**written, **shared, **of_step, **typed}


def _check_file(pipeline: Pipeline, known: set[str]) -> None:
    """Raises UserError for an option in the pipeline's file that nobody would take."""
    for key in pipeline.shared:
        if key not in known:
            near = configs.nearest(key, sorted(known))
            raise UserError(f'{pipeline.file}: no step knows the shared option "{key}".{near}')
    for name, options in pipeline.by_step.items():
        steps = [step for step in pipeline.steps if name in (step.name, step.exp)]
        takes = set().union(*(known_options(step) for step in steps)) - {"run"}
        for key in options:
            if key not in takes:
                near = configs.nearest(key, sorted(takes))
                raise UserError(f'{pipeline.file}: step {name} does not know the option "{key}".{near}')


def _written(key: str, value: Any, folder: str | None = None) -> str:
    """A value of a YAML file as one word of a command line; {run} in it is the pipeline's folder."""
    if isinstance(value, str):
        return f"--{key}={value if folder is None else value.replace('{run}', folder)}"
    return f"--{key}={json.dumps(value)}"
