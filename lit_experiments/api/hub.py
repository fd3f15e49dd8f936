"""`lit.push` and `lit.pull`: runs, probes and directions to the Hugging Face Hub and back."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

from lit_experiments.api.probes import Probe
from stores import Store


def push(
    what: Store | Probe | str | PathLike[str],
    to: str,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    license: str | None = None,
    dry_run: bool = False,
) -> None:
    """Sends a run, a probe or directions to the Hub, as `lit-experiments push` does.

    Args:
        what: the store of a run, a probe of `lit.fit_probes`, or a folder.
        to: hf://OWNER/NAME; made where it is not there.
        private: a new repository is for its owner alone.
        revision: branch; made where it is not there.
        message: of the commit.
        license: for the card, as the Hub names it.
        dry_run: show the card and the files; send nothing.

    Raises:
        UserError: what cannot be pushed, or not there.
        stores.hub_errors.HubError: the Hub refuses or can't be reached.
    """
    options = {"revision": revision, "message": message, "license": license}
    words = [word for name, value in options.items() if value is not None for word in (f"--{name}", value)]
    words += [f"--{name}" for name, enabled in (("private", private), ("dry_run", dry_run)) if enabled]
    _run("push", [str(_folder(what)), to, *words])


def pull(source: str, out: str | PathLike[str] | None = None, *, revision: str | None = None) -> Path:
    """Fetches a run, a probe or directions from the Hub and checks them, as `lit-experiments pull` does.

    Args:
        source: hf://OWNER/NAME.
        out: the folder that it becomes; None takes runs/NAME.
        revision: branch, tag or commit.

    Returns:
        The folder.

    Raises:
        UserError: there is nothing of ours, or the folder holds something else.
        RunFailed: what came is not what was pushed.
        stores.hub_errors.HubError: the Hub refuses or can't be reached.
    """
    from stores.hub_files import HubAddress

    folder = Path("runs", HubAddress.parse(source).id.rpartition("/")[2]) if out is None else Path(out)
    _run("pull", [source, "--out", fspath(folder), *([] if revision is None else ["--revision", revision])])
    return folder


def _run(verb: str, words: list[str]) -> None:
    from lit_experiments.cli import hub_verbs
    from lit_experiments.cli.store_parsers import PARSERS

    command = hub_verbs.push if verb == "push" else hub_verbs.pull
    command(PARSERS[verb](words))


def _folder(what: Store | Probe | str | PathLike[str]) -> Path:
    if isinstance(what, Store):
        return Path(what.path).parent
    return what.folder if isinstance(what, Probe) else Path(what)
