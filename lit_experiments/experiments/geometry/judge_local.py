"""A model on this machine as judge: which of two letters does it find likelier, "same method" or "different methods"?

Each order of the solutions is asked with both assignments of the letters, and their log-odds averaged, so that a model
which simply prefers one letter says nothing. Does not know: what becomes of the verdicts.
"""

from __future__ import annotations

from lit_experiments.experiments.geometry.judge import DIFFERENT, SAME, UNDECIDED, Opinion
from lit_experiments.lm.chat import Chat
from lit_experiments.lm.errors import ModelError
from lit_experiments.lm.letters import resolve_letters
from lit_experiments.lm.model import LanguageModel
from lit_experiments.lm.score import next_token_logits

_MEANINGS = {SAME: "they use the same method", DIFFERENT: "they use different methods"}
_LETTERS = "AB"


class LocalJudge:
    """Judges by next-token scores of a loaded model. `template`: as for any judge, see `judge.check_prompt`."""

    def __init__(self, lm: LanguageModel, template: str) -> None:
        self.lm, self.template = lm, template

    def __call__(self, question: str, first: str, second: str) -> Opinion:
        """The likelier verdict; undecided for texts that the model's window does not hold.

        Raises:
            ModelError: the tokenizer has no token for the letters here.
        """
        filled = self.template.format(question=question, first=first, second=second)
        prompts = [self._prompt(filled, order) for order in ((SAME, DIFFERENT), (DIFFERENT, SAME))]
        ids = [self.lm.info.tokens.encode(prompt) for prompt in prompts]
        try:
            self.lm.check_sequences(ids)
        except ModelError as error:
            return Opinion(UNDECIDED, f"not judged: {error}")
        logits = next_token_logits(self.lm, ids)
        odds = []
        for prompt, tokens, row in zip(prompts, ids, logits, strict=True):
            letters = resolve_letters(self.lm.info.tokens, prompt, tokens, _LETTERS)
            first_letter, second_letter = (row[ids_of_letter].logsumexp(0) for ids_of_letter in letters)
            odds.append(float(second_letter - first_letter))
        # In the first prompt the second letter means "different", in the other one the first.
        mean = (odds[0] - odds[1]) / 2
        verdict = DIFFERENT if mean > 0 else SAME if mean < 0 else UNDECIDED
        return Opinion(
            verdict, f"log-odds of different: {mean:+.3f} (letters one way {odds[0]:+.3f}, the other {-odds[1]:+.3f})"
        )

    def _prompt(self, filled: str, order: tuple[str, str]) -> str:
        """The question with its two lettered answers, in the model's chat template if it has one."""
        options = "\n".join(f"{letter}) {_MEANINGS[meaning]}" for letter, meaning in zip(_LETTERS, order, strict=True))
        text = f"{filled}\n\n{options}\nReply with the letter alone."
        tokens = self.lm.info.tokens
        if tokens.tokenizer.chat_template is None:
            return f"{text}\nAnswer:"
        return tokens.prompt(text, Chat())[0]
