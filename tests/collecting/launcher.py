"""Starts `lit-experiments` commands by forking a process that has imported everything, so that a start costs no 5 s.

Reads one JSON list (argv and log file) per line from standard input, forks, prints the child's pid; the test may kill
it. "wait" prints the exit status. One thread only: forking a process with thread pools would hang its children.
"""

import json
import os
import sys
from pathlib import Path

import torch

import lit_experiments.experiments.tempnorm.collect  # noqa: F401 - imported here so that the children need not
import stores.backends  # noqa: F401
from lit_experiments.cli import main


def child(argv: list[str], log: str) -> None:
    with Path(log).open("ab", buffering=0) as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    try:
        code = main(argv)
    finally:
        sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    torch.set_num_threads(1)
    pid = 0
    for line in sys.stdin:
        order = json.loads(line)
        if order == "wait":
            _, status = os.waitpid(pid, 0)
            answer = os.waitstatus_to_exitcode(status)
        else:
            pid = answer = os.fork()
            if pid == 0:
                child(*order)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
