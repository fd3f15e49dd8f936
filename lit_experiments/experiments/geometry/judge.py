"""Are two solutions the same method? What is asked, how an answer is read, and how two orders make one verdict.

A judge is any callable from (question, first solution, second solution) to an Opinion. Each pair is asked in both
orders; only where these agree is there a verdict. Does not know: how a judge is reached (`judge_endpoint`), or how a
local model judges (`judge_local`).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from string import Formatter

from lit_experiments.errors import UserError

SAME, DIFFERENT, UNDECIDED = JUDGEMENTS = ("same", "different", "undecided")
FIELDS = {"question", "first", "second"}
_LAST_LINE = "End with one line of its own, either VERDICT: SAME or VERDICT: DIFFERENT."
_ASK = f"Give your reasons in at most four sentences. {_LAST_LINE}"
_REMINDER = f"Keep to the form, or the answer cannot be read. {_LAST_LINE}"
_VERDICT = re.compile(r"verdict\W{0,9}(same|different)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Opinion:
    """One answer of a judge: one of JUDGEMENTS, and its reasons as it gave them."""

    verdict: str
    reasons: str


@dataclass(frozen=True)
class Pair:
    """Two solutions of one question."""

    question: str
    first: str
    second: str


@dataclass(frozen=True)
class Comparison:
    """One of JUDGEMENTS about a pair; `agree`: both orders gave the same decided verdict; opinions: in either order."""

    verdict: str
    agree: bool
    opinions: tuple[Opinion, Opinion]


Judge = Callable[[str, str, str], Opinion]


def check_prompt(template: str) -> None:
    """Raises UserError for a template that cannot be filled, or that lacks one of FIELDS."""
    try:
        fields = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise UserError(f"judge_prompt cannot be read: {error} (a brace of its own is written twice).") from error
    if fields != FIELDS:
        raise UserError(f"judge_prompt must hold {{question}}, {{first}} and {{second}}, found {sorted(fields)}.")


def parse_verdict(reply: str) -> str:
    """The last verdict that a reply states; UNDECIDED if it states none."""
    stated = _VERDICT.findall(reply)
    return stated[-1].lower() if stated else UNDECIDED


def chat_judge(ask: Callable[[str], str], template: str) -> Judge:
    """A judge that talks. ask: from a prompt to the reply. A reply without a verdict is asked for once more."""

    def judge(question: str, first: str, second: str) -> Opinion:
        prompt = template.format(question=question, first=first, second=second)
        reply = ask(f"{prompt}\n\n{_ASK}")
        if parse_verdict(reply) == UNDECIDED:
            reply = ask(f"{prompt}\n\n{_ASK}\n\n{_REMINDER}")
        return Opinion(parse_verdict(reply), reply.strip())

    return judge


def compare(judge: Judge, pair: Pair) -> Comparison:
    """Asks in both orders. Equal texts are not asked about: they are the same method."""
    if pair.first.strip() == pair.second.strip():
        alike = Opinion(SAME, "The two texts are equal; nobody was asked.")
        return Comparison(SAME, True, (alike, alike))
    opinions = judge(pair.question, pair.first, pair.second), judge(pair.question, pair.second, pair.first)
    verdicts = {opinion.verdict for opinion in opinions}
    agree = len(verdicts) == 1 and UNDECIDED not in verdicts
    return Comparison(opinions[0].verdict if agree else UNDECIDED, agree, opinions)


def compare_all(judge: Judge, pairs: Sequence[Pair], parallel: int, stop: threading.Event) -> list[Comparison]:
    """`compare` for each pair, `parallel` at a time, in the order given.

    The first error ends it: nothing new is begun, `stop` tells waiting requests to give up, the error is raised.
    """
    with ThreadPoolExecutor(parallel) as pool:
        waiting = [pool.submit(compare, judge, pair) for pair in pairs]
        try:
            return [future.result() for future in waiting]
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
