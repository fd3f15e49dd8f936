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
Options are given to every step that knows them: --model, --devices, --limit, --preset, ...
--run DIR is the folder of the first collection (default: runs/PIPELINE); further ones go beside it, as DIR-<name>.
An option that some step sets for itself, such as the adapter of a second collection, goes to those steps alone.

Options of one pipeline: lit-experiments run PIPELINE --help

Pipelines:
"""
_LIST_HELP = """Usage: lit-experiments list [collect|train|analyze|pipelines]

The experiments of each verb and the pipelines that `run` knows, with what each one is.
"""
_KINDS = {"collect": "collect", "train": "train", "analyze": "analyze", "pipelines": "pipelines", "run": "pipelines"}


@dataclass(frozen=True)
class Step:
    """One verb with one experiment.

    run: its folder; "{run}" stands for the pipeline's. options: of its own, "{run}" likewise. needs: options that this
    step cannot go without when another model or preset is given; its own values belong to the embedded model.
    """

    verb: str
    exp: str
    run: str
    options: dict[str, Any]
    needs: tuple[str, ...]


def list_experiments(argv: list[str]) -> int:
    """Prints every experiment and pipeline, or those of one kind, with its one-line description.

    Raises:
        UserError: an unknown kind, or more than one.
    """
    if argv and argv[0] in ("-h", "--help"):
        say(_LIST_HELP)
        return EXIT_DONE
    if len(argv) > 1:
        raise UserError(f"list takes one kind at most, found {' '.join(argv)}. Kinds: {', '.join(_KINDS)}.")
    if argv and argv[0] not in _KINDS:
        near = configs.nearest(argv[0], list(_KINDS))
        raise UserError(f'list: unknown kind "{argv[0]}".{near} Kinds: {", ".join(_KINDS)}.')
    for kind in [_KINDS[word] for word in argv] or dict.fromkeys(_KINDS.values()):
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
    steps = configs.read_yaml(path).get("steps")
    if not isinstance(steps, list) or not steps:
        raise UserError(f"{path}: steps must be a list of `verb: experiment`, found {steps!r}.")
    parsed = []
    for number, step in enumerate(steps, start=1):
        verbs = [v for v in configs.VERBS if isinstance(step, dict) and v in step]
        if len(verbs) != 1:
            raise UserError(f"{path}, step {number}: must name one of {', '.join(configs.VERBS)}, found {step!r}.")
        unknown = sorted(set(step) - {*verbs, "run", "options", "needs"})
        if unknown:
            raise UserError(f"{path}, step {number}: unknown key {unknown[0]!r}; allowed: run, options, needs.")
        for key, kind in (("run", str), ("options", dict), ("needs", list), (verbs[0], str)):
            if not isinstance(step.get(key), kind | None):
                allowed = {dict: "a mapping", list: "a list"}.get(kind, "text")
                raise UserError(f"{path}, step {number}: {key} must be {allowed}, found {step[key]!r}.")
        about = (step.get("run", "{run}"), step.get("options") or {}, tuple(step.get("needs") or ()))
        parsed.append(Step(verbs[0], step[verbs[0]], *about))
    return parsed


def run_pipeline(argv: list[str]) -> int:
    """Runs a pipeline's steps in order; stops at the first that does not end well."""
    from lit_experiments.collecting.crew import run_child, worker_command

    if not argv or argv[0] in ("-h", "--help"):
        rows = [f"  {n:<22} {configs.description(p)}" for n, p in configs.available("pipelines").items()]
        say(_RUN_HELP + "\n".join(rows))
        return EXIT_DONE
    if "-h" in argv or "--help" in argv:
        say(pipeline_help(argv[0]))
        return EXIT_DONE
    planned = commands(argv[0], argv[1:])
    if argv[1:]:
        _check_options(planned)
    for number, (step, command) in enumerate(planned, start=1):
        say(f"[{number}/{len(planned)}] {step.verb} --exp {step.exp}")
        if command is None:
            say(f"Left out: its {_names(step.needs)} belongs to the embedded model. Give yours to have this step too.")
            continue
        code = run_child(worker_command(command))
        if code != EXIT_DONE:
            return code
    return EXIT_DONE


def pipeline_help(name: str) -> str:
    """What a pipeline does, and the options of all its steps; nothing heavy is imported."""
    from lit_experiments.cli.help import options_of, shared_options

    steps = read_pipeline(name)
    lines = [f"  {i}. {step.verb} --exp {step.exp}" for i, step in enumerate(steps, start=1)]
    text = (
        f"Usage: lit-experiments run {name} [--KEY VALUE ...]\n\n{configs.description(configs.find('pipelines', name))}"
    )
    text += "\n\nSteps:\n" + "\n".join(lines) + "\n"
    distinct = dict.fromkeys((step.verb, step.exp) for step in steps)
    text += "".join("\n" + options_of(verb, *configs.load(verb, exp, None), exp) for verb, exp in distinct)
    verbs = [verb for verb in ("collect", "train") if any(step.verb == verb for step in steps)]
    return text + shared_options(verbs)


