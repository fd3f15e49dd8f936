"""`push` and `pull`: runs, probes and directions to the Hub and back."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import stores
from lit_experiments.cli.places import local_folder, local_path
from lit_experiments.cli.verbs import say
from lit_experiments.errors import EXIT_DONE, UserError
from lit_experiments.units import byte_count
from stores import Store, lock
from stores.hub_files import HubAddress

if TYPE_CHECKING:
    from lit_experiments.claims.audit import AuditedClaim
    from lit_experiments.hub.folders import HubFolder
    from lit_experiments.hub.model_card import Origin
    from lit_experiments.tasks.certificates import Certified

_MOST_ABOVE = 4  # folders above a probe in which its run may lie: run/training/target/layer


def push(args: Namespace) -> int:
    """Sends a folder to the Hub, or shows what would be sent."""
    from lit_experiments.hub.folders import RUN, read_folder
    from lit_experiments.hub.push import listing, repository_for
    from lit_experiments.hub.push import push as push_folder

    address = _address(args.to, args.revision)
    path = local_path("FOLDER", args.folder)
    certified = _certify(path) if (path / "store").is_dir() else None  # notes it in a file that goes, too
    with _nobody_writes(path):
        folder = read_folder(path)
        address = repository_for(address, folder)
        if certified is not None:
            card = _run_card(folder, certified, address, args.license)
        else:
            from lit_experiments.hub.model_card import model_card

            card = model_card(folder, _origin(folder.path), address, args.license)
        if args.dry_run:
            say(f"{card}\n{address} would get these files, where it does not have them:\n")
            for line in listing(folder, card):
                say(line)
            return EXIT_DONE
        message = args.message or f"{folder.kind} {path.name}, by lit-experiments"
        pushed = push_folder(folder, card, address, args.private, message, say)
    say(f"{pushed.files:,} files of {byte_count(pushed.bytes)} sent to {address}, {pushed.there:,} were there already")
    say(f"  commit {pushed.commit}: {_page(address)}")
    if pushed.kept_card:
        say("  README.md was edited there, and stays; --dry_run shows what it would be now")
    if folder.kind == RUN:
        say(f'Next: stores.open_store("{address}") in Python, or lit-experiments pull {address}')
    else:
        say(f"Next: lit-experiments pull {address}")
    return EXIT_DONE


def pull(args: Namespace) -> int:
    """Fetches a folder from the Hub and checks it."""
    from lit_experiments.hub.folders import DIRECTIONS, RUN
    from lit_experiments.hub.pull import pull as pull_folder

    address = _address(args.source, args.revision)
    out = local_folder("--out", args.out or f"runs/{address.id.rpartition('/')[2]}")
    pulled = pull_folder(address, out)
    if pulled.fetched:
        say(f"{pulled.fetched:,} files of {address} in {out}, commit {pulled.commit}: every byte as it was pushed")
    else:
        say(f"{out} has all {pulled.files:,} files of {address}, commit {pulled.commit}: every byte as it was pushed")
    if pulled.root:
        say(f"  certificate {pulled.root}")
    elif pulled.kind == RUN:
        say("  it has no certificate to compare with")
    if pulled.kind != DIRECTIONS:
        say(f"Next: lit-experiments {'inspect' if pulled.kind == RUN else 'score'} {out}")
    return EXIT_DONE


def _address(url: str, revision: str | None) -> HubAddress:
    """Raises UserError for a URL that names no repository, or two revisions."""
    try:
        address = HubAddress.parse(url)
    except stores.StoreError as error:
        raise UserError(str(error)) from error
    if revision is None:
        return address
    if address.revision not in (None, revision):
        raise UserError(f"--revision {revision}: {url} names another one.\nNext: name one of them")
    return HubAddress(address.kind, address.id, revision, address.path)


@contextmanager
def _nobody_writes(path: Path) -> Iterator[None]:
    """Holds a run's lock, so that nothing is collected into it meanwhile. Raises LockedError where something is."""
    if not stores.is_store(path / "store"):
        yield
        return
    held = None
    with suppress(stores.NotWritable):  # then nobody else can write there either
        held = lock.exclusive(path / "store", 0)
    try:
        yield
    finally:
        if held is not None:
            held.release()


def _certify(run: Path) -> Certified:
    """The certificate of a run, noted in its folder. Raises UserError for one that has not ended."""
    from lit_experiments.tasks.certificates import certificate_of

    certified = certificate_of(run, stores.open_store(run / "store"))
    if not certified.root:
        raise UserError(
            f"{run} is not pushed: {certified.reason}.\nNext: run its collect command (again); it goes on where it "
            "was, and has nothing to do where nothing is left."
        )
    return certified


def _run_card(folder: HubFolder, certified: Certified, address: HubAddress, license_id: str | None) -> str:
    from lit_experiments.hub.card import run_card

    store = stores.open_store(folder.path / "store")
    if stores.commits_key(store) != certified.commits:
        raise UserError(f"{folder.path} has grown while its certificate was computed.\nNext: the same command again")
    return run_card(store, certified.root, _claims(folder.path, store), address, license_id)


def _origin(path: Path) -> Origin | None:
    """The run in which a probe or directions lie."""
    from lit_experiments.hub.card import Collected
    from lit_experiments.hub.model_card import Origin
    from lit_experiments.tasks.certificates import read_certified

    above = [*path.absolute().parents][:_MOST_ABOVE]
    run = next((folder for folder in above if stores.is_store(folder / "store")), None)
    if run is None:
        return None
    training, *names = path.absolute().relative_to(run).parts
    certified = read_certified(run / training)
    store = stores.open_store(run / "store")
    description = path / "probe.json"
    if description.is_file():  # a folder's name may lack some of its target's letters
        names.append(json.loads(description.read_text(encoding="utf-8")).get("notes", {}).get("target", ""))
    claims = [c for c in _claims(run, store) if c.task == training and c.target in names]
    return Origin(Collected.of(store), certified.root if certified is not None else "", claims)


def _claims(run: Path, store: Store) -> list[AuditedClaim]:
    """What the run's audit says; without one, its trainings' claims, judged now."""
    from lit_experiments.claims.audit import AuditedClaim, audited
    from lit_experiments.cli.audit_verb import FILE, FOLDER, judged_claims
    from lit_experiments.tasks.result_files import structured

    written = run / FOLDER / FILE
    if not written.is_file():
        return audited(judged_claims(run, store))
    try:
        content = json.loads(written.read_text(encoding="utf-8"))["claims"]
        return structured(content, list[AuditedClaim])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{written} is none that this version reads.\nNext: lit-experiments audit {run}") from error


def _page(address: HubAddress) -> str:
    from huggingface_hub import constants

    kind = "datasets/" if address.kind == "dataset" else ""
    return f"{constants.ENDPOINT}/{kind}{address.id}"
