"""What collections that ask multiple-choice questions declare: where the questions are, and how they are written down.

Does not know: which of them are asked, and how.
"""

from __future__ import annotations

from typing import Any, Literal

from lit_experiments.collecting.collector import Collector
from lit_experiments.lm.spec import ModelSpec
from lit_experiments.sources.questions import QuestionColumns, Questions, read_questions


class QuestionCollector(Collector):
    """Knows a source of questions; `read_source` reads it, after a study has checked its own settings."""

    def __init__(
        self,
        spec: ModelSpec,
        questions: str,
        question_column: str | None,
        answer_column: str | None,
        label_column: str | None,
        id_column: str | None,
        subject_column: str | None,
        answer_form: Literal["auto", "letter", "index", "text"],
        answer_index: Literal["zero", "one"] | None,
        quoting: Literal["auto", "standard", "none"],
        malformed: Literal["stop", "skip"],
        *,
        options_column: str | list[str] | None = None,  # jsonargparse wants a default for such a union
    ) -> None:
        """Reads nothing but the model's configuration and tokenizer.

        Args:
            questions: JSONL, CSV or other data file, dataset folder, Hub id (NAME[@CONFIG][:SPLIT]), or "embedded".
            question_column: Key or column of the question; null finds question, ctx, prompt and the like.
            options_column: Key or column of the options (a list), or the names of four columns; null finds options,
                choices, endings, columns A-D, option_1-option_4 and the like.
            answer_column: Key or column of the right answer; null finds answer, answerKey, label and the like.
            label_column: Key or column of the list of what answers call the options, such as 1, 2, 3, 4; null takes the
                labels that stand with the options.
            id_column: Key or column of the id; null finds question_id or id.
            subject_column: Key or column of the subject; null finds subject, category and the like.
            answer_form: How answers are written: letter, index, text (of the option); auto decides by the whole source.
            answer_index: What numeric answers count from, zero or one; needed where neither labels nor a published
                layout says it.
            quoting: Of CSV and TSV files: standard (quotes enclose fields), none (quotes belong to the text), or auto.
            malformed: At a malformed record: stop, or skip (and count).
        """
        super().__init__(spec)
        self._columns = QuestionColumns(
            question_column=question_column,
            options_column=options_column,
            answer_column=answer_column,
            label_column=label_column,
            id_column=id_column,
            subject_column=subject_column,
            answer_form=answer_form,
            answer_index=answer_index,
        )
        self._location: tuple[str, dict[str, Any]] = questions, {"malformed": malformed, "quoting": quoting}

    def read_source(self) -> Questions:
        """All questions of the source. Raises SourceError as `read_questions`."""
        location, reading = self._location
        return read_questions(location, self._columns, **reading)
