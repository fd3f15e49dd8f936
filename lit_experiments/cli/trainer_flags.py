"""Which Trainer arguments `--trainer.KEY` takes, of which type; loggers, callbacks and profilers from their YAML.

Names and types come from the Trainer's own signature. A flag that would break what a run promises, or that would do
nothing, is refused by name.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lit_experiments.cli import configs
from lit_experiments.cli.class_values import build, typed
from lit_experiments.cli.places import local_folder
from lit_experiments.cli.signatures import Argument, arguments
from lit_experiments.errors import UserError
from lit_experiments.ranges import at_least

TRAINER = "lightning.pytorch.trainer.trainer.Trainer"
_OWN_OPTIONS = ("accelerator", "devices", "num_nodes", "precision", "strategy")
_TAKEN = ["logger", "callbacks", "profiler", "log_every_n_steps", "default_root_dir", "enable_progress_bar"]
_TAKEN += ["enable_autolog_hparams", "deterministic", "benchmark", "detect_anomaly"]
_TAKEN_BY = {"collect": _TAKEN, "train": [*_TAKEN, "enable_model_summary"]}
VERBS = tuple(_TAKEN_BY)
_REASONS = {
    "use_distributed_sampler": "the rows are shared out here, so that none is lost and none comes twice",
    "fast_dev_run": "what it leaves would pass for a finished run. Next: --limit N, or --dry_run for a collection",
    "limit_predict_batches": "it would leave rows out. Next: --limit N",
    "enable_checkpointing": "a collection resumes from its store, and a training needs its checkpoints to resume",
    "barebones": "it takes away what writes rows and checkpoints",
    "plugins": "they change how numbers are computed or how processes talk. Next: see --precision and --strategy",
    "inference_mode": "a collection always runs in inference mode, and a fit never",
}
_NO_EFFECT = {
    "collect": "it has no effect on a collection",
    "train": "a fit here is exact: it passes over all rows, and ends by itself",
}
_BASES = {
    "logger": ("lightning.pytorch.loggers", "Logger"),
    "callbacks": ("lightning.pytorch.callbacks", "Callback"),
    "profiler": ("lightning.pytorch.profilers", "Profiler"),
}
_SHORT = {
    "csv": "CSVLogger",
    "tensorboard": "TensorBoardLogger",
    "wandb": "WandbLogger",
    "mlflow": "MLFlowLogger",
    "comet": "CometLogger",
    "simple": "SimpleProfiler",
    "advanced": "AdvancedProfiler",
    "pytorch": "PyTorchProfiler",
}


def flags(verb: str) -> list[Argument]:
    """The Trainer arguments that a verb takes, read from the Trainer's source; nothing heavy is imported."""
    return [a for a in arguments(TRAINER) if a.name in _TAKEN_BY[verb]]


def checked(verb: str, trainer: dict[str, Any], extra: Iterable[str] = ()) -> dict[str, Any]:
    """The flags with their values typed; loggers, callbacks and profilers stay as they were written.

    extra: further flags that the class behind the verb makes use of (its `trainer_flags`).

    Raises:
        UserError: an unknown flag or one that is not taken, a wrong type, an unknown class or argument of a class.
    """
    _check_names(verb, trainer, extra)
    values = {key: _read(key, value, Path(), keep=False) for key, value in trainer.items()}
    return {key: trainer[key] if key in _BASES else value for key, value in values.items()}


def _check_names(verb: str, trainer: dict[str, Any], extra: Iterable[str]) -> None:
    known = [a.name for a in arguments(TRAINER)]
    taken = [*_TAKEN_BY[verb], *extra]
    for key in trainer:
        if key in _OWN_OPTIONS:
            raise UserError(f"--trainer.{key}: this is an option by itself, and checked as such. Next: --{key} VALUE")
        if key not in known:
            near = configs.nearest(key, known)
            raise UserError(f"--trainer.{key}: the Trainer has no such argument.{near} Taken: {', '.join(taken)}.")
        if key not in taken:
            reason = _REASONS.get(key, _NO_EFFECT[verb])
            raise UserError(f"--trainer.{key} is not taken: {reason}.\nTaken: {', '.join(taken)}.")


def build_flags(trainer: dict[str, Any], root: Path) -> dict[str, Any]:
    """Arguments for `Trainer(...)`, with loggers, callbacks and profilers made.

    root: the folder for what they write, where none is named.

    Raises:
        UserError: as `checked`; or one of them cannot be made, because a package is missing for instance.
    """
    _check_environment()
    values = {key: _read(key, value, root, keep=True) for key, value in trainer.items()}
    return {"default_root_dir": str(root)} | values


