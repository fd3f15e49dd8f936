"""Text to token ids and back: the tokenizer's own ids, what it puts in front of a text included.

Owns the policy of what stands in front, decided once per model and recorded:

    tokenizer   the tokenizer puts special tokens in front by itself, usually BOS, so the model was trained with them
    added       the tokenizer leaves BOS out although its configuration or the architecture says the model reads one
    none        nothing (GPT-2, GPT-NeoX, Qwen)

Whatever the policy, text is tokenised without special tokens and they are put in front here, so that a text that
already begins with them (a rendered chat template) gets none twice. A tokenizer that changes a text in another way,
such as ending it with end-of-text, is refused. Knows no weights.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from lit_experiments.lm.chat import Chat, Clock, render, render_turns
from lit_experiments.lm.errors import ModelError, first_line, model_error
from lit_experiments.lm.pieces import pieces_of

ALWAYS_BOS = frozenset({"opt", "gemma", "gemma2", "gemma3", "gemma3_text"})
_PROBES = ("a", "The cat sat.", "12 + 7")  # texts that show what a tokenizer puts around any text


@dataclass(frozen=True)
class Tokens:
    """A tokenizer with its policy. prefix: the ids in front of every text, none or None under the policy `none`.
    vocabulary: how many ids the model has; None accepts all. clock: what a chat template is told the time by."""

    tokenizer: Any
    bos_policy: str
    prefix: tuple[int, ...] | None
    vocabulary: int | None = None
    clock: Clock = field(default_factory=Clock, repr=False)

    @property
    def bos_id(self) -> int | None:
        """The first of the ids in front; None where there are none."""
        return self.prefix[0] if self.prefix else None

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, with what the model reads in front exactly once.

        Raises ModelError on two BOS, and for a text with tokens that the model does not have.
        """
        # verbose=False: that a text is too long for the model is said elsewhere
        return self._begun(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"], text)

    def encode_with_spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The ids of `encode`, and for each the characters [start, end) of `text` that it stands for; what was put in
        front stands for none, (0, 0); several tokens of one character (its bytes) all have that character's.

        Raises ModelError as `encode` does, and for a tokenizer that does not know its offsets.
        """
        if not self.tokenizer.is_fast:
            raise model_error(
                "This model's tokenizer cannot say which characters a token stands for.",
                where=type(self.tokenizer).__name__,
                next_step="save it as a fast tokenizer (tokenizer.json)",
            )
        return self.begun_with_spans(text, *self.own_with_spans([text])[0])

    def own_with_spans(self, texts: list[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        """Of a fast tokenizer, for each text the ids and characters of its own tokens, with nothing in front; many
        texts at once go through it in parallel."""
        encoded = self.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        spans = [[(int(start), int(end)) for start, end in of_text] for of_text in encoded["offset_mapping"]]
        return list(zip(encoded["input_ids"], spans, strict=True))

    def begun_with_spans(
        self, text: str, text_ids: list[int], spans: list[tuple[int, int]]
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """What `encode_with_spans` gives, from the text's own tokens. Raises ModelError as `encode` does."""
        ids = self._begun(text_ids, text)
        return ids, [(0, 0)] * (len(ids) - len(spans)) + spans

    def pieces(self, ids: list[int]) -> list[str]:
        """The text of each token by itself, with its leading space where it has one."""
        return pieces_of(self.tokenizer.convert_ids_to_tokens(ids), [self.decode([token]) for token in ids])

    def prompt(self, text: str, chat: Chat | None) -> tuple[str, list[int]]:
        """(what the model reads, its token ids): the text itself, or as a user's turn in the chat template, up to
        where the model's own turn begins. Raises ModelError as `chat.render` and `encode` do."""
        shown = text if chat is None else render(self.tokenizer, text, chat, self.clock)
        return shown, self.encode(shown)

    def conversation(self, turns: Sequence[Mapping[str, Any]], chat: Chat) -> str:
        """What the model reads of a conversation. Raises ModelError as `chat.render_turns` does."""
        return render_turns(self.tokenizer, turns, chat, self.clock)

    def decode(self, ids: list[int]) -> str:
        """The text of `ids`, special tokens written out, nothing tidied."""
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def decode_after(self, prefix: list[int], ids: list[int]) -> str:
        """What `ids` add to the text of `prefix`, a leading space included, which some tokenizers drop at a text's
        start. Characters that the prefix leaves unfinished are completed here.
        """
        before, whole = self.decode(prefix), self.decode([*prefix, *ids])
        pairs = enumerate(zip(before, whole, strict=False))
        return whole[next((i for i, (one, other) in pairs if one != other), min(len(before), len(whole))) :]

    def _begun(self, ids: list[int], text: str) -> list[int]:
        """`ids` behind what the model reads in front of every text."""
        prefix = list(self.prefix or ())
        begun = list(ids) if prefix and ids[:1] == prefix[:1] else [*prefix, *ids]
        self._refuse_double_bos(begun, text)
        if self.vocabulary is not None and begun and max(begun) >= self.vocabulary:
            raise self._foreign(begun, text)
        return begun

    def _refuse_double_bos(self, ids: list[int], text: str) -> None:
        bos = self.tokenizer.bos_token_id
        if bos is not None and ids[:2] == [bos, bos]:
            raise model_error(
                f"The text begins with two beginning-of-sequence tokens ({self.tokenizer.bos_token!r}).",
                where=repr(text[:60]),
                next_step="leave the token out of the text; it is added here where the model uses one",
            )

    def _foreign(self, ids: list[int], text: str) -> ModelError:
        foreign = [token for token in ids if self.vocabulary is not None and token >= self.vocabulary]
        names = self.tokenizer.convert_ids_to_tokens(foreign[:3])
        return model_error(
            "The text holds tokens that its tokenizer knows and the model does not.",
            where=repr(text[:60]),
            actual=", ".join(f"{name!r} ({token})" for name, token in zip(names, foreign, strict=False)),
            allowed=f"ids 0 to {(self.vocabulary or 0) - 1}",
            next_step="take such tokens out of the text, or give the tokenizer that belongs to the model",
        )


def load_tokens(folder: Path, model_type: str, vocabulary: int | None = None, moment: str | None = None) -> Tokens:
    """The tokenizer in `folder` and its policy. vocabulary: how many ids the model has. moment: see `Clock`.

    Raises ModelError when it cannot be read, puts something around a text that is not kept here, or is another model's.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise model_error(
            "The tokenizer cannot be read.",
            where=str(folder),
            actual=f"{type(error).__name__}: {first_line(error)}",
            next_step="save it again: AutoTokenizer.from_pretrained(...).save_pretrained(folder)",
        ) from error
    if vocabulary is not None:
        _refuse_larger(tokenizer, vocabulary, folder)
    policy, prefix = _policy(tokenizer, _explicit_setting(folder), model_type, folder)
    return Tokens(tokenizer, policy, prefix, vocabulary, Clock(moment))


def added_beyond(tokenizer: Any, vocabulary: int) -> list[str]:
    """Tokens that were added to a tokenizer and that the model has no embedding for."""
    return [str(token) for number, token in sorted(tokenizer.added_tokens_decoder.items()) if number >= vocabulary]


def _refuse_larger(tokenizer: Any, vocabulary: int, folder: Path) -> None:
    """Raises ModelError if ordinary tokens, which any text may hold, lie beyond the model's embedding."""
    added = tokenizer.added_tokens_decoder
    beyond = {token: number for token, number in tokenizer.get_vocab().items() if number >= vocabulary}
    ordinary = sorted(number for number in beyond.values() if number not in added)
    if ordinary:
        raise model_error(
            "The tokenizer has more tokens than the model has embeddings: they do not belong together.",
            where=str(folder),
            actual=f"{len(ordinary)} ordinary tokens with ids up to {ordinary[-1]}",
            allowed=f"ids 0 to {vocabulary - 1}",
            next_step="put the tokenizer that belongs to the model into its folder",
        )


def _policy(tokenizer: Any, explicit: bool | None, model_type: str, folder: Path) -> tuple[str, tuple[int, ...]]:
    around = set.intersection(*(_around(tokenizer, text) for text in (*_PROBES, *_ordinary(tokenizer))))
    prefix, suffix = max(around, key=lambda pair: len(pair[0]), default=((), ()))
    if not around or suffix:
        raise _not_kept(tokenizer, suffix, folder)
    if prefix:
        return "tokenizer", prefix
    bos = tokenizer.bos_token_id
    if bos is not None and (explicit or (explicit is None and model_type in ALWAYS_BOS)):
        return "added", (bos,)
    return "none", ()


def _ordinary(tokenizer: Any) -> list[str]:
    """A few of the tokenizer's own tokens as texts, for one that knows no English."""
    special = set(tokenizer.all_special_ids)
    ids = [number for number in sorted(tokenizer.get_vocab().values()) if number not in special]
    return [tokenizer.decode([number]) for number in ids[:: max(1, len(ids) // 3)]]


def _around(tokenizer: Any, text: str) -> set[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(what a tokenizer puts in front, what behind) a text's own tokens, for every place where they can lie."""
    bare = tokenizer(text, add_special_tokens=False)["input_ids"]
    whole = tokenizer(text)["input_ids"]
    starts = [i for i in range(len(whole) - len(bare) + 1) if whole[i : i + len(bare)] == bare]
    return {(tuple(whole[:start]), tuple(whole[start + len(bare) :])) for start in starts}


def _not_kept(tokenizer: Any, suffix: tuple[int, ...], folder: Path) -> ModelError:
    if suffix:
        return model_error(
            "The tokenizer ends every text with a special token, and a text that has ended cannot be continued.",
            where=str(folder),
            actual=", ".join(tokenizer.convert_ids_to_tokens(list(suffix))),
            next_step="set add_eos_token to false in tokenizer_config.json, or take the token out of tokenizer.json's "
            "post_processor",
        )
    return model_error(
        "The tokenizer changes a text's tokens when it adds special ones, which cannot be kept here.",
        where=str(folder),
        next_step="save the tokenizer with a post_processor that puts special tokens in front and nothing else",
    )


def _explicit_setting(folder: Path) -> bool | None:
    """What `add_bos_token` in the tokenizer's own configuration says; None when it says nothing."""
    path = folder / "tokenizer_config.json"
    return json.loads(path.read_text(encoding="utf-8")).get("add_bos_token") if path.is_file() else None
