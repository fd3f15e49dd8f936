"""`list` and `run`: what experiments there are, and several of them in order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lit_experiments.cli import configs
from lit_experiments.cli.pipeline_children import PipelineChildren
from lit_experiments.cli.pipeline_commands import (
    Given,
    Planned,
    given_to,
    grouped,
    pipeline_folder,
    plan,
    value_of,
    values_of,
)
from lit_experiments.cli.pipeline_file import Pipeline, choose, read_pipeline, step_lines
from lit_experiments.cli.pipeline_run import jobs_at_once, run_steps
from lit_experiments.cli.verbs import say
from lit_experiments.cli.working_copy import run_place, working_copies
from lit_experiments.errors import EXIT_DONE, EXIT_STOPPED, EXIT_USER, UserError
from lit_experiments.launch import current

_RUN_HELP = """Usage: lit-experiments run PIPELINE [--steps WHICH] [--jobs N] [--dry_run] [--config FILE] [--KEY VALUE]

A pipeline is a list of steps (configs/pipelines/<name>.yaml).
What is finished is skipped, what was interrupted resumes.
Options are given to every step that knows them: --model, --devices, --limit, --preset, ...
--run DIR is the folder of the first collection (default: runs/PIPELINE); further ones go next to it, as DIR-<name>.
An option that some step sets for itself, such as the adapter of a second collection, goes to those steps alone.

--steps 2,5-6,clustering  only these steps, by number, range or name.
--jobs N                  steps that do not wait for each other run side by side, at most N at a time. Default: one per
                          processor with the embedded model, 1 with a model, preset or devices of your own, or a GPU.
--dry_run                 what each step would take: samples, tokens, bytes, memory, time. Nothing is written.
--config FILE             options in a YAML file: `shared:` for every step that knows them, `options: {STEP: {...}}`
                          for single steps. With `extends: PIPELINE` in it, or `steps:`, it is a pipeline by itself:
                          lit-experiments run --config FILE. Options of the command line are stronger.

Options of one pipeline: lit-experiments run PIPELINE --help

Pipelines:
"""
_LIST_HELP = """Usage: lit-experiments list [collect|train|analyze|pipelines]

