"""`verify` and `certificate`: whether a store holds what was written, certified, and what its model computes."""

from __future__ import annotations

import json
import re
from argparse import Namespace

import stores
from lit_experiments.cli.places import local_path, new_file
from lit_experiments.cli.store_verbs import run_of, store_path
from lit_experiments.cli.verbs import say
from lit_experiments.collecting.ended import not_ended
from lit_experiments.errors import EXIT_DONE, EXIT_FAILED, UserError
from lit_experiments.plain import write_json
from lit_experiments.tasks.certificates import Certified, remember
from lit_experiments.units import byte_count
from stores import Certificate, Store

_ROOT = re.compile(r"[0-9a-f]{64}")
_COUNT = re.compile(r"([0-9]+)|([0-9]+(?:\.[0-9]+)?)%")


def certificate(args: Namespace) -> int:
    """Reads a whole store and prints its certificate; remembers it in the run's folder."""
    path = store_path(args.run)
    out = None if args.json is None else new_file("--json", args.json)
    store = stores.open_store(path)
    reason = not_ended(run_of(path), store)
    if reason:
        raise UserError(
            f"{path} has no certificate: {reason}.\nNext: run its collect command (again); it goes on where it was, "
            "and has nothing to do where nothing is left."
        )
    certified = stores.certify(store)
    remember(run_of(path), Certified(certified.root, "", certified.rows, stores.commits_key(store)))
    if out is not None:
        write_json(out, certified.to_json())
    size = sum(entry["payload"] for segment in store.segments for entry in segment.manifest.fields.values())
    say(f"certificate {certified.root}")
    lines = len(certified.lines)
    say(f"  of {certified.rows:,} rows, {lines} lines of arrays and columns, {byte_count(size)} of values")
    say(f"  {_promise(store)}")
    if out is not None:
        say(f"Wrote {out}")
    return EXIT_DONE


def verify(args: Namespace) -> int:
    """Re-reads everything; exit code 1 and a line for each problem when something is wrong."""
    path = store_path(args.run)
    expected = None if args.certificate is None else _expected(args.certificate)
    amount = None if args.recompute is None else _amount(args.recompute)
    if args.seed is not None and amount is None:
        raise UserError("--seed chooses the rows of --recompute.\nNext: --recompute 5%, or leave it out.")
    if args.seed is not None and args.seed < 0:
        raise UserError(f"--seed must be at least 0, found {args.seed}.")
    problems = stores.verify(path)
    for problem in problems:
        say(f"{problem.path}: {problem.what}")
    if problems:
        say(f"{len(problems)} problems in {path}.")
        return EXIT_FAILED
    store = stores.open_store(path)
    say(f"{path}: every byte as written, {len(store):,} rows.")
    good = expected is None or _is_certified(store, expected)
    if amount is not None and not _holds(store, amount, args.seed or 0, args.exp):
        good = False
    return EXIT_DONE if good else EXIT_FAILED


def _is_certified(store: Store, expected: str | Certificate) -> bool:
    certified = stores.certify(store)
    root = expected if isinstance(expected, str) else expected.root
    if certified.root == root:
        say(f"The content is the one of certificate {root}.")
        return True
    say(f"The content is not the one of certificate {root}: this store's is {certified.root}.")
    for line in [] if isinstance(expected, str) else certified.differences(expected):
        say(f"  {line}")
    return False


def _holds(store: Store, amount: int | float, seed: int, exp: str | None) -> bool:
    from lit_experiments.cli.rebuild import planned_batches, rebuilt_collector
    from lit_experiments.collecting.recompute import Recomputation, load_for_recomputation, pick_rows
    from lit_experiments.quiet import quiet_lightning

    if not len(store):
        raise UserError(f"{store.path} holds no row to recompute.")
    quiet_lightning()
    collector = rebuilt_collector(store, exp)
    load_for_recomputation(collector)
    recomputation = Recomputation(store, collector, lambda: planned_batches(store, collector))
    result = recomputation.run(pick_rows(len(store), amount, seed))
    for line in result.lines():
        say(line)
    return result.holds


def _amount(text: str) -> int | float:
    """A number of rows, or a share of them as a float. Raises UserError."""
    match = _COUNT.fullmatch(text)
    share = float(match[2]) / 100 if match and match[2] else None
    if match is None or (share is None and int(match[1]) < 1) or (share is not None and not 0 < share <= 1):
        raise UserError(
            f"--recompute takes a number of rows from 1 on or a share of them from above 0% to 100%, found {text!r}.\n"
            "Next: --recompute 5%, or --recompute 20."
        )
    return int(match[1]) if share is None else share


def _expected(text: str) -> str | Certificate:
    """A certificate's hash, or all of it from the file that `certificate --json` wrote. Raises UserError."""
    if _ROOT.fullmatch(text.lower()):
        return text.lower()
    path = local_path("--certificate", text)
    if not path.is_file():
        raise UserError(
            f"--certificate {text[:80]}: neither 64 hex digits nor a file.\nNext: lit-experiments certificate RUN "
            "prints the hash, --json FILE writes the file."
        )
    try:
        return Certificate.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UserError(f"--certificate {path} cannot be read: {error}.") from error
    except stores.StoreError as error:
        raise UserError(f"--certificate {path}: {error}") from error


def _promise(store: Store) -> str:
    """What the same collection made elsewhere will have."""
    dtype = store.fingerprint.get("model", {}).get("dtype", "float32")
    anywhere = "The same whatever the devices, interruptions, chunks and backend"
    if dtype == "float32":
        return f"{anywhere}, for the same batches on the same type of machine; another machine may round otherwise."
    return (
        f"{anywhere}. In {dtype} another batch size, machine or library version may round otherwise, and nothing is "
        "promised of their certificates; --recompute says whether such rows agree."
    )
