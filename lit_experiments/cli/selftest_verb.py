"""`selftest`: what the package's intervals and tests hold."""

from __future__ import annotations

import sys

from lit_experiments.cli.places import new_file
from lit_experiments.cli.verb_parser import VerbParser
from lit_experiments.cli.verbs import say
from lit_experiments.errors import EXIT_DONE, EXIT_FAILED


def selftest(argv: list[str]) -> int:
    """Prints the tables as Markdown; exit code 1 where something is not as promised."""
    text = (
        "Simulate data with a known answer: how often intervals hold it, how often something is claimed of noise. "
        "Prints Markdown; exit code 1 where the package does not hold what it says."
    )
    parser = VerbParser("selftest", text)
    parser.add_argument("--full", action="store_true", help="300 repeats of every size; without, a minute's worth")
    parser.add_argument("--json", metavar="FILE", help="write the numbers, too; must not exist yet")
    args = parser.parse_args(argv)
    out = None if args.json is None else new_file("--json", args.json)
    from lit_experiments.plain import plain, write_json
    from lit_experiments.selftest import FULL, QUICK, markdown
    from lit_experiments.selftest import selftest as run

    result = run(FULL if args.full else QUICK, _progress)
    say(markdown(result).rstrip())
    if out is not None:
        write_json(out, {**plain(result), "faults": result.faults})
    for line in result.faults:
        sys.stderr.write(f"not as promised: {line}\n")
    return EXIT_FAILED if result.faults else EXIT_DONE


def _progress(done: int, parts: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done} of {parts} parts" + ("\n" if done == parts else ""))
        sys.stderr.flush()
