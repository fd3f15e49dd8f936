"""The three passes of a question: templates, rendered.

Owns: which passes there are, their letters, what the confidence letters stand for, and the checks of a template.
Does not know: models, stores.
"""

from __future__ import annotations

import string
from collections.abc import Mapping

from lit_experiments.errors import UserError
from lit_experiments.sources.questions import QuestionRecord

PASSES = ("mcq", "self_confidence", "other_confidence")
SHORT = {"mcq": "mcq", "self_confidence": "self_conf", "other_confidence": "other_conf"}
"""The passes' short names, which are accepted wherever a pass is named."""
ANSWER_LETTERS = "ABCD"
CONFIDENCE_LETTERS = "STUVWXYZ"
MIDPOINTS = (2.5, 7.5, 15.0, 30.0, 50.0, 70.0, 85.0, 95.0)  # percent: <5, 5-10, 10-20, 20-40, 40-60, 60-80, 80-90, >90
_FIELDS = {"question", *ANSWER_LETTERS}


def pass_name(name: str) -> str:
    """The full name of a pass given by its short one; any other name as it is."""
    return next((full for full, short in SHORT.items() if short == name), name)


def letters_of(kind: str) -> str:
    """The letters that answer a pass."""
    return ANSWER_LETTERS if kind == "mcq" else CONFIDENCE_LETTERS


def check_templates(templates: Mapping[str, str]) -> None:
    """Raises UserError unless there is one template per pass, each showing the question and its four options."""
    if set(templates) != set(PASSES):
        raise UserError(
            f"templates need exactly the passes {', '.join(PASSES)}; found {', '.join(templates) or 'none'}."
        )
    for kind, template in templates.items():
        try:
            fields = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
        except ValueError as error:
            raise UserError(f"Template {kind}: {error}. Write a literal brace as {{{{ or }}}}.") from error
        if fields != _FIELDS:
            wrong = f"missing {sorted(_FIELDS - fields)}, unknown {sorted(fields - _FIELDS)}"
            raise UserError(f"Template {kind} must hold {{question}}, {{A}}, {{B}}, {{C}} and {{D}}: {wrong}.")


def render(template: str, question: QuestionRecord) -> str:
    """The template with a question's text and options."""
    options = dict(zip(ANSWER_LETTERS, question.options, strict=True))
    return template.format(question=question.text, **options)
