"""Text to token ids and back, with exactly one beginning-of-sequence token where the model uses one.

Owns the BOS policy, decided once per model and recorded:

    tokenizer   the tokenizer puts BOS in front by itself, so the model was trained with it
    added       the tokenizer leaves it out although its configuration or the architecture says the model reads one
    none        no BOS (GPT-2, GPT-NeoX, Qwen)

Whatever the policy, text is tokenised without special tokens and BOS is put in front here, so that a text that already
begins with it (a rendered chat template) gets no second one. Knows no weights.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from lit_experiments.lm.errors import first_line, model_error

ALWAYS_BOS = frozenset({"opt", "gemma", "gemma2", "gemma3", "gemma3_text"})


@dataclass(frozen=True)
class Tokens:
    """A tokenizer with its BOS policy. `bos_id` is None when the policy is `none`."""

    tokenizer: Any
    bos_policy: str
    bos_id: int | None

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, with exactly one BOS in front if the model uses one. Raises ModelError on two."""
        # verbose=False: that a text is too long for the model is said elsewhere
        return self._begun(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"], text)

    def encode_with_spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The ids of `encode`, and for each the characters [start, end) of `text` that it stands for; an added BOS
        stands for none, (0, 0). Raises ModelError on two BOS and for a tokenizer that does not know its offsets."""
        if not self.tokenizer.is_fast:
            raise model_error(
                "This model's tokenizer cannot say which characters a token stands for.",
                where=type(self.tokenizer).__name__,
                next_step="save it as a fast tokenizer (tokenizer.json)",
            )
        found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        spans = [(int(start), int(end)) for start, end in found["offset_mapping"]]
        ids = self._begun(found["input_ids"], text)
        return ids, [(0, 0)] * (len(ids) - len(spans)) + spans

    def pieces(self, ids: list[int]) -> list[str]:
        """The text of each token by itself, with its leading space where it has one."""
        marked = self.tokenizer.convert_ids_to_tokens(ids)
        texts = [self.decode([token]) for token in ids]
        # SentencePiece tokenizers drop the space of whatever comes first.
        return [
            f" {text}" if (mark or "").startswith("\u2581") and not text.startswith(" ") else text
            for mark, text in zip(marked, texts, strict=True)
        ]

    def prompt(self, text: str, chat: bool) -> tuple[str, list[int]]:
        """(what the model reads, its token ids): the text itself, or as a user's turn in the chat template, up to
        where the model's own turn begins. Raises ModelError without a chat template."""
        shown = self._in_chat(text) if chat else text
        return shown, self.encode(shown)

    def decode(self, ids: list[int]) -> str:
        """The text of `ids`, special tokens written out, nothing tidied."""
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def _in_chat(self, text: str) -> str:
        if self.tokenizer.chat_template is None:
            raise model_error("This model's tokenizer has no chat template.", next_step="--chat_template false")
        turn = [{"role": "user", "content": text}]
        return str(self.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True))

    def _begun(self, ids: list[int], text: str) -> list[int]:
        """`ids` with the BOS in front that the model reads."""
        begun = list(ids) if self.bos_id is None or ids[:1] == [self.bos_id] else [self.bos_id, *ids]
        self._refuse_double_bos(begun, text)
        return begun

    def _refuse_double_bos(self, ids: list[int], text: str) -> None:
        bos = self.tokenizer.bos_token_id
        if bos is not None and ids[:2] == [bos, bos]:
            raise model_error(
                f"The text begins with two beginning-of-sequence tokens ({self.tokenizer.bos_token!r}).",
                where=repr(text[:60]),
                next_step="leave the token out of the text; it is added here where the model uses one",
            )


def load_tokens(folder: Path, model_type: str) -> Tokens:
    """The tokenizer in `folder` and its BOS policy. Raises ModelError when it cannot be read."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise model_error(
            "The tokenizer cannot be read.",
            where=str(folder),
            found=f"{type(error).__name__}: {first_line(error)}",
            next_step="save it again: AutoTokenizer.from_pretrained(...).save_pretrained(folder)",
        ) from error
    policy = _bos_policy(tokenizer, _explicit_setting(folder), model_type)
    return Tokens(tokenizer, policy, None if policy == "none" else tokenizer.bos_token_id)


def _bos_policy(tokenizer: Any, explicit: bool | None, model_type: str) -> str:
    if tokenizer.bos_token_id is None:
        return "none"
    if tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]:
        return "tokenizer"
    if explicit or (explicit is None and model_type in ALWAYS_BOS):
        return "added"
    return "none"


def _explicit_setting(folder: Path) -> bool | None:
    """What `add_bos_token` in the tokenizer's own configuration says; None when it says nothing."""
    path = folder / "tokenizer_config.json"
    return json.loads(path.read_text(encoding="utf-8")).get("add_bos_token") if path.is_file() else None
