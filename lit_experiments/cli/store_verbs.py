"""`inspect` and `export`: what can be done with a store without a model."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import stores
from lit_experiments.cli import configs
from lit_experiments.cli.places import local_folder, local_path
from lit_experiments.cli.store_parsers import COMPRESSIONS, FORMATS
from lit_experiments.cli.verbs import say
from lit_experiments.errors import EXIT_DONE, UserError
from lit_experiments.reports.store_summary import differences, first_rows, store_summary
from stores.files import open_files

_OURS = "lit_experiments."
_IN_OWN_LAYOUT = ("npy", "json")  # formats that a study may write in a layout of its own


def inspect(args: Namespace) -> int:
    """Prints what a store holds, what its study has to say of it, and how it differs from another one."""
    if args.examples < 0:
        raise UserError(f"--examples must be at least 0, found {args.examples}.")
    path = store_path(args.run)
    other = None if args.compare_with is None else stores.open_store(store_path(args.compare_with))
    say(store_summary(stores.inspect(path)))
    store, study = stores.open_store(path), _study(path, args.exp)
    describe, compare = getattr(study, "describe", None), getattr(study, "compare", None)
    if describe is not None:
        say("\n" + describe(store, args.examples))
    elif args.examples:
        say("\n" + first_rows(store, args.examples))
    if other is not None:
        say("\n" + differences(store, other))
        if compare is not None and _class_path(other) == _class_path(store):
            say("\n" + compare(store, other))
    return EXIT_DONE


def export(args: Namespace) -> int:
    """Writes a store, or a trained probe, in a format that other tools read."""
    known = [*FORMATS, "json", "sklearn"]
    if args.format not in known:
        near = configs.nearest(args.format, known)
        raise UserError(f'Unknown --format "{args.format}".{near} Allowed: {", ".join(known)}.')
    if args.compression is not None and (args.format != "hdf5" or args.compression not in COMPRESSIONS):
        near = configs.nearest(args.compression, list(COMPRESSIONS))
        raise UserError(
            f'--compression "{args.compression}" does not go with --format {args.format}.{near} '
            f"With --format hdf5: {', '.join(COMPRESSIONS)}."
        )
    out = local_path("--out", args.out)
    local_folder("--out", str(out.parent))
    if args.format == "sklearn":
        from lit_experiments.probes.sklearn_files import write_pipelines, write_sklearn

        _refuse_layout(args)
        folder = local_folder("RUN", args.run)
        files = {} if (folder / "probe.json").is_file() else _sklearn_files(folder)
        write_pipelines(files, out) if files else write_sklearn(folder, out)
    else:
        _export_store(store_path(args.run), args, out)
    say(f"Wrote {out}")
    return EXIT_DONE


def _sklearn_files(folder: Path) -> dict[str, Path]:
    """File name -> probe folder of the results of a finished training; empty where its task has no such names."""
    config = folder / "config.yaml"
    if not ((folder / "results.json").is_file() and config.is_file()):
        return {}
    name = str(configs.read_yaml(config).get("class_path", ""))
    if not name.startswith("lit_experiments."):  # what a file names is imported only if it is ours
        return {}
    from lit_experiments.cli.class_values import import_class

    naming = getattr(import_class(name), "sklearn_files", None)
    return {} if naming is None else naming(folder)


def store_path(run: str) -> str:
    """The store of a run's folder or URL, or that itself if it is a store.

    Raises:
        UserError: there is none.
        stores.StoreError: a URL that no store can have.
    """
    if not run:
        raise UserError("RUN is empty; give the folder of a run, e.g. runs/tempnorm.")
    for candidate in (f"{run.rstrip('/')}/store", run):
        files = open_files(candidate)
        if files.exists("store.json") or (files.exists("parts") and files.exists("heads")):  # or one that lost it
            return candidate
    known = [str(path) for path in stores.runs_in(Path("runs"))]
    there = f" Runs here: {', '.join(known)}." if known else ""
    place = run if "://" in run else Path(run).absolute()
    raise UserError(
        f"{place} holds no store.{configs.nearest(run, known)}{there}\nNext: lit-experiments collect --help"
    )


def run_of(path: str) -> str:
    """The folder or URL in which a store lies."""
    return path.rstrip("/").rpartition("/")[0] if "://" in path else str(Path(path).parent)


def _export_store(path: str, args: Namespace, out: Path) -> None:
    """In the study's own layout where it has one for this format."""
    kind, store = args.format, stores.open_store(path)
    study = _study(path, args.exp) if kind in (*_IN_OWN_LAYOUT, "jsonl") else None
    layout = getattr(study, f"export_{kind}", None) if kind in _IN_OWN_LAYOUT else None
    if kind == "npy" and layout is not None:
        layout(store, out, args.pad or "right", args.short_names)
        return
    _refuse_layout(args, may_pad=kind == "npy")
    if kind == "json" and layout is None:
        raise UserError(f"{path}: this study has no layout in JSON files.\nNext: --format jsonl, one record per row.")
    if layout is not None:
        layout(store, out)
        return
    shape, header = (
        getattr(study, name, None) if kind == "jsonl" else None for name in ("jsonl_shape", "jsonl_header")
    )
    stores.export(path, kind, out, shape and shape(store), header and header(store), args.compression, args.pad)


def _refuse_layout(args: Namespace, may_pad: bool = False) -> None:
    """Raises UserError for options of npy layouts where that is not what is written."""
    if args.pad and not may_pad:
        raise UserError(f"--pad belongs to --format npy, not to {args.format}.\nNext: leave it out.")
    if args.short_names:
        raise UserError("--short_names belongs to a run of introspection (--format npy).\nNext: leave it out.")


def _study(path: str, exp: str | None) -> Any:
    """The collector class that made a store, or None. It may offer `jsonl_shape`, `jsonl_header`, `export_npy`,
    `export_json`, `describe` and `compare`.

    What a store says is data: a class of another package is imported only where --exp names its configuration.
    """
    from lit_experiments.cli.class_values import import_class

    named = _class_path(stores.open_store(path))
    if exp is not None:
        config, file = configs.load("collect", exp, None)
        if config["class_path"] != named:
            raise UserError(f"--exp {exp} ({file}) is {config['class_path']}, but {path} was made by {named}.")
        return import_class(config["class_path"])
    if named is None:
        return None
    if not named.startswith(_OURS):
        say(f"{path} says that {named} made it, which is not part of lit_experiments; --exp NAME would use it.")
        return None
    return _our_class(named)


def _our_class(named: str) -> Any:
    """A collector of this package; None, and a line that says so, where there is none of that name."""
    from lit_experiments.cli.class_values import import_class
    from lit_experiments.collecting.collector import Collector

    try:
        cls = import_class(named)
    except UserError:
        cls = None
    if isinstance(cls, type) and issubclass(cls, Collector):
        return cls
    say(f"The store says that {named} made it, which this version of lit_experiments does not have.")
    return None


def _class_path(store: stores.Store) -> str | None:
    """The dotted name of the class that made a store, if the store says one."""
    config = store.provenance.get("config")
    named = config.get("class_path") if isinstance(config, dict) else None
    return named if isinstance(named, str) else None
