"""`inspect`, `verify` and `export`: what can be done with a store without a model."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any, NoReturn

import stores
from lit_experiments.cli import configs
from lit_experiments.cli.places import local_folder, local_path
from lit_experiments.cli.verbs import say
from lit_experiments.errors import EXIT_DONE, EXIT_FAILED, UserError
from stores.export import FORMATS


def inspect(argv: list[str]) -> int:
    """Prints what a store holds, what its study has to say of it, and how it differs from another one."""
    from lit_experiments.reports.store_summary import differences, first_rows, store_summary

    parser = _parser("inspect", "What a store holds: rows, fields, sizes, provenance, and its study's own numbers.")
    parser.add_argument("--examples", type=int, default=0, metavar="N", help="also show the first N samples")
    parser.add_argument("--compare_with", metavar="RUN", help="a second run, to be shown side by side")
    args = _parse(parser, argv)
    if args.examples < 0:
        raise UserError(f"--examples must be at least 0, found {args.examples}.")
    path = store_path(args.run)
    other = None if args.compare_with is None else stores.open_store(store_path(args.compare_with))
    say(store_summary(stores.inspect(path)))
    store, study = stores.open_store(path), _study(path)
    describe, compare = getattr(study, "describe", None), getattr(study, "compare", None)
    if describe is not None:
        say("\n" + describe(store, args.examples))
    elif args.examples:
        say("\n" + first_rows(store, args.examples))
    if other is not None:
        say("\n" + differences(store, other))
        if compare is not None and study is _study(store_path(args.compare_with)):
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
    args = _parse(parser, argv)
    if args.format not in known:
        near = configs.nearest(args.format, known)
        raise UserError(f'Unknown --format "{args.format}".{near} Allowed: {", ".join(known)}.')
    out = local_path("--out", args.out)
    local_folder("--out", str(out.parent))
    if args.format == "sklearn":
        _export_sklearn(local_folder("RUN", args.run), out)
    else:
        _export_store(store_path(args.run), args.format, out)
    say(f"Wrote {out}")
    return EXIT_DONE


def _export_sklearn(folder: Path, out: Path) -> None:
    """A fitted scikit-learn Pipeline per target, as a joblib file: {target: pipeline}."""
    import joblib

    from lit_experiments.probes.save import load_probe

    probe = load_probe(folder, None)
    if out.exists():
        raise UserError(f"{out} exists; give another --out or remove it.")
    joblib.dump({target: probe.to_sklearn(target) for target in probe.targets}, out)


def store_path(run: str) -> Path:
    """The store of a run folder, or the folder itself if it is a store."""
    folder = local_folder("RUN", run)
    for candidate in (folder / "store", folder):
        if (candidate / "store.json").exists():
            return candidate
    known = sorted(str(p.parent.parent) for p in Path("runs").glob("*/store/store.json"))
    there = f" Runs here: {', '.join(known)}." if known else ""
    raise UserError(
        f"{folder.absolute()} holds no store.{configs.nearest(run, known)}{there}\nNext: lit-experiments collect --help"
    )


def _export_store(path: Path, kind: str, out: Path) -> None:
    """In the study's own layout where it has one for this format."""
    study = _study(path)
    own = getattr(study, "export_npy", None) if kind == "npy" else None
    if own is not None:
        own(stores.open_store(path), out)
        return
    shape, header = (
        getattr(study, name, None) if kind == "jsonl" else None for name in ("jsonl_shape", "jsonl_header")
    )
    store = stores.open_store(path)
    stores.export(path, kind, out, shape and shape(store), header and header(store))


def _study(path: Path) -> Any:
    """The collector class that made a store; None where the store does not name one. It may offer `jsonl_shape`,
    `jsonl_header`, `export_npy`, `describe` and `compare`.
    """
    from lit_experiments.cli.class_values import import_class

    config = stores.open_store(path).provenance.get("config", {})
    return import_class(config["class_path"]) if "class_path" in config else None


class _Parser(ArgumentParser):
    """argparse with our errors: one message, exit code 2."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}.\nNext: {self.prog} --help")


def _parser(verb: str, text: str) -> _Parser:
    parser = _Parser(prog=f"lit-experiments {verb}", description=text, allow_abbrev=False)
    parser.add_argument("run", metavar="RUN", help="folder of a run, e.g. runs/tempnorm")
    return parser


def _parse(parser: _Parser, argv: list[str]) -> Namespace:
    return parser.parse_args(argv)