def _check_options(planned: list[tuple[Step, list[str] | None]]) -> None:
    """Finds a mistake in the options of a late step before the first one runs.

    Raises:
        UserError: options that do not resolve, or that a training or an analysis does not take.
    """
    from lit_experiments.cli.class_values import import_class
    from lit_experiments.cli.parser import resolve, select
    from lit_experiments.cli.verbs import check_options

    for step, command in planned:
        if command is None:
            continue
        resolved = resolve(step.verb, select(step.verb, command[1:]))
        check_options(resolved)
        if step.verb != "collect":
            import_class(resolved.class_path)(**resolved.init_args)


def commands(name: str, words: list[str]) -> list[tuple[Step, list[str] | None]]:
    """A pipeline's steps with the command of each, None for one that lacks what it needs.

    words: the options given to the pipeline.

    Raises:
        UserError: unknown pipeline, an option that no step knows, or one without its value.
    """
    steps, given = read_pipeline(name), _grouped(words)
    _check_known(steps, given)
    folder = _folder(name, given)
    planned: list[tuple[Step, list[str] | None]] = []
    for step in steps:
        if _lacks(step, given):
            planned.append((step, None))
            continue
        taken = [word for group in _options(step, steps, given, folder).values() for word in group]
        planned.append((step, [step.verb, "--exp", step.exp, *taken]))
    return planned


def _names(options: tuple[str, ...]) -> str:
    return " and ".join(f"--{name}" for name in options)


def _folder(name: str, given: dict[str, list[str]]) -> str:
    """The first collection's folder."""
    preset = _value(given["preset"]) if "preset" in given else None
    return _value(given["run"]) if "run" in given else f"runs/{name}" + (f"-{preset}" if preset else "")


def _value(words: list[str]) -> str:
    """The value of `--key value` or `--key=value`.

    Raises:
        UserError: there is none.
    """
    value = words[0].partition("=")[2] if "=" in words[0] else (words[1] if len(words) > 1 else "")
    if not value:
        raise UserError(f"{words[0].rstrip('=')} needs a value.\nNext: lit-experiments run --help")
    return value


def _lacks(step: Step, given: dict[str, list[str]]) -> bool:
    """Whether another model or preset was given without the options that this step needs then."""
    elsewhere = "preset" in given or ("model" in given and _value(given["model"]) != "embedded")
    return elsewhere and any(key not in given for key in step.needs)


def _options(step: Step, steps: list[Step], given: dict[str, list[str]], folder: str) -> dict[str, list[str]]:
    """The words of each option that a step gets: its folder, its own, and those given that are meant for it."""
    own = {key: str(value).replace("{run}", folder) for key, value in step.options.items()}
    reserved = {key for other in steps for key in other.options} - set(own)
    meant = {k: words for k, words in given.items() if k in _known(step) and k not in reserved and k != "run"}
    written = {"run": step.run.replace("{run}", folder), **own}
    return {key: [f"--{key}={value}"] for key, value in written.items()} | meant


def _known(step: Step) -> set[str]:
    from lit_experiments.cli.options import RUN_OPTIONS
    from lit_experiments.cli.signatures import arguments

    base, _ = configs.load(step.verb, step.exp, None)
    names = {o.name for o in RUN_OPTIONS[step.verb]} | {a.name for a in arguments(base["class_path"])}
    presets = configs.read_yaml(configs.find(step.verb, step.exp)).get("presets")
    return names | ({"preset"} if presets else set())


def _grouped(words: list[str]) -> dict[str, list[str]]:
    """Option name -> its words: `--name=value`, or `--name` and maybe a value.

    Raises:
        UserError: a word that belongs to no option.
    """
    groups: dict[str, list[str]] = {}
    current: list[str] = []
    waiting = False  # whether the last option may still get its value
    for word in words:
        is_option = word.startswith("--")
        if not is_option and not waiting:
            raise UserError(f'"{word}" belongs to no option: options are given as --name VALUE.')
        waiting = is_option and "=" not in word
        if is_option:
            current = groups.setdefault(word[2:].partition("=")[0].split(".")[0].replace("-", "_"), [])
        current.append(word)
    return groups


def _check_known(steps: list[Step], given: dict[str, list[str]]) -> None:
    known = set().union(*(_known(s) for s in steps))
    for key in given:
        if key not in known:
            raise UserError(f'No step of this pipeline knows "--{key}".{configs.nearest(key, sorted(known))}')