The experiments of each verb and the pipelines that `run` knows, with what each one is.
"""
_KINDS = {"collect": "collect", "train": "train", "analyze": "analyze", "pipelines": "pipelines", "run": "pipelines"}


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


def run_pipeline(argv: list[str], again: Callable[[list[str]], None] | None = None) -> int:
    """Runs a pipeline's steps in order; stops at the first that does not end well.

    Args:
        argv: the words after "run".
        again: see `cli.main`.

    Raises:
        UserError: unknown pipeline, step or option, or a value of the wrong type for any of the steps.
    """
    if not argv or argv[0] in ("-h", "--help"):
        rows = [f"  {n:<22} {configs.description(p)}" for n, p in configs.available("pipelines").items()]
        say(_RUN_HELP + "\n".join(rows))
        return EXIT_DONE
    if "-h" in argv or "--help" in argv:
        say(pipeline_help(argv[0]))
        return EXIT_DONE
    name = None if argv[0].startswith("--") else argv[0]
    typed = grouped(argv if name is None else argv[1:])
    config = value_of(typed.pop("config")) if "config" in typed else None
    jobs = value_of(typed.pop("jobs")) if "jobs" in typed else None
    steps_given = " ".join(values_of(typed.pop("steps"))) if "steps" in typed else None
    dry_run = typed.pop("dry_run", None) is not None
    if "shard" in typed:
        raise UserError(
            "--shard divides a collection, not a pipeline.\nNext: lit-experiments collect --exp NAME --shard 1/2, the "
            "other shards elsewhere, and lit-experiments merge RUN RUN --out RUN"
        )
    pipeline = read_pipeline(name, config)
    run = value_of(typed["run"]) if "run" in typed else ""
    url = run.rstrip("/") if "://" in run and not run.startswith("file:") else None
    if url is not None:
        typed["run"] = [f"--run={run_place('--run', url)}"]
    given = given_to(pipeline, typed)
    planned = plan(pipeline, given)
    steps = choose(pipeline, steps_given)
    chosen = [planned_step for planned_step in planned if planned_step.step in steps]
    _check_alone(pipeline.name)
    children = PipelineChildren(again)
    _check_options(chosen)
    with working_copies(Path(pipeline_folder(pipeline, given)), url, [planned_step.folder for planned_step in planned]):
        if dry_run:
            from lit_experiments.cli.pipeline_preview import preview

            return preview(planned, chosen, children)
        code, failed = run_steps(chosen, children, jobs_at_once(jobs, chosen, given))
        if code == EXIT_USER and failed is not None:
            _point_to_inputs(pipeline, planned, failed)
        if code != EXIT_STOPPED:
            _gather_figures(pipeline, given, planned)
        return code


def _check_alone(name: str) -> None:
    """Raises UserError, with words in the first process only, where a launcher has started several processes."""
    launch = current()
    if launch.is_external:
        words = f"{launch.starter} has started {launch.world_size} processes; a pipeline starts its own.\nNext: "
        raise UserError(f"{words}lit-experiments run {name} --devices {launch.local_size}" if launch.rank == 0 else "")


def pipeline_help(name: str) -> str:
    """What a pipeline does, and the options of all its steps; nothing heavy is imported."""
    from lit_experiments.cli.help import options_of, shared_options

    pipeline = read_pipeline(name)
    text = (
        f"Usage: lit-experiments run {name} [--steps WHICH] [--dry_run] [--config FILE] [--KEY VALUE ...]\n\n"
        f"{configs.description(pipeline.file)}\n\nSteps:\n{step_lines(pipeline.steps)}\n"
    )
    distinct = dict.fromkeys((step.verb, step.exp) for step in pipeline.steps)
    text += "".join("\n" + options_of(verb, *configs.load(verb, exp, None), exp) for verb, exp in distinct)
    verbs = [verb for verb in ("collect", "train") if any(step.verb == verb for step in pipeline.steps)]
    return text + shared_options(verbs)


def _check_options(chosen: Sequence[Planned]) -> None:
    """Finds a mistake in the options of a late step before the first one runs.

    Raises:
        UserError: options that do not resolve, or that a training or an analysis does not take.
    """
    from lit_experiments.cli.class_values import import_class
    from lit_experiments.cli.parser import resolve, select
    from lit_experiments.cli.verbs import check_options

    for planned in chosen:
        if planned.command is None:
            continue
        resolved = resolve(planned.step.verb, select(planned.step.verb, planned.command[1:]))
        check_options(resolved)
        if planned.step.verb != "collect":  # a collector reads its data, which an earlier step may have to write first
            import_class(resolved.class_path)(**resolved.init_args)


def _point_to_inputs(pipeline: Pipeline, planned: Sequence[Planned], failed: Planned) -> None:
    """Names the earlier steps that have not run and whose results the failed one may have missed."""
    missing = [planned_step.step for planned_step in failed.inputs(planned) if not planned_step.output.exists()]
    if missing:
        numbers = ",".join(str(n) for n in dict.fromkeys(step.number for step in [*missing, failed.step]))
        names = "; ".join(str(step) for step in missing)
        sys.stderr.write(
            f"Step {failed.step} reads what these steps write, and they have not run: {names}.\n"
            f"Next: lit-experiments run {pipeline.name} --steps {numbers} (with the same other options)\n"
        )


def _gather_figures(pipeline: Pipeline, given: Given, planned: Sequence[Planned]) -> None:
    """All figures of all steps that have run, now or before, in one folder with an index."""
    if pipeline.figures is None:
        return
    from lit_experiments.reports.gallery import Chapter, write_gallery

    analyzed = [planned_step for planned_step in planned if planned_step.step.verb != "collect"]
    numbers = [planned_step.step.number for planned_step in analyzed]
    chapters = []
    for planned_step in analyzed:
        step = planned_step.step
        label = str(step.number) if numbers.count(step.number) == 1 else f"{step.number}-{step.exp}"
        chapters.append(Chapter(label, str(step), Path(planned_step.folder) / step.exp))
    folder = Path(pipeline.figures.replace("{run}", pipeline_folder(pipeline, given)))
    index = write_gallery(folder, pipeline.name, chapters)
    if index is not None:
        say(f"All figures: {index}")
