"""`list` and `run`: what experiments there are, and several of them in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lit_experiments.cli import configs
from lit_experiments.cli.verbs import say
from lit_experiments.errors import EXIT_DONE, UserError

_RUN_HELP = """Usage: lit-experiments run PIPELINE [--KEY VALUE ...]

A pipeline is a list of steps (configs/pipelines/<name>.yaml).
What is finished is skipped, what was interrupted resumes.
Options are given to every step that knows them: --run, --model, --devices, --limit, --preset, ...

Pipelines:
"""


@dataclass(frozen=True)
class Step:
    """One verb with one experiment, and options of its own."""

    verb: str
    exp: str
    options: dict[str, Any]


def list_experiments(argv: list[str]) -> int:
    """Prints every experiment and pipeline with its one-line description."""
    for kind in (*configs.VERBS, "pipelines"):
        known = configs.available(kind)
        if known:
            say(f"{'run' if kind == 'pipelines' else kind}:")
            for name, path in known.items():
                say(f"  {name:<26} {configs.description(path)}")
    return EXIT_DONE


def read_pipeline(name: str) -> list[Step]:
    """The steps of a pipeline.

    Raises:
        UserError: unknown name, or a step that is not `verb: experiment`.
    """
    path = configs.find("pipelines", name)
    steps = configs.read_yaml(path).get("steps") or []
    parsed = []
    for number, step in enumerate(steps, start=1):
        verbs = [v for v in configs.VERBS if isinstance(step, dict) and v in step]
        if len(verbs) != 1:
            raise UserError(f"{path}, step {number}: must name one of {', '.join(configs.VERBS)}, found {step!r}.")
        parsed.append(Step(verbs[0], step[verbs[0]], step.get("options") or {}))
    return parsed


def run_pipeline(argv: list[str]) -> int:
    """Runs a pipeline's steps in order; stops at the first that does not end well."""
    from lit_experiments.collecting.crew import run_child, worker_command

    if not argv or argv[0] in ("-h", "--help"):
        rows = [f"  {n:<22} {configs.description(p)}" for n, p in configs.available("pipelines").items()]
        say(_RUN_HELP + "\n".join(rows))
        return EXIT_DONE
    name, words = argv[0], argv[1:]
    steps = read_pipeline(name)
    given = _grouped(words)
    _check_known(steps, given)
    for number, step in enumerate(steps, start=1):
        own = {**{k: [f"--{k}={v}"] for k, v in step.options.items()}, **given}
        taken = [word for key, group in own.items() if key in _known(step) for word in group]
        say(f"[{number}/{len(steps)}] {step.verb} --exp {step.exp}")
        code = run_child(worker_command([step.verb, "--exp", step.exp, *taken]))
        if code != EXIT_DONE:
            return code
    return EXIT_DONE


def _known(step: Step) -> set[str]:
    from lit_experiments.cli.options import RUN_OPTIONS
    from lit_experiments.cli.signatures import arguments

    base, _ = configs.load(step.verb, step.exp, None)
    names = {o.name for o in RUN_OPTIONS[step.verb]} | {a.name for a in arguments(base["class_path"])}
    presets = configs.read_yaml(configs.find(step.verb, step.exp)).get("presets")
    return names | ({"preset"} if presets else set())


def _grouped(words: list[str]) -> dict[str, list[str]]:
    """Option name -> its words."""
    groups: dict[str, list[str]] = {}
    current: list[str] = []
    for word in words:
        if word.startswith("--"):
            current = groups.setdefault(word[2:].partition("=")[0].split(".")[0].replace("-", "_"), [])
        current.append(word)
    return groups


def _check_known(steps: list[Step], given: dict[str, list[str]]) -> None:
    known = set().union(*(_known(s) for s in steps))
    for key in given:
        if key not in known:
            raise UserError(f'No step of this pipeline knows "--{key}".{configs.nearest(key, sorted(known))}')
