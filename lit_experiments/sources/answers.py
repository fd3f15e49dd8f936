"""Which of four options an answer means, when it may be a letter, an index from 0, or the option's own text.

Owns: the three forms, and choosing one for a whole file where single answers could be read in two ways ("2" among the
options 1, 2, 3, 4). Does not know: where options and answers come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lit_experiments.sources.values import BadValueError

LETTERS = "ABCD"
AnswerForm = Literal["auto", "letter", "index", "text"]
_FORMS: tuple[AnswerForm, ...] = ("letter", "index", "text")


def readings(answer: Any, options: Sequence[str], form: AnswerForm) -> dict[AnswerForm, int]:
    """The option (0-3) that an answer means under each form it fits; only under `form` unless that is "auto".

    Raises:
        BadValueError: none of the four under any form.
    """
    found: dict[AnswerForm, int] = {}
    index = _whole_number(answer)
    if index is not None and 0 <= index < 4:
        found["index"] = index
    if isinstance(answer, str):
        text = answer.strip()
        letter = text.removeprefix("(").rstrip(".)").upper()
        if len(letter) == 1 and letter in LETTERS:
            found["letter"] = LETTERS.index(letter)
        if text in options:
            found["text"] = list(options).index(text)
    found = {each: found[each] for each in found if form in ("auto", each)}
    if not found:
        raise BadValueError(_no_option(answer, index, form))
    return found


def looks_counted_from_one(refused: Sequence[Any], fits: Sequence[Mapping[AnswerForm, int]]) -> bool:
    """Whether 4 is among the answers that fit no option, and no other answer can be the index 0."""
    return 4 in {_whole_number(answer) for answer in refused} and not any(fit.get("index") == 0 for fit in fits)


def common_form(fits: Sequence[Mapping[AnswerForm, int]]) -> AnswerForm | None:
    """The form that settles a file's answers: one that fits all of them, and on which no other such form disagrees."""
    whole = [form for form in _FORMS if all(form in fit for fit in fits)]
    agree = all(len({fit[form] for form in whole}) <= 1 for fit in fits)
    return whole[0] if whole and agree else None


def settle(fit: Mapping[AnswerForm, int], form: AnswerForm | None) -> int:
    """The option meant by an answer with these readings, given the file's form.

    Raises:
        BadValueError: the readings disagree and the file's form does not decide.
    """
    if form is not None and form in fit:
        return fit[form]
    if len(set(fit.values())) == 1:
        return next(iter(fit.values()))
    told = " or ".join(f"as {each} {LETTERS[index]}" for each, index in fit.items())
    raise BadValueError(f"the answer can be read {told} (--answer_form letter|index|text decides)")


def _whole_number(answer: Any) -> int | None:
    if isinstance(answer, bool):
        return None
    if isinstance(answer, float) and answer.is_integer():
        return int(answer)
    if isinstance(answer, str):
        text = answer.strip()
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
    return answer if isinstance(answer, int) else None


def _no_option(answer: Any, index: int | None, form: AnswerForm) -> str:
    if index is not None and form in ("auto", "index"):
        return f"answer {answer!r} is none of 0-3 (indexes count from 0) nor an option's text"
    wanted = {
        "auto": "a letter A-D, an index 0-3, or the text of an option",
        "letter": "a letter A-D",
        "index": "an index 0-3",
        "text": "the text of an option",
    }[form]
    shown = answer if not isinstance(answer, str) or len(answer) <= 60 else answer[:57] + "..."
    return f"answer {shown!r} is not {wanted}"