def _check_environment() -> None:
    """Lightning takes defaults of its Trainer from the environment, where nobody sees or saves them."""
    hidden = [name for name in os.environ if name.startswith("PL_TRAINER_")]
    if hidden:
        raise UserError(f"{hidden[0]} is set in the environment.\nNext: unset it, and give the flag as an option.")


def _read(key: str, value: Any, root: Path, keep: bool) -> Any:
    """The value of one flag, checked; objects are made if they are to be kept."""
    if key not in _BASES or value is None or (key == "logger" and isinstance(value, bool)):
        checked_value = typed(f"trainer.{key}", value, _annotation(key))
        if key == "default_root_dir" and checked_value is not None:
            local_folder(f"--trainer.{key}", str(checked_value))
        if key == "log_every_n_steps":
            at_least(0, **{f"trainer.{key}": checked_value})
        return checked_value
    values = value if isinstance(value, list) else [value]
    if key == "profiler" and len(values) != 1:
        raise UserError(f"--trainer.profiler takes one profiler, found {len(values)}.")
    made = [_object(key, v, root, keep) for v in values]
    return made[0] if key == "profiler" else made


def _annotation(key: str) -> Any:
    from typing import get_type_hints

    from lightning.pytorch import Trainer

    return get_type_hints(Trainer.__init__)[key]


def _object(key: str, value: Any, root: Path, keep: bool) -> Any:
    from importlib import import_module

    package, base_name = _BASES[key]
    module = import_module(package)
    base = getattr(module, base_name)
    spec = {"class_path": value} if isinstance(value, str) else value
    if not isinstance(spec, dict) or not isinstance(spec.get("class_path"), str):
        raise UserError(
            f"--trainer.{key}: a {base_name.lower()} is a name such as {_example(key)}, or a mapping with class_path "
            f"and init_args; found {value!r}."
        )
    unknown = sorted(set(spec) - {"class_path", "init_args"})
    if unknown:
        raise UserError(f"--trainer.{key}: unknown key {unknown[0]!r} next to class_path; allowed: init_args.")
    path = _full_path(key, spec["class_path"], module, base)
    cls = typed_class(path, base, f"--trainer.{key}")
    arguments_given = spec.get("init_args") or {}
    if not isinstance(arguments_given, dict):
        raise UserError(f"--trainer.{key}: init_args must be a mapping, found {arguments_given!r}.")
    # A profiler without a file would report to Lightning's log, which is kept off the screen.
    places = _logger_places(root, arguments_given) if key == "logger" else {"dirpath": str(root), "filename": "profile"}
    filled = {
        name: place for name, place in places.items() if key != "callbacks" and _lacks(cls, name, arguments_given)
    }
    return build(f"trainer.{key}", base, path, {**filled, **arguments_given}, keep)


def _logger_places(root: Path, arguments: dict[str, Any]) -> dict[str, str]:
    """Arguments of loggers that say where they write. MLflow 3 refuses folders of files, and takes a database."""
    if arguments.get("tracking_uri") or os.environ.get("MLFLOW_TRACKING_URI"):
        return {"save_dir": str(root)}
    base = root.absolute()
    store = {"tracking_uri": f"sqlite:///{base}/mlflow.db", "artifact_location": f"{base.as_uri()}/mlartifacts"}
    return {"save_dir": str(root), **store}


def _example(key: str) -> str:
    return {"logger": "csv or TensorBoardLogger", "callbacks": "DeviceStatsMonitor", "profiler": "simple"}[key]


def _lacks(cls: type, name: str, arguments: dict[str, Any]) -> bool:
    return name in inspect.signature(cls).parameters and arguments.get(name) is None


def _full_path(key: str, name: str, module: Any, base: type) -> str:
    """A short name's dotted one; dotted names stay."""
    if "." in name:
        return name
    classes = [n for n in dir(module) if inspect.isclass(c := getattr(module, n)) and issubclass(c, base)]
    name = _SHORT.get(name, name)
    if name not in classes:
        known = [*classes, *(short for short, long in _SHORT.items() if long in classes)]
        raise UserError(
            f"--trainer.{key}: Lightning has no {base.__name__.lower()} {name!r}.{configs.nearest(name, known)} "
            f"Known: {', '.join(sorted(known))}; others by their dotted name."
        )
    return f"{module.__name__}.{name}"


def typed_class(path: str, base: type, where: str) -> type:
    """The class of a dotted name, which must be a kind of `base`.

    Raises:
        UserError: no such module or class, or of another kind.
    """
    from lit_experiments.cli.class_values import import_class

    cls = import_class(path, where)
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise UserError(f"{where}: {path} is no {base.__name__}.")
    return cls
