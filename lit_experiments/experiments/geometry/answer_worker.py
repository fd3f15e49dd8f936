"""A process of its own that says whether two final answers are equal, by math-verify: one JSON line in, one out.

A comparison can go on for ever or fill the memory (`9^{9^{9^9}}`), in C code that no Python signal interrupts, and
math-verify's own time limits work in main threads only. So it is done here, where the system itself can end it.
Owns the limits of processor time and memory. Imports nothing of this package: it is started as a file.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import time
from itertools import product
from typing import Any

MEMORY_BYTES = 4 << 30


def equal(gold: str, answer: str) -> bool | None:
    """Whether two answers (what stands inside \\boxed{}) are equal; None where math-verify fails to tell."""
    from math_verify import parse, verify

    undecided = False
    sides = [_parsed(parse, text) for text in (gold, answer)]
    if not sides[0] or not sides[1]:
        return None
    for one, other in product(*sides):
        try:
            if verify(one, other, timeout_seconds=None, raise_on_error=True):
                return True
        except MemoryError:
            return None
        except Exception:  # noqa: BLE001  # the parser and the algebra below raise anything; it says: cannot tell
            undecided = True
    return None if undecided else False


def _parsed(parse: Any, text: str) -> list[Any]:
    """What a side can mean; empty where it cannot be read."""
    try:
        return list(parse(f"\\boxed{{{text}}}", parsing_timeout=None, raise_on_error=True))
    except Exception:  # noqa: BLE001
        return []


def _limit(seconds: float) -> None:
    """Lets this process use at most so many more seconds of processor time; the system kills it then.

    Processor time, not the clock: a verdict does not depend on how busy the machine is.
    """
    _lower(resource.RLIMIT_CPU, int(time.process_time() + seconds) + 1)


def _lower(kind: int, limit: int) -> None:
    """Sets a limit, within what this process is allowed at all."""
    most = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


def main(seconds: float) -> None:
    """Answers lines `[gold, answer]` with `true`, `false` or `null` until the input ends; says `ready` first."""
    logging.disable(logging.CRITICAL)
    replies, sys.stdout = sys.stdout, sys.stderr
    equal("\\frac{1}{2}", "0.5")  # the first comparison loads the parser
    _lower(resource.RLIMIT_AS, MEMORY_BYTES)
    replies.write("ready\n")
    replies.flush()
    for line in sys.stdin:
        _limit(seconds)
        replies.write(json.dumps(equal(*json.loads(line))) + "\n")
        replies.flush()


if __name__ == "__main__":
    main(float(sys.argv[1]))
