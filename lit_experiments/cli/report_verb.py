"""`report`: the index of a folder of runs."""

from __future__ import annotations

from pathlib import Path

from lit_experiments.cli.places import local_folder
from lit_experiments.cli.verb_parser import VerbParser
from lit_experiments.cli.verbs import say
from lit_experiments.errors import EXIT_DONE, UserError


def report(argv: list[str]) -> int:
    """Writes index.html into a folder of runs; says which results are stale or unfinished."""
    parser = VerbParser("report", "An index page of all runs in a folder, with their states and results.")
    parser.add_argument("runs", nargs="?", default="runs", metavar="FOLDER", help="folder of the runs (default: runs)")
    folder: Path = local_folder("FOLDER", parser.parse_args(argv).runs)
    from lit_experiments.reports.index import write_index

    try:
        page, runs = write_index(folder)
    except FileNotFoundError as error:
        raise UserError(
            f"{folder.absolute()} holds no run.\nNext: lit-experiments run tempnorm, or name the folder of your runs."
        ) from error
    for task in (task for run in runs for task in run.tasks if task.state != "up to date"):
        say(f"{task.folder}: {task.state} ({task.reason})")
    say(f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}. Index: {page}")
    return EXIT_DONE
