"""`merge`: the runs of shards as one run."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import yaml

import stores
from lit_experiments.cli.places import local_folder
from lit_experiments.cli.store_verbs import run_of, store_path
from lit_experiments.cli.verbs import say
from lit_experiments.collecting import declarations
from lit_experiments.collecting.ended import mark_ended, not_ended, shard_of
from lit_experiments.collecting.shards import missing_shards
from lit_experiments.errors import EXIT_DONE, UserError
from stores.files import open_files

_CONFIG = "config.yaml"


def merge(args: Namespace) -> int:
    """Makes RUN/store of several runs' stores, with the configuration and declarations of the first."""
    paths = [store_path(run) for run in args.runs]
    repeated = next((path for place, path in enumerate(paths) if path in paths[:place]), None)
    if repeated is not None:
        raise UserError(f"{repeated} was named twice.\nNext: name each run once.")
    out = local_folder("--out", args.out)
    if (out / "store").exists():
        raise UserError(f"--out {args.out} holds a store already.\nNext: name a folder that does not exist yet.")
    merged = stores.merge(paths, out / "store")
    _take_along(run_of(paths[0]), out)
    open_ends = _open_ends(paths)
    if not open_ends:
        mark_ended(out, stores.open_store(out / "store"))
    say(f"{merged.rows:,} rows of {len(paths)} runs in {out / 'store'}")
    say(f"  commits: {merged.linked} linked, {merged.copied} copied, {merged.rewritten} written again")
    if merged.shared:
        say(f"  {merged.shared:,} samples were in more than one run, equal in all")
    for line in open_ends:
        say(f"  not all is there: {line}")
    if open_ends:
        say(f"Next: the collect command without --shard and with --run {out} collects what is missing")
    else:
        say(f"Next: lit-experiments inspect {out}")
    return EXIT_DONE


def _take_along(first: str, out: Path) -> None:
    """What lies next to a store and says how to read it, and how to go on with it."""
    files = open_files(first)
    if files.exists(declarations.NAME):
        (out / declarations.NAME).write_bytes(files.read(declarations.NAME))
    if files.exists(_CONFIG) and not (out / _CONFIG).exists():
        settings = yaml.safe_load(files.read(_CONFIG)) | {"run": str(out), "shard": None}
        (out / _CONFIG).write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _open_ends(paths: list[str]) -> list[str]:
    """Why the runs together are not known to be whole; nothing where they are."""
    lines, shards = [], []
    for path in paths:
        reason = not_ended(run_of(path), stores.open_store(path))
        if reason:
            lines.append(f"{path}: {reason}")
        else:
            shards.append(_shard(path))
    missing = missing_shards(shards)
    return [*lines, f"no run of shard {missing} was named"] if missing and not lines else lines


def _shard(path: str) -> str | None:
    try:
        return shard_of(run_of(path))
    except (stores.CorruptStore, ValueError):  # a store that no collection of ours made
        return None
