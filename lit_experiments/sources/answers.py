"""Which of four options a key means, when it may be a label, a letter, a number, or the option's own text.

Owns: these forms, choosing one for a whole source where single keys could be read in two ways ("2" among the options
1, 2, 3, 4), and asking where numbers count from 0 or from 1. Which numbers occur never decides that: keys 1 to 3 may be
either. Does not know: where options and keys come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lit_experiments.sources.options import LETTERS, Options
from lit_experiments.sources.values import BadValueError, is_blank

AnswerForm = Literal["auto", "letter", "index", "text"]
AnswerIndex = Literal["zero", "one"]
Form = Literal["label", "letter", "index", "text"]
FIRST: Mapping[str, int] = {"zero": 0, "one": 1}
_FORMS: tuple[Form, ...] = ("label", "letter", "index", "text")


@dataclass(frozen=True)
class KeyRule:
    """How keys are to be read.

    Attributes:
        form: the one form they have, or "auto".
        first: what numbers count from; None where nothing says it.
        said_by: what says so, for messages: an option, or a published layout.
        given: whether the user has said so, who then means no option's text by a number.
    """

    form: AnswerForm = "auto"
    first: int | None = None
    said_by: str = ""
    given: bool = False


@dataclass(frozen=True)
class Readings:
    """The option (0-3) that a key means under each form it fits; `number`: it is one whose start nothing tells."""

    fit: Mapping[Form, int] = field(default_factory=dict)
    number: int | None = None


def readings(key: Any, options: Options, rule: KeyRule) -> Readings:
    """What a key can mean.

    Raises:
        BadValueError: none of the four options under any form that is allowed.
    """
    if is_blank(key):
        raise BadValueError("the key is blank (data sets leave it out in the part that they test others with)")
    if options.labels is not None and rule.form == "auto":
        return _by_label(key, options, rule)
    number = whole_number(key)
    fit: dict[Form, int] = {}
    if number is not None and rule.first is not None and 0 <= number - rule.first < len(LETTERS):
        fit["index"] = number - rule.first
    if "index" not in fit or (isinstance(key, str) and not rule.given):
        fit |= _as_text(key, options.texts)
    allowed = {form: index for form, index in fit.items() if rule.form in ("auto", form)}
    is_open = number is not None and rule.first is None and rule.form in ("auto", "index")
    if not allowed and not is_open:
        raise BadValueError(_no_option(key, number, rule))
    return Readings(allowed, number if is_open else None)


def undecided(all_readings: Sequence[Readings]) -> bool:
    """Whether nothing tells what the numbers among a source's keys count from.

    They are the options themselves if every key is the text of one, and some number is beyond any place.
    """
    numbers = [reading.number for reading in all_readings if reading.number is not None]
    texts = all("text" in reading.fit for reading in all_readings)
    return bool(numbers) and not (texts and any(not 0 <= number <= len(LETTERS) for number in numbers))


def common_form(fits: Sequence[Mapping[Form, int]]) -> Form | None:
    """The form that settles a source's keys: one that fits all of them, and on which no other such form disagrees."""
    whole = [form for form in _FORMS if all(form in fit for fit in fits)]
    agree = all(len({fit[form] for form in whole}) <= 1 for fit in fits)
    return whole[0] if whole and agree else None


def settle(fit: Mapping[Form, int], form: Form | None) -> int:
    """The option meant by a key with these readings, given the source's form.

    Raises:
        BadValueError: the readings disagree and the source's form does not decide.
    """
    if form is not None and form in fit:
        return fit[form]
    if len(set(fit.values())) == 1:
        return next(iter(fit.values()))
    both = " or ".join(f"as {kind} {LETTERS[index]}" for kind, index in fit.items())
    raise BadValueError(f"the answer can be read {both} (--answer_form letter|index|text decides)")


def whole_number(key: Any) -> int | None:
    """The whole number that a key is or writes: 2, 2.0, "2", "2.0" (pandas); None for anything else."""
    if isinstance(key, bool):
        return None
    if isinstance(key, float):
        return int(key) if key.is_integer() else None
    if isinstance(key, str):
        text = key.strip().removesuffix(".0")
        return int(text) if text.isascii() and text.removeprefix("-").isdecimal() and len(text) < 10 else None
    return key if isinstance(key, int) else None


def _by_label(key: Any, options: Options, rule: KeyRule) -> Readings:
    labels = options.labels or ()
    number = whole_number(key)
    spelled = {str(key).strip()} | ({str(number)} if number is not None else set())
    for i, label in enumerate(labels):
        if label in spelled:
            return Readings({"label": i})
    letter = _letter(key)
    if letter is not None and letter in labels:
        return Readings({"label": labels.index(letter)})
    if isinstance(key, str) and key.strip() in options.texts:
        return Readings({"text": options.texts.index(key.strip())})
    if number is not None and rule.given and rule.first is not None and 0 <= number - rule.first < len(LETTERS):
        return Readings({"index": number - rule.first})
    hint = "" if number is None else " (--answer_index zero|one if it is the option's number)"
    raise BadValueError(f"answer {_shown(key)!r} is none of the labels {', '.join(labels)}, nor an option's text{hint}")


def _as_text(key: Any, texts: Sequence[str]) -> dict[Form, int]:
    fit: dict[Form, int] = {}
    letter = _letter(key)
    if letter is not None:
        fit["letter"] = LETTERS.index(letter)
    text = key.strip() if isinstance(key, str) else str(key)
    if text in texts and not isinstance(key, bool):
        fit["text"] = list(texts).index(text)
    return fit


def _letter(key: Any) -> str | None:
    if not isinstance(key, str):
        return None
    letter = key.strip().removeprefix("(").rstrip(".)").upper()
    return letter if len(letter) == 1 and letter in LETTERS else None


def _no_option(key: Any, number: int | None, rule: KeyRule) -> str:
    if number is not None and rule.first is not None and rule.form in ("auto", "index"):
        span = f"{rule.first}-{rule.first + len(LETTERS) - 1}"
        return (
            f"answer {key!r} is none of {span} (indexes count from {rule.first}: {rule.said_by}) nor an option's text"
        )
    index = "an index 0-3" if rule.first in (None, 0) else "an index 1-4"
    allowed = {
        "auto": f"a letter A-D, {index}, or the text of an option",
        "letter": "a letter A-D",
        "index": index,
        "text": "the text of an option",
    }[rule.form]
    return f"answer {_shown(key)!r} is not {allowed}"


def _shown(key: Any) -> Any:
    return key if not isinstance(key, str) or len(key) <= 60 else key[:57] + "..."
