"""Held-out arithmetic problems of the embedded model, each with a solution by one of the methods in turn.

Owns: how many, that no two are the same, and which method's solution goes with which problem.
Does not know: how problems are made (`embedded.arithmetic`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lit_experiments.sources.errors import SourceError

if TYPE_CHECKING:
    from lit_experiments.embedded.arithmetic import Problem

_PATIENCE = 1000  # repeated problems in a row, after which the held-out part counts as used up


def generated_problems(number: int, seed: int) -> list[tuple[Problem, str]]:
    """The first `number` different held-out problems of a seed, each with a solution.

    The method changes from one problem of a kind to the next (not simply from one problem to the next: with kinds in
    turn, each kind would always be solved by the same method), and the first problems of successive kinds differ in it.

    Raises:
        SourceError: fewer than one asked for, or more than there are.
    """
    from lit_experiments.embedded.arithmetic import problems

    if number < 1:
        raise SourceError(f"At least one embedded problem is needed, found {number}.")
    pairs: list[tuple[Problem, str]] = []
    questions: set[str] = set()
    of_kind: dict[str, int] = {}
    repeated = 0
    for problem in problems(seed, held_out=True):
        if problem.question in questions:
            repeated += 1
            if repeated > _PATIENCE:
                raise SourceError(
                    f"{number} embedded problems were asked for; only about {len(pairs)} different ones are held out."
                )
            continue
        repeated = 0
        questions.add(problem.question)
        turn = of_kind[problem.kind] = of_kind.get(problem.kind, len(of_kind) - 1) + 1
        pairs.append((problem, list(problem.solutions.values())[turn % len(problem.solutions)]))
        if len(pairs) == number:
            break
    return pairs


def solution_method(solution: str) -> str | None:
    """Which of the two methods a solution of an embedded problem follows; None if neither."""
    from lit_experiments.embedded.arithmetic import method_of

    return method_of(solution)
