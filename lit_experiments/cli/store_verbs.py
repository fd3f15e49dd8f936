"""`inspect`, `verify` and `export`: what can be done with a store without a model."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any, NoReturn

import stores
from lit_experiments.cli import configs
from lit_experiments.cli.verbs import say
from lit_experiments.errors import EXIT_DONE, EXIT_FAILED, UserError
from stores.export import COMPRESSIONS, FORMATS
from stores.files import open_files

_OURS = "lit_experiments.experiments."


def inspect(argv: list[str]) -> int:
    """Prints what a store holds, what its study has to say of it, and how it differs from another one."""
    from lit_experiments.reports.store_summary import differences, first_rows, store_summary

    parser = _parser("inspect", "What a store holds: rows, fields, sizes, provenance, and its study's own numbers.")
    parser.add_argument("--examples", type=int, default=0, metavar="N", help="also show the first N samples")
    parser.add_argument("--compare_with", metavar="RUN", help="a second run, to be shown side by side")
    _add_exp(parser)
    args = _parse(parser, argv)
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


def verify(argv: list[str]) -> int:
    """Re-reads everything; exit code 1 and a line for each problem when something is wrong."""
    parser = _parser("verify", "Re-read every byte of a store against its checksums.")
    args = _parse(parser, argv)
    path = store_path(args.run)
    problems = stores.verify(path)
    for problem in problems:
        say(f"{problem.path}: {problem.what}")
    if problems:
        say(f"{len(problems)} problems in {path}.")
        return EXIT_FAILED
    say(f"{path}: every byte as written, {len(stores.open_store(path)):,} rows.")
    return EXIT_DONE


def export(argv: list[str]) -> int:
    """Writes a store, or a trained probe, in a format that other tools read."""
    parser = _parser("export", "Write a store (or a trained ridge) in a format that other tools read.")
    known = [*FORMATS, "sklearn"]
    formats = ", ".join(FORMATS) + "; sklearn for a folder with probe.json"
    parser.add_argument("--format", required=True, metavar="NAME", help=formats)
    parser.add_argument("--out", required=True, metavar="PATH", help="file or folder; must not exist yet")
    packed = f"for hdf5: {', '.join(COMPRESSIONS)} ({COMPRESSIONS[0]} if left out; blosc is quick but needs a plugin)"
    parser.add_argument("--compression", metavar="NAME", help=packed)
    _add_exp(parser)
    args = _parse(parser, argv)
    if args.format not in known:
        near = configs.nearest(args.format, known)
        raise UserError(f'Unknown --format "{args.format}".{near} Allowed: {", ".join(known)}.')
    if args.compression is not None and (args.format != "hdf5" or args.compression not in COMPRESSIONS):
        near = configs.nearest(args.compression, list(COMPRESSIONS))
        raise UserError(
            f'--compression "{args.compression}" does not go with --format {args.format}.{near} '
            f"With --format hdf5: {', '.join(COMPRESSIONS)}."
        )
    if not args.out or "://" in args.out or not open_files(args.out).is_local:
        raise UserError(f'--out needs a file or folder on this machine, found "{args.out}".')
    if args.format == "sklearn":
        _export_sklearn(Path(args.run), Path(args.out))
    else:
        _export_store(store_path(args.run), args)
    say(f"Wrote {args.out}")
    return EXIT_DONE


def _export_sklearn(folder: Path, out: Path) -> None:
    """A fitted scikit-learn Pipeline per target, as a joblib file: {target: pipeline}."""
    import joblib

    from lit_experiments.probes.save import load_probe

    probe = load_probe(folder, None)
    if out.exists():
        raise UserError(f"{out} exists; give another --out or remove it.")
    joblib.dump({target: probe.to_sklearn(target) for target in probe.targets}, out)


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
    known = sorted(str(p.parent.parent) for p in Path("runs").glob("*/store/store.json"))
    there = f" Runs here: {', '.join(known)}." if known else ""
    place = run if "://" in run else Path(run).absolute()
    raise UserError(
        f"{place} holds no store.{configs.nearest(run, known)}{there}\nNext: lit-experiments collect --help"
    )


def _export_store(path: str, args: Namespace) -> None:
    """In the study's own layout where it has one for this format."""
    kind, out, store = args.format, Path(args.out), stores.open_store(path)
    study = _study(path, args.exp) if kind in ("npy", "jsonl") else None
    layout = getattr(study, "export_npy", None) if kind == "npy" else None
    if layout is not None:
        layout(store, out)
        return
    shape, header = (
        getattr(study, name, None) if kind == "jsonl" else None for name in ("jsonl_shape", "jsonl_header")
    )
    stores.export(path, kind, out, shape and shape(store), header and header(store), args.compression)


def _study(path: str, exp: str | None) -> Any:
    """The collector class that made a store, or None. It may offer `jsonl_shape`, `jsonl_header`, `export_npy`,
    `describe` and `compare`.

    What a store says is data: a class of another package is imported only where --exp names its configuration.
    """
    from lit_experiments.cli.parser import import_class

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
    from lit_experiments.cli.parser import import_class
    from lit_experiments.collecting.collector import Collector

    try:
        found = import_class(named)
    except (ImportError, AttributeError):
        found = None
    if isinstance(found, type) and issubclass(found, Collector):
        return found
    say(f"The store says that {named} made it, which this version of lit_experiments does not have.")
    return None


def _class_path(store: stores.Store) -> str | None:
    """The dotted name of the class that made a store, if the store says one."""
    config = store.provenance.get("config")
    named = config.get("class_path") if isinstance(config, dict) else None
    return named if isinstance(named, str) else None


def _add_exp(parser: ArgumentParser) -> None:
    parser.add_argument("--exp", metavar="NAME", help="the store's study, where it is one of your own configs/collect")


class _Parser(ArgumentParser):
    """argparse with our errors: one message, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}.\nNext: {self.prog} --help")


def _parser(verb: str, text: str) -> _Parser:
    parser = _Parser(prog=f"lit-experiments {verb}", description=text)
    parser.add_argument("run", metavar="RUN", help="folder of a run, e.g. runs/tempnorm")
    return parser


def _parse(parser: _Parser, argv: list[str]) -> Namespace:
    return parser.parse_args(argv)
