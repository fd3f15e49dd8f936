"""How often verdicts on claims of known truth are right: `python -m benchmarks.claims --seeds 20 --from 100`.

Every claim is written as a store of study 3 or of texts with labels, trained on by the command line with its usual
options, and judged as users would judge it. Adds a line to the file of results for each, and does those that the file
lacks: a run that was stopped goes on by the same command. Prints the confusion of kinds and verdicts, the share that is
right and the share of claims that are called supported and are not. Kinds: planted_claims/kinds.py.
"""

from __future__ import annotations

import argparse
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from benchmarks.planted_claims.judging import TASKS, Case, Judged, add_line, cases_of, judge, read_lines
from benchmarks.planted_claims.kinds import KINDS
from benchmarks.planted_claims.tally import report


def judged(cases: Sequence[Case], jobs: int) -> Iterator[Judged]:
    """Every case's verdict, as they come."""
    if jobs == 1:
        yield from map(judge, cases)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_quiet) as pool:
        for done in as_completed([pool.submit(judge, case) for case in cases]):
            yield done.result()


def finished(cases: Sequence[Case], path: Path, jobs: int) -> list[Judged]:
    """Judges the cases that the file lacks and adds them to it; the verdicts of all of them."""
    known = {claim.case: claim for claim in read_lines(path)}
    for claim in judged([case for case in cases if case not in known], jobs):
        add_line(path, claim)
        known[claim.case] = claim
        mark = "" if claim.is_right else "  WRONG"
        print(f"{claim.seconds:6.1f} s  {claim.task}  {claim.kind} {claim.seed}: {claim.verdict}{mark}", flush=True)
    return [known[case] for case in cases]


def _quiet() -> None:
    warnings.simplefilter("ignore")
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


def main() -> None:
    """Judges what is asked for and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="claims of every kind and task")
    parser.add_argument("--from", type=int, default=100, dest="first", help="the first seed")
    parser.add_argument("--kinds", nargs="*", default=[*KINDS], choices=[*KINDS], metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--task", choices=[*TASKS], default="both")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--options", nargs="*", default=[], help="further options of every training, as --folds=3")
    parser.add_argument("--out", type=Path, default=Path("claims.jsonl"), help="results, one JSON line each")
    parser.add_argument("--shuffled", action="store_true", help="the kinds of a seed in random order")
    parser.add_argument("--summary", action="store_true", help="judge nothing: the table of what the file holds")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _quiet()
    seeds = range(options.first, options.first + options.seeds)
    cases = cases_of(options.kinds, seeds, options.task, options.options, options.shuffled)
    if options.summary:
        planned = set(cases)
        claims = [claim for claim in read_lines(options.out) if claim.case in planned]
    else:
        claims = finished(cases, options.out, options.jobs)
    print(f"\n{report(claims)}")


if __name__ == "__main__":
    main()
