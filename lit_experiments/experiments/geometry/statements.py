"""Sentences, verdicts and texts that several pages of the study share. Does not know: what was computed."""

from __future__ import annotations

from lit_experiments.experiments.geometry.answers import CORRECT, NO_ANSWER, VERDICTS


def problem_statement(number: int) -> str:
    """How many problems there are, and what follows from a single one."""
    return "1 problem: intervals are over problems, so there are none." if number == 1 else f"{number} problems."


def certainty(level: float) -> str:
    """How intervals come about, and where there are none."""
    return (
        f"Intervals are {level:.0%}, over problems: they say what other problems of this kind would "
        "give, not what another model or prompt would. Where there are too few problems, the number stands alone."
    )


def verdict_sentence(verdicts: dict[str, int]) -> str:
    """How many completions there are of each verdict."""
    counted = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in VERDICTS)
    return f"{sum(verdicts.values())} completions: {counted} (compared by math-verify)."


def without_answers(verdicts: dict[str, int]) -> list[str]:
    """What follows where nothing is correct, and where nothing even answers."""
    total, sentences = sum(verdicts.values()), []
    if not verdicts[CORRECT]:
        sentences.append("No completion is correct, so nothing can be said of correct ones.")
    if total and verdicts[NO_ANSWER] == total:
        sentences.append(
            "An answer is what stands in \\boxed{} or behind ####; the prompt has to ask for it where the model writes "
            "none by itself (--prompt)."
        )
    return sentences


def visible(token: str) -> str:
    """A token for a figure: spaces, line ends and what has no glyph become visible."""
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in token.replace("\n", "↵"))
    return shown.replace(" ", "␣") or "∅"


def shortened(text: str, most: int) -> str:
    """A text on one line, of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}..."
