"""Pipeline files: the steps they list, the options they give to all steps or to one, and which steps are chosen.

Does not know: how a step is run.

A pipeline file (`configs/pipelines/NAME.yaml`, or any file given to `run --config`) has these keys:

    description: one line
    extends:     name of a pipeline whose steps, shared and own options this file begins with
    shared:      options given to every step that knows them
    options:     {step: options of that step alone}
    steps:       the steps in order
    figures:     folder that collects the figures of all steps

Steps run in order, one after the other. Those that name a `lane` may run beside those of other lanes; a step without a
lane waits for all before it, and all after it wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lit_experiments.cli import configs
from lit_experiments.errors import UserError

_FILE_KEYS = ("description", "extends", "shared", "options", "steps", "figures")
_STEP_KEYS = ("run", "options", "needs", "number", "name", "lane")
_COMMAND_LINE_ONLY = ("restart", "dry_run", "config", "steps", "jobs")


@dataclass(frozen=True)
class Step:
    """One verb with one experiment.

    run: its folder; "{run}" stands for the pipeline's. options: of its own, "{run}" likewise. needs: options that this
    step cannot go without when another model or preset is given; its own values belong to the embedded model. number,
    name: what `--steps` calls it; several steps may have the same. lane: steps of other lanes may run beside it; None:
    no other step may.
    """

    verb: str
    exp: str
    run: str
    options: dict[str, Any]
    needs: tuple[str, ...]
    number: int
    name: str
    lane: str | None = None

    def __str__(self) -> str:
        label = self.name if self.name == self.exp else f"{self.name} ({self.exp})"
        return f"{self.number} {label}: {self.verb}"


@dataclass(frozen=True)
class Pipeline:
    """A pipeline. file: where it was read. shared: options of every step that knows them; by_step: {step's name:
    options of that step}; both are weaker than the command line. figures: folder of all figures, "{run}" as in steps.
    """

    name: str
    file: Path
    steps: tuple[Step, ...]
    shared: dict[str, Any] = field(default_factory=dict)
    by_step: dict[str, dict[str, Any]] = field(default_factory=dict)
    figures: str | None = None

    def step_options(self, step: Step) -> dict[str, Any]:
        """The file's options for this step alone, under its name or its experiment's."""
        return {**self.by_step.get(step.exp, {}), **self.by_step.get(step.name, {})}


def read_pipeline(name: str | None, config: str | None = None) -> Pipeline:
    """A pipeline by its name, by a file of the user's, or by its name with such a file on top.

    Raises:
        UserError: neither is given, unknown name or key, or a step that is not `verb: experiment`.
    """
    base = None if name is None else _read(name, configs.find("pipelines", name))
    if config is None:
        if base is None:
            raise UserError(f"Which pipeline? Known: {_known_names()}.\nNext: lit-experiments run --help")
        return base
    return _read(name or Path(config).stem, Path(config), base)


def choose(pipeline: Pipeline, selection: str | None) -> list[Step]:
    """The steps that `--steps` names, in the pipeline's order: numbers, ranges and names, with commas or spaces between
    them ("2,5-6,clustering"); all of them for None.

    Raises:
        UserError: a number, range or name that no step has.
    """
    if selection is None:
        return list(pipeline.steps)
    words = selection.replace(",", " ").split()
    chosen = [_matching(pipeline, word) for word in words]
    return [step for step in pipeline.steps if any(step in some for some in chosen)]


def step_lines(steps: Sequence[Step]) -> str:
    """A line for each step: number, name, what it does."""
    width = max((len(step.name) for step in steps), default=0)
    return "\n".join(f"  {step.number:>3}  {step.name:<{width}}  {step.verb} --exp {step.exp}" for step in steps)


def _known_names() -> str:
    return ", ".join(configs.available("pipelines"))


def _matching(pipeline: Pipeline, word: str) -> list[Step]:
    first, dash, last = word.partition("-")
    numbers = range(0)
    if first.isdigit() and (last.isdigit() or not dash):
        numbers = range(int(first), int(last or first) + 1)
    known = {step.number for step in pipeline.steps}
    steps = [s for s in pipeline.steps if word in (s.name, s.exp) or s.number in numbers]
    if steps and (not numbers or {numbers[0], numbers[-1]} <= known):
        return steps
    raise UserError(
        f'--steps: pipeline {pipeline.name} has no step "{word}".{configs.nearest(word, _names(pipeline))} Its steps:\n'
        f"{step_lines(pipeline.steps)}\nNext: give numbers, ranges or names of these, as in --steps "
        f"{pipeline.steps[0].number},{pipeline.steps[-1].name}"
    )


def _names(pipeline: Pipeline) -> list[str]:
    """What steps are called: their names, and those of their experiments."""
    return list(dict.fromkeys(name for step in pipeline.steps for name in (step.name, step.exp)))


def _read(name: str, path: Path, base: Pipeline | None = None, above: tuple[Path, ...] = ()) -> Pipeline:
    """One file, on top of the pipeline that it extends, or of `base`. above: the files that extend this one."""
    content = configs.read_yaml(path)
    _check_keys(path, content)
    if content.get("extends") is not None:
        base = _extended(str(content["extends"]), path, above)
    steps = tuple(_step(path, place, step) for place, step in enumerate(content.get("steps") or [], start=1))
    base = base or Pipeline(name, path, steps)
    steps = steps or base.steps
    if not steps:
        raise UserError(
            f"{path} lists no steps and extends no pipeline.\nNext: add `extends: NAME` to it, or run it on top of a "
            f"pipeline: lit-experiments run NAME --config {path} (NAME: {_known_names()})."
        )
    shared = {**base.shared, **_options(path, "shared", content.get("shared"))}
    by_step = {key: dict(values) for key, values in base.by_step.items()}
    for key, values in _options(path, "options", content.get("options")).items():
        by_step[key] = {**by_step.get(key, {}), **_options(path, f"options of {key}", values)}
    pipeline = Pipeline(name, path, steps, shared, by_step, content.get("figures", base.figures))
    for key in by_step:
        if key not in (names := _names(pipeline)):
            raise UserError(
                f'{path}: options has a step "{key}".{configs.nearest(key, names)} The steps: {", ".join(names)}.'
            )
    return pipeline


def _check_keys(path: Path, content: dict[str, Any]) -> None:
    for key in map(str, content):
        if key not in _FILE_KEYS:
            near = configs.nearest(key, list(_FILE_KEYS))
            raise UserError(f'Unknown key "{key}" in {path}.{near} Allowed: {", ".join(_FILE_KEYS)}.')
    if not isinstance(content.get("steps") or [], list):
        raise UserError(f"{path}: steps must be a list (- verb: experiment lines).")
    if not isinstance(content.get("figures") or "", str):
        raise UserError(f"{path}: figures must name a folder, found {content['figures']!r}.")


def _extended(name: str, path: Path, above: tuple[Path, ...]) -> Pipeline:
    """The pipeline that a file extends; the shipped one where the file is that pipeline's namesake."""
    above = (*above, path.resolve())
    file = configs.find("pipelines", name)
    if file.resolve() in above:
        file = configs.config_folders()[-1] / "pipelines" / f"{name}.yaml"
    if file.resolve() in above or not file.is_file():
        raise UserError(f"{path} extends itself, by way of {name}. Pipelines: {_known_names()}.")
    return _read(name, file, above=above)


