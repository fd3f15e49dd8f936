"""The collector that filled a store, made again from what the store records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lit_experiments.cli import configs
from lit_experiments.cli.class_values import import_class
from lit_experiments.cli.options import PRECISIONS
from lit_experiments.collecting.collector import Collector
from lit_experiments.collecting.extending import widen
from lit_experiments.collecting.plan import Batch, first_groups, plan_batches
from lit_experiments.errors import EXIT_USER, UserError
from lit_experiments.lm.spec import ModelSpec
from stores import Store, fingerprint_difference

_OURS = "lit_experiments."
_RECORDED = ("model", "adapter", "revision", "precision", "attn", "limit", "batch_tokens", "batch_size")


def rebuilt_collector(store: Store, exp: str | None) -> Collector:
    """The collector of a store, with its recorded model, data and settings; no weights are loaded.

    exp: the name of the user's own experiment, which alone lets a class of another package be imported.

    Raises:
        UserError: the store does not say how it was made; model or data are gone, or are others than recorded.
    """
    config = _recorded(store)
    collector_class = _collector_class(store, config["class_path"], exp)
    options = config["options"]
    try:
        spec = ModelSpec(
            model=options["model"],
            adapter=options["adapter"],
            revision=options["revision"],
            dtype=PRECISIONS[options["precision"]],
            attn=options["attn"],
            started=store.provenance.get("started"),
            device_map=options.get("device_map"),
            quantization=options.get("quantization"),
            engine=options.get("engine", "transformers"),
            tensor_parallel=options.get("tensor_parallel", 1),
            pipeline_parallel=options.get("pipeline_parallel", 1),
        )
        collector: Collector = collector_class(spec, **config["init_args"])
        widen(collector, store)
        fingerprint = collector.fingerprint()
    except (RuntimeError, ValueError, KeyError, TypeError, OSError) as error:
        if not isinstance(error, KeyError | TypeError | OSError) and getattr(error, "exit_code", None) != EXIT_USER:
            raise
        raise _cannot(store, f"what it was made from cannot be read: {error}") from error
    _require_same(store, fingerprint)
    return collector


def planned_batches(store: Store, collector: Collector) -> Sequence[Batch]:
    """The batches that the store's collection was planned in."""
    options = _recorded(store)["options"]
    everyone = collector.samples()
    samples = first_groups(everyone, options["limit"])
    others = [*everyone, *collector.companions()]
    return plan_batches(samples, options["batch_tokens"], options["batch_size"], others)


def _recorded(store: Store) -> dict[str, Any]:
    config = store.provenance.get("config")
    options = config.get("options") if isinstance(config, dict) else None
    missing = [name for name in _RECORDED if not isinstance(options, dict) or name not in options]
    if not isinstance(config, dict) or missing or not isinstance(config.get("init_args"), dict):
        raise _cannot(store, "it does not say how it was collected (only what `collect` made does)")
    return config


def _collector_class(store: Store, named: Any, exp: str | None) -> Any:
    if exp is not None:
        config, file = configs.load("collect", exp, None)
        if config["class_path"] != named:
            raise UserError(f"--exp {exp} ({file}) is {config['class_path']}, but {store.path} was made by {named}.")
    elif not str(named).startswith(_OURS):  # what a store names is imported only if it is ours
        raise _cannot(store, f"{named} made it, which is not part of lit_experiments", "name it with --exp NAME")
    imported = import_class(named)
    if not (isinstance(imported, type) and issubclass(imported, Collector)):
        raise _cannot(store, f"{named} made it, which is no collector of this version")
    return imported


def _require_same(store: Store, fingerprint: dict[str, Any]) -> None:
    changes = fingerprint_difference(store.fingerprint, fingerprint)
    if changes:
        lines = "".join(f"\n  {key}: recorded {before!r:.80}, now {after!r:.80}" for key, before, after in changes)
        raise _cannot(store, f"model, data or settings are not those that are recorded:{lines}")


def _cannot(store: Store, why: str, remedy: str = "bring back the files that it was collected from") -> UserError:
    return UserError(
        f"The rows of {store.path} cannot be recomputed: {why}\nNext: {remedy}; without --recompute the stored bytes "
        "are checked alone. Files that were named without their folder are looked for in the folder you are in."
    )
