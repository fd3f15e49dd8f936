"""The names and layouts in which questions with several options are published.

Owns: usual column names, and what a data set's own description says about its layout: from where numeric keys count,
whether options carry their letters. Does not know: how options and keys are read.

Of one layout nothing is said here on purpose: MedMCQA's `cop` counts from 1 in the original files and from 0 on the Hub
(there as class numbers, whose names a..d are read). Numbers alone are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

QUESTION = ("question", "question_text", "question_stem", "prompt", "ctx", "startphrase", "input", "goal", "sentence")
ANSWER = (
    "answer",
    "answerKey",
    "answer_key",
    "correct_answer",
    "correct_answer_letter",
    "answer_index",
    "label",
    "correct",
    "cop",
    "target",
    "answer_idx",
)
IDENTITY = ("question_id", "id")
SUBJECT = ("subject", "type", "category", "subject_name", "activity_label")
OPTIONS = ("options", "choices", "endings", "mc1_targets")
RIGHT = ("correct_answer",)
WRONG = ("incorrect_answers", "distractors", "wrong_answers")
WRONG_PREFIXES = ("distractor", "incorrectanswer", "wronganswer")


@dataclass(frozen=True)
class Layout:
    """A published layout.

    Attributes:
        name: of the data set it is known from.
        columns: all of these are there; the last one holds the key.
        counts_from: what a numeric key counts from.
        marked: every option begins with its own letter ("B)21").
    """

    name: str
    columns: tuple[str, ...]
    counts_from: int | None = None
    marked: bool = False


LAYOUTS = (
    # hf.co/datasets/cais/mmlu; copies of its STEM part call the subject "type". Without either, anybody's own file may
    # have these columns, and may count from 1.
    Layout("MMLU", ("question", "subject", "choices", "answer"), counts_from=0),
    Layout("MMLU", ("question", "type", "choices", "answer"), counts_from=0),
    Layout("HellaSwag", ("ctx", "endings", "label"), counts_from=0),  # hf.co/datasets/Rowan/hellaswag
    Layout("SWAG", ("startphrase", "ending0", "ending1", "ending2", "ending3", "label"), counts_from=0),
    Layout("AQuA", ("question", "options", "rationale", "correct"), marked=True),  # github.com/google-deepmind/AQuA
)


def plain(name: str) -> str:
    """A column's name without what differs between spellings: "Option A", "option_a" and "optionA" are "optiona"."""
    return name.lower().translate(str.maketrans("", "", "_- "))


def usual_name(record: Mapping[str, Any], usual: Sequence[str]) -> str | None:
    """The first of the usual names that a record has a value for, as the record spells it; None if there is none."""
    spelled: dict[str, str] = {}
    for name in record:
        spelled.setdefault(plain(str(name)), name)
    for name in usual:
        exact = name if record.get(name) is not None else spelled.get(plain(name))
        if exact is not None and record.get(exact) is not None:
            return exact
    return None


def layout_of(record: Mapping[str, Any], key: str) -> Layout | None:
    """The published layout of a record whose key stands under a name; None for any other."""
    names = {plain(str(name)) for name in record}
    for layout in LAYOUTS:
        if plain(key) == plain(layout.columns[-1]) and all(plain(name) in names for name in layout.columns):
            return layout
    return None


def unfolded(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record with question and choices side by side, which ARC's and OpenBookQA's own files fold into one."""
    inner = record.get("question")
    if not isinstance(inner, Mapping) or "stem" not in inner:
        return record
    return {**record, "question": inner["stem"], **{k: v for k, v in inner.items() if k != "stem"}}