def _options(path: Path, what: str, values: Any) -> dict[str, Any]:
    if not isinstance(values or {}, dict):
        raise UserError(f"{path}: {what} must be a mapping (option: value lines), found {type(values).__name__}.")
    named = {str(key): value for key, value in (values or {}).items()}
    for key in named:
        if key in _COMMAND_LINE_ONLY:
            raise UserError(f"{path}: {what}: {key} belongs on the command line: --{key}")
    return named


def _step(path: Path, place: int, step: Any) -> Step:
    where = f"{path}, step {place}"
    verbs = [v for v in configs.VERBS if isinstance(step, dict) and v in step]
    if len(verbs) != 1:
        raise UserError(f"{where}: must name one of {', '.join(configs.VERBS)}, found {step!r}.")
    unknown = sorted(set(map(str, step)) - {*verbs, *_STEP_KEYS})
    if unknown:
        raise UserError(f"{where}: unknown key {unknown[0]!r}; allowed: {', '.join(_STEP_KEYS)}.")
    number = step.get("number", place)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise UserError(f"{where}: number must be a whole number, found {number!r}.")
    needs = step.get("needs") or []
    if not isinstance(needs, list):
        raise UserError(f"{where}: needs must be a list of options, found {needs!r}.")
    options = _options(path, f"options of step {place}", step.get("options"))
    exp = str(step[verbs[0]])
    lane = step.get("lane")
    if not isinstance(lane, str | None):
        raise UserError(f"{where}: lane must be a name, found {lane!r}.")
    run, name = str(step.get("run", "{run}")), str(step.get("name", exp))
    return Step(verbs[0], exp, run, options, tuple(needs), number, name, lane)
