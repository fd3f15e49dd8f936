"""`serve`: a folder of runs in a browser on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lit_experiments.cli.places import local_folder
from lit_experiments.cli.verb_parser import VerbParser
from lit_experiments.cli.verbs import say
from lit_experiments.errors import EXIT_DONE, UserError
from lit_experiments.signals import StopNow

if TYPE_CHECKING:
    from lit_experiments.serving.server import Server

PORT = 8765
_LARGEST = 65535


def serve(argv: list[str]) -> int:
    """Serves pages until Ctrl-C."""
    parser = VerbParser("serve", "The runs of a folder in a browser: their index, their pages, every row. Reads only.")
    parser.add_argument("runs", nargs="?", default="runs", metavar="FOLDER", help="folder of the runs (default: runs)")
    free = f"port on 127.0.0.1; 0 takes any free one (default: {PORT})"
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=free)
    args = parser.parse_args(argv)
    if not 0 <= args.port <= _LARGEST:
        raise UserError(f"--port must lie between 0 and {_LARGEST}, found {args.port}.")
    folder = local_folder("FOLDER", args.runs)
    if not folder.is_dir():
        raise UserError(
            f"{folder.absolute()} is no folder.\nNext: lit-experiments run tempnorm, or name that of your runs."
        )
    with _server(folder, args.port) as server:
        try:
            say(f"Runs of {folder}: {server.url}\nOnly this machine can open it. Ctrl-C ends it.")
            server.serve_forever()
        except StopNow:
            say("Ended.")
    return EXIT_DONE


def _server(folder: Path, port: int) -> Server:
    """Raises UserError where the port cannot be had."""
    from lit_experiments.serving.server import HOST, Server
    from lit_experiments.serving.site import Site

    site = Site(folder)
    try:
        return Server(site, port)
    except OSError as error:
        raise UserError(
            f"--port {port}: {HOST}:{port} cannot be had ({error.strerror}); another `serve` may run there.\n"
            "Next: another --port, or --port 0 for any free one"
        ) from error
